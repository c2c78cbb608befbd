"""Limits for each client, closed addresses, headers, and what a public link changes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from demo.guard import RATES, Guard, Limiter, Rate, RateLimit, check, client_of, kind_of
from demo.settings import Settings
from scsa_core.errors import TooMany


def page(request):
    return PlainTextResponse("page", headers={"Content-Security-Policy": "default-src 'none'"})


def app(limiter, proxies=0, address="203.0.113.7"):
    routes = [Route("/{path:path}", page, methods=["GET", "POST"])]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(Guard), Middleware(RateLimit, limiter=limiter, proxies=proxies)]), client=(address, 1))


def test_a_bucket_empties_and_fills_again():
    now = [0.0]
    limiter = Limiter(1.0, {"upload": Rate(2, 0.5)}, clock=lambda: now[0])
    assert [limiter.wait("a", "upload") for _ in range(3)] == [0.0, 0.0, 2.0]
    assert limiter.wait("b", "upload") == 0.0  # another client has a bucket of its own
    now[0] = 2.0
    assert limiter.wait("a", "upload") == 0.0 and limiter.wait("a", "upload") > 0
    now[0] = 1e6
    assert [limiter.wait("a", "upload") > 0 for _ in range(3)] == [False, False, True]  # never more than the burst


def test_no_limit_and_a_scale():
    assert not any(Limiter(0).wait("a", "make") for _ in range(500))
    double = Limiter(2)
    assert sum(double.wait("a", "make") == 0 for _ in range(100)) == 2 * RATES["make"].burst


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", "/gradio_api/upload", "upload"), ("POST", "/sub/gradio_api/queue/join", "event"), ("POST", "/gradio_api/run/predict", "event"),
        ("POST", "/vote/api/x/start", "answer"), ("POST", "/results/api/x", "answer"), ("GET", "/gradio_api/file=x.png", None), ("GET", "/", None),
    ],
)  # fmt: skip
def test_what_counts_as_what(method, path, kind):
    assert kind_of(method, path) == kind


def test_too_much_is_refused_and_reading_goes_on():
    client = app(Limiter(1.0, {k: Rate(3, 0.1) for k in RATES}))
    answers = [client.post("/gradio_api/upload") for _ in range(4)]
    assert [a.status_code for a in answers] == [200, 200, 200, 429] and int(answers[-1].headers["retry-after"]) >= 9
    assert client.post("/gradio_api/queue/join").status_code == 200 and client.get("/").status_code == 200


def test_a_client_cannot_change_its_name():
    assert client_of("203.0.113.7", {"x-forwarded-for": "1.1.1.1"}, 0) == "203.0.113.7"
    assert client_of("10.0.0.1", {"x-forwarded-for": "6.6.6.6, 203.0.113.7"}, 1) == "203.0.113.7"
    assert client_of("10.0.0.1", {"x-forwarded-for": "6.6.6.6, 203.0.113.7, 10.0.0.2"}, 2) == "203.0.113.7"
    assert client_of("2001:db8::1", {}, 0) == client_of("2001:db8::ffff:2", {}, 0) != client_of("2001:db8:0:1::1", {}, 0)
    assert len(client_of("10.0.0.1", {"x-forwarded-for": "x" * 9000}, 1)) <= 64
    client = app(Limiter(1.0, {k: Rate(1, 0.01) for k in RATES}))
    forged = [client.post("/gradio_api/upload", headers={"X-Forwarded-For": f"1.1.1.{k}"}).status_code for k in range(3)]
    assert forged == [200, 429, 429]


def test_handlers_ask_for_what_stays_on_the_disk():
    limiter = Limiter(1.0, {"make": Rate(1, 0.01)})
    request = SimpleNamespace(client=SimpleNamespace(host="203.0.113.7"), headers={})
    check(limiter, request, "make", 0)
    with pytest.raises(TooMany) as caught:
        check(limiter, request, "make", 0)
    assert 50 < caught.value.seconds <= 100


def test_headers_stand_on_every_answer():
    client = app(Limiter(1.0, {k: Rate(0, 0.1) for k in RATES}))
    for answer in (client.get("/"), client.post("/gradio_api/upload"), client.get("/gradio_api/proxy=https://x.example/")):
        assert answer.headers["x-content-type-options"] == "nosniff" and "origin" in answer.headers["referrer-policy"]
        policies = answer.headers.get_list("content-security-policy")
        assert any("frame-ancestors 'self' https://huggingface.co" in p for p in policies) and "*" not in " ".join(policies).replace("https://*.", "")
        assert "x-frame-options" not in answer.headers  # it cannot name Hugging Face
    assert "default-src 'none'" in app(Limiter()).get("/").headers.get_list("content-security-policy")


def test_what_fetches_other_sites_is_closed():
    client = app(Limiter())
    for path in ("file=http://127.0.0.1:1/x", "file=https%3A%2F%2Fx.example/a", "file%3Dhttp:/x", "file/https://x.example", "proxy=https://x.hf.space/", "FILE=HTTP://x.example"):
        assert client.get(f"/gradio_api/{path}").status_code == 404, path
    assert client.get("/gradio_api/file=/tmp/gradio/ab/httpd.png").status_code == 200


def test_a_public_page_is_careful_by_default(monkeypatch):
    for name in ("SPACE_ID", "SCSA_FETCH", "SCSA_PROXIES", "SCSA_RATE", "SCSA_METRICS"):
        monkeypatch.delenv(name, raising=False)
    assert Settings.from_environment().may_fetch and not Settings.from_environment(share=True).may_fetch
    assert (Settings.from_environment().proxies, Settings.from_environment().rate, Settings.from_environment().metrics) == (0, 1.0, "")
    monkeypatch.setenv("SPACE_ID", "a/b")
    assert Settings.from_environment().proxies == 1 and not Settings.from_environment().may_fetch
    monkeypatch.setenv("SCSA_FETCH", "1")
    assert Settings.from_environment(share=True).may_fetch
