"""Every visible word exists in both languages, and every error has its words."""

import pytest

from demo.gallery import load_examples
from demo.painter_text import TEXT_KEYS
from demo.settings import Settings
from demo.text import PAINTER_ZH, TEXT, Said, error_words, language, region_names, t, texts
from demo.words_examples import EXAMPLE_ZH, REGION_ZH
from scsa_core import errors
from scsa_core.progress import STAGES


def test_every_key_has_both_languages_with_the_same_fields():
    import re

    for key, (english, chinese) in TEXT.items():
        assert english, key
        assert chinese, key
        assert set(re.findall(r"{\w+}", english)) == set(re.findall(r"{\w+}", chinese)), key


def test_the_painter_is_translated_whole():
    assert set(PAINTER_ZH) == set(TEXT_KEYS)
    assert EXAMPLE_ZH


def test_regions_of_the_examples_have_names_in_chinese():
    """Kept in English, shown in the page's language; a person's own names stay as they are."""
    examples = load_examples(Settings().examples)
    names = {region.name for example in examples for region in example.regions} - {"Rest"}
    assert len(examples) >= 6 and names == set(REGION_ZH)
    assert all(not name.isascii() for name in REGION_ZH.values())
    assert region_names("zh")["name.Sky"] == "天空" and region_names("en") == {}


def test_stages_and_methods_have_words():
    for stage in STAGES:
        assert f"status.{stage}" in TEXT


def test_filling_in_and_prefixes():
    assert t("status.done", "en", seconds="1.2") == "Done in 1.2 s"
    assert set(texts("zh", "gallery.")) == {k for k in TEXT if k.startswith("gallery.")}
    with pytest.raises(KeyError):
        t("no.such.key", "en")


@pytest.mark.parametrize(("said", "found"), [("zh-HK", "zh"), ("zh", "zh"), ("en-GB", "en"), (None, "en"), ("fr", "en")])
def test_languages(said, found):
    assert language(said) == found


@pytest.mark.parametrize(
    "error",
    [
        errors.UnreadableImage("x"), errors.UnreadableImage("x", looks_like="an SVG"), errors.ImageSizeError("x", size=(1, 1)),
        errors.ImageSizeError("x", size=(30000, 30000)), errors.ImageSizeError("x", size=(0, 0)), errors.LabelError("x"),
        errors.KnobError("x", knob="alpha1"), errors.CheckpointMissing("x", path="p", hint="Put it there."), errors.CheckpointCorrupt("x"), errors.MissingPackage("x", package="diffusers", hint="Install it."),
        errors.RecipeError("x"), errors.OutOfMemory("x"), errors.TooMany("x", seconds=90), MemoryError(), RuntimeError("secret detail"),
    ],
)  # fmt: skip
def test_errors_say_what_happened_and_what_to_do(error):
    for lang in ("en", "zh"):
        words = error_words(error, reference="ab", model="SANet", size=512, limit=50)
        said = words.what.in_(lang) + " " + words.do.in_(lang)
        assert "{" not in said and "secret" not in said and "Error" not in said
        assert words.what.in_(lang) and words.do.in_(lang)


def test_what_a_study_lacks_is_said_in_both_languages():
    """Every reason that is raised has its words and what to do, without the English of the message."""
    import re
    from pathlib import Path

    root = Path(__file__).parents[2]
    files = [*root.glob("scsa_core/study/*.py"), root / "demo" / "study.py"]
    reasons = {name for path in files for name in re.findall(r'reason="(\w+)"', path.read_text())}
    assert len(reasons) > 8 and all({f"study.fault.{name}", f"study.fault.{name}.do"} <= set(TEXT) for name in reasons)
    few = error_words(errors.StudyError("of 4 trials too few", reason="few_trials", trials=4, least=5), form=True)
    assert few.line("zh") == "4 题中留给比较的题数太少。 请至少设 5 题，或减少检查题。"
    assert error_words(errors.KnobError("x", knob="alpha1"), form=True).do.key == "error.do.correct"


def test_what_a_refused_file_looks_like_is_said_in_the_pages_language():
    assert "HEIC 照片" in error_words(errors.UnreadableImage("x", looks_like="an HEIC photo")).what.in_("zh")
    assert "an HEIC photo" in error_words(errors.UnreadableImage("x", looks_like="an HEIC photo")).what.in_("en")
    assert "a fax" in error_words(errors.UnreadableImage("x", looks_like="a fax")).what.in_("zh")


def test_what_is_said_can_be_said_again_in_another_language():
    said = Said("status.cancelled", {"seconds": "3"})
    assert "3" in said.in_("en") and "3" in said.in_("zh") and said.in_("en") != said.in_("zh")
