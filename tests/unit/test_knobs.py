"""Knobs validate themselves; nothing outside a range gets into the engine."""

import dataclasses

import pytest

from scsa_core.errors import KnobError
from scsa_core.knobs import Knobs, is_number, range_of


def test_defaults_lie_in_their_ranges():
    for field in dataclasses.fields(Knobs):
        limits = range_of(field.name)
        assert limits.low <= field.default <= limits.high
        assert limits.help.endswith(".")


@pytest.mark.parametrize("value", [-0.1, 2.1, float("nan"), float("inf"), "1", None, True])
def test_bad_alpha_is_refused_by_name(value):
    with pytest.raises(KnobError) as caught:
        Knobs(alpha1=value)
    assert caught.value.knob == "alpha1"


def test_whole_numbers_stay_whole():
    assert Knobs(size=256.0).size == 256 and isinstance(Knobs(size=256.0).size, int)
    with pytest.raises(KnobError):
        Knobs(size=256.5)


def test_family_defaults_go_over_the_class_defaults():
    knobs = Knobs.for_family({"alpha2": 1.5})
    assert (knobs.alpha1, knobs.alpha2) == (0.7, 1.5)


def test_replace_ignores_none_and_refuses_unknown_names():
    assert Knobs().replace(alpha1=None, alpha2=1).alpha2 == 1.0
    with pytest.raises(KnobError):
        Knobs().replace(sharpness=1)


def test_clamped_survives_hostile_values():
    knobs = Knobs.clamped({"alpha1": 99, "alpha2": -1, "size": "x", "seed": float("nan"), "extra": 1, "stroke_size": True})
    assert knobs == Knobs(alpha1=2.0, alpha2=0.0)


def test_unknown_range():
    with pytest.raises(KnobError):
        range_of("nothing")


@pytest.mark.parametrize("value", [10**400, -(10**400), float("inf"), float("nan"), True, "1", None, [1]])
def test_what_no_float_can_hold_is_no_number(value):
    assert not is_number(value) and Knobs.clamped({"alpha1": value, "size": value}) == Knobs()
    if value is not None:
        with pytest.raises(KnobError, match="must be a number") as caught:
            Knobs().replace(alpha1=value)
        assert len(str(caught.value)) < 100
    assert is_number(10**300) and Knobs.clamped({"alpha1": 10**300}).alpha1 == 2.0
