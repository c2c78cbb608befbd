"""Found regions are numbered by their area."""

import numpy as np

from scsa_core.labels import LabelMap
from scsa_core.pairing import AS_IT_IS, Pairing
from scsa_core.segment.numbering import by_share


def test_numbers_follow_the_area_of_both_pictures_together():
    content = LabelMap.from_ids(np.repeat([5, 9, 2], (10, 60, 30)).reshape(10, 10))  # by content alone: 9, 2, 5
    style = LabelMap.from_ids(np.repeat([5, 9], (90, 10)).reshape(5, 20))  # together: 5 1.0, 9 0.7, 2 0.3
    a, b, links = by_share(content, style, Pairing({5: (9, 5), 9: (), 2: (AS_IT_IS,)}))
    assert (a.ids == np.repeat([1, 2, 3], (10, 60, 30)).reshape(10, 10)).all()
    assert (b.ids == np.repeat([1, 2], (90, 10)).reshape(5, 20)).all()
    assert links.links == {1: (2, 1), 2: (), 3: (AS_IT_IS,)}
    assert [r.name for r in a.regions] == ["Region 1", "Region 2", "Region 3"]


def test_what_belongs_to_no_region_stays_so_and_equal_areas_keep_their_order():
    content = LabelMap.from_ids(np.repeat([0, 7, 3], (50, 25, 25)).reshape(10, 10))
    a, b, links = by_share(content, content)
    assert (a.ids == np.repeat([0, 2, 1], (50, 25, 25)).reshape(10, 10)).all() and (b.ids == a.ids).all()
    assert links.links == {0: (0,), 1: (1,), 2: (2,)}


def test_one_region_is_the_first():
    whole = LabelMap.from_ids(np.full((1, 2000), 31, np.uint8))
    a, _, links = by_share(whole, whole)
    assert (a.ids == 1).all() and links.links == {1: (1,)}
