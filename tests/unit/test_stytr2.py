"""StyTr²: its transformer against torch's own, the work it saves against the work written out, its files."""

import dataclasses
import os

import pytest
import torch
from torch import nn

from scsa_core.attention import RegionIndex
from scsa_core.backbones import FAMILIES, stytr2, transformer
from scsa_core.backbones.base import Pair
from scsa_core.backbones.level import grid_labels
from scsa_core.backbones.transformer import Attention, EncoderLayer, Transformer
from scsa_core.backbones.vgg import SANET_DECODER, ConvStack
from scsa_core.errors import Cancelled, CheckpointCorrupt, CheckpointMismatch, CheckpointMissing
from scsa_core.knobs import Knobs
from tests import oracle

GAINS = {".out_proj.weight": 0.1, ".in_proj_weight": 2.0, ".linear2.weight": 0.3, ".proj.weight": 5.0, ".new_ps.weight": 0.5}
"""Random attention averages its tokens away; with these, as in a trained network, it does not."""


def randomised(module, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in module.named_parameters():
            z = torch.randn(p.shape, generator=generator)
            gain = next((factor for end, factor in GAINS.items() if f".{name}".endswith(end)), 1.0)
            if p.ndim > 1:
                p.copy_(z * gain * (2 / p[0].numel()) ** 0.5)
            else:
                p.copy_(0.05 * z + ("norm" in name and name.endswith("weight")))
    return module.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def model():
    parts = randomised(stytr2.Embedding(), 1), randomised(Transformer(), 2), randomised(ConvStack(SANET_DECODER), 3)
    return stytr2.StyTr2(*parts, fingerprint="random")


@pytest.fixture(scope="module")
def pair(model):
    """A content of 64x48 and a style of 48x80 pixels, two regions each, maps of two colours with a slanted border."""
    g = torch.Generator().manual_seed(0)
    features, labels = {}, {}
    with torch.inference_mode():
        for role, (h, w) in {"content": (64, 48), "style": (48, 80)}.items():
            rows, columns = torch.arange(h)[:, None], torch.arange(w)[None, :]
            labels[role] = (rows * w + columns * h // 3 > h * w // 2).long()
            features[role] = model.encode(torch.rand(1, 3, h, w, generator=g), role=role)
            features[f"{role}_map"] = model.encode(labels[role][None, None].float().expand(1, 3, h, w).contiguous(), role="map")
    return Pair(
        features["content"], features["style"], features["content_map"], features["style_map"], labels["content"], labels["style"]
    )


def render(model, pair, method="scsa", **knobs):
    with torch.inference_mode():
        return model.render(model.prepare(pair, method), Knobs(**knobs), method)


# -- the transformer ------------------------------------------------------------------


def test_an_encoder_layer_is_torch_s_own():
    theirs = randomised(nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True))
    ours = EncoderLayer(32, 4, 64).eval()
    ours.load_state_dict(theirs.state_dict())  # the same names and shapes
    x = torch.randn(20, 32)
    assert torch.allclose(ours(x, None, None), theirs(x[None])[0], atol=1e-5)


def test_a_decoder_layer_has_torch_s_own_names():
    ours, theirs = (layer.state_dict() for layer in (transformer.DecoderLayer(32, 4, 64), nn.TransformerDecoderLayer(32, 4, 64)))
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}


def test_a_position_acts_on_queries_and_keys_and_not_on_values():
    layer, x, position = randomised(EncoderLayer(32, 4, 64)), torch.randn(20, 32), torch.randn(20, 32)
    own = layer.self_attn
    attended = nn.functional.multi_head_attention_forward(
        *((x + position)[:, None],) * 2, x[:, None], 32, 4, own.in_proj_weight, own.in_proj_bias, None, None, False, 0.0,
        own.out_proj.weight, own.out_proj.bias, training=False,
    )[0][:, 0]  # fmt: skip
    expected = layer.norm1(x + attended)
    expected = layer.norm2(expected + layer.linear2(layer.linear1(expected).relu()))
    assert torch.allclose(layer(x, position, None), expected, atol=1e-5)


def test_chunks_change_nothing(monkeypatch):
    layer, x = randomised(EncoderLayer(32, 4, 64)), torch.randn(50, 32)
    whole = layer(x, x, None)
    monkeypatch.setattr(transformer, "ROWS", 7)
    assert torch.allclose(layer(x, x, None), whole, atol=1e-5)


def test_distinct_tokens_and_their_counts_stand_for_the_whole_sequence():
    encoder = randomised(transformer.Encoder(32, 4, 64))
    kinds, kind = torch.randn(5, 32), torch.randint(0, 5, (40,), generator=torch.Generator().manual_seed(3))
    counts = torch.bincount(kind, minlength=5)
    assert torch.allclose(encoder(kinds, counts=counts)[kind], encoder(kinds[kind]), atol=1e-5)


def test_continuous_and_sparse_are_the_dense_masked_form_in_every_head():
    attention = randomised(Attention(32, 4)).double()
    query, key, value = torch.randn(30, 32), torch.randn(25, 32), torch.randn(25, 32)
    labels = torch.arange(30) % 3, torch.arange(25) % 2  # region 2 has no keys
    index, mask = RegionIndex.build(*labels), oracle.allowed(*labels)
    q, k, v = (attention.project(part, x.double()) for part, x in (("query", query), ("key", key), ("value", value)))
    for ours, dense in ((attention.continuous, oracle.continuous), (attention.sparse, oracle.sparse)):
        expected = attention.out_proj(dense(q, k, v, mask, attention.scale).transpose(0, 1).flatten(1))
        assert torch.allclose(ours(query.double(), key.double(), value.double(), index), expected, atol=1e-10)


@pytest.mark.parametrize("grid", [(64, 64), (5, 9), (40, 21)])
def test_positions_fit_any_grid_and_follow_the_picture(grid):
    body = randomised(Transformer(16, 2, 32))
    flat = torch.ones(1, 16, *grid)
    position = body.position(flat)
    assert position.shape == flat.shape
    assert torch.allclose(position, body.new_ps(flat), atol=1e-5)
    left = flat.clone()
    left[..., grid[1] // 2 :] = -1
    moved = body.position(left)
    assert torch.allclose(moved[..., 0], position[..., 0], atol=1e-5) and not torch.allclose(moved[..., -1], position[..., -1], atol=0.1)


# -- the family -----------------------------------------------------------------------


def test_a_map_is_its_distinct_patches(model):
    picture = torch.zeros(1, 3, 32, 48)
    picture[..., 20:] = 1.0  # the third column of patches holds the border
    features = model.encode(picture, role="map")
    assert features["kinds"].shape == (3, 512) and features["kind"].shape == (4, 6)
    written_out = features["kinds"][features["kind"].flatten()]
    assert torch.allclose(written_out, model.embedding(picture)[0].flatten(1).T, atol=1e-5)


def test_sca_on_distinct_keys_is_sca_on_all_of_them(model, pair):
    with torch.inference_mode():
        semantic = model.prepare(pair, "scsa").semantic
        body, memory = model.transformer, stytr2._tokens(pair.style["memory"])
        position = stytr2._tokens(pair.content["position"])
        maps = [m["kinds"][m["kind"].flatten()] for m in (pair.content_map, pair.style_map)]
        assert len(pair.style_map["kinds"]) < len(maps[1])
        query, key = body.encoder_c(maps[0], position) + position, body.encoder_s(maps[1])
        labels = [grid_labels(x, *f.shape[-2:]).flatten() for x, f in (
            (pair.content_labels, pair.content["sequence"]), (pair.style_labels, pair.style["memory"]),
        )]  # fmt: skip
        index = RegionIndex.build(*labels)
        layers = body.decoder.layers
        attentions = (layers[0].self_attn, *(layer.multihead_attn for layer in layers))
        for ours, attention in zip(semantic.continuous, attentions, strict=True):
            assert torch.allclose(ours, attention.continuous(query, key, memory, index), atol=1e-4)


def test_equal_patches_of_two_labels_stay_apart(model, pair):
    """Two regions of one colour: their keys are equal, and yet each feeds its own region only."""
    with torch.inference_mode():
        one_colour = model.encode(torch.zeros(1, 3, 48, 80), role="map")
        labels = grid_labels(pair.style_labels, 6, 10)
        twin = dataclasses.replace(pair, style_map=one_colour)
        keys, value = model._map_keys(twin, stytr2._tokens(pair.style["memory"]), labels, lambda: None)
    assert torch.equal(keys.rows[0], keys.rows[1]) and keys.labels.tolist() == [0, 1]
    memory = stytr2._tokens(pair.style["memory"])
    for k in (0, 1):
        assert torch.allclose(value[k], memory[labels.flatten() == k].mean(0), atol=1e-5)
        assert keys.counts[k] == (labels == k).sum()


def test_blend_acts_with_maps_and_adain_only(model, pair):
    assert not torch.allclose(render(model, pair, blend=0.1), render(model, pair, blend=0.9), atol=1e-3)
    for method in ("baseline", "no_sadain"):
        assert torch.allclose(render(model, pair, method, blend=0.1), render(model, pair, method, blend=0.9), atol=1e-5)
        assert "blend" not in model.info.capabilities.acting(method)


def test_soft_borders_act(model, pair):
    soft = dataclasses.replace(pair, soft_borders=1.0)
    assert not torch.allclose(render(model, soft), render(model, pair), atol=1e-3)


def test_the_declared_knobs_are_those_that_act(model):
    knobs = model.info.capabilities.knobs
    assert "blend" in knobs and "seed" not in knobs
    assert Knobs.for_family(model.info.defaults) == Knobs(alpha1=1.2, alpha2=0.5, blend=0.7)


def test_every_stage_can_be_cancelled_and_looks_often(model, pair):
    calls = []
    with torch.inference_mode():
        picture = torch.rand(1, 3, 64, 64)
        prepared = model.prepare(pair, "scsa", lambda: calls.append("prepare"))
        model.encode(picture, role="style", checkpoint=lambda: calls.append("encode"))
        model.render(prepared, Knobs(), "scsa", lambda: calls.append("render"))
        for stage in ("prepare", "encode", "render"):
            assert calls.count(stage) >= 6

        def stop():
            raise Cancelled("stop")

        for work in (
            lambda: model.encode(picture, role="content", checkpoint=stop),
            lambda: model.prepare(pair, "scsa", stop),
            lambda: model.render(prepared, Knobs(), "scsa", stop),
        ):
            with pytest.raises(Cancelled):
                work()


# -- its files --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published(model, tmp_path_factory):
    """The three files, from random weights, under their published names and keys."""
    folder = tmp_path_factory.mktemp("published")
    for name, module in zip(stytr2.FILES, (model.decoder, model.transformer, model.embedding), strict=True):
        torch.save(module.state_dict(), folder / name)
    return folder


@pytest.fixture
def folder(published, tmp_path, monkeypatch):
    """A checkpoints folder of links to the files: removing or replacing one there leaves the original."""
    monkeypatch.setenv("SCSA_CHECKPOINTS", str(tmp_path))
    (tmp_path / "stytr2").mkdir()
    for name in stytr2.FILES:
        os.link(published / name, tmp_path / "stytr2" / name)
    return tmp_path / "stytr2"


def test_the_published_names_and_shapes(published):
    keys = {k: tuple(v.shape) for name in stytr2.FILES for k, v in torch.load(published / name, weights_only=True).items()}
    assert keys["proj.weight"] == (512, 3, 8, 8) and keys["28.weight"] == (3, 64, 3, 3) and keys["new_ps.weight"] == (512, 512, 1, 1)
    assert keys["encoder_s.layers.2.self_attn.in_proj_weight"] == (1536, 512)
    assert keys["encoder_c.layers.0.linear1.weight"] == (2048, 512)
    assert keys["decoder.layers.1.multihead_attn.out_proj.bias"] == keys["decoder.norm.bias"] == (512,)
    assert len(keys) == 2 + 18 + 2 * 3 * 12 + 3 * 18 + 2 + 2


def test_a_person_s_files_load_and_paint_the_same(model, pair, folder):
    loaded = FAMILIES["stytr2"].load(torch.device("cpu"))
    assert torch.equal(render(loaded, pair), render(model, pair))


@pytest.mark.parametrize("name", stytr2.FILES)
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(CheckpointMissing, match=name) as caught:
        FAMILIES["stytr2"].probe()
    assert str(folder) in caught.value.hint


@pytest.mark.parametrize("name", stytr2.FILES)
def test_a_truncated_file_is_named(published, folder, name):
    whole = (published / name).read_bytes()
    (folder / name).unlink()
    (folder / name).write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(CheckpointCorrupt, match=f"{name} is damaged or cut short"):
        FAMILIES["stytr2"].load(torch.device("cpu"))


@pytest.mark.parametrize(
    ("name", "other", "said", "seems"),
    [
        ("decoder_iter_160000.pth", "embedding_iter_160000.pth", "decoder (missing: 1.weight", "patch embedding"),
        ("transformer_iter_160000.pth", "decoder_iter_160000.pth", "transformer (missing: encoder_c.layers.0", "decoder"),
        ("embedding_iter_160000.pth", "transformer_iter_160000.pth", "patch embedding (missing: proj.weight", "StyTr2's transformer"),
    ],
)
def test_a_file_in_another_s_place_is_recognised(published, folder, name, other, said, seems):
    (folder / name).unlink()
    os.link(published / other, folder / name)
    with pytest.raises(CheckpointMismatch) as caught:
        FAMILIES["stytr2"].load(torch.device("cpu"))
    message = str(caught.value)
    assert said in message and "looks like" in message and seems in message.split("looks like")[1]


def test_misshapen_and_unknown_keys_are_named(published, folder):
    name = "embedding_iter_160000.pth"
    tensors = torch.load(published / name, weights_only=True)
    (folder / name).unlink()
    torch.save({**tensors, "proj.weight": torch.zeros(512, 3, 16, 16), "cls_token": torch.zeros(1)}, folder / name)
    with pytest.raises(CheckpointMismatch) as caught:
        FAMILIES["stytr2"].load(torch.device("cpu"))
    assert caught.value.misshapen == {"proj.weight": ((512, 3, 8, 8), (512, 3, 16, 16))}
    assert caught.value.unexpected == ("cls_token",)
