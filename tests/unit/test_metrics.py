"""Known answers of the metrics, on hand-made features and on the metric network itself."""

import math

import numpy as np
import pytest
import torch

from scsa_core.metrics import MetricNetwork, cfsd, region_scores
from scsa_core.metrics.network import LAYERS
from scsa_core.metrics.regions import cell_weights

ONE = np.zeros((64, 64), dtype=np.uint8)


def taps(make):
    return {layer: make(8, 64 >> k, 64 >> k) for k, layer in enumerate(LAYERS)}


def test_a_picture_against_itself_scores_zero():
    f = taps(torch.rand)
    scores = region_scores(f, f, ONE, ONE)
    assert scores.ssl == scores.gram == scores.swd == 0


def test_adding_a_constant_to_one_tap_gives_its_square_over_the_layers():
    f = taps(torch.rand)
    g = {**f, "relu3_1": f["relu3_1"] + 0.5}
    scores = region_scores(g, f, ONE, ONE)
    assert scores.ssl == pytest.approx(0.25 / 5, rel=1e-3)
    assert scores.layers["relu3_1"] == pytest.approx(0.25, rel=1e-3)
    assert scores.layers["relu1_1"] == 0


def test_scaling_constant_features_gives_the_formula():
    f = taps(lambda c, h, w: torch.full((c, h, w), 3.0))
    g = {**f, "relu2_1": f["relu2_1"] * 1.5}
    assert region_scores(g, f, ONE, ONE).layers["relu2_1"] == pytest.approx(0.25 * 9, rel=1e-4)


def test_regions_are_compared_each_with_its_own_and_weighted_by_area():
    ids = ONE.copy()
    ids[:, 48:] = 1
    style = taps(lambda c, h, w: torch.zeros(c, h, w))
    result = {k: v.clone() for k, v in style.items()}
    for v in result.values():
        v[:, :, v.shape[2] * 3 // 4 :] = 2.0  # region 1 is wrong by 2 everywhere
    scores = region_scores(result, style, ids, ids)
    assert scores.regions[0] == pytest.approx(0, abs=1e-6)
    assert scores.regions[1] == pytest.approx(4, rel=1e-3)
    assert scores.ssl == pytest.approx(1, rel=1e-3)


def test_links_move_the_target_and_a_region_without_one_does_not_count():
    content, style = ONE.copy(), ONE.copy()
    content[:32], style[:32] = 1, 2
    f = taps(torch.rand)
    assert set(region_scores(f, f, content, style).regions) == {0}
    assert set(region_scores(f, f, content, style, {1: (2,)}).regions) == {0, 1}
    with pytest.raises(ValueError, match="no region"):
        region_scores(f, f, ONE + 3, ONE)


def test_sliced_wasserstein_of_a_shift_is_the_mean_squared_projection():
    f = taps(lambda c, h, w: torch.rand(1, h, w))
    g = {k: v + 1 for k, v in f.items()}  # one channel: every unit direction is +-1
    assert region_scores(g, f, ONE, ONE).swd == pytest.approx(1, rel=1e-3)


def test_a_cell_belongs_to_a_region_only_by_majority():
    ids = np.zeros((4, 4), dtype=np.uint8)
    ids[:, :1] = 1
    assert cell_weights(ids, (1,), 2, 2).tolist() == [0, 0, 0, 0]
    ids[0, 1] = 1
    assert cell_weights(ids, (1,), 2, 2).tolist() == [0.75, 0, 0, 0]


def test_cfsd_known_answers():
    x = torch.rand(4, 6, 5)
    assert cfsd(x, x) == pytest.approx(0, abs=1e-4)
    assert cfsd(torch.zeros(4, 3, 3), torch.zeros(4, 3, 3)) == 0
    # Two tokens, one channel: F F^T = [[1, 0], [0, 0]] against all zeros.
    a, b = torch.tensor([[[1.0, 0.0]]]), torch.zeros(1, 1, 2)
    p = math.e / (math.e + 1)
    row = p * math.log(p / 0.5) + (1 - p) * math.log((1 - p) / 0.5)
    assert cfsd(a, b) == pytest.approx(16384 / 2 * row, rel=1e-4)


def test_the_network_has_the_published_first_weight_and_tap_shapes():
    net = MetricNetwork()
    out = net(torch.rand(1, 3, 64, 48))
    assert [tuple(out[k].shape) for k in LAYERS] == [(64, 64, 48), (128, 32, 24), (256, 16, 12), (512, 8, 6), (512, 4, 3)]
    # features.0.weight[0, 0] is the blue plane's kernel: 0.4295 in its first corner.
    first = net._stack.get_submodule("0").weight[0, 2, 0, 0] * 20.9 / 255
    assert first.item() == pytest.approx(0.4295, abs=2e-4)
