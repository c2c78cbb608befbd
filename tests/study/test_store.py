"""Studies, participants and votes in both databases: nothing lost, nothing twice, nothing told to the wrong person."""

from __future__ import annotations

import json
import multiprocessing
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image, ImageStat

from scsa_core.errors import StudyClosed, StudyError, StudyFull, StudyUnknown
from scsa_core.study import report
from scsa_core.study.reading import ABANDONED_MS
from scsa_core.study.stats import TIE
from scsa_core.study.store import Store, _identifier

from .conftest import ARMS, design, pairs


def opened(store, count=3, **changes):
    study, secret = store.create(design(**changes), pairs(count, len(changes.get("arms", ARMS))))
    store.publish(study, secret)
    return study, secret


def answer_all(store, study, token, choose=lambda shown: 0, ms=2000):
    for shown in store.resume(study, token).trials:
        assert store.vote(study, token, shown.number, choose(shown), ms)


def test_a_participant_votes_resumes_and_finishes(store):
    study, secret = opened(store, trials=12, checks=2)
    token, start = store.start(study)
    assert [t.number for t in start.trials] == list(range(13)) and not start.finished
    assert store.vote(study, token, 0, 1, 1500) and store.vote(study, token, 1, 0, 900)
    again = store.resume(study, token)
    assert [t.answered for t in again.trials] == [True, True] + [False] * 11
    assert [t.options for t in again.trials] == [t.options for t in start.trials]
    for shown in again.trials[2:]:
        store.vote(study, token, shown.number, 0, 1200)
    assert store.resume(study, token).finished
    records = store.records(study, secret)
    assert len(records.answers) == 13 and {a.kind for a in records.answers} == {"practice", "main", "check", "repeat"}
    assert records.answers[1].choice == 0 and records.answers[1].ms == 900


def test_the_first_vote_on_a_trial_stays(store):
    study, secret = opened(store)
    token, _ = store.start(study)
    assert store.vote(study, token, 1, 1, 1000)
    assert not store.vote(study, token, 1, 0, 5)
    [answer] = store.records(study, secret).answers
    assert (answer.choice, answer.ms) == (1, 1000)


def test_many_voters_at_once_lose_and_double_nothing(store):
    study, secret = opened(store, trials=8, checks=1)

    def take_part(_):
        token, progress = store.start(study)
        for shown in progress.trials:
            with ThreadPoolExecutor(2) as twice:
                new = list(twice.map(lambda _, n=shown.number: store.vote(study, token, n, 0, 1000), range(2)))
            assert sorted(new) == [False, True]

    with ThreadPoolExecutor(6) as people:
        list(people.map(take_part, range(6)))
    records = store.records(study, secret)
    assert len(records.answers) == 6 * 9 and len({(a.participant, a.ordinal) for a in records.answers}) == 6 * 9
    assert sorted(records.participants) == [1, 2, 3, 4, 5, 6]
    assert all(finished for _, finished in records.participants.values())
    counts = {}
    for a in records.answers:
        if a.kind == "main":
            counts[a.pair, a.order] = counts.get((a.pair, a.order), 0) + 1
    assert sum(counts.values()) == 36 and set(counts.values()) == {6}  # 3 pairs × 2 sides, all served alike


def test_what_is_asked_wrongly_is_refused(store):
    study, _ = opened(store)
    token, _ = store.start(study)
    for choice in (2, -2, TIE, True, "0", None):
        with pytest.raises(StudyError):
            store.vote(study, token, 1, choice, 1000)
    with pytest.raises(StudyError):
        store.vote(study, token, 99, 0, 1000)
    other, _ = opened(store)
    for wrong in (lambda: store.vote(other, token, 1, 0, 1), lambda: store.resume(study, "x"), lambda: store.start("../../etc/passwd")):
        with pytest.raises(StudyUnknown):
            wrong()


def test_ties_where_the_host_allows_them(store):
    study, secret = opened(store, ties=True)
    token, _ = store.start(study)
    assert store.vote(study, token, 1, TIE, 1000)
    assert store.records(study, secret).answers[0].chosen is None


def test_draft_open_closed_full(store):
    study, secret = store.create(design(max_participants=1), pairs())
    token, _progress = store.start(study)  # the host tries it
    store.vote(study, token, 1, 0, 1000)
    assert store.records(study, secret).answers == ()
    with pytest.raises(StudyClosed):
        store.set_closed(study, secret, True)
    store.publish(study, secret)
    store.publish(study, secret)
    assert not store.records(study, secret).participants
    with pytest.raises(StudyUnknown):
        store.resume(study, token)
    token, _ = store.start(study)
    assert not store.places_left(study)
    with pytest.raises(StudyFull):
        store.start(study)
    store.set_closed(study, secret, True)
    for late in (lambda: store.start(study), lambda: store.vote(study, token, 1, 0, 1000)):
        with pytest.raises(StudyClosed):
            late()
    store.set_closed(study, secret, False)
    assert store.vote(study, token, 1, 0, 1000)


def test_only_the_secret_opens_results_and_only_its_hash_is_kept(store, database_url):
    study, secret = opened(store)
    for wrong in ("", secret[:-1], secret + "x"):
        for act in (store.records, store.delete, store.publish, lambda s, k: store.set_closed(s, k, True)):
            with pytest.raises(StudyUnknown):
                act(study, wrong)
    if not database_url:
        kept = b"".join(p.read_bytes() for p in store.folder.glob("studies.sqlite3*"))
        assert study.encode() in kept and secret.encode() not in kept


def test_pictures_are_opaque_and_belong_to_their_study(store):
    study, _ = opened(store)
    other, _ = opened(store)
    _, progress = store.start(study)
    shown = progress.trials[0]
    path = store.picture(study, shown.options[0])
    assert path.is_file() and Image.open(path).size == (32, 24)
    assert "scsa" not in path.name.lower() and "base" not in path.name.lower()
    for wrong in ((other, shown.options[0]), (study, "../studies.sqlite3"), (study, "A" * 22)):
        with pytest.raises(StudyUnknown):
            store.picture(*wrong)


def test_checks_show_a_sound_and_a_blurred_picture(store):
    import numpy as np

    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    made = [p.__class__(p.name, p.content, p.style, [noise, noise]) for p in pairs()]
    study, secret = store.create(design(), made)
    store.publish(study, secret)
    token, progress = store.start(study)
    answer_all(store, study, token)
    for a in store.records(study, secret).answers:
        if a.kind == "check":
            files = [store.picture(study, p) for p in progress.trials[a.ordinal].options]
            spread = [ImageStat.Stat(Image.open(f)).stddev[0] for f in files]
            assert max(range(2), key=lambda k: spread[k]) == a.good and min(spread) < max(spread) / 3


def test_deleting_leaves_nothing(store):
    study, secret = opened(store)
    keep, keep_secret = opened(store)
    token, _ = store.start(study)
    store.vote(study, token, 1, 0, 1000)
    store.delete(study, secret)
    assert not (store.folder / "studies" / study).exists()
    for gone in (lambda: store.records(study, secret), lambda: store.info(study), lambda: store.resume(study, token)):
        with pytest.raises(StudyUnknown):
            gone()
    assert store.records(keep, keep_secret).info.state == "open"
    from sqlalchemy import text

    with store.database.read() as session:
        for table in ("study_participants", "study_trials", "study_votes"):
            assert session.scalar(text(f"SELECT count(*) FROM {table}")) == 0


def test_who_leaves_early_gives_place_and_cells_back(database_url, tmp_path):
    now = [1_000_000.0]
    store = Store(tmp_path / "data", database_url, clock=lambda: now[0])
    study, secret = opened(store, count=2, trials=6, checks=1, max_participants=1)
    store.start(study)
    now[0] += ABANDONED_MS / 1000 + 1
    token, _ = store.start(study)
    answer_all(store, study, token)
    assert not store.places_left(study)
    assert store.records(study, secret).participants[2][1] is not None
    store.close()


def test_old_drafts_are_swept(database_url, tmp_path):
    now = [time.time()]
    store = Store(tmp_path / "data", database_url, clock=lambda: now[0])
    draft, _ = store.create(design(), pairs())
    published, _ = opened(store)
    now[0] += 2 * 86400
    store.sweep()
    with pytest.raises(StudyUnknown):
        store.info(draft)
    assert store.info(published).state == "open" and not (store.folder / "studies" / draft).exists()
    assert [s.id for s in store.studies()] == [published] and store.used_bytes() > 0
    store.forget(published)
    assert store.studies() == [] and store.used_bytes() == 0
    store.close()


def test_a_study_that_makes_no_sense_is_refused_and_leaves_nothing(store):
    wrong = [
        {"question": " "}, {"question": "x" * 501}, {"trials": 6}, {"arms": ARMS[:1]}, {"shown": 4}, {"shown": 3},
        {"max_participants": 0}, {"trials": 101}, {"checks": -1},
    ]  # fmt: skip
    for changes in wrong:
        with pytest.raises(StudyError):
            store.create(design(**changes), pairs())
    with pytest.raises(StudyError):
        store.create(design(), [])
    with pytest.raises(StudyError):
        store.create(design(), pairs(arms=1))
    assert list((store.folder / "studies").iterdir()) == [] and store.studies() == []


def test_results_and_exports(store):
    arms = ({"name": "=SUM(A1)"}, {"name": "SCSA", "method": "scsa"})
    study, secret = opened(store, arms=arms, trials=20)
    good, _ = store.start(study)
    sound = {p["0"]: 0 for p in store.thumbnails(study).values()} | {p["1"]: 1 for p in store.thumbnails(study).values()}
    content = {t.options: t for t in store.resume(study, good).trials}
    assert content
    answer_all(store, study, good, lambda t: max(range(2), key=lambda k: sound.get(t.options[k], -1)))
    lazy, _ = store.start(study)
    answer_all(store, study, lazy, ms=300)  # always left, at once
    records = store.records(study, secret)
    data = report.results(records, draws=200)
    assert data["participants"] == {"started": 2, "finished": 2, "excluded": 1}
    assert data["exclusions"]["people"]["fast"] == 1 and data["exclusions"]["people"]["side"] == 1
    [preference] = data["kept"]["preferences"]
    assert (preference["first"], preference["wins"], preference["decisive"]) == (0, 0, 15)
    assert data["all"]["preferences"][0]["decisive"] == 30 and data["kept"]["consistency"]["k"] == 1
    json.dumps(report.as_json(records))
    lines = report.as_csv(records).splitlines()
    assert len(lines) == 1 + 42 and lines[0].startswith("participant,trial,kind,pair,shown,choice")
    assert "'=SUM(A1)" in report.as_csv(records) and "\n=SUM" not in report.as_csv(records)
    assert all(good not in line and lazy not in line for line in lines)


def test_two_processes_may_open_a_new_folder_at_once(database_url, tmp_path):
    context = multiprocessing.get_context("fork")  # a new interpreter would first load torch
    barrier = context.Barrier(3)

    def open_it():
        barrier.wait()
        Store(tmp_path / "data", database_url).close()

    several = [context.Process(target=open_it) for _ in range(3)]
    for process in several:
        process.start()
    for process in several:
        process.join(60)
    assert [p.exitcode for p in several] == [0, 0, 0]


def test_a_new_file_that_another_is_writing_is_waited_for(tmp_path):
    """SQLite refuses the switch to write-ahead logging at once while another writes, whatever its timeout."""
    (tmp_path / "data").mkdir()
    other = sqlite3.connect(tmp_path / "data" / "studies.sqlite3", isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE elsewhere (x)")
    other.execute("BEGIN IMMEDIATE")
    other.execute("SELECT * FROM elsewhere").fetchall()
    release = threading.Timer(0.5, other.execute, ("COMMIT",))
    release.start()
    store = Store(tmp_path / "data")
    assert not release.is_alive()
    with store.database.read() as session:
        assert session.connection().exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    store.close()
    other.close()


def test_an_older_version_works_on_a_newer_database(store, tmp_path, database_url):
    """Migrations only add; so a revision that this version does not know is left as it is."""
    from sqlalchemy import text

    def newer(session):
        session.execute(text("UPDATE study_schema SET version_num = '9999'"))
        session.execute(text("ALTER TABLE studies ADD COLUMN something_new INTEGER"))

    store.database.write(newer)
    again = Store(store.folder, database_url)
    study, _secret = opened(again)
    token, _ = again.start(study)
    assert again.vote(study, token, 1, 0, 1000)
    with again.database.read() as session:
        assert session.scalar(text("SELECT version_num FROM study_schema")) == "9999"
    again.close()


def test_the_tables_are_what_the_migrations_make(store):
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    from scsa_core.study.models import Base

    with store.database.read() as session:
        context = MigrationContext.configure(session.connection(), opts={"version_table": "study_schema"})
        assert [d for d in compare_metadata(context, Base.metadata) if "study_schema" not in str(d)] == []


def test_bad_addresses_are_said(tmp_path):
    for url in ("mysql://x/y", "nonsense", "postgresql://127.0.0.1:9/none?connect_timeout=2"):
        with pytest.raises(StudyError):
            Store(tmp_path, url)
    (tmp_path / "file").write_text("")
    with pytest.raises(StudyError):
        Store(tmp_path / "file" / "data")


def test_a_busy_database_is_waited_for(tmp_path):
    store = Store(tmp_path)
    study, _secret = opened(store)
    token, _ = store.start(study)
    other = sqlite3.connect(tmp_path / "studies.sqlite3", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.6, lambda: other.execute("COMMIT"))
    timer.start()
    assert store.vote(study, token, 1, 0, 1000)
    timer.join()
    other.close()
    store.close()


def test_no_id_looks_like_an_option(monkeypatch):
    drawn = iter(["-looks-like-one", "-too", "not-this-one"])
    monkeypatch.setattr("secrets.token_urlsafe", lambda count: next(drawn))
    assert _identifier() == "not-this-one"


def test_the_command_line_lists_exports_renews_and_deletes(store, database_url, capsys):
    from scsa_core.cli import main

    study, secret = opened(store, title="A title")
    token, _ = store.start(study)
    store.vote(study, token, 1, 0, 1000)
    where = ["study", "--data", str(store.folder), *(["--database", database_url] if database_url else [])]

    def run(*arguments):
        assert main([*where, *arguments]) == 0
        return capsys.readouterr().out

    assert study in run("list") and "A title" in run("list")
    assert json.loads(run("list", "--json"))[0]["votes"] == 1
    assert run("export", study).count("\n") == 2 and json.loads(run("export", study, "--format", "json"))["votes"] == 1
    fresh = run("link", study).strip().split("#")[1]
    with pytest.raises(StudyUnknown):
        store.records(study, secret)
    assert store.records(study, fresh).info.id == study
    run("delete", study)
    assert store.studies() == [] and main([*where, "delete", study]) == 2
