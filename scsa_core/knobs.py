"""`Knobs`: every number a person may turn, with its range, step, default and words.

One frozen class feeds the engine, the command line, the page's sliders and the embedded
recipe, so a range is written once. A family's own defaults (SANet 0.7 / 0.3, ...) are data
of its backbone and are merged in by `Knobs.for_family`.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeGuard, cast, get_args

from scsa_core.errors import KnobError

Method = Literal["scsa", "baseline", "sca", "ssa", "no_sadain", "regions", "single"]
METHODS: tuple[Method, ...] = ("scsa", "baseline", "sca", "ssa", "no_sadain")
"""SCSA, the family's own baseline, and the ablations."""
ALL_METHODS: tuple[Method, ...] = get_args(Method)
"""Those and the rivals' own: `regions` with the maps, `single` in one stage instead of several."""
SIZES = (256, 384, 512, 768, 1024, 1536, 2048)
"""Working sizes offered on the page; any size in the knob's range is valid."""


@dataclass(frozen=True)
class Range:
    """Closed range of a knob, its step, and the one line that explains it."""

    low: float
    high: float
    step: float
    help: str


def _knob(default: float, low: float, high: float, step: float, help: str) -> Any:
    return field(default=default, metadata={"range": Range(low, high, step, help)})


@dataclass(frozen=True)
class Knobs:
    """Settings of one render. Construction validates: KnobError outside a range or not a number."""

    alpha1: float = _knob(0.7, 0.0, 2.0, 0.05, "The region's colours and mood.")
    alpha2: float = _knob(0.3, 0.0, 2.0, 0.05, "Brush strokes and grain.")
    size: int = _knob(512, 64, 2048, 8, "Long side of the result in pixels.")
    stroke_size: float = _knob(1.0, 0.5, 2.0, 0.05, "Size of the strokes relative to the picture.")
    keep_colours: float = _knob(0.0, 0.0, 1.0, 0.1, "Keep the content's own colours.")
    soft_borders: float = _knob(0.0, 0.0, 2.0, 0.5, "Treat the map as a hint: soften region borders, in tokens.")
    blend: float = _knob(0.7, 0.0, 1.0, 0.05, "How far a region's own colours give way to the style's.")
    timesteps: int = _knob(50, 10, 100, 1, "Steps of diffusion: more are slower and keep the picture truer.")
    start_step: int = _knob(49, 1, 100, 1, "How many of the steps repaint; fewer keep more of the content.")
    first_layer: int = _knob(6, 3, 11, 1, "First decoder layer that takes the style; a higher one changes less.")
    temperature: float = _knob(1.2, 0.5, 3.0, 0.1, "How choosy the region attention is.")
    map_blend: float = _knob(0.3, 0.0, 1.0, 0.05, "How far the maps rather than the pictures decide what is alike inside a region.")
    content_blend: float = _knob(0.5, 0.0, 1.0, 0.05, "How far the content rather than the picture so far chooses its strokes.")
    gamma: float = _knob(0.75, 0.0, 1.0, 0.05, "Baseline: how far the content's shapes are kept.")
    baseline_temperature: float = _knob(1.5, 0.5, 3.0, 0.1, "Baseline: how choosy its attention is.")
    seed: int = _knob(0, 0, 2**32 - 1, 1, "Only used where a family draws noise.")

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            value, limits = getattr(self, f.name), range_of(f.name)
            if not is_number(value):
                raise KnobError(f"{f.name} must be a number, not {value!r:.40}", knob=f.name)
            if not limits.low <= value <= limits.high:
                raise KnobError(
                    f"{f.name} must lie between {limits.low:g} and {limits.high:g}, not {value:g}", knob=f.name
                )
            if isinstance(f.default, int) and value != int(value):
                raise KnobError(f"{f.name} must be a whole number, not {value!r}", knob=f.name)
            object.__setattr__(self, f.name, int(value) if isinstance(f.default, int) else float(value))

    def replace(self, **changes: float | None) -> Knobs:
        """A copy with the given values; None leaves a value as it is. Unknown names raise KnobError."""
        names = {f.name for f in dataclasses.fields(self)}
        for name in changes:
            if name not in names:
                raise KnobError(f"there is no setting named {name!r}", knob=name)
        kept = {k: v for k, v in changes.items() if v is not None}
        return dataclasses.replace(self, **cast(Any, kept))

    @classmethod
    def for_family(cls, defaults: Mapping[str, float]) -> Knobs:
        """The class's defaults with a family's own over them."""
        return cls().replace(**defaults)

    def as_dict(self) -> dict[str, float]:
        return dataclasses.asdict(self)

    @classmethod
    def clamped(cls, values: Mapping[str, object]) -> Knobs:
        """Knobs from untrusted values: unknown names dropped, numbers clamped to their range."""
        kept: dict[str, float] = {}
        for f in dataclasses.fields(cls):
            value = values.get(f.name)
            if not is_number(value):
                continue
            limits = range_of(f.name)
            value = min(max(value, limits.low), limits.high)
            kept[f.name] = round(value) if isinstance(f.default, int) else float(value)
        return cls().replace(**kept)


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is a number that a float can hold; integers that come as JSON have any length."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def range_of(name: str) -> Range:
    """The range of the knob `name`."""
    for f in dataclasses.fields(Knobs):
        if f.name == name:
            return cast(Range, f.metadata["range"])
    raise KnobError(f"there is no setting named {name!r}", knob=name)
