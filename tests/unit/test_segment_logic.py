"""Merge trees, partitions and the joint measure on hand-made inputs with known answers."""

import numpy as np
import pytest
from PIL import Image

from scsa_core.errors import ShapeError
from scsa_core.labels import LabelMap
from scsa_core.metrics.joint_miou import joint_miou
from scsa_core.segment import consensus, merge_tree
from scsa_core.segment.partition import ScoredMask, absorb, by_size, partition
from scsa_core.segment.refine import GuidedFilter, to_pixels, with_colours


def blobs(per=20, centres=((0, 0), (5, 0), (0, 9), (12, 12))):
    random = np.random.default_rng(0)
    return np.concatenate([random.normal(c, 0.3, (per, 2)) for c in centres])


def tree_of(tokens, leaves):
    return merge_tree.of_distances(merge_tree.distances(tokens, tokens), leaves=leaves)


def test_tree_finds_blobs_and_is_nested():
    tree = tree_of(blobs(), leaves=30)
    labels = tree.cut(4)
    assert [len(set(labels[k * 20 : k * 20 + 20])) for k in range(4)] == [1] * 4
    assert len(set(labels)) == 4
    for k in range(1, 30):
        coarse, fine = tree.cut(k), tree.cut(k + 1)
        assert len(set(coarse)) == k
        assert all(len(set(coarse[fine == f])) == 1 for f in set(fine))
    assert (np.diff(tree.costs) >= 0).all()


def test_small_clusters_may_be_made_to_join_sooner():
    tree = merge_tree.build(blobs(), leaves=30, size_power=0.5)
    assert tree.most == 30 and len(set(tree.cut(4))) == 4
    assert [len(set(tree.cut(4)[k * 20 : k * 20 + 20])) for k in range(4)] == [1] * 4
    assert len(set(merge_tree.build(np.zeros((50, 3)), leaves=10, size_power=0.1).cut(3))) == 3


def test_tree_of_equal_tokens_still_cuts():
    tree = tree_of(np.zeros((50, 3)), leaves=10)
    assert len(set(tree.cut(3))) == 3
    assert set(tree.cut(1)) == {0}
    assert len(set(tree.cut(99))) == tree.most == 10


def test_cut_numbers_the_largest_first():
    tokens = np.concatenate([np.zeros((5, 1)), np.full((20, 1), 9.0)]) + np.linspace(0, 0.1, 25)[:, None]
    assert tree_of(tokens, leaves=25).cut(2).tolist() == [1] * 5 + [0] * 20


def test_votes_outdo_a_wrong_tree_and_do_not_depend_on_names():
    true = np.array([0] * 6 + [1] * 3 + [2])
    renamed, wrong = (true + 1) % 3, np.array([0, 1] * 5)
    votes = consensus.vote(np.stack([true, wrong, renamed, true]).astype(np.uint8), 3)
    assert votes.shape == (10, 3) and np.allclose(votes.sum(1), 1)
    assert votes.argmax(1).tolist() == true.tolist()  # named by size
    members = np.eye(3)[np.stack([true, renamed])]
    assert consensus.agreement(members).tolist() == [1, 1]
    assert consensus.agreement(np.eye(3)[np.stack([true, wrong])])[0] < 0.8


def test_consensus_labels_tokens_that_no_tree_saw():
    half = blobs(per=10)
    trees = consensus.build([np.concatenate([half, half + 0.01])] * 3, most=12)
    assert trees.cuts.shape == (12, 3, 80)
    labels = trees.votes(4).argmax(1)
    assert [len(set(labels[k * 10 : k * 10 + 10])) for k in range(8)] == [1] * 8
    assert labels[:40].tolist() == labels[40:].tolist() and len(set(labels)) == 4
    assert trees.votes(1).tolist() == [[1.0]] * 80
    assert trees.votes(99).shape == (80, 12)


def maps(*arrays):
    return tuple(LabelMap.from_ids(np.array(a)) for a in arrays)


def test_joint_miou_known_answers():
    truth = maps([[1, 1, 2, 2]], [[1, 2, 2, 2]])
    assert joint_miou(truth, truth) == 1
    assert joint_miou(maps([[7, 7, 3, 3]], [[7, 3, 3, 3]]), truth) == 1  # names do not count
    even = maps([[1, 1, 2, 2]], [[1, 1, 2, 2]])
    swapped = maps([[1, 1, 2, 2]], [[2, 2, 1, 1]])  # right in each picture, not matched across them
    assert joint_miou(swapped, even) == pytest.approx(1 / 3)
    one = maps([[1, 1, 1, 1]], [[1, 1, 1, 1]])
    assert joint_miou(one, truth) == pytest.approx((1.25 / 2) / 2)


def test_joint_miou_can_leave_out_what_is_tiny():
    truth = maps([[1] * 9 + [2]], [[1] * 10])
    ours = maps([[1] * 10], [[1] * 10])
    assert joint_miou(ours, truth) == pytest.approx(1.9 / 2 / 2)
    assert joint_miou(ours, truth, least=0.06) == 1


def test_joint_miou_weighs_pictures_equally_and_wants_equal_sizes():
    truth = maps([[1, 2]], [[1] * 10 + [2] * 10])
    wrong = maps([[1, 2]], [[1] * 20])
    assert joint_miou(wrong, truth) == pytest.approx((1 / 1.5 + 0.5 / 1) / 2)
    with pytest.raises(ShapeError):
        joint_miou(maps([[1]], [[1]]), truth)


def box(top, bottom, left, right, shape=(40, 40)):
    mask = np.zeros(shape, dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


def test_partition_puts_parts_on_wholes_and_names_the_rest():
    picture = np.zeros((40, 40, 3), np.uint8)
    labels = partition([ScoredMask(box(12, 20, 12, 20), 0.9), ScoredMask(box(5, 35, 5, 35), 0.9)], picture)
    assert len(np.unique(labels)) == 3
    assert (labels[12:20, 12:20] == labels[12, 12]).all()
    assert labels[12, 12] != labels[6, 6] != labels[0, 0]
    # A much better whole hides a poor part.
    labels = partition([ScoredMask(box(12, 20, 12, 20), 0.5), ScoredMask(box(5, 35, 5, 35), 0.95)], picture)
    assert len(np.unique(labels)) == 2


def test_slivers_join_across_the_weaker_edge():
    picture = np.zeros((40, 40, 3), np.uint8)
    picture[:, 20:] = 200
    labels = np.zeros((40, 40), dtype=np.int64)
    labels[:, 21:] = 1
    labels[:, 20] = 2  # one bright column between: no edge to the right, a strong one to the left
    out = absorb(labels, picture, least=100)
    assert (out[:, 20] == out[0, 30]).all() and out[0, 0] != out[0, 30]


def test_partition_of_nothing_is_one_region_and_a_number_is_kept():
    picture = np.random.default_rng(0).integers(0, 255, (60, 60, 3), dtype=np.uint8)
    assert set(np.unique(partition([], picture))) == {0}
    masks = [ScoredMask(box(10 * r, 10 * r + 10, 12 * c, 12 * c + 12, (60, 60)), 0.9) for r in range(6) for c in range(5)]
    assert len(np.unique(partition(masks, picture))) == 30
    assert len(np.unique(partition(masks, picture, regions=7))) == 7
    assert by_size(np.array([[5, 5, 9]])).tolist() == [[0, 0, 1]]


def test_guided_filter_keeps_constants_and_follows_the_guide():
    guide = np.zeros((32, 32, 3), np.float32)
    guide[:, 13:] = 1
    guided = GuidedFilter(guide, 6, 1e-3)
    assert np.allclose(guided(np.full((32, 32), 0.7, np.float32)), 0.7, atol=1e-4)
    blurred = np.tile(np.linspace(0, 1, 32, dtype=np.float32), (32, 1))
    slope, offset = guided.coefficients(blurred)
    out = guided(blurred)
    assert slope.shape == (32, 32, 3) and np.allclose((slope * guide).sum(-1) + offset, out, atol=1e-5)
    assert out[16, 13] - out[16, 12] > 5 * (blurred[16, 13] - blurred[16, 12])


def red_disc(side=128, radius=20, noise=0.03):
    """A red disc on grey, both grainy, and where the disc is."""
    rows, columns = np.mgrid[:side, :side]
    disc = (rows - side / 2) ** 2 + (columns - side / 2) ** 2 < radius**2
    picture = np.where(disc[..., None], (0.8, 0.2, 0.2), (0.5, 0.5, 0.5)) + np.random.default_rng(0).normal(0, noise, (side, side, 3))
    return picture.clip(0, 1).astype(np.float32), disc


def test_colours_draw_the_border_that_votes_only_hint_at():
    picture, disc = red_disc()
    inside = np.zeros((8, 8), np.float32)
    inside[2:6, 2:6] = 0.6  # four tokens a side, where the disc is two and a half wide
    votes = np.stack([1 - inside, inside], -1)
    image = Image.fromarray((picture * 255).astype(np.uint8))

    def iou(labels):
        return (disc & (labels == 1)).sum() / (disc | (labels == 1)).sum()

    assert iou(to_pixels(votes, image, by_colour=True)) > 0.95 > iou(to_pixels(votes, image)) + 0.1


def test_colours_leave_shares_and_say_nothing_of_a_uniform_picture():
    random = np.random.default_rng(0)
    votes = random.dirichlet((1, 1, 1), (40, 30)).astype(np.float32)
    plain = with_colours(votes, np.full((40, 30, 3), 0.4, np.float32))
    assert plain.shape == votes.shape and np.allclose(plain.sum(-1), 1, atol=1e-5)
    assert np.allclose(plain, votes, atol=0.02)  # sizes count a little
    alone = with_colours(np.ones((4, 4, 1), np.float32), random.random((4, 4, 3)).astype(np.float32))
    assert np.allclose(alone, 1)
