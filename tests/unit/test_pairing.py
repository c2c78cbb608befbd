import numpy as np
import pytest

from scsa_core.errors import LabelError
from scsa_core.labels import LabelMap, Region
from scsa_core.pairing import AS_IT_IS, Pairing, notes, too_small, vanishing

CONTENT = LabelMap.from_ids(np.array([[0, 1, 2]]), [Region(2, "sea", "#0000ff")])
STYLE = LabelMap.from_ids(np.array([[0, 1, 5]]))


def test_identity_links_what_both_have():
    assert Pairing.identity(CONTENT, STYLE).links == {0: (0,), 1: (1,), 2: ()}


def test_missing_links_mean_the_same_id_and_dead_ones_are_dropped():
    pairing = Pairing({2: (5, 9)})
    assert pairing.effective(CONTENT.region_ids, STYLE.region_ids) == {0: (0,), 1: (1,), 2: (5,)}
    assert pairing.unmatched(CONTENT, STYLE) == () and pairing.style_only(CONTENT, STYLE) == ()
    assert Pairing({}).unmatched(CONTENT, STYLE) == (2,) and Pairing({}).style_only(CONTENT, STYLE) == (5,)


def test_notes_name_the_region_and_what_happens():
    codes = {n.code: n for n in notes(CONTENT, STYLE, Pairing({}))}
    assert set(codes) == {"unmatched", "style_only"}
    assert "Region 2 (sea)" in codes["unmatched"].text and codes["unmatched"].regions == (2,)
    assert "Region 5" in codes["style_only"].text and "(Region 5)" not in codes["style_only"].text
    assert not notes(CONTENT, STYLE, Pairing({2: (5,)}))


def test_nothing_in_common_is_one_note():
    other = LabelMap.from_ids(np.array([[7, 8]]))
    assert [n.code for n in notes(other, STYLE, Pairing({}))] == ["no_shared_region"]


def test_json_round_trip_and_refusals():
    pairing = Pairing({1: (2, 3), 0: ()})
    assert Pairing.from_json(pairing.to_json()) == Pairing({0: (), 1: (2, 3)})
    for bad in ("[]", "{", '{"a": [1]}', '{"1": 2}', '{"1": [256]}', '{"1": [-2]}', '{"-1": [1]}', '{"1": [true]}', '{"1": [1.5]}', "[" * 100000):
        with pytest.raises(LabelError):
            Pairing.from_json(bad)


def test_a_region_left_as_it_is_is_neither_unmatched_nor_fed():
    pairing = Pairing.from_json('{"2": [-1, 5]}')
    assert pairing.links == {2: (AS_IT_IS,)} and Pairing.from_json(pairing.to_json()) == pairing
    assert pairing.left_alone(CONTENT) == (2,) and pairing.unmatched(CONTENT, STYLE) == ()
    assert pairing.painted().links == {2: ()}
    assert [n.code for n in notes(CONTENT, STYLE, pairing)] == ["style_only"]
    everything = Pairing(dict.fromkeys(CONTENT.region_ids, (AS_IT_IS,)))
    assert "no_shared_region" not in {n.code for n in notes(CONTENT, STYLE, everything)}


def test_a_region_that_fills_no_token_vanishes_at_that_size_only():
    ids = np.ones((400, 400), np.uint8)
    ids[10:13, :200] = 0  # Rest is no region to miss
    ids[100:106, 100:106], ids[200:260, 200:260] = 2, 3
    m = LabelMap.from_ids(ids)
    assert vanishing(m, (400, 400)) == (2,)
    assert vanishing(m, (1600, 1600)) == ()
    assert vanishing(m, (200, 200)) == (2,)
    assert vanishing(m, (32, 32)) == (2, 3)
    whole = LabelMap.from_ids(np.full((50, 50), 4, np.uint8))
    (note,) = too_small(m, whole, (3, 2, 3))
    assert note.code == "vanishes" and note.regions == (2, 3) and note.text.startswith("Region 2, Region 3:")
    assert too_small(m, whole, ()) == []
