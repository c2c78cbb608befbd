"""The Study tab's handlers: pairs from everywhere, methods as asked, a draft, two links; nothing kept where it stops."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from demo.desk import Desk
from demo.permalinks import LinkDesk
from demo.settings import Settings
from demo.study import FORM, Own, StudyDesk
from demo.study_web import Studies
from demo.text import t
from scsa_core.engine import Engine, RenderResult
from scsa_core.errors import StudyUnknown
from scsa_core.labels import LabelMap

ASKED = SimpleNamespace(session_hash="somebody")


class Host:
    """A tab over an engine that paints flat pictures and notes what it was asked."""

    def __init__(self, folder, examples=None) -> None:
        self.asked = []
        engine = Engine("cpu")
        engine.render = self.render
        self.settings = Settings(data=folder / "data", examples=examples or folder / "none", preload=False)
        self.desk = Desk(engine, self.settings)
        self.desk.auto_maps.find = lambda *_: (None, None, {})
        self.studies = Studies(self.settings.data)
        self.tab = StudyDesk(self.desk, self.studies, self.settings)

    def render(self, request, *, progress=None, cancel=None):
        cancel.checkpoint()
        self.asked.append(request)
        return RenderResult(Image.new("RGB", request.content.size, (len(self.asked), 0, 0)), {}, (), request, 0, "ab")

    def build(self, own, arms=None, **changes):
        """The last updates: [own, status, preview, publish, links, stop, build]."""
        form = {
            "title": "", "pairs": [], "methods": 2, "question": "Which?", "shown": 2, "trials": 8, "checks": 1, "repeat": True,
            "ties": False, "most": 10, "consent": "", "end": "",
        } | changes  # fmt: skip
        arms = arms or [("", "lite", "baseline", "", ""), ("", "lite", "scsa", "", "0,5"), ("", "lite", "sca", "", ""), ("", "lite", "ssa", "", "")]

        async def run():
            values = [form[name] for name in FORM] + [value for arm in arms for value in arm]
            return [updates async for updates in self.tab.build(own, *values, request=ASKED)]

        return asyncio.run(run())[-1]


@pytest.fixture
def host(tmp_path):
    made = Host(tmp_path)
    yield made
    made.studies.close()


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)).save(path)
    return str(path)


def upload(host, own, picture):
    own, _, said = host.tab.add_upload("content", own, [], picture, ASKED)
    assert said == t("study.add_style_next")
    own, pairs, _ = host.tab.add_upload("style", own, ["example:x"], picture, ASKED)
    return own, pairs


def test_an_uploaded_pair_becomes_a_study_with_two_links(host, picture):
    own, pairs = upload(host, None, picture)
    assert pairs["value"] == ["example:x", "own:0"] and own.pairs[0].auto
    own, _ = upload(host, own, picture)
    own, said, preview, publish, *_ = host.build(own, pairs=["own:0", "own:1", "own:9", "nonsense"])
    assert "2 pairs" in said and preview["link"].startswith("vote?study=") and publish["visible"]
    assert [(r.method, r.knobs.alpha2, r.knobs.size) for r in host.asked[:2]] == [
        ("baseline", host.desk.engine.defaults("lite").alpha2, 512), ("scsa", 0.5, 512),
    ]  # fmt: skip
    study, secret = own.study, own.secret
    assert host.studies.store.info(study).state == "draft"
    own, said, _, _, _, vote, results = host.tab.publish(own, ASKED)
    assert vote == f"vote?study={study}" and results == f"results?study={study}#{secret}" and said == t("study.published")
    assert host.studies.store.records(study, secret).info.design.arms[1] == {
        "name": "Lite SCSA", "model": "lite", "method": "scsa", "alpha2": 0.5,
    }  # fmt: skip
    _, said, *_, vote, results = host.tab.publish(own, ASKED)
    assert said.startswith(f"{t('study.fault.no_draft')} {t('study.fault.no_draft.do')}") and "#" not in str(results)


def test_the_pair_on_create_brings_its_maps(host, picture):
    from demo.painter import from_label_maps

    ids = np.zeros((12, 16), np.uint8)
    ids[:, 8:] = 1
    maps = LabelMap.from_ids(ids)
    painter = from_label_maps(picture, picture, maps, maps, links={1: (0,)})
    for side in ("content", "style"):
        painter[side]["picture"] = {"path": picture}
    own, _, said = host.tab.add_current(None, [], painter, ASKED)
    assert said == t("study.added", name="Own pair 1")
    host.build(own, pairs=["own:0"])
    assert host.asked[1].content_map.digest() == maps.digest() and host.asked[1].links == {1: (0,)}
    assert host.tab.add_current(own, [], None, ASKED)[2] == t("study.add_none")


def test_texts_that_nobody_changed_follow_the_language(host, picture):
    own, _ = upload(host, None, picture)
    host.desk.sessions.get("somebody").lang = "zh"
    shown = [t("study.question_default"), "My own consent", t("study.end_default")]
    pairs, question, consent, end = host.tab.in_language(own, *shown, request=ASKED)
    assert (question, end) == (t("study.question_default", "zh"), t("study.end_default", "zh")) and "value" not in consent
    assert pairs["choices"] == [("Own pair 1", "own:0")]


@pytest.mark.parametrize(
    ("changes", "arms"),
    [
        ({"pairs": []}, None), ({"trials": 4}, None), ({"question": " "}, None), ({"shown": 3}, None), ({"most": 0}, None),
        ({}, [("x", "lite", "scsa", "", ""), ("x", "lite", "baseline", "", "")]),
        ({}, [("", "lite", "scsa", "", ""), ("b", "lite", "scsa", "", "")]),
        ({}, [("", "lite", "scsa", "9", ""), ("", "lite", "baseline", "", "")]),
        ({}, [("", "lite", "scsa", "much", ""), ("", "lite", "baseline", "", "")]),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_and_leaves_nothing(host, picture, changes, arms):
    own, _ = upload(host, None, picture)
    own, said, preview, publish, _, stop, build = host.build(own, arms, **({"pairs": ["own:0"]} | changes))
    assert said and "Something went wrong" not in said and not preview["visible"] and not publish["visible"]
    assert build["interactive"] and not stop["visible"] and host.studies.store.studies() == []


def test_stop_keeps_nothing(host, picture):
    own, _ = upload(host, None, picture)
    paint = host.render
    host.desk.engine.render = lambda request, **kw: (host.tab.stop(own), paint(request, **kw))[1]
    _, said, *_ = host.build(own, pairs=["own:0"])
    assert said == t("study.stopped") and host.studies.store.studies() == []
    host.tab.stop(None)


def test_a_full_disk_and_a_broken_upload_are_said(host, picture, tmp_path):
    own, _ = upload(host, None, picture)
    host.build(own, pairs=["own:0"])
    object.__setattr__(host.settings, "study_megabytes", 0)
    assert "used up" in host.build(own, pairs=["own:0"])[1]
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    _, _, said = host.tab.add_upload("content", Own(), [], str(broken), ASKED)
    assert "picture" in said


def test_examples_use_their_stored_results(tmp_path):
    from demo.settings import ROOT

    host = Host(tmp_path, ROOT / "assets" / "examples")
    keys = [key for _, key in host.tab.choices(None, "en")][:2]
    arms = [("", "lite", "baseline", "", ""), ("", "lite", "scsa", "", "")]
    own, said, *_ = host.build(None, arms, pairs=keys)
    assert host.asked == [] and "2 pairs" in said
    host.build(own, [arms[0], ("strong", "lite", "scsa", "1.5", "")], pairs=keys[:1])
    assert [(r.method, r.knobs.alpha1) for r in host.asked] == [("scsa", 1.5)]
    host.studies.close()


def test_a_link_for_the_shown_result_only(tmp_path):
    from demo.desk import INPUTS, SLIDERS
    from demo.settings import ROOT

    host = Host(tmp_path, ROOT / "assets" / "examples")
    links = LinkDesk(host.desk, host.settings)
    example = host.desk.examples[1]
    session = host.desk.sessions.get("somebody")
    host.desk.place(session, example)
    knobs = host.desk.knobs_of(example)
    painter = example.painter_value(example.files(lambda data, name: _published(tmp_path, data, name)))
    for side in ("content", "style"):
        painter[side]["picture"] = {"path": getattr(session.view, side)}
    values = {
        "painter": painter, "model": "lite", "method": example.method, "size": knobs.size, "live": True, "stamp": 0,
        **{name: getattr(knobs, name) for name in SLIDERS},
    }  # fmt: skip

    def keep(**changes):
        return links.keep(ASKED, *[(values | changes)[name] for name in INPUTS])

    field, _, history = keep()
    assert history["linked"]["path"] == field["value"] and history["linked"]["until"] in field["label"]
    key = field["value"].removeprefix("?r=")
    assert keep()[0]["value"] == field["value"]  # the same result is the same link
    assert len(list((host.settings.data / "links").iterdir())) == 1
    _, notes, _ = keep(alpha1=1.95)
    assert notes["items"]["error"]["what"]["key"] == "error.link_not_shown"
    updates = links.open(key, SimpleNamespace(session_hash="else"))
    other = host.desk.sessions.get("else")
    assert other.view.said.key == "status.linked" and other.view.notes[0].key == "note.link_opened" and updates[0]["value"]
    gone = links.open("A" * 22, ASKED)
    assert any(isinstance(u, dict) and (u.get("items") or {}).get("error") for u in gone)
    assert all("items" not in u for u in links.open("", ASKED) if isinstance(u, dict))


def test_where_things_are_kept_is_the_host_s_choice(monkeypatch, tmp_path):
    for name in ("SCSA_DATA", "SCSA_DATABASE_URL", "SCSA_STUDIES", "SCSA_STUDY_MB", "SCSA_LINK_DAYS", "SCSA_LINK_MB", "SPACE_ID"):
        monkeypatch.delenv(name, raising=False)
    plain = Settings.from_environment()
    assert plain.data.name == ".data" and plain.studies and not plain.forgets and plain.link_days == 30
    monkeypatch.setenv("SCSA_DATA", str(tmp_path))
    monkeypatch.setenv("SCSA_DATABASE_URL", "postgresql://host/name")
    monkeypatch.setenv("SCSA_STUDIES", "0")
    monkeypatch.setenv("SCSA_LINK_DAYS", "7")
    monkeypatch.setenv("SPACE_ID", "somebody/studio")
    found = Settings.from_environment()
    assert (found.data, found.database_url, found.studies, found.link_days) == (tmp_path, "postgresql://host/name", False, 7)
    assert found.forgets  # a Space's own disk, without storage at /data
    monkeypatch.setenv("SCSA_LINK_MB", "much")
    with pytest.raises(ValueError, match="much"):
        Settings.from_environment()


def _published(folder, data, name):
    path = folder / name
    path.write_bytes(data)
    return str(path)


def test_the_secret_is_not_in_the_participants_link(host, picture):
    own, _ = upload(host, None, picture)
    own = host.build(own, pairs=["own:0"])[0]
    with pytest.raises(StudyUnknown):
        host.studies.store.records(own.study, own.study)
