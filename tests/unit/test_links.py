"""Suggested links, from pictures and maps; the event's answer; and what cannot be compared."""

import asyncio

import numpy as np
from PIL import Image

from demo.files import Picture
from demo.links import Suggestions
from demo.map_tools import MapTools
from scsa_core.labels import LabelMap
from scsa_core.segment import features


def halves(top, bottom, seed):
    """Smooth above, striped below, and a map of the two."""
    rng = np.random.default_rng(seed)
    a = np.zeros((96, 128, 3))
    a[:48] = np.array((130, 180, 240)) + rng.normal(0, 6, (48, 128, 3))
    a[48:] = (60, 70, 20) + 60 * (np.arange(128)[None, :, None] % 8 < 4)
    ids = np.full((96, 128), top, np.uint8)
    ids[48:] = bottom
    return Picture(Image.fromarray(np.clip(a, 0, 255).astype(np.uint8)), f"hash-{seed}"), LabelMap.from_ids(ids)


def test_like_regions_are_linked_whatever_their_numbers_and_a_picture_is_looked_at_once(monkeypatch):
    seen = []
    monkeypatch.setattr(features, "describe", lambda p, real=features.describe: seen.append(1) or real(p))
    (content, a), (style, b) = halves(1, 2, 0), halves(7, 5, 1)
    suggestions = Suggestions()
    assert suggestions.links(content, style, a, b) == {1: (7,), 2: (5,)}
    c = LabelMap.from_ids(np.where(b.ids == 7, 3, 4))
    assert suggestions.links(content, style, a, c) == {1: (3,), 2: (4,)}
    assert len(seen) == 2


def test_every_region_gets_a_suggestion_even_where_nothing_is_like_it():
    (content, a), (style, _) = halves(1, 2, 0), halves(1, 1, 1)
    found = Suggestions().links(content, style, a, LabelMap.from_ids(np.full((96, 128), 9)))
    assert set(found) == {1, 2} and set(found.values()) == {(9,)}


def test_the_page_gets_nothing_where_there_is_nothing_to_compare():
    answer = asyncio.run(MapTools(None).suggest({"v": 3}))
    assert answer["suggested"] == {"v": 3, "links": {}}
