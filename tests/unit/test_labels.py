"""Label maps: exact votes, one palette for two pictures, nothing blended."""

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from scsa_core import labels
from scsa_core.errors import LabelError
from scsa_core.labels import PALETTE, LabelMap, Region, default_region, maps_from_colours, read_maps, reference_labels


@st.composite
def id_arrays(draw, most=24):
    h, w = draw(st.integers(1, most)), draw(st.integers(1, most))
    seed, regions = draw(st.integers(0, 2**16)), draw(st.integers(1, 6))
    return np.random.default_rng(seed).integers(0, regions, (h, w)).astype(np.uint8)


def votes(ids, height, width):
    """Area vote by exact fractions: every pixel split into height x width parts."""
    tall = np.repeat(np.repeat(ids, height, 0), width, 1)
    h, w = ids.shape
    out = np.zeros((height, width), dtype=np.uint8)
    for y in range(height):
        for x in range(width):
            out[y, x] = np.bincount(tall[y * h : (y + 1) * h, x * w : (x + 1) * w].ravel()).argmax()
    return out


@settings(max_examples=40, deadline=None)
@given(id_arrays(10), st.integers(1, 9), st.integers(1, 9))
def test_a_grid_cell_takes_the_region_that_covers_most_of_it(ids, height, width):
    assert np.array_equal(LabelMap.from_ids(ids).to_grid(height, width), votes(ids, height, width))


def test_a_map_at_a_size_is_worked_out_once_and_few_are_kept(monkeypatch):
    m = LabelMap.from_ids(np.arange(600).reshape(20, 30) // 150 + 1)
    asked = []
    made = LabelMap.to_grid
    monkeypatch.setattr(LabelMap, "to_grid", lambda self, *size: asked.append(size) or made(self, *size))
    first = m.resized((7, 5))
    assert m.resized((7, 5)) is first and asked == [(5, 7)]
    assert first.digest() == LabelMap.from_ids(first.ids).digest() != m.digest()
    for width in range(2, 30):
        assert np.array_equal(m.resized((width, 5)).ids, votes(m.ids, 5, width))
    assert len(m._resized) <= labels.SIZES_KEPT


def test_a_map_may_be_resized_by_many_at_once():
    """One visitor's preview and another's render share it."""
    m = LabelMap.from_ids(np.arange(600).reshape(20, 30) // 150 + 1)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda k: m.resized((2 + k % 9, 5)), range(400)))
    assert [f.size for f in found] == [(2 + k % 9, 5) for k in range(400)]


@settings(max_examples=30, deadline=None)
@given(id_arrays(), st.integers(1, 4))
def test_growing_and_shrinking_back_is_the_same_map(ids, factor):
    m = LabelMap.from_ids(ids)
    grown = m.resized((m.size[0] * factor, m.size[1] * factor))
    assert np.array_equal(grown.resized(m.size).ids, ids)


@settings(max_examples=30, deadline=None)
@given(id_arrays(20), id_arrays(20))
def test_colours_and_back_keep_the_partition_and_share_ids(a, b):
    scale = 5  # every region fills area, as a drawn one does
    maps = [LabelMap.from_ids(np.kron(x, np.ones((scale, scale), dtype=np.uint8))) for x in (a, b)]
    again = maps_from_colours(*(m.to_colour_image() for m in maps))
    table = {}
    for m, n in zip(maps, again, strict=True):
        assert np.array_equal(np.asarray(m.to_colour_image()), np.asarray(n.to_colour_image()))
        for old, new in set(zip(m.ids.ravel().tolist(), n.ids.ravel().tolist(), strict=True)):
            assert table.setdefault(old, new) == new


def test_ids_are_checked_copied_and_frozen():
    source = np.zeros((4, 5), dtype=np.int64)
    m = LabelMap.from_ids(source)
    source[0, 0] = 9
    assert m.ids[0, 0] == 0 and m.size == (5, 4)
    with pytest.raises(ValueError):
        m.ids[0, 0] = 1
    for bad in (np.zeros((2, 2, 3)), np.zeros((0, 3), dtype=int), np.full((2, 2), 256), np.full((2, 2), -1), np.zeros((2, 2), dtype=float)):
        with pytest.raises(LabelError):
            LabelMap.from_ids(bad)


def test_regions_have_names_and_colours():
    m = LabelMap.from_ids([[0, 1], [1, 12]], [Region(1, "sea", "#0000ff"), Region(7, "unused", "#ffffff")])
    assert m.region(1).name == "sea" and m.region(0).name == "Rest" and m.colour_of(0) == PALETTE[0]
    assert default_region(12).colour == PALETTE[1]
    assert m.region_ids == (0, 1, 12) and m.shares() == {0: 0.25, 1: 0.5, 12: 0.25}
    assert m.to_colour_image().getpixel((1, 0)) == (0, 0, 255)
    for bad in ((300, "a", "#000000"), (1, "", "#000000"), (1, "a" * 41, "#000000"), (1, "a", "red")):
        with pytest.raises(LabelError):
            Region(*bad)


def test_the_digest_follows_ids_and_colours_not_names():
    ids = [[0, 1]]
    base = LabelMap.from_ids(ids)
    assert base.digest() == LabelMap.from_ids(ids, [Region(1, "other", PALETTE[1])]).digest()
    assert base.digest() != LabelMap.from_ids(ids, [Region(1, "Region 1", "#123456")]).digest()
    assert base.digest() != LabelMap.from_ids([[1, 0]]).digest() != LabelMap.from_ids([[1], [0]]).digest()


def flag(width=96, height=64):
    a = np.zeros((height, width, 3), dtype=np.uint8)
    a[:, : width // 3], a[:, width // 3 : 2 * width // 3], a[:, 2 * width // 3 :] = (220, 30, 30), (30, 30, 220), (240, 240, 30)
    return Image.fromarray(a)


def test_antialiased_borders_and_jpeg_noise_are_no_regions():
    soft = flag(384, 256).resize((200, 133), Image.Resampling.LANCZOS).filter(ImageFilter.GaussianBlur(1))
    jpeg = io.BytesIO()
    flag(200, 133).save(jpeg, "JPEG", quality=85)
    a, b = read_maps(soft, jpeg.getvalue())
    assert len(a.regions) == len(b.regions) == 3
    assert (a.ids == b.ids).mean() > 0.97
    # Red to blue passes purple, blue to yellow passes grey: neither may end as another region's island.
    assert all(len(np.unique(row)) == 3 and (np.diff(row.astype(int)) != 0).sum() == 2 for row in a.ids)


def test_a_photograph_is_refused_as_a_map():
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 255, (12, 12, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    with pytest.raises(LabelError, match="more than 64 colours"):
        maps_from_colours(Image.fromarray(blocks), None)


def test_greyscale_values_are_ids_and_forms_may_not_be_mixed():
    ids = np.kron(np.array([[0, 3], [200, 3]], dtype=np.uint8), np.ones((8, 8), dtype=np.uint8))
    a, b = read_maps(Image.fromarray(ids), None)
    assert b is None and np.array_equal(a.ids, ids)
    deep = io.BytesIO()
    Image.fromarray(ids.astype(np.uint16)).save(deep, "PNG")
    assert np.array_equal(read_maps(deep.getvalue(), None)[0].ids, ids)
    with pytest.raises(LabelError):
        read_maps(Image.fromarray(ids.astype(np.uint16) + 300), None)
    with pytest.raises(LabelError, match="in colours and the other in ids"):
        read_maps(Image.fromarray(ids), flag())
    assert read_maps(None, None) == (None, None)
    ramp = Image.fromarray(np.tile(np.arange(256, dtype=np.uint8), (40, 1)).repeat(2, 1))
    assert len(read_maps(ramp, None)[0].region_ids) < 64  # a gradient is not 256 ids


def test_index_and_colour_pictures_come_back():
    m = LabelMap.from_ids(np.kron(np.array([[1, 2], [5, 5]], dtype=np.uint8), np.ones((6, 6), dtype=np.uint8)))
    assert np.array_equal(read_maps(m.to_index_image(), None)[0].ids, m.ids)
    coloured = read_maps(m.to_colour_image(), None)[0]
    assert len(coloured.region_ids) == 3


def test_reference_labels_blend_two_by_two_and_break_ties_by_order():
    a = np.zeros((512, 512, 3), dtype=np.uint8)
    a[:, 256:] = 100
    palette = np.array([[0, 0, 0], [100, 100, 100]])
    assert np.array_equal(reference_labels(Image.fromarray(a), palette, 64), np.repeat([[0] * 32 + [1] * 32], 64, 0))
    a[:, 252:] = 100  # a border through the middle of the sampled 2x2: the blend is 50, a tie
    assert reference_labels(Image.fromarray(a), palette, 64)[0, 31] == 0
    assert reference_labels(Image.fromarray(a), palette[::-1], 64)[0, 31] == 0
    assert reference_labels(Image.fromarray(a).resize((256, 256)), palette, 32).shape == (32, 32)
