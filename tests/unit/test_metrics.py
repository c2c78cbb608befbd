"""Known answers of the metrics, on hand-made features and on the metric network itself."""

import math

import numpy as np
import pytest
import torch

from scsa_core.backbones.vgg import VGG19_NORMALISED, ConvStack
from scsa_core.errors import CheckpointMismatch, CheckpointMissing, KnobError
from scsa_core.metrics import (
    MetricNetwork,
    RegionTarget,
    cfsd,
    colour,
    colour_distance,
    colour_match,
    content_distance,
    distributions,
    inception,
    lpips,
    region_colour_distance,
    region_scores,
)  # fmt: skip
from scsa_core.metrics.content_distance import LAYERS as CONTENT_LAYERS
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


@pytest.mark.parametrize("size", [1.0, 12.0, 200.0])  # with 200 the logits leave what one subtraction for all rows allows
def test_cfsd_is_the_divergence_of_the_softmaxes(size):
    a, b = (torch.rand(5, 31, 37, dtype=torch.float64) * size for _ in range(2))  # more tokens than a tile has, and not whole tiles
    p, q = (torch.log_softmax(x.flatten(1).T @ x.flatten(1) / 25, 1) for x in (a, b))
    assert cfsd(a.float(), b.float()) == pytest.approx(16384 / 1147 * (p.exp() * (p - q)).sum().item(), rel=1e-3)


def test_the_network_has_the_published_first_weight_and_tap_shapes():
    net = MetricNetwork()
    out = net(torch.rand(1, 3, 64, 48))
    assert [tuple(out[k].shape) for k in LAYERS] == [(64, 64, 48), (128, 32, 24), (256, 16, 12), (512, 8, 6), (512, 4, 3)]
    # features.0.weight[0, 0] is the blue plane's kernel: 0.4295 in its first corner.
    first = net._stack.get_submodule("0").weight[0, 2, 0, 0] * 20.9 / 255
    assert first.item() == pytest.approx(0.4295, abs=2e-4)


def test_the_target_of_a_pair_is_computed_once_and_scores_like_the_whole():
    ids = ONE.copy()
    ids[:, 40:] = 1
    style, result = taps(torch.rand), taps(torch.rand)
    target = RegionTarget.of(style, ids, ids, {k: (v.shape[1], v.shape[2]) for k, v in result.items()})
    assert target.score(result) == region_scores(result, style, ids, ids)
    assert target.score(style).ssl == 0


def test_content_distance_known_answers():
    shapes = dict.fromkeys(CONTENT_LAYERS, (2, 4, 4))
    a = {k: torch.zeros(s) for k, s in shapes.items()}
    b = {k: torch.zeros(s) for k, s in shapes.items()}
    for k in shapes:
        a[k][0], b[k][1] = 3.0, 5.0  # orthogonal tokens of any length
    assert content_distance(a, a) == 0
    assert content_distance(a, {k: v * 2 for k, v in a.items()}) == pytest.approx(0, abs=1e-6)
    assert content_distance(a, b) == pytest.approx(2 * 4)


def test_colour_histograms_sum_to_one_and_tell_colours_apart():
    red, blue = torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
    red[:, 0], blue[:, 2] = 1, 1
    grey = torch.full((1, 3, 8, 8), 0.5)
    h = colour.histogram(grey)
    assert h.shape == (3, 64, 64) and h.sum().item() == pytest.approx(1, rel=1e-5)
    # Grey has u = v = 0: between the two middle bins of -3..3, alike in all three planes.
    assert [tuple(divmod(int(p.argmax()), 64)) for p in h] == [(31, 31)] * 3
    assert colour_distance(red, red) == 0
    assert 0.5 < colour_distance(red, blue) <= 1
    assert colour_distance(grey, grey * 0.5) == pytest.approx(0, abs=1e-3)  # brightness is not colour


def test_colour_per_region_follows_maps_and_links():
    picture = torch.zeros(1, 3, 16, 16)
    picture[:, 0, :, :8], picture[:, 2, :, 8:] = 1, 1
    ids = np.zeros((16, 16), np.uint8)
    ids[:, 8:] = 1
    flipped = picture.flip(3)
    assert colour_distance(picture, flipped) == pytest.approx(0, abs=1e-4)
    assert region_colour_distance(picture, picture, ids, ids) == pytest.approx(0, abs=1e-4)
    assert region_colour_distance(picture, flipped, ids, ids) > 0.5
    assert region_colour_distance(picture, flipped, ids, ids, {0: (1,), 1: (0,)}) == pytest.approx(0, abs=1e-4)
    assert math.isnan(region_colour_distance(picture, picture, ids + 5, ids))


def test_colour_match_gives_each_region_its_styles_moments():
    ids = np.zeros((20, 20), np.uint8)
    ids[:, 10:] = 1
    other = np.zeros((16, 24), np.uint8)
    other[:8] = 1
    content, style = torch.rand(1, 3, 20, 20), torch.rand(1, 3, 16, 24) * 0.3 + 0.1
    out = colour_match(content, style, ids, other)
    for region in (0, 1):
        x, s = out[0][:, torch.from_numpy(ids == region)], style[0][:, torch.from_numpy(other == region)]
        assert torch.allclose(x.mean(1), s.mean(1), atol=1e-5)
        assert torch.allclose(x.std(1, correction=0), s.std(1, correction=0), rtol=1e-3)
    assert torch.equal(colour_match(content, style, ids + 7, other), content)


def test_frechet_distance_known_answers():
    mean = np.zeros(2)
    found = distributions.frechet(mean, np.diag([1.0, 4]), np.array([1.0, 2]), np.diag([4.0, 9]))
    assert found == pytest.approx(7)
    x = np.random.default_rng(0).normal(size=(50, 6))
    assert distributions.fid(x, x) == pytest.approx(0, abs=1e-6)
    assert distributions.fid(x, x + 2) == pytest.approx(4 * 6)
    few = x[:4]  # fewer pictures than features: singular, still a number
    assert np.isfinite(distributions.fid(few, x)) and distributions.fid(few, few) == pytest.approx(0, abs=1e-6)


def test_kid_is_the_unbiased_estimate_and_is_not_clipped():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(6, 3)), rng.normal(size=(5, 3))

    def k(a, b):
        return (a @ b / 3 + 1) ** 3

    xx = np.mean([k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j])
    yy = np.mean([k(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j])
    assert distributions.kid(x, y) == pytest.approx(xx + yy - 2 * np.mean([k(a, b) for a in x for b in y]))
    assert distributions.kid(x, x) < 0
    low, high = distributions.kid_interval(x, y + 3, resamples=50)
    assert low < distributions.kid(x, y + 3) < high or low < high
    assert distributions.art_fid(0.5, 9.0) == 15


@pytest.mark.parametrize("kind", ["fid", "art"])
def test_inception_loads_a_published_layout_and_gives_2048_features(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("SCSA_CHECKPOINTS", str(tmp_path))
    with pytest.raises(CheckpointMissing):
        inception.InceptionFeatures.load(kind)
    torch.manual_seed(0)
    state = inception.build(kind).state_dict()
    # Published files carry a classifier that is not used, and older ones no counters.
    state = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")} | {"fc.weight": torch.zeros(1008, 2048)}
    folder, name = inception.FILES[kind]
    (tmp_path / folder).mkdir()
    torch.save(state, tmp_path / folder / name)
    monkeypatch.setattr(inception, "ART_SIDE", 96)
    features = inception.InceptionFeatures.load(kind)
    a, b = features(torch.rand(1, 3, 96, 100)), features(torch.rand(1, 3, 96, 100))
    assert a.shape == (2048,) and torch.isfinite(a).all() and not torch.equal(a, b)
    torch.save({"Conv2d_1a_3x3.conv.weight": torch.zeros(1)}, tmp_path / folder / name)
    with pytest.raises(CheckpointMismatch):
        inception.InceptionFeatures.load(kind)


def test_inception_pools_as_the_original_graph_does():
    x = torch.rand(1, 2048, 4, 4)
    plain, own = inception.build("art"), inception.build("fid")
    own.load_state_dict(plain.state_dict())
    with torch.inference_mode():
        a, b = plain.Mixed_7c(x), own.Mixed_7c(x)
    assert torch.equal(a[:, :-192], b[:, :-192])  # the other branches are the same
    with torch.inference_mode():
        pooled = torch.nn.functional.max_pool2d(x, 3, 1, 1)
        assert torch.allclose(b[:, -192:], own.Mixed_7c.branch_pool(pooled))
    assert not torch.allclose(a[:, -192:], b[:, -192:])


def test_lpips_on_the_published_layout(tmp_path, monkeypatch):
    monkeypatch.setenv("SCSA_CHECKPOINTS", str(tmp_path))
    with pytest.raises(CheckpointMissing):
        lpips.Lpips.load()
    torch.manual_seed(0)
    (tmp_path / "lpips").mkdir()
    torch.save(lpips.alexnet().state_dict() | {"classifier.1.weight": torch.zeros(2)}, tmp_path / "lpips" / lpips.FILES[0][1])
    ones = {f"lin{k}.model.1.weight": torch.ones(1, w, 1, 1) for k, w in enumerate(lpips.WIDTHS)}
    torch.save(ones, tmp_path / "lpips" / lpips.FILES[1][1])
    distance = lpips.Lpips.load()
    a, b = torch.rand(1, 3, 512, 512), torch.rand(1, 3, 512, 512)
    x, y = distance.taps(a), distance.taps(b)
    assert [v.shape[1] for v in x.values()] == list(lpips.WIDTHS)
    assert distance(x, x) == 0
    # With unit channel weights it is the squared distance of unit tokens, averaged and summed.
    assert distance(x, y) == pytest.approx(sum((x[k] - y[k]).square().sum(1).mean().item() for k in x), rel=1e-4)


def test_vgg19_n_takes_the_published_file_of_either_family(tmp_path, monkeypatch):
    monkeypatch.setenv("SCSA_CHECKPOINTS", str(tmp_path))
    with pytest.raises(CheckpointMissing, match=r"vgg_normalised\.pth"):
        MetricNetwork(name="vgg19-n")
    with pytest.raises(KnobError):
        MetricNetwork(name="vgg11")
    state = ConvStack(VGG19_NORMALISED).state_dict()
    (tmp_path / "stytr2").mkdir()
    torch.save({**state, "45.weight": torch.zeros(512, 512, 1, 1)}, tmp_path / "stytr2" / "vgg_normalised.pth")
    net = MetricNetwork(name="vgg19-n")
    assert net.name == "vgg19-n"
    assert [net(torch.rand(1, 3, 32, 32))[k].shape[0] for k in LAYERS] == [64, 128, 256, 512, 512]
