"""The reference's folders and tensor files: written as it writes them, read with what says the same."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from scsa_core import reference_files as rf
from scsa_core.errors import LabelError
from scsa_core.labels import LabelMap, Region, default_region

GRID = np.array([[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 3, 0], [3, 3, 0, 0]], np.uint8)


def blocks(size, seed=0, labels=4):
    rng = np.random.default_rng(seed)
    ids = rng.integers(1, labels + 1, (4, 4), dtype=np.uint8)
    ids.flat[:labels] = np.arange(1, labels + 1)
    return ids.repeat(size // 4, 0).repeat(size // 4, 1)


def picture(size, seed):
    small = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def same_partition(a, b):
    """Equal up to the numbering of labels."""
    return len(set(zip(a.ravel().tolist(), b.ravel().tolist(), strict=True))) == len(np.unique(a)) == len(np.unique(b))


def save(path, x):
    torch.save(x, path)
    return path


def test_masks_are_float_planes_and_come_back(tmp_path):
    path = tmp_path / "29_masks_4.pt"
    rf.write_masks(path, GRID, [0, 1, 2, 3, 7])
    x = torch.load(path, weights_only=True)
    assert x.dtype == torch.float32 and x.shape == (5, 4, 4)
    assert torch.equal(x.sum(0), torch.ones(4, 4)) and not x[4].any()
    read = rf.read_masks(path)
    assert np.array_equal(read.ids, GRID + 1)
    assert {r.id for r in read.regions} == {1, 2, 3, 4, 5}  # the empty plane keeps its number


@pytest.mark.parametrize("form", ["bool", "uint8", "half", "double", "batched", "labels"])
def test_masks_that_say_the_same_are_read(tmp_path, form):
    planes = torch.from_numpy(np.stack([k == GRID for k in range(4)]))
    x = {
        "bool": planes, "uint8": planes.to(torch.uint8), "half": planes.half() * 0.9, "double": planes.double(),
        "batched": planes.float()[None], "labels": torch.from_numpy(GRID),
    }[form]  # fmt: skip
    assert np.array_equal(rf.read_masks(save(tmp_path / "x.pt", x)).ids, GRID + 1)


def test_tokens_of_no_plane_are_rest(tmp_path):
    x = torch.zeros(2, 2, 2)
    x[1, 0, 0] = 1
    assert rf.read_masks(save(tmp_path / "x.pt", x)).ids.tolist() == [[2, 0], [0, 0]]


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (torch.ones(2, 2, 2), "two labels"),
        (torch.zeros(2, 2, 2, 2), "should be planes"),
        (torch.full((2, 2), 0.5), "neither planes"),
        (torch.full((1, 2, 2), float("nan")), "not numbers"),
        ({"a": torch.ones(2)}, "one plain tensor"),
    ],
)
def test_other_tensors_are_refused_by_name(tmp_path, x, words):
    with pytest.raises(LabelError, match=words) as caught:
        rf.read_masks(save(tmp_path / "odd.pt", x))
    assert "odd.pt" in str(caught.value)


def test_files_that_are_no_tensors_are_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return print, ("ran",)

    hostile = tmp_path / "hostile.pt"
    torch.save(Evil(), hostile)
    with pytest.raises(LabelError, match="more than a tensor"):
        rf.read_masks(hostile)
    (tmp_path / "plain.pt").write_bytes(pickle.dumps([1, 2]))
    (tmp_path / "cut.pt").write_bytes(save(tmp_path / "x.pt", torch.ones(4, 4)).read_bytes()[:100])
    for name in ("plain.pt", "cut.pt", "absent.pt"):
        with pytest.raises(LabelError, match=name):
            rf.read_map(tmp_path / name)


def test_a_map_is_the_same_label_matrix_and_comes_back(tmp_path):
    content, style = blocks(16, 0), blocks(16, 1)
    path = tmp_path / "a_b_map_16.pt"
    rf.write_map(path, content, style)
    x = torch.load(path, weights_only=True)
    assert x.dtype == torch.float64 and x.shape == (256, 256)
    for i, j in ((0, 0), (17, 200), (255, 3)):
        assert bool(x[i, j]) == (content.flat[i] == style.flat[j])
    a, b, links = rf.read_map(path)
    assert links == {} and a.size == (16, 16)
    assert same_partition(a.ids, content) and same_partition(b.ids, style)
    assert np.array_equal(rf.same_region(a.ids, b.ids), x.numpy() > 0.5)


def test_regions_on_one_side_links_and_other_grids_come_back(tmp_path):
    content, style = blocks(8, 2, 4), blocks(16, 3, 5)
    links = {1: (2, 3), 2: (2,), 4: ()}  # 3: its own; style's 1, 4 and 5 feed nothing
    path = tmp_path / "a_b_map.pt"
    rf.write_map(path, content, style, links)
    whole = torch.load(path, weights_only=True)
    a, b, found = rf.read_map(save(path, whole.bool()[None]), (8, 8), (16, 16))
    assert same_partition(a.ids, content)
    assert len(b.region_ids) == 3  # 2, 3, and those that feed nothing
    assert np.array_equal(rf.same_region(a.ids, b.ids, found), whole.numpy() > 0.5)
    with pytest.raises(LabelError, match="no grid of 8"):
        rf.read_map(path, (8, 8), (8, 8))


def test_a_map_of_no_regions_is_refused(tmp_path):
    x = torch.from_numpy(np.random.default_rng(0).random((256, 256)))
    with pytest.raises(LabelError, match="into regions"):
        rf.read_map(save(tmp_path / "x.pt", x))


# -- folders --------------------------------------------------------------------------


def pair(folder, pair_id="7", size=(96, 64)):
    content = LabelMap.from_ids(blocks(64, 0)[:, :64].repeat(1, 0))
    style = LabelMap.from_ids(blocks(48, 1))
    return rf.write_pair(folder, pair_id, picture(size, 0), picture((80, 80), 1), content, style), content, style


def test_a_folder_of_the_reference_comes_back(tmp_path):
    written, content, style = pair(tmp_path)
    assert sorted(p.name for p in (tmp_path / "7").iterdir()) == ["7.jpg", "7_paint.jpg", "7_paint_sem.png", "7_sem.png"]
    (found,) = rf.find_pairs(tmp_path)
    assert found == written and found.name == "7_7_paint" and found.swapped().name == "7_paint_7"
    a, b = found.maps()
    assert same_partition(a.ids, content.ids) and same_partition(b.ids, style.ids)
    assert np.array_equal(rf.same_region(a.ids, b.ids), rf.same_region(content.ids, style.ids))


def test_regions_of_one_colour_are_told_apart(tmp_path):
    ids = np.array([[1, 12], [2, 2]], np.uint8).repeat(16, 0).repeat(16, 1)
    m = LabelMap.from_ids(ids)
    assert m.colour_of(1) == m.colour_of(12)
    found = rf.write_pair(tmp_path, "x", picture((32, 32), 0), picture((32, 32), 1), m, m)
    a, b = found.maps()
    assert same_partition(a.ids, ids) and np.array_equal(a.ids, b.ids)
    many = LabelMap.from_ids(np.arange(81, dtype=np.uint8).reshape(9, 9))
    with pytest.raises(LabelError, match="81 regions"):
        rf.write_pair(tmp_path, "y", picture((32, 32), 0), picture((32, 32), 1), many, many)


def test_pairs_are_in_order_and_damaged_ones_say_what_is_wrong(tmp_path):
    for name in ("10", "9", "b"):
        pair(tmp_path, name)
    (tmp_path / "9" / "9_sem.png").unlink()
    picture((32, 32), 0).save(tmp_path / "b" / "c_sem.png")
    (tmp_path / "notes").mkdir()
    other = tmp_path / "ours"
    other.mkdir()
    for name in ("content.png", "style.webp", "content_map.png", "style_map.png"):
        picture((32, 32), 0).save(other / name)
    found = rf.find_pairs(tmp_path)
    assert [p.id for p in found] == ["9", "10", "b", "ours"]
    assert found[0].problem == "9_sem.png is missing" and not found[1].problem
    assert "more than two maps" in found[2].problem
    assert (found[3].name, found[3].problem) == ("content_style", "")
    for folder, words in ((tmp_path / "notes", "no pairs"), (tmp_path / "absent", "cannot be read")):
        with pytest.raises(LabelError, match=words):
            rf.find_pairs(folder)


def test_precomputed_files_are_written_by_name_and_read_back(tmp_path):
    found, *_ = pair(tmp_path / "sem_data")
    out = tmp_path / "feats"
    written = rf.write_precomputed(out, found, sizes=(32, 128))
    assert sorted(p.name for p in written) == sorted(p.name for p in (out / "7").iterdir()) == [
        "7_7_paint_map_32.pt", "7_masks_128.pt", "7_masks_32.pt", "7_paint_7_map_32.pt", "7_paint_masks_128.pt", "7_paint_masks_32.pt",
    ]  # fmt: skip
    assert list(rf.precomputed_names(out / "7")) == [("7", "7_paint", 128)]
    by_masks = rf.read_precomputed(out / "7", "7", "7_paint", 32)
    forward = torch.load(out / "7" / "7_7_paint_map_32.pt", weights_only=True)
    assert np.array_equal(rf.same_region(by_masks[0].ids, by_masks[1].ids), forward.numpy() > 0.5)
    assert torch.equal(forward.T, torch.load(out / "7" / "7_paint_7_map_32.pt", weights_only=True))
    (out / "7" / "7_masks_32.pt").unlink()
    by_map = rf.read_precomputed(out / "7", "7", "7_paint", 32)
    assert same_partition(by_map[0].ids, by_masks[0].ids) and by_map[2] == {}
    with pytest.raises(LabelError, match="has neither"):
        rf.read_precomputed(out / "7", "7", "7_paint", 64)


def test_the_area_rule_is_this_library_s_own_and_bad_pairs_are_refused(tmp_path):
    found, content, _ = pair(tmp_path / "sem_data")
    rf.write_precomputed(tmp_path / "feats", found, sizes=(16,), rule="area")
    read = rf.read_masks(tmp_path / "feats" / "7" / "7_masks_16.pt")
    assert same_partition(read.ids, content.to_grid(16, 16))
    with pytest.raises(LabelError, match="colour maps"):
        rf.write_precomputed(tmp_path / "feats", found, sizes=(24,))
    with pytest.raises(LabelError, match="missing"):
        rf.write_precomputed(tmp_path / "feats", rf.PairFiles("8", *[tmp_path / "x"] * 4, problem="x is missing"))


def test_names_of_planes_survive_as_regions(tmp_path):
    rf.write_masks(tmp_path / "m.pt", GRID, [1, 2, 3])
    m = rf.read_masks(tmp_path / "m.pt")
    assert m.region(2) == default_region(2) == Region(2, "Region 2", default_region(2).colour)
