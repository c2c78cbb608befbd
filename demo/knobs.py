"""Which knobs the page has. Derived from `Knobs` and from what each family declares, so that a new family's appear by themselves.

Handlers and components speak of values by name: `named` and `in_order` are the only places
where names and positions meet.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import gradio as gr

from scsa_core.backbones import FAMILIES
from scsa_core.backbones.base import Capabilities
from scsa_core.knobs import ALL_METHODS, Knobs, Method, is_number, range_of

FIRST = ("alpha1", "alpha2")
"""Visible unopened; the others wait under "More knobs"."""
ELSEWHERE = ("size",)
"""Has a menu of its own."""
EVERYWHERE = ("keep_colours",)
"""The engine's own, so it acts in every family."""
MANY = 1000
"""A knob with more steps than this is typed, not slid."""


def sliders(families: Iterable[Capabilities]) -> tuple[str, ...]:
    """Names of the knobs that act in any of the families, in the order of `Knobs`, the first ones first."""
    acting = {*EVERYWHERE, *(name for capable in families for name in capable.knobs)} - {*ELSEWHERE, *FIRST}
    return (*FIRST, *(f.name for f in dataclasses.fields(Knobs) if f.name in acting))


SLIDERS = sliders(family.info.capabilities for family in FAMILIES.values())


def acts(name: str, capable: Capabilities, method: Method) -> bool:
    """Whether a knob changes anything in a family under a method."""
    return name in EVERYWHERE or name in capable.acting(method)


def visibility(capable: Capabilities, method: Method) -> dict[str, Any]:
    """Updates that show the knobs that act and hide the others."""
    return {name: gr.update(visible=acts(name, capable, method)) for name in SLIDERS}


class MethodMenu(gr.Dropdown):
    """The menu of methods. Its choices change with the family, so a page may still send one of the family before.

    Handlers take the family's own first method instead; Gradio would refuse the whole event.
    """

    is_template = True  # to the browser it is a Dropdown

    def preprocess(self, payload: Any) -> Any:
        return payload if isinstance(payload, str) and payload in ALL_METHODS else super().preprocess(payload)


class KnobSlider(gr.Slider):
    """A slider whose field may be typed into: what lies beyond an end is that end, and nothing is where the slider began.

    Gradio would refuse the whole event while the number is still being typed.
    """

    is_template = True

    def preprocess(self, payload: Any) -> Any:
        return super().preprocess(_within(payload, self))


class KnobNumber(gr.Number):
    """A number likewise."""

    is_template = True

    def preprocess(self, payload: Any) -> Any:
        return super().preprocess(_within(payload, self))


def _within(payload: Any, field: KnobSlider | KnobNumber) -> Any:
    """A number between the field's ends, its first value for none; anything else is left for Gradio to refuse."""
    value = field.value if payload is None else payload
    if not is_number(value) or field.minimum is None or field.maximum is None:
        return payload
    return min(max(value, field.minimum), field.maximum)


def control(name: str, value: float, *, label: str, info: str, visible: bool) -> gr.Slider | gr.Number:
    """The component of a knob, by its range."""
    limits = range_of(name)
    common: dict[str, Any] = {
        "value": value, "step": limits.step, "label": label, "info": info, "interactive": True, "visible": visible,
        "elem_id": f"knob-{name}", "elem_classes": ["knob"],
    }  # fmt: skip
    if (limits.high - limits.low) / limits.step > MANY:
        return KnobNumber(minimum=limits.low, maximum=limits.high, precision=0, **common)
    return KnobSlider(limits.low, limits.high, buttons=["reset"], **common)


def changes_of(component: gr.Slider | gr.Number) -> list[Any]:
    """Its events that a person causes, by pointer, keys or reset."""
    return [component.input, component.release] if isinstance(component, gr.Slider) else [component.input]


def named(names: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    """A handler's inputs by name. Raises ValueError where the wiring and the names have parted."""
    return dict(zip(names, values, strict=True))


def in_order(names: Sequence[str], updates: Mapping[str, Any]) -> list[Any]:
    """A handler's outputs: one for each name, those without an update left as they are. Raises KeyError for a name that is not there."""
    unknown = set(updates) - set(names)
    if unknown:
        raise KeyError(f"no output is named {', '.join(sorted(unknown))}")
    return [updates.get(name, gr.skip()) for name in names]
