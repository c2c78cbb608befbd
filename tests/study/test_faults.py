"""The database full, locked, gone and back, or looked at by a clock that jumps: nothing that was kept is lost."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import time

import psycopg
import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from starlette.applications import Starlette
from starlette.testclient import TestClient

from demo.faults import TALLY
from demo.study_web import Studies, routes
from scsa_core.clock import careful
from scsa_core.errors import StudyError
from scsa_core.study import database as database_module
from scsa_core.study.store import Store

from .conftest import design, pairs


def opened(store, **changes):
    study, secret = store.create(design(**changes), pairs())
    store.publish(study, secret)
    return study, secret


@pytest.fixture
def site(database_url, tmp_path):
    """The routes over an open study with one participant, who has answered one trial."""
    studies = Studies(tmp_path / "data", database_url)
    study, secret = opened(studies.store)
    client = TestClient(Starlette(routes=routes(studies)))
    token = client.post(f"/vote/api/{study}/start", json={}).json()["token"]

    def vote(number):
        body = {"token": token, "number": number, "choice": 0, "ms": 1000}
        return client.post(f"/vote/api/{study}/vote", json=body)

    assert vote(1).json()["new"]
    yield studies, study, secret, vote
    studies.close()


def answers(studies, study, secret):
    return sorted(a.ordinal for a in studies.store.records(study, secret).answers)


class Gone:
    """Takes the database away, as a host that restarts it or a volume that is unmounted; and brings it back."""

    def __init__(self, studies, url):
        self.folder, self.url, self.aside = studies.folder, url, studies.folder.with_name("aside")

    def __enter__(self):
        if not self.url:
            self.folder.rename(self.aside)
            return
        self._allow("false")
        self._server("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", self.name)

    def __exit__(self, *error):
        if not self.url:
            self.aside.rename(self.folder)
        else:
            self._allow("true")

    @property
    def name(self):
        return self.url.rsplit("/", 1)[1]

    def _allow(self, yes):
        self._server(f"ALTER DATABASE {self.name} ALLOW_CONNECTIONS {yes}")

    def _server(self, query, *values):
        with psycopg.connect(self.url.rsplit("/", 1)[0] + "/postgres", autocommit=True) as connection:
            connection.execute(query, values)


def test_a_database_that_goes_and_comes_back_keeps_every_answer(site, database_url):
    studies, study, secret, vote = site
    with Gone(studies, database_url):
        if not database_url:
            studies.store.database.close()  # as a new process would find it; an open file outlives its name
        for _ in range(2):
            refused = vote(2)
            assert refused.status_code == 503 and refused.json()["error"] == "unavailable" and refused.json()["reference"]
    assert vote(2).json() == {"kept": True, "new": True}
    assert vote(1).json() == {"kept": True, "new": False}
    assert answers(studies, study, secret) == [1, 2]


def test_an_app_that_starts_without_its_database_finds_it_later(site, database_url):
    studies, study, _, _ = site
    with Gone(studies, database_url):
        if not database_url:
            studies.folder.write_text("")  # a file where the volume should be
        late = Studies(studies.folder, database_url)
        client = TestClient(Starlette(routes=routes(late)))
        assert client.get(f"/vote/api/{study}").status_code == 503
        if not database_url:
            studies.folder.unlink()
    assert client.get(f"/vote/api/{study}").json()["state"] == "open"
    late.close()


def test_a_database_locked_for_long_is_said_soon_and_the_answer_is_taken_afterwards(tmp_path, monkeypatch):
    monkeypatch.setattr(database_module, "BUSY_SECONDS", 0.4)
    store = Store(tmp_path)
    study, secret = opened(store)
    token, _ = store.start(study)
    other = sqlite3.connect(tmp_path / "studies.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    begin = time.monotonic()
    with pytest.raises(OperationalError, match="locked"):
        store.vote(study, token, 1, 0, 1000)
    assert time.monotonic() - begin < 3  # all attempts together
    other.execute("COMMIT")
    assert store.vote(study, token, 1, 0, 1000) and len(store.records(study, secret).answers) == 1
    other.close()
    store.close()


def test_a_full_disk_refuses_new_answers_and_keeps_the_old_ones(tmp_path):
    """SQLite's own limit of pages fails as a full disk does."""
    studies = Studies(tmp_path)
    study, secret = opened(studies.store, trials=100, checks=10, max_participants=1000)
    full = [True]

    def limit(connection):
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages if full[0] else 1_000_000}")

    event.listen(studies.store.database._engine, "begin", limit)
    client = TestClient(Starlette(routes=routes(studies)))
    started = 0
    for _ in range(50):
        answer = client.post(f"/vote/api/{study}/start", json={})
        if answer.status_code != 200:
            break
        started += 1
    assert answer.status_code == 503 and answer.json()["error"] == "unavailable"
    with pytest.raises(OperationalError, match="full"):
        studies.store.create(design(trials=100, checks=10), pairs(40))
    assert [path.name for path in (tmp_path / "studies").iterdir()] == [study]  # its pictures went again
    full[0] = False
    assert client.post(f"/vote/api/{study}/start", json={}).status_code == 200
    assert len(studies.store.records(study, secret).participants) == started + 1
    studies.close()


def test_a_clock_that_jumps_sweeps_no_draft(tmp_path, monkeypatch):
    jumped, passed = [0.0], [0.0]
    monkeypatch.setattr("scsa_core.study.store.careful", lambda clock: careful(clock, steady=lambda: passed[0]))
    store = Store(tmp_path, clock=lambda: 2_000_000_000.0 + jumped[0] + passed[0])
    draft, _ = store.create(design(), pairs())
    jumped[0] = 365 * 86400.0
    store.sweep()
    assert store.info(draft).state == "draft"
    jumped[0] = -365 * 86400.0
    published, secret = opened(store)  # made in the past, so to say
    token, _ = store.start(published)
    jumped[0] = 0.0
    assert store.vote(published, token, 1, 0, 1000) and store.info(draft).state == "draft"
    passed[0] = 2 * 86400.0
    store.sweep()
    with pytest.raises(StudyError):
        store.info(draft)
    assert len(store.records(published, secret).answers) == 1
    store.close()


def test_a_server_that_does_not_answer_is_not_waited_for_long(tmp_path, monkeypatch):
    """It accepts a connection and says nothing, as behind a broken network."""
    monkeypatch.setattr(database_module, "GONE_SECONDS", 2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        begin = time.monotonic()
        with pytest.raises(StudyError, match="cannot be opened"):
            Store(tmp_path, f"postgresql://scsa@127.0.0.1:{silent.getsockname()[1]}/studies")
    assert time.monotonic() - begin < 10


def test_a_client_that_vanishes_in_the_middle_of_an_answer_changes_nothing(site):
    studies, study, secret, vote = site
    messages = [{"type": "http.request", "body": b'{"token": "', "more_body": True}, {"type": "http.disconnect"}]

    async def receive():
        return messages.pop(0)

    async def send(message):
        pass

    path = f"/vote/api/{study}/vote"
    scope = {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http",
        "headers": [(b"content-type", b"application/json")], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "http_version": "1.1",
    }  # fmt: skip
    before = TALLY.seen()
    asyncio.run(Starlette(routes=routes(studies))(scope, receive, send))
    assert messages == [] and TALLY.seen() == before  # nobody's error
    assert answers(studies, study, secret) == [1] and vote(2).json()["new"]
