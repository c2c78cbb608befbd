"""The study's routes: what a participant's browser and the host's page ask, and what nobody may ask."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from demo.study_web import MAX_BODY, Studies, StudyRedirect, routes
from demo.text import TEXT

from .conftest import design, pairs


@pytest.fixture
def studies(tmp_path):
    made = Studies(tmp_path)
    yield made
    made.close()


@pytest.fixture
def client(studies):
    return TestClient(Starlette(routes=routes(studies), middleware=[Middleware(StudyRedirect)]), follow_redirects=False)


@pytest.fixture
def study(studies):
    found = studies.store.create(design(ties=True), pairs())
    studies.store.publish(*found)
    return found


def test_pages_are_static_and_strict(client):
    for page in ("vote", "results"):
        answer = client.get(f"/{page}?study=<script>")
        assert answer.status_code == 200 and "<script>" not in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["referrer-policy"] == "no-referrer"
        for kind in ("js", "css"):
            assert client.get(f"/{page}/{page}.{kind}").status_code == 200
    assert client.get("/vote/secrets.js").status_code == 404


def test_a_participant_s_way(client, study):
    info = client.get(f"/vote/api/{study[0]}?lang=zh").json()
    assert info["state"] == "open" and not info["full"] and info["texts"]["vote.agree"] == TEXT["vote.agree"][1]
    assert not {"arms", "seed", "results_hash"} & set(info)
    started = client.post(f"/vote/api/{study[0]}/start", json={}).json()
    for trial in started["trials"]:
        assert set(trial) == {"number", "content", "style", "options", "answered"}  # neither its kind nor the methods
        picture = client.get(f"/vote/picture/{study[0]}/{trial['options'][0]}")
        assert picture.headers["content-type"] == "image/jpeg" and "private" in picture.headers["cache-control"]
        body = {"token": started["token"], "number": trial["number"], "choice": -1 if trial["number"] == 2 else 0, "ms": 1500}
        assert client.post(f"/vote/api/{study[0]}/vote", json=body).json() == {"kept": True, "new": True}
        assert client.post(f"/vote/api/{study[0]}/vote", json=body | {"choice": 1}).json() == {"kept": True, "new": False}
    assert client.post(f"/vote/api/{study[0]}/resume", json={"token": started["token"]}).json()["finished"]


def test_one_word_for_each_closed_door(client, study, studies):
    assert client.get("/vote/api/nothing-here").status_code == 404
    assert client.get("/vote/api/nothing-here").json()["state"] == "unknown"
    token = client.post(f"/vote/api/{study[0]}/start", json={}).json()["token"]
    assert client.post(f"/vote/api/{study[0]}/resume", json={"token": "x"}).json() == {"error": "unknown"}
    assert client.post(f"/vote/api/{study[0]}/resume", json={}).status_code == 404
    studies.store.set_closed(*study, True)
    vote = {"token": token, "number": 1, "choice": 0, "ms": 9}
    for path, body in (("start", {}), ("vote", vote)):
        answer = client.post(f"/vote/api/{study[0]}/{path}", json=body)
        assert (answer.status_code, answer.json()) == (410, {"error": "closed"})


def test_what_is_no_vote_is_refused(client, study):
    token = client.post(f"/vote/api/{study[0]}/start", json={}).json()["token"]
    good = {"token": token, "number": 1, "choice": 0, "ms": 1000}
    wrong = [{"number": "1"}, {"choice": 2}, {"choice": None}, {"choice": True}, {"ms": "x"}, {"ms": 1.5}, {"number": 10**9}]
    for change in wrong:
        assert client.post(f"/vote/api/{study[0]}/vote", json=good | change).status_code == 400, change
    url = f"/vote/api/{study[0]}/vote"
    assert client.post(url, content=b"{}", headers={"content-type": "text/plain"}).status_code == 400  # as a form of another site
    for body in (b"[1]", b"{", b"x" * (MAX_BODY + 1)):
        assert client.post(url, content=body, headers={"content-type": "application/json"}).status_code == 400
    assert client.post(url, json=good).json()["new"]


def test_results_need_the_secret(client, study):
    url = f"/results/api/{study[0]}"
    for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Bearer {study[1][:-1]}"}):
        for path in ("", "/csv", "/json", "/close", "/delete"):
            assert client.post(url + path, json={}, headers=headers).status_code == 404
    mine = {"Authorization": f"Bearer {study[1]}"}
    client.post(f"/vote/api/{study[0]}/start", json={})
    data = client.post(url, json={}, headers=mine).json()
    assert data["participants"]["started"] == 1 and data["study"]["arms"][1]["name"] == "SCSA" and data["thumbnails"]
    assert client.post(url + "/csv", json={}, headers=mine).text.startswith("\ufeffparticipant,")
    assert client.post(url + "/json", json={}, headers=mine).json()["answers"] == []
    assert client.post(url + "/close", json={}, headers=mine).json() == {"done": True}
    assert client.post(url, json={}, headers=mine).json()["study"]["state"] == "closed"
    assert client.post(url + "/reopen", json={}, headers=mine).status_code == 200
    assert client.post(url + "/nothing", json={}, headers=mine).status_code == 404
    assert client.post(url + "/delete", json={}, headers=mine).status_code == 200
    assert client.post(url, json={}, headers=mine).status_code == 404
    assert set(client.get("/results/words?lang=en").json()["texts"]) > {"results.title"}


def test_pictures_of_others_and_paths_are_not_served(client, study):
    for path in ("x", "..%2f..%2fstudies.sqlite3", "a" * 22):
        assert client.get(f"/vote/picture/{study[0]}/{path}").status_code == 404


def test_the_main_page_leads_a_participant_on(client):
    answer = client.get("/?study=abcDEF_-123&x=1")
    assert answer.status_code == 307 and answer.headers["location"] == "vote?study=abcDEF_-123"
    for query in ("?study=", "?study=//evil.example", "?study=a%0d%0ab", "?r=1", ""):
        assert client.get(f"/{query}").status_code == 404  # left to the app


def test_a_database_that_cannot_be_opened_is_a_friendly_line(tmp_path):
    (tmp_path / "file").write_text("")
    client = TestClient(Starlette(routes=routes(Studies(tmp_path / "file"))))
    answer = client.get("/vote/api/whatever-it-is")
    assert answer.status_code == 503 and answer.json()["error"] == "unavailable" and answer.json()["reference"]


def test_texts_that_nobody_changed_are_in_the_participants_language(client, studies):
    usual = {name: TEXT[f"study.{key}_default"] for name, key in (("question", "question"), ("consent", "consent"), ("end_text", "end"))}
    found = studies.store.create(design(**{name: english for name, (english, _) in usual.items()}), pairs())
    studies.store.publish(*found)
    for position, lang in enumerate(("en", "zh")):
        info = client.get(f"/vote/api/{found[0]}?lang={lang}").json()
        assert (info["question"], info["consent"], info["end"]) == tuple(texts[position] for texts in usual.values())
    own = studies.store.create(design(question="Which sky?"), pairs())
    studies.store.publish(*own)
    assert client.get(f"/vote/api/{own[0]}?lang=zh").json()["question"] == "Which sky?"
