"""What a host sees of a running app: logs, references, health and numbers."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re

import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from demo import metrics
from demo.faults import Tally, kind_of, told
from demo.line import Line
from demo.logs import RequestIds, request_id, set_up_logs
from demo.metrics import Watch, WatchedEngine
from demo.study_web import Studies
from demo.study_web import routes as study_routes
from scsa_core import __version__
from scsa_core.engine import RenderRequest
from scsa_core.errors import KnobError, LabelError, OutOfMemory
from scsa_core.knobs import Knobs

SECRET = "a-secret-of-enough-characters"


@pytest.fixture
def lines():
    """The log as it is written; call with a form first."""
    loggers = [logging.getLogger(name) for name in ("scsa", "scsa_core")]
    before = [(logger.handlers, logger.level, logger.propagate) for logger in loggers]
    out = io.StringIO()

    def begin(kind):
        set_up_logs(kind, out)
        return lambda: out.getvalue().splitlines()

    yield begin
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers, logger.level, logger.propagate = handlers, level, propagate


def client(*routes, address="127.0.0.1"):
    app = Starlette(routes=list(routes), middleware=[Middleware(RequestIds)])
    return TestClient(app, client=(address, 5000), raise_server_exceptions=False)


def picture():
    return Image.linear_gradient("L").convert("RGB").resize((64, 48))


def test_an_error_that_a_person_sees_is_found_in_the_log(lines):
    written = lines("json")
    for error in (LabelError("the map is empty"), RuntimeError("inner detail"), MemoryError()):
        words = told(error, "a render")
        found = json.loads(written()[-1])
        assert re.fullmatch("[0-9a-f]{8}", words.reference) and found["reference"] == words.reference
        assert words.reference in words.line("en") and words.reference in words.line("zh") and "inner" not in words.line("en")
        assert found["message"].startswith("a render failed") and found["kind"] == kind_of(error)
        assert ("traceback" in found) == (not isinstance(error, LabelError))


def test_text_lines_say_the_same(lines):
    written = lines("text")
    words = told(LabelError("the map is empty"), "a render")
    assert re.fullmatch(rf"\S+ \S+ INFO scsa\.demo: a render failed: the map is empty \[reference={words.reference} kind=LabelError\]", written()[-1])


def test_one_log_line_is_one_json_object_whatever_is_in_it(lines):
    written = lines("json")
    logging.getLogger("scsa.demo").warning("two\nlines \x1b[31m %s", {"a": "b\"c"})
    (line,) = written()
    assert json.loads(line)["message"].startswith("two\nlines")


def test_passwords_in_addresses_are_not_logged(lines):
    for kind in ("text", "json"):
        written = lines(kind)
        try:
            raise RuntimeError("cannot reach postgresql+psycopg://studio:hunter2@db.example/studies")
        except RuntimeError:
            logging.getLogger("scsa.demo").exception("at %s", "postgresql://studio:hunter2@db.example")
        assert "hunter2" not in "\n".join(written()) and "db.example" in "\n".join(written())


def test_a_log_of_another_form_is_refused(monkeypatch):
    monkeypatch.setenv("SCSA_LOG", "xml")
    with pytest.raises(ValueError, match="text or json"):
        set_up_logs()


def test_every_answer_carries_its_own_id():
    asked = client(Route("/", lambda request: PlainTextResponse(request_id())))
    answers = [asked.get("/", headers={"X-Request-Id": "forged\u0041"}) for _ in range(2)]
    assert all(a.text == a.headers["x-request-id"] != "forgedA" for a in answers) and answers[0].text != answers[1].text
    assert request_id() == ""


def test_a_study_that_cannot_be_answered_names_its_request(tmp_path):
    (tmp_path / "file").write_text("")
    answer = client(*study_routes(Studies(tmp_path / "file"))).get("/vote/api/whatever-it-is")
    assert answer.status_code == 503 and answer.json() == {"error": "unavailable", "reference": answer.headers["x-request-id"]}


def test_health_says_version_models_and_queue(monkeypatch, tmp_path):
    monkeypatch.setenv("SCSA_CHECKPOINTS", str(tmp_path))
    watch = Watch(Tally())
    ask = client(*metrics.routes(watch, ""))
    assert ask.get("/healthz").json()["ok"] is False  # nothing to paint with; the page is there all the same
    watch.engine, watch.line = WatchedEngine("cpu", watch), Line()
    watch.line.enter("somebody")
    answer = ask.get("/healthz")
    found = answer.json()
    assert answer.status_code == 200 and found["ok"] and found["version"] == __version__ and found["queue"] == 1
    assert "lite" in found["models"] and "sanet" not in found["models"] and found["run"]


def test_metrics_are_off_unless_somebody_may_read_them():
    watch = Watch(Tally())
    for off in ("", "0"):
        assert client(*metrics.routes(watch, off)).get("/metrics").status_code == 404
    with pytest.raises(ValueError, match="16 characters"):
        metrics.routes(watch, "short")


def test_metrics_for_this_machine_are_not_passed_on():
    routes = metrics.routes(Watch(Tally()), "1")
    assert client(*routes).get("/metrics").status_code == 200 and client(*routes, address="::1").get("/metrics").status_code == 200
    assert client(*routes, address="203.0.113.7").get("/metrics").status_code == 404
    for header in ("X-Forwarded-For", "Forwarded", "X-Real-Ip"):
        assert client(*routes).get("/metrics", headers={header: "127.0.0.1"}).status_code == 404


def test_metrics_for_a_secret():
    ask = client(*metrics.routes(Watch(Tally()), SECRET), address="203.0.113.7")
    assert ask.get("/metrics", headers={"Authorization": f"Bearer {SECRET}"}).status_code == 200
    for wrong in ({}, {"Authorization": SECRET}, {"Authorization": "Bearer "}, {"Authorization": f"Bearer {SECRET}x"}):
        assert ask.get("/metrics", headers=wrong).status_code == 404


def test_renders_errors_cache_and_queue_are_counted():
    watch = Watch(Tally())
    engine = watch.engine = WatchedEngine("cpu", watch)
    watch.line = Line()
    watch.line.enter("somebody")
    request = RenderRequest(picture(), picture(), method="baseline", knobs=Knobs(size=64))
    engine.render(request)
    engine.render(request)
    for error in (OutOfMemory("x"), OutOfMemory("x"), KnobError("x", knob="size"), RuntimeError("x"), ValueError("y")):
        watch.tally.add(error)
    text = watch.text().decode()
    assert 'scsa_render_seconds_count{model="lite",stage="total"} 2.0' in text
    assert 'scsa_render_seconds_count{model="lite",stage="paint"} 1.0' in text  # the second came from the cache
    for line in ("scsa_queue_length 1.0", "scsa_cache_hits_total 1.0", 'scsa_errors_total{kind="OutOfMemory"} 2.0', 'scsa_errors_total{kind="unexpected"} 2.0'):
        assert line in text, line
    held = float(re.search(r"^scsa_cache_bytes (\S+)$", text, re.M)[1])
    assert held == engine.cache_statistics().bytes > 0


def test_a_render_leaves_a_line_with_its_stages(lines):
    written = lines("json")
    watch = Watch(Tally())
    WatchedEngine("cpu", watch).render(RenderRequest(picture(), picture(), method="baseline", knobs=Knobs(size=64)))
    found = json.loads(written()[-1])
    assert (found["message"], found["model"], found["method"], found["size"]) == ("rendered", "lite", "baseline", 64)
    assert {"paint", "total"} <= set(found["seconds"])


def test_a_failed_render_shows_its_reference():
    from demo.session import Job, Session
    from demo.studio import Studio

    class Broken:
        def render(self, request, *, progress=None, cancel=None):
            raise LabelError("the content picture has no map")

        preview = render

        def estimate_seconds(self, request, *, preview=False):
            return 0.1

    async def follow():
        job = Job(RenderRequest(picture(), picture(), knobs=Knobs(size=64)), "c.png", "s.png", "Lite")
        studio = Studio(Broken(), lambda data, name: name)
        return [view async for view in studio.render(Session("a"), lambda: job, stamp=1, force=True, live=True)][-1]

    assert asyncio.run(follow()).error.reference
