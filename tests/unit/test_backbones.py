"""Backbones on random weights of the true shapes: layout, declared capabilities, invariants."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from scsa_core.attention import RegionIndex, continuous_attention, mvn, semantic_adain, sparse_attention
from scsa_core.backbones import lite, pieces, sanet, stytr2
from scsa_core.backbones.base import Pair, alphas, no_checkpoint, preparation_of
from scsa_core.backbones.level import Attended, AttentionLevel, grid_labels, soften
from scsa_core.backbones.lite_decoder import LiteDecoder
from scsa_core.backbones.transformer import Transformer
from scsa_core.backbones.vgg import SANET_DECODER, VGG16, VGG19_NORMALISED, ConvStack, caffe_vgg16, until
from scsa_core.engine import Engine
from scsa_core.errors import Cancelled
from scsa_core.knobs import METHODS, Knobs


def fill(module, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            fan = p[0].numel() if p.ndim > 1 else 1
            p.copy_(torch.randn(p.shape, generator=generator) * (2 / fan) ** 0.5 * (1 if p.ndim > 1 else 0.1))
    return module


@pytest.fixture(scope="module")
def random_sanet():
    parts = fill(ConvStack(VGG19_NORMALISED), 1), fill(sanet.Transform(), 2), fill(ConvStack(SANET_DECODER), 3)
    return sanet.SANet(*parts, fingerprint="random")


@pytest.fixture(scope="module")
def random_stytr2():
    parts = fill(stytr2.Embedding(), 1), fill(Transformer(), 2), fill(ConvStack(SANET_DECODER), 3)
    return stytr2.StyTr2(*parts, fingerprint="random")


@pytest.fixture(scope="module")
def shipped_lite():
    return Engine("cpu").load("lite")


@pytest.fixture(params=["random_sanet", "random_stytr2", "shipped_lite"])
def model(request):
    return request.getfixturevalue(request.param)


def pair_for(model, content=(64, 48), style=(48, 80), seed=0):
    g = torch.Generator().manual_seed(seed)
    h = content[0]
    pictures = [torch.rand(1, 3, *s, generator=g) for s in (content, style)]
    labels = [torch.zeros(s, dtype=torch.long) for s in (content, style)]
    labels[0][: h // 2], labels[1][:, : style[1] // 2] = 1, 1
    maps = [lab[None, None].float().expand(1, 3, -1, -1).contiguous() for lab in labels]
    roles = ("content", "style")
    with torch.inference_mode():
        f = [model.encode(p, role=r) for p, r in zip(pictures, roles, strict=True)]
        m = [model.encode(p, role="map") for p in maps]
    return Pair(f[0], f[1], m[0], m[1], *labels)


def render(model, pair, method="scsa", **knobs):
    with torch.inference_mode():
        prepared = model.prepare(pair, preparation_of(method))
        assert prepared.nbytes > 0
        return model.render(prepared, Knobs(**knobs), method)


def test_published_layouts_have_their_key_names_and_shapes():
    vgg = {k: tuple(v.shape) for k, v in ConvStack(VGG19_NORMALISED).state_dict().items()}
    assert vgg["0.weight"] == (3, 3, 1, 1) and vgg["2.weight"] == (64, 3, 3, 3) and vgg["42.weight"] == (512, 512, 3, 3)
    decoder = {k: tuple(v.shape) for k, v in ConvStack(SANET_DECODER).state_dict().items()}
    assert decoder["1.weight"] == (256, 512, 3, 3) and decoder["28.bias"] == (3,) and len(decoder) == 18
    transform = {k: tuple(v.shape) for k, v in sanet.Transform().state_dict().items()}
    assert transform["sanet4_1.f.weight"] == (512, 512, 1, 1) and transform["merge_conv.weight"] == (512, 512, 3, 3)
    assert {k.split(".")[1] for k in transform if k.startswith("sanet5_1")} == {"f", "g", "h", "out_conv"}


def test_a_stack_stops_at_the_last_wanted_tap_and_pools_by_ceiling():
    stack = fill(ConvStack(until(VGG16, "relu3_1")))
    out = stack(torch.rand(1, 3, 33, 18), ("relu1_1", "relu2_1"))
    assert out["relu2_1"].shape == (1, 128, 17, 9) and out[""] is out["relu2_1"]
    with pytest.raises(ValueError):
        until(VGG16, "relu9_9")


def test_scaling_of_the_encoder_is_exact():
    weights = {}
    for k, s in enumerate(VGG16):
        g = torch.Generator().manual_seed(k)
        weights[f"features.{s.name}.weight"] = torch.randn(s.outputs, s.inputs, 3, 3, generator=g) * (2 / 9 / s.inputs) ** 0.5
        weights[f"features.{s.name}.bias"] = torch.randn(s.outputs, generator=g)
    raw = caffe_vgg16(weights, {s.tap: 1.0 for s in VGG16}, "relu3_1")
    scaled = caffe_vgg16(weights, {s.tap: 2.0 + k for k, s in enumerate(VGG16)}, "relu3_1")
    x = torch.rand(1, 3, 32, 32)
    a, b = raw(x, ("relu2_1", "relu3_1")), scaled(x, ("relu2_1", "relu3_1"))
    assert torch.allclose(a["relu2_1"], b["relu2_1"] * 4, rtol=1e-3, atol=1e-3)
    assert torch.allclose(a["relu3_1"], b["relu3_1"] * 6, rtol=1e-3, atol=1e-3)


def test_every_method_renders_finite_pictures_of_the_content_size(model):
    pair = pair_for(model)
    pictures = {m: render(model, pair, m) for m in METHODS}
    for picture in pictures.values():
        assert picture.shape == (1, 3, 64, 48) and torch.isfinite(picture).all()


def test_alpha_zero_leaves_the_residual_alone(model):
    pair = pair_for(model)
    zero = render(model, pair, "scsa", alpha1=0, alpha2=0)
    assert torch.allclose(zero, render(model, pair, "sca", alpha1=0, alpha2=2), atol=1e-4)
    assert not torch.allclose(zero, render(model, pair, "scsa", alpha1=0.5, alpha2=0.5), atol=1e-2)


def test_ablations_are_the_whole_with_one_weight_at_zero(model):
    pair = pair_for(model)
    assert torch.allclose(render(model, pair, "sca", alpha1=0.8), render(model, pair, alpha1=0.8, alpha2=0), atol=1e-4)
    assert torch.allclose(render(model, pair, "ssa", alpha2=0.8), render(model, pair, alpha1=0, alpha2=0.8), atol=1e-4)
    assert alphas(Knobs(alpha1=0.8, alpha2=0.2), "ssa") == (0.0, 0.2)


def test_one_sided_regions_never_give_nan(model):
    pair = pair_for(model)
    pair = dataclasses.replace(pair, content_labels=pair.content_labels * 7 + 1)
    for method in ("scsa", "no_sadain"):
        assert torch.isfinite(render(model, pair, method)).all()


@pytest.mark.parametrize("size", [(32, 32), (64, 32)])
def test_the_declared_minimum_and_multiple_are_true(model, size):
    caps = model.info.capabilities
    scale = caps.minimum // 32
    size = tuple(s * scale for s in size)
    assert all(s % caps.multiple_of == 0 for s in size)
    assert render(model, pair_for(model, size, size)).shape[-2:] == size


def test_the_level_is_the_paper_equations():
    level = fill(AttentionLevel(16)).eval()
    c, s, cm, sm = (torch.randn(1, 16, 6, 5) for _ in range(4))
    cl, sl = torch.randint(0, 2, (6, 5)), torch.randint(0, 2, (6, 5))
    with torch.inference_mode():
        out = level.attend(c, s, cm, sm, cl, sl)
        adapted = semantic_adain(c, s, cl, sl)
        assert torch.equal(out.residual, adapted)

        def tokens(name, x):
            return level.get_submodule(name)(x).flatten(2).transpose(1, 2)

        index = RegionIndex.build(cl.flatten(), sl.flatten())
        sca = continuous_attention(tokens("f", mvn(cm)), tokens("g", mvn(sm)), tokens("h", s), index)
        ssa = sparse_attention(tokens("f", mvn(adapted)), tokens("g", mvn(s)), tokens("h", s), index)
        for mine, theirs in ((out.sca, sca), (out.ssa, ssa)):
            assert torch.allclose(mine, level.out_conv(theirs.transpose(1, 2).reshape(c.shape)), atol=1e-5)


def test_both_levels_are_merged_once_whatever_alpha_is():
    transform = fill(sanet.Transform(8), 5)
    levels = [Attended(*(torch.rand(1, 8, n, n) for _ in range(3))) for n in (4, 2)]
    fine, coarse = (x.residual + 0.7 * x.sca + 0.3 * x.ssa for x in levels)
    with torch.inference_mode():
        both = sanet.weighted(sanet.joined(*levels), Knobs(alpha1=0.7, alpha2=0.3), "scsa")
        theirs = transform.merge_conv(fine + F.interpolate(coarse, scale_factor=2))
        assert torch.allclose(transform.merge_conv(both), theirs, atol=1e-5)


def test_soften_moves_only_tokens_near_a_border():
    labels = torch.zeros(8, 8, dtype=torch.long)
    labels[:, 4:] = 1
    x = torch.rand(1, 3, 8, 8)
    out = soften(x, labels, 1.0)
    assert torch.equal(out[..., :1], x[..., :1]) and torch.equal(out[..., 7:], x[..., 7:])
    assert not torch.allclose(out[..., 3:5], x[..., 3:5])
    assert soften(x, labels, 0.0) is x


def test_grid_labels_take_the_majority():
    labels = torch.tensor([[3, 3, 9, 9], [3, 9, 9, 9]])
    assert grid_labels(labels, 1, 2).tolist() == [[3, 9]]


def test_counting_whole_cells_is_the_area_vote():
    labels = torch.randint(0, 4, (48, 40), generator=torch.Generator().manual_seed(0)) * 7 + 1
    ids = torch.unique(labels)
    shares = torch.nn.functional.adaptive_avg_pool2d((labels[None] == ids[:, None, None]).double()[None], (12, 8))[0]
    voted = ids[shares.argmax(0)]
    best = shares.amax(0, keepdim=True)
    clear = (best - shares < 1e-9).sum(0) == 1
    assert clear.sum() > 40 and torch.equal(grid_labels(labels, 12, 8)[clear], voted[clear])
    assert grid_labels(labels, 7, 9).shape == (7, 9)  # cells of uneven size


def test_the_decoder_starts_as_plain_stages_and_doubles_three_times():
    decoder = LiteDecoder()
    x = torch.rand(1, 512, 3, 5)
    assert decoder(x).shape == (1, 3, 24, 40)
    seen = []
    decoder(x, [lambda y: seen.append(tuple(y.shape)) or y] * 3)
    assert seen == [(1, 256, 6, 10), (1, 128, 12, 20), (1, 64, 24, 40)]


@pytest.mark.parametrize("alphas", [(0.5, 1.5), (0.2, 0.3)])
def test_lites_prepared_detail_is_what_a_render_would_make_of_it(shipped_lite, alphas):
    pair, knobs = pair_for(shipped_lite), Knobs(alpha1=alphas[0], alpha2=alphas[1])
    with torch.inference_mode():
        prepared = shipped_lite.prepare(pair, "scsa")
        assert prepared.aligned is not None and prepared.nbytes > prepared.level.nbytes + prepared.detail.nbytes
        with_it, without = (shipped_lite.render(p, knobs, "scsa") for p in (prepared, dataclasses.replace(prepared, aligned=None)))
    assert torch.equal(with_it, without)


def test_lite_makes_a_styles_finest_layer_anew_where_a_regions_moments_are_not_known(shipped_lite, monkeypatch):
    picture = torch.rand(1, 3, 72, 64)
    features = shipped_lite.encode(picture, role="style")
    assert "relu1_1" not in features and features[lite.PICTURE] is picture
    layer = shipped_lite.style_layer
    expected = shipped_lite.encoder(picture.contiguous(memory_format=torch.channels_last), ("relu1_1",))["relu1_1"]
    assert torch.equal(layer(features, "relu1_1", no_checkpoint), expected)
    assert layer(features, "relu3_1", no_checkpoint) is features["relu3_1"]
    monkeypatch.setattr(lite, "FINE_PIXELS", 16 * 64)
    in_strips = layer(features, "relu1_1", no_checkpoint)
    assert in_strips.dtype == torch.float16  # only its moments are wanted
    torch.testing.assert_close(in_strips.float(), expected, rtol=1e-3, atol=1e-5)


def test_lite_can_be_stopped_anywhere_and_looks_more_often_the_larger_the_picture(shipped_lite):
    looks = {}
    for side in (64, 512):
        pair, calls = pair_for(shipped_lite, (side, side), (side, side)), []
        with torch.inference_mode():
            prepared = shipped_lite.prepare(pair, "scsa", lambda *_: calls.append("prepare"))
            shipped_lite.render(prepared, Knobs(), "scsa", lambda: calls.append("render"))
        looks[side] = calls
    for stage in ("prepare", "render"):
        assert looks[64].count(stage) >= 6
        assert looks[512].count(stage) > looks[64].count(stage) + 20  # pieces of a bounded size, not whole layers

    def stop_at(number):
        left = iter(range(number))

        def stop(*_):
            if next(left, None) is None:
                raise Cancelled()

        return stop

    pair = pair_for(shipped_lite)
    with torch.inference_mode():
        prepared = shipped_lite.prepare(pair, "scsa")
        for number in range(0, looks[64].count("prepare") - 5, 3):
            with pytest.raises(Cancelled):
                shipped_lite.prepare(pair, "scsa", stop_at(number))
        for number in range(6):
            with pytest.raises(Cancelled):
                shipped_lite.render(prepared, Knobs(), "scsa", stop_at(number))


def test_sanet_in_small_pieces_comes_to_the_same_numbers(random_sanet, monkeypatch):
    picture = torch.rand(1, 3, 96, 80, generator=torch.Generator().manual_seed(0))
    results, looks = [], []
    with torch.inference_mode():
        for work in (pieces.WORK, 2e8):
            monkeypatch.setattr(pieces, "WORK", work)
            calls = []
            stop = lambda calls=calls: calls.append(1)  # noqa: E731
            features = random_sanet.encode(picture, role="content", checkpoint=stop)
            merged = pieces.convolved(random_sanet.transform.merge_conv, features["relu4_1"], stop)
            painted = sanet.decode(random_sanet.decoder, merged, stop)
            results.append({**features, "painted": painted})
            looks.append(len(calls))
    torch.testing.assert_close(results[1], results[0], rtol=1e-5, atol=1e-5)
    assert looks[1] > looks[0] + 40
