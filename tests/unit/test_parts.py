"""What one picture or region left behind is found again only where nothing that it came from has changed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from scsa_core.attention import Distinct
from scsa_core.backbones import align
from scsa_core.backbones.align import Targets
from scsa_core.cache import StageCache
from scsa_core.engine import Engine, RenderRequest
from scsa_core.labels import LabelMap
from scsa_core.parts import Parts, bits


@dataclasses.dataclass(frozen=True)
class Piece:
    text: str
    nbytes: int = 10


def test_a_part_is_found_by_all_that_it_came_from():
    cache = StageCache(1000)
    parts = Parts(cache, {"style": "a"})
    parts.put(Piece("it"), "style", 3, b"mask")
    assert parts.get(Piece, "style", 3, b"mask") == Piece("it") and parts.found == 0  # its own
    later = Parts(cache, {"style": "a"})
    assert later.get(Piece, "style", 3, b"mask") == Piece("it") and later.found == 1
    for others, of in (({"style": "b"}, (3, b"mask")), ({"style": "a"}, (3, b"other")), ({"style": "a"}, (4, b"mask"))):
        assert Parts(cache, others).get(Piece, "style", *of) is None
    assert parts.get(Targets, "style", 3, b"mask") is None  # another kind


def test_nothing_is_kept_without_a_cache_or_of_unknown_features():
    cache = StageCache(1000)
    for parts in (Parts(), Parts(cache, {"style": "a"})):
        parts.put(Piece("it"), "content", 1)
        assert parts.get(Piece, "content", 1) is None and parts.found == 0
    assert cache.statistics().entries == 0


def test_bits_tell_labels_of_other_shapes_and_types_apart():
    x = torch.arange(6)
    kinds = [bits(t) for t in (x, x.view(2, 3), x.view(3, 2), x.int(), x.flip(0))]
    assert len(set(kinds)) == 5 and bits(x.view(2, 3).T) == bits(x.view(2, 3).T.contiguous())


def noise(seed: int, size: tuple[int, int]) -> Image.Image:
    random = np.random.default_rng(seed)
    return Image.fromarray(random.integers(0, 255, (12, 12, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)


def halves(size: tuple[int, int], at: float, ids: tuple[int, ...] = (1, 2, 3)) -> LabelMap:
    """Three columns; the border between the first two at a share of the width."""
    columns = np.arange(size[0]) / size[0]
    of = np.where(columns < at, ids[0], np.where(columns < 0.8, ids[1], ids[2]))
    return LabelMap.from_ids(np.tile(of, (size[1], 1)).astype(np.uint8))


@pytest.fixture(scope="module")
def request_() -> RenderRequest:
    sizes = (120, 96), (104, 128)
    knobs = Engine("cpu").defaults("lite").replace(size=128)
    return RenderRequest(noise(1, sizes[0]), noise(2, sizes[1]), halves(sizes[0], 0.4), halves(sizes[1], 0.5), knobs=knobs)


CHANGES = {
    "a stroke on the content": lambda r: dataclasses.replace(r, content_map=halves(r.content.size, 0.55)),
    "a stroke on the style": lambda r: dataclasses.replace(r, style_map=halves(r.style.size, 0.3)),
    "a link": lambda r: dataclasses.replace(r, links={2: (1, 3)}),
    "a region without a counterpart": lambda r: dataclasses.replace(r, content_map=halves(r.content.size, 0.4, (1, 2, 7))),
    "soft borders": lambda r: dataclasses.replace(r, knobs=r.knobs.replace(soft_borders=1.0)),
    "no S-AdaIN": lambda r: dataclasses.replace(r, method="no_sadain"),
    "other pictures, the same maps": lambda r: dataclasses.replace(r, content=noise(3, r.content.size), style=noise(4, r.style.size)),
    "the baseline": lambda r: dataclasses.replace(r, method="baseline"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_comes_to_what_it_would_without_anything_kept(request_, change):
    engine = Engine("cpu")
    engine.render(request_)
    changed = CHANGES[change](request_)
    ours, fresh = engine.render(changed).image, Engine("cpu").render(changed).image
    difference = np.abs(np.asarray(ours).astype(int) - np.asarray(fresh).astype(int))
    assert difference.max() <= 1 and difference.mean() < 0.02
    assert not np.array_equal(np.asarray(engine.render(request_).image), np.asarray(ours))


def test_only_the_regions_touched_are_measured_again(request_, monkeypatch):
    measured, told_apart = [], []
    moments, of = align.moments, Distinct.of
    monkeypatch.setattr(align, "moments", lambda x, w, *rest: measured.append(len(w)) or moments(x, w, *rest))
    monkeypatch.setattr(Distinct, "of", lambda *args: told_apart.append(1) or of(*args))
    engine = Engine("cpu")

    def targets(request: RenderRequest) -> tuple[list[int], int]:
        """Of the style's moments: how many regions at each level; and how many maps were taken apart."""
        monkeypatch.setattr(align.Alignment, "at", lambda self, level, x, *rest, **more: x)  # its own moments are not meant
        measured.clear()
        told_apart.clear()
        engine.render(request)
        return list(measured), len(told_apart)

    assert targets(request_) == ([4] * 4, 2)  # three columns and the whole
    assert targets(CHANGES["a stroke on the content"](request_)) == ([], 1)
    assert targets(CHANGES["a stroke on the style"](request_)) == ([2] * 4, 1)  # the third column stays
    assert targets(CHANGES["a link"](request_)) == ([1] * 4, 0)
    assert targets(CHANGES["the baseline"](request_)) == ([], 0)  # the whole style is there
