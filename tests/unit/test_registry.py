"""The list of weights, and what the page learns from it."""

import re

import pytest

from scsa_core import checkpoints, registry
from scsa_core.backbones import FAMILIES
from scsa_core.errors import CheckpointCorrupt, CheckpointMissing, KnobError
from scsa_core.segment import sam


@pytest.fixture(autouse=True)
def empty_root(tmp_path, monkeypatch):
    monkeypatch.setenv("SCSA_CHECKPOINTS", str(tmp_path))
    return tmp_path


def put(root, family, *names):
    (root / family).mkdir(exist_ok=True)
    for name in names:
        (root / family / name).write_bytes(b"x")


def test_the_list_names_every_official_file():
    known = {name: {f.name for f in family.files} for name, family in registry.families().items()}
    assert known["sanet"] == {"vgg_normalised.pth", "decoder_iter_500000.pth", "transformer_iter_500000.pth"}
    assert known["stytr2"] == {
        "vgg_normalised.pth", "decoder_iter_160000.pth", "transformer_iter_160000.pth", "embedding_iter_160000.pth",
    }  # fmt: skip
    assert known["sam"] == set(sam.FILES.values())
    assert "v1-5-pruned-emaonly.safetensors" in known["styleid"]


def test_the_families_ask_for_no_file_that_is_not_listed():
    listed = {(f.family, f.name) for family in registry.families().values() for f in family.files}
    for name, family in FAMILIES.items():
        if name in registry.families() and registry.family(name).needs == "all":
            assert set(family.files) <= listed, name


def test_every_entry_says_where_how_large_and_under_which_licence():
    for family in registry.families().values():
        assert family.licence
        for f in family.files:
            assert f.about > 1_000
            assert f.size in (None, f.about)
            assert f.page.startswith("https://")
            assert all(m.startswith("https://") for m in (*f.mirrors, *filter(None, (f.url, f.listing))))
            assert f.fetchable or "direct link" in f.note
            assert "drive.google.com" not in f.url
            assert re.fullmatch(r"([0-9a-f]{64})?", f.sha256)
            assert not f.url or f.sha256, "a direct link without a hash would trust the server"


def test_a_family_that_needs_all(empty_root):
    state = registry.state("sanet")
    assert (state.status, len(state.missing)) == ("fetchable", 3)
    assert state.megabytes == pytest.approx(112, abs=1)
    assert "scsa checkpoints fetch sanet" in state.instructions[0]
    assert state.licence in " ".join(state.instructions)
    put(empty_root, "sanet", "vgg_normalised.pth", "decoder_iter_500000.pth")
    state = registry.state("sanet")
    assert [f.name for f in state.missing] == ["transformer_iter_500000.pth"]
    assert state.megabytes == pytest.approx(17.8, abs=0.1)
    put(empty_root, "sanet", "transformer_iter_500000.pth")
    state = registry.state("sanet")
    assert (state.status, state.missing, state.megabytes, state.instructions) == ("ready", (), 0, ())


def test_a_family_that_needs_any_one(empty_root):
    state = registry.state("sam")
    assert [f.name for f in state.missing] == ["sam_vit_b_01ec64.pth"]
    assert state.megabytes == pytest.approx(375.04, abs=0.1)
    put(empty_root, "sam", "sam_vit_h_4b8939.pth")
    assert registry.state("sam").status == "ready"


def test_by_hand_says_why_from_where_and_to_where(empty_root):
    state = registry.state("stytr2")
    assert state.status == "by hand"
    text = "\n".join(state.instructions)
    for f in registry.family("stytr2").files:
        assert (f.name in text) != f.optional
        assert (f.page in text) != f.optional
    assert str(empty_root / "stytr2") in text
    assert "not a direct link" in text
    assert "import" in text


def test_what_painting_does_without_is_listed_and_not_missing(empty_root):
    files = registry.family("stytr2").files
    assert [f.name for f in files if f.optional] == ["vgg_normalised.pth"]
    put(empty_root, "stytr2", *(f.name for f in files if not f.optional))
    assert registry.state("stytr2").status == "ready"
    FAMILIES["stytr2"].probe()  # the model asks for no more


def test_plain_values_for_json():
    value = registry.state("stytr2").as_dict()
    assert value["status"] == "by hand"
    assert value["missing"][0] == "decoder_iter_160000.pth"
    assert isinstance(value["folder"], str)


def test_a_shipped_copy_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "SHIPPED", tmp_path / "shipped")
    (tmp_path / "shipped").mkdir()
    put(tmp_path / "shipped", "sam", "sam_vit_b_01ec64.pth")
    assert registry.state("sam").status == "ready"


def test_unknown_names():
    with pytest.raises(KnobError, match="magic") as error:
        registry.state("magic")
    assert "stytr2" in error.value.hint
    with pytest.raises(KnobError, match=r"w\.pth") as error:
        registry.family("sam").file("w.pth")
    assert "sam_vit_b_01ec64.pth" in error.value.hint
    assert registry.family("sam").file("sam_vit_b_01ec64.pth").target.name == "sam_vit_b_01ec64.pth"


GOOD = """
[families.one]
title = "One"
needs = "all"
licence = "free"
page = "https://example.org"
[[families.one.files]]
name = "w.pth"
what = "weights"
page = "https://example.org/w"
bytes = 5
"""


def test_the_smallest_list():
    one = registry.parse(GOOD)["one"]
    assert (one.files[0].size, one.files[0].about, one.files[0].fetchable) == (5, 5, False)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[families.one]", "[families.one", "cannot be used"),
        ("[families.one]", "[other]\n[families.one]", "one table"),
        ('needs = "all"', 'needs = "some"', "needs"),
        ('title = "One"', "", "title"),
        ('licence = "free"', 'licence = " "', "licence"),
        ('page = "https://example.org"\n', 'page = "http://example.org"\n', "https"),
        ("bytes = 5", "bytes = -5", "positive"),
        ("bytes = 5", "bytes = true", "positive"),
        ("bytes = 5", "", "bytes or about_bytes"),
        ("bytes = 5", "bytes = 5\nabout_bytes = 5", "not both"),
        ("bytes = 5", 'bytes = 5\nsha256 = "abc"', "64"),
        ("bytes = 5", 'bytes = 5\nurl = "ftp://example.org/w"', "https"),
        ("bytes = 5", 'bytes = 5\nmirrors = "https://example.org"', "list"),
        ("bytes = 5", "bytes = 5\nsize = 5", "unknown size"),
        ('name = "w.pth"', 'name = "../w.pth"', "plain file name"),
        ('name = "w.pth"', "", "name is missing"),
        ("[[families.one.files]]", "[families.one.other]", "unknown"),
        ("[[families.one.files]]", "[families.one.files]", "no files"),
        ('what = "weights"', "what = 3", "what"),
    ],
)
def test_a_wrong_entry_is_named(old, new, words):
    assert old in GOOD
    with pytest.raises(CheckpointCorrupt, match=words):
        registry.parse(GOOD.replace(old, new, 1))


def test_other_shapes_of_nonsense():
    for text in ("", "families = 3", "[families]\none = 3", '[families."a b"]\ntitle = "x"'):
        if text:
            with pytest.raises(CheckpointCorrupt):
                registry.parse(text)
    twice = GOOD + GOOD[GOOD.index("[[families.one.files]]") :]
    with pytest.raises(CheckpointCorrupt, match="twice"):
        registry.parse(twice)
    with pytest.raises(CheckpointCorrupt, match="a file is a table"):
        registry.parse(GOOD[: GOOD.index("[[")] + "files = [3]")


def test_a_missing_list(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "REGISTRY", tmp_path / "none.toml")
    with pytest.raises(CheckpointMissing, match=r"none\.toml"):
        registry.families()
