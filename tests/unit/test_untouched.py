"""Only what a person has not touched is found again."""

import numpy as np

from demo.untouched import FoundMaps, fill, nearest, touched
from scsa_core.labels import LabelMap, Region, default_region
from scsa_core.pairing import AS_IT_IS

FOUND = LabelMap.from_ids([[1, 1, 2, 2]]), LabelMap.from_ids([[1, 2, 2, 2]])


def test_a_region_that_gained_pixels_is_touched_and_one_that_only_lost_some_is_not():
    painted = LabelMap.from_ids([[1, 2, 2, 2]])
    found = FoundMaps.of(FOUND)
    assert touched((painted, FOUND[1]), found) == {2}
    assert touched(FOUND, found) == frozenset()
    erased = LabelMap.from_ids([[1, 1, 0, 2]])
    assert touched((erased, FOUND[1]), found) == frozenset()


def test_what_was_found_earlier_and_came_back_is_no_persons():
    later = tuple(LabelMap.from_ids(ids) for ids in ([[5, 6, 7, 8]], [[5, 6, 7, 8]]))
    other_size = tuple(LabelMap.from_ids([[1]]) for _ in range(2))
    found = [FoundMaps.of(maps) for maps in (FOUND, later, other_size)]
    stroke = LabelMap.from_ids([[1, 1, 2, 3]])
    assert nearest((stroke, FOUND[1]), found) == found[0]
    assert touched((stroke, FOUND[1]), nearest((stroke, FOUND[1]), found)) == {3}
    assert nearest((stroke, None), found) == found[0]
    assert nearest((stroke, None), []) is None


def test_without_earlier_maps_everything_painted_is_a_persons():
    assert touched((LabelMap.from_ids([[0, 3]]), None), None) == {3}
    assert touched((LabelMap.from_ids([[0, 3], [3, 3]]), None), FoundMaps.of(FOUND)) == {3}  # another picture's maps say nothing


def test_a_persons_pixels_stay_and_found_regions_take_free_ids():
    now = LabelMap.from_ids([[0, 1, 1, 0]]), LabelMap.from_ids([[0, 0, 0, 1]])
    legend = [default_region(0), Region(1, "face", "#112233"), Region(2, "old", "#445566")]
    a, b, links = fill(now, {1}, FOUND, {1: (1, 2), 2: (2,)}, legend, {1: (AS_IT_IS,)})
    assert a.ids.tolist() == [[3, 1, 1, 2]] and b.ids.tolist() == [[3, 2, 2, 1]]
    assert a.region(1).name == "face" and a.region(2).name != "old"
    assert links == {3: (3, 2), 2: (2,), 1: (AS_IT_IS,)}


def test_maps_of_another_size_are_fitted_and_an_unpainted_picture_is_found_whole():
    large = tuple(LabelMap.from_ids(m.ids.repeat(4, 0).repeat(4, 1)) for m in FOUND)
    now = LabelMap.from_ids(np.array([[0, 0, 9, 9], [0, 0, 9, 9]], np.uint8).repeat(2, 0).repeat(2, 1)), None
    a, b, _ = fill(now, {9}, large, {}, [], {})
    assert a.size == now[0].size and set(a.region_ids) == {1, 9}
    assert np.array_equal(b.ids, large[1].ids)
    c, _, _ = fill(now, set(), large, {}, [], {})
    assert set(c.region_ids) == {1, 2}


def test_links_to_regions_that_are_gone_do_not_stay():
    now = LabelMap.from_ids([[5, 5, 0, 0]]), LabelMap.from_ids([[5, 0, 0, 0]])
    _, b, links = fill(now, {5}, FOUND, {1: (1,), 2: (2,)}, [], {5: (7,)})
    assert 1 not in b.region_ids and links == {2: (2,)}
