"""The one interface of every family: encode -> prepare -> render.

`encode` sees a picture and no map; `prepare` does everything that no slider changes;
`render` is what a slider costs. The engine caches the first two, the page asks
`BackboneInfo` what a family can do and never its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from scsa_core.attention import Fallback, Links
from scsa_core.knobs import METHODS, Knobs, Method
from scsa_core.parts import Parts

Features = Mapping[str, Tensor]
"""Layer name -> (1, C, h, w)."""


class Checkpoint(Protocol):
    """Called between pieces of work; raises Cancelled when somebody asked to stop.

    fraction: share of the current call that is done, where it is known. picture: what there
    is so far, (1, 3, H, W) RGB, from families that declare `previews`.
    """

    def __call__(self, fraction: float | None = None, picture: Tensor | None = None) -> None: ...


def no_checkpoint(fraction: float | None = None, picture: Tensor | None = None) -> None:
    """For callers that never cancel."""


IDLE: Mapping[Method, tuple[str, ...]] = {"baseline": ("alpha1", "alpha2", "blend", "soft_borders"), "sca": ("alpha2",), "ssa": ("alpha1",)}
"""Knobs that do nothing under a method, in most families; of an ablation the other attention's weight."""


@dataclass(frozen=True)
class Capabilities:
    """What a family can do, as data.

    multiple_of: inner picture sides are padded to it. minimum: smallest side in pixels.
    knobs: names of the `Knobs` fields that act. slow: a render takes minutes, so none starts
    without a press of the button. previews: a render shows pictures on its way. timeline:
    share of a cold render that is done when a stage starts; empty: the engine's own.
    encode_knobs: those knobs that `encode` takes as further keyword arguments. idle: those
    that do nothing under a method. attends: the longest side, in pixels, that its attention
    is worked out at; a larger picture is painted at that size and then enlarged, with the
    content's own detail (`detail.py`). 0: any.
    """

    multiple_of: int
    minimum: int
    knobs: tuple[str, ...]
    methods: tuple[Method, ...] = METHODS
    half_precision: bool = False
    tiling: bool = False
    slow: bool = False
    previews: bool = False
    timeline: Mapping[str, float] = field(default_factory=dict)
    encode_knobs: tuple[str, ...] = ()
    attends: int = 0
    idle: Mapping[Method, tuple[str, ...]] = field(default_factory=lambda: IDLE)

    def acting(self, method: Method) -> tuple[str, ...]:
        """The knobs that do something under a method."""
        return tuple(name for name in self.knobs if name not in self.idle.get(method, ()))


@dataclass(frozen=True)
class BackboneInfo:
    """A family's name and words. defaults: its own values of `Knobs` fields."""

    name: str
    title: str
    line: str
    licence: str
    defaults: Mapping[str, float]
    capabilities: Capabilities


@dataclass(frozen=True)
class Pair:
    """What `prepare` needs. Maps are absent where the method has none (the baseline).

    content, style, content_map, style_map: features of the four pictures.
    content_labels (H, W), style_labels (H', W'): int64 at the padded picture sizes, on the
    processor: who may see whom is worked out there, while a GPU is busy with features.
    parts: what earlier pairs with one of these features left behind.
    grid_labels: instead of voting down from those, the labels of each token grid keyed by
    (which, h, w): the reference's own rule (`--reference`).
    draft: see `RenderRequest`.
    """

    content: Features
    style: Features
    content_map: Features | None = None
    style_map: Features | None = None
    content_labels: Tensor | None = None
    style_labels: Tensor | None = None
    links: Links | None = None
    fallback: Fallback = "whole"
    soft_borders: float = 0.0
    parts: Parts = field(default_factory=Parts)
    grid_labels: Mapping[tuple[str, int, int], Tensor] = field(default_factory=dict)
    draft: bool = False


class Prepared(Protocol):
    """What `prepare` hands to `render`: opaque, but it knows its bytes."""

    @property
    def nbytes(self) -> int: ...


class Backbone(Protocol):
    """A loaded family. All methods run in inference mode and call `checkpoint` between pieces of work."""

    info: BackboneInfo
    fingerprint: str

    def encode(self, picture: Tensor, *, role: str, checkpoint: Checkpoint = no_checkpoint) -> Features:
        """(1, 3, H, W) RGB in 0..1, sides multiples of `multiple_of` -> features.

        role: "content", "style" or "map": which layers are kept, never what they hold.
        The knobs that the family's `encode_knobs` name come as further keyword arguments.
        """
        ...

    def prepare(self, pair: Pair, method: Method, checkpoint: Checkpoint = no_checkpoint) -> Any:
        """Everything that α does not change."""
        ...

    def render(self, prepared: Any, knobs: Knobs, method: Method, checkpoint: Checkpoint = no_checkpoint) -> Tensor:
        """(1, 3, H, W) RGB around 0..1, not clamped."""
        ...


def alphas(knobs: Knobs, method: Method) -> tuple[float, float]:
    """The weights of SCA and SSA under a method: an ablation sets the other one to 0."""
    return (0.0 if method == "ssa" else knobs.alpha1, 0.0 if method == "sca" else knobs.alpha2)


def preparation_of(method: Method) -> Method:
    """Methods that share one `prepare`: the two attentions' ablations are weights of the whole."""
    return "scsa" if method in ("sca", "ssa") else method
