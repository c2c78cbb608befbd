"""STROTSS and MAST: known answers of their arithmetic, and both behind the one interface."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from scsa_core.attention import RegionIndex
from scsa_core.backbones import FAMILIES
from scsa_core.backbones.strotss import Strotss
from scsa_core.backbones.vgg import VGG16, ConvStack, until
from scsa_core.engine import Engine, RenderRequest
from scsa_core.errors import Cancelled, KnobError
from scsa_core.knobs import Knobs
from scsa_core.labels import LabelMap
from scsa_core.progress import CancelToken
from scsa_core.rivals import mast, strotss
from scsa_core.rivals.strotss_loss import (
    DECORRELATE,
    StyleSet,
    moment_loss,
    moments,
    palette_emd,
    region_loss,
    relaxed_emd,
    self_similarity,
)  # fmt: skip


def rows(n, c, seed=0):
    return torch.rand(n, c, generator=torch.Generator().manual_seed(seed))


# -- STROTSS: losses ------------------------------------------------------------------


def test_every_loss_of_a_set_against_itself_is_nothing():
    x = rows(40, 12)
    style = StyleSet.of(x)
    assert self_similarity(x, x).item() == 0
    assert moment_loss(x, style).item() == pytest.approx(0, abs=1e-6)
    assert relaxed_emd(x, style).item() == pytest.approx(0, abs=1e-6)
    # Of equal colours the palette's cost is the floor under its root.
    assert palette_emd(x, style).item() == pytest.approx((1e-5 / 3) ** 0.5, abs=2e-4)


def test_the_relaxed_distance_is_the_larger_of_the_two_directions():
    right, up = torch.tensor([1.0, 0, 0, 0]), torch.tensor([0, 1.0, 0, 0])
    both = StyleSet.of(torch.stack([right, up]))
    # Every row finds itself; one of the two style rows finds nothing nearer than a right angle.
    assert relaxed_emd(right[None], both).item() == pytest.approx(0.5)
    assert relaxed_emd(torch.stack([right, up, up]), StyleSet.of(right[None])).item() == pytest.approx(2 / 3)


def test_the_search_without_a_gradient_has_the_gradient_of_the_whole_table():
    x, style = rows(20, 9).requires_grad_(), StyleSet.of(rows(30, 9, 1))
    mine = torch.autograd.grad(relaxed_emd(x, style), x)[0]
    table = 1 - F.normalize(x, dim=1) @ F.normalize(style.columns, dim=1).T
    whole = torch.maximum(table.min(1).values.mean(), table.min(0).values.mean())
    assert torch.allclose(mine, torch.autograd.grad(whole, x)[0], atol=1e-6)


def test_moments_and_their_gradient():
    x = rows(10, 3).double().requires_grad_()
    mean, covariance = moments(x)
    assert np.allclose(covariance.detach(), np.cov(x.detach().numpy(), rowvar=False, ddof=0))
    assert torch.autograd.gradcheck(lambda v: moments(v)[1], x)
    shifted = StyleSet.of(rows(50, 6) + 0.25)
    assert moment_loss(rows(50, 6), shifted).item() == pytest.approx(0.25, abs=1e-5)
    assert mean.shape == (3,)


def test_self_similarity_by_hand_and_its_blindness_to_scale():
    x, y = torch.tensor([[1.0, 0], [0, 1]]), torch.tensor([[1.0, 0], [1, 1]])
    assert self_similarity(x, y).item() == pytest.approx(0, abs=1e-6)  # two rows: each column's only distance is its whole share
    z = rows(12, 5)
    assert self_similarity(z * 3, z).item() == pytest.approx(0, abs=1e-5)
    assert self_similarity(rows(12, 5, 1), z).item() > 0.01


def test_the_colour_axes_are_a_rotation():
    assert torch.allclose(DECORRELATE @ DECORRELATE.T, torch.eye(3), atol=1e-5)


def test_the_region_loss_is_the_weighted_sum():
    x, y, style = rows(30, 7), rows(30, 7, 1), StyleSet.of(rows(40, 7, 2))
    parts = (self_similarity(x, y), moment_loss(x, style), relaxed_emd(x, style), palette_emd(x, style))
    for alpha in (16.0, 0.5):
        want = (alpha * parts[0] + parts[1] + parts[2] + parts[3] / max(alpha, 1)) / (alpha + 2)
        assert region_loss(x, y, style, alpha).item() == pytest.approx(want.item(), rel=1e-5)


# -- STROTSS: the optimisation --------------------------------------------------------


@pytest.mark.parametrize(("size", "found"), [(64, [64]), (80, [80]), (256, [64, 128, 256]), (150, [64, 150]), (300, [64, 128, 300])])
def test_scales_double_and_never_end_in_a_small_step(size, found):
    assert strotss.scales(size) == found


def test_a_pyramid_is_its_picture():
    picture = torch.rand(1, 3, 50, 37)
    pyramid = strotss.decompose(picture)
    assert len(pyramid) == 6
    assert torch.allclose(strotss.compose(pyramid), picture, atol=1e-5)


def test_hypercolumns_read_row_and_column_together():
    ramp = torch.arange(12.0).view(1, 1, 3, 4)
    at = torch.tensor([[0, 3], [2, 1]])
    assert strotss.hypercolumns([ramp], at)[:, 0].tolist() == pytest.approx([3, 9])
    half = F.avg_pool2d(torch.arange(16.0).view(1, 1, 4, 4), 2)
    both = strotss.hypercolumns([torch.arange(16.0).view(1, 1, 4, 4), half], torch.tensor([[0, 0]]))
    assert both.tolist() == [[0, 2.5]]  # outside the centres of the coarse map its border value


def test_a_region_of_few_positions_joins_its_largest_neighbour():
    ids = np.zeros((40, 40), np.uint8)
    ids[:, 20:] = 1
    ids[:5, :5] = 2
    assert set(np.unique(strotss.join_small(ids))) == {0, 1}
    assert (strotss.join_small(ids)[:5, :5] == 0).all()
    assert (strotss.join_small(np.full((4, 4), 7)) == 7).all()


@pytest.fixture(scope="module")
def small_network():
    torch.manual_seed(0)
    stack = ConvStack(until(VGG16, "relu1_1"))
    for p in stack.parameters():
        torch.nn.init.normal_(p, std=0.05 if p.ndim == 1 else (2 / p[0].numel()) ** 0.5)
    return stack.requires_grad_(False)


QUICK = strotss.Settings(steps=6, positions=128, style_set=200, preview_every=3)


def test_one_region_equals_no_map(small_network):
    content, style = torch.rand(1, 3, 48, 32), torch.rand(1, 3, 32, 48)
    plain = strotss.stylize(small_network, content, style, settings=QUICK)
    ones = [torch.full(x.shape[-2:], 3) for x in (content, style)]
    assert torch.equal(plain, strotss.stylize(small_network, content, style, *ones, settings=QUICK))
    other = strotss.stylize(small_network, content, style, settings=dataclasses.replace(QUICK, seed=1))
    assert not torch.equal(plain, other)
    assert plain.shape == content.shape and plain.min() >= 0 and plain.max() <= 1


def test_each_region_goes_to_its_own_colour(small_network):
    content = torch.full((1, 3, 32, 32), 0.5)
    style = torch.zeros(1, 3, 32, 32)
    style[:, 0, :, :16], style[:, 2, :, 16:] = 1, 1
    labels = torch.zeros(32, 32, dtype=torch.long)
    labels[:, 16:] = 1
    settings = dataclasses.replace(QUICK, steps=40, rate=5e-3, last_rate=5e-3, content_weight=0.01)
    out = strotss.stylize(small_network, content, style, labels, labels, settings=settings)[0]
    left, right = out[:, :, :14].mean((1, 2)), out[:, :, 18:].mean((1, 2))
    assert left[0] > left[2] + 0.2 and right[2] > right[0] + 0.2
    crossed = strotss.stylize(small_network, content, style, labels, labels, {0: (1,), 1: (0,)}, settings)[0]
    assert crossed[2, :, :14].mean() > crossed[0, :, :14].mean() + 0.2


def picture(width, height, seed):
    small = np.random.default_rng(seed).integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def halves(width, height):
    ids = np.ones((height, width), np.uint8)
    ids[:, width // 2 :] = 2
    return LabelMap.from_ids(ids)


@pytest.fixture
def request_():
    return RenderRequest(picture(96, 72, 0), picture(80, 112, 1), halves(96, 72), halves(80, 112), method="regions")


def test_through_the_engine_it_shows_its_way_and_can_be_stopped(request_, small_network, monkeypatch):
    family = dataclasses.replace(FAMILIES["strotss"], load=lambda device: Strotss(small_network, "small", QUICK))
    monkeypatch.setitem(FAMILIES, "strotss", family)
    engine, events, token = Engine("cpu"), [], CancelToken()
    asked = dataclasses.replace(request_, backbone="strotss", knobs=Knobs(size=72))
    result = engine.render(asked, progress=events.append)
    assert result.image.size == (72, 54)
    shown = [e for e in events if e.picture is not None]
    assert len(shown) == 2 and {e.picture.size for e in shown} == {(72, 54)}

    def stop(event):
        if event.picture is not None:
            token.cancel()

    with pytest.raises(Cancelled):
        engine.render(dataclasses.replace(asked, knobs=Knobs(size=72, seed=5)), progress=stop, cancel=token)
    with pytest.raises(KnobError):
        engine.render(dataclasses.replace(asked, method="scsa"))


def test_the_shipped_network_feeds_2179_channels_and_gradients_pass(request_):
    model = Engine("cpu").load("strotss")
    with torch.inference_mode():
        model.network.requires_grad_(False)
    x = torch.rand(1, 3, 32, 48, requires_grad=True)
    maps = strotss.features(model.network, x)
    columns = strotss.hypercolumns(maps, torch.tensor([[3, 4], [30, 40]]))
    assert columns.shape == (2, 2179)
    columns.sum().backward()
    assert torch.isfinite(x.grad).all() and x.grad.abs().sum() > 0


# -- MAST -----------------------------------------------------------------------------


def test_equal_features_give_the_identity_on_their_span():
    f = rows(60, 8)
    i, j = mast.edges(f, f, RegionIndex.whole(60, 60), k=1)
    assert torch.equal(i, j) and len(i) == 60
    p = mast.alignment(f, f, i, j, ridge=1e-10)
    assert torch.allclose(f @ p, f, atol=1e-4)


def test_an_invertible_map_between_matched_tokens_comes_back():
    f, a = rows(60, 8), torch.eye(8) + 0.3 * rows(8, 8, 1)
    n = torch.arange(60)
    assert torch.allclose(mast.alignment(f, f @ a, n, n, ridge=1e-12), a, atol=1e-3)


def test_edges_are_the_union_of_both_directions_and_none_is_double():
    f, g = rows(30, 6), rows(25, 6, 1)
    i, j = mast.edges(f, g, RegionIndex.whole(30, 25), k=3)
    table = F.normalize(f, dim=1) @ F.normalize(g, dim=1).T
    want = {(a, b) for a, r in enumerate(table.topk(3, 1).indices.tolist()) for b in r}
    want |= {(a, b) for b, r in enumerate(table.topk(3, 0).indices.T.tolist()) for a in r}
    assert sorted(zip(i.tolist(), j.tolist(), strict=True)) == sorted(want)


def test_edges_do_not_depend_on_the_block_size(monkeypatch):
    f, g = rows(50, 6), rows(40, 6, 1)
    whole = mast.edges(f, g, RegionIndex.whole(50, 40))
    monkeypatch.setattr(mast, "ROWS", 7)
    parts = mast.edges(f, g, RegionIndex.whole(50, 40))
    assert all(torch.equal(a, b) for a, b in zip(whole, parts, strict=True))


def test_regions_never_linked_share_no_edge():
    f, g = rows(40, 6), rows(40, 6, 1)
    a, b = torch.arange(40) // 20, torch.arange(40) // 20
    i, j = mast.edges(f, g, RegionIndex.build(a, b), a)
    assert torch.equal(a[i], b[j])
    i, j = mast.edges(f, g, RegionIndex.build(a, b, {0: (1,), 1: (0,)}), a)
    assert torch.equal(a[i], 1 - b[j])


def test_a_region_without_a_counterpart_looks_at_everything_one_way():
    f, g = rows(40, 6), rows(40, 6, 1)
    a, b = torch.arange(40) // 20 * 5, torch.zeros(40, dtype=torch.long)
    i, _ = mast.edges(f, g, RegionIndex.build(a, b), a)
    assert int((a[i] == 5).sum()) == 20 * mast.NEIGHBOURS


def test_large_grids_are_pooled_to_find_the_map_and_painted_whole(monkeypatch):
    monkeypatch.setattr(mast, "MOST_TOKENS", 64)
    labels = torch.zeros(16, 16, dtype=torch.long)
    out = mast.align(torch.rand(1, 4, 16, 16), torch.rand(1, 4, 12, 16), labels, labels)
    assert out.shape == (1, 4, 16, 16) and torch.isfinite(out).all()


def test_mast_paints_with_and_without_regions_and_in_one_stage(request_):
    engine = Engine("cpu")
    pictures = {}
    for method in ("regions", "single", "baseline"):
        asked = dataclasses.replace(request_, backbone="mast", method=method, knobs=Knobs(size=96))
        pictures[method] = np.asarray(engine.render(asked).image, dtype=np.float32)
    assert all(p.shape == (72, 96, 3) for p in pictures.values())
    assert all(np.abs(pictures[a] - pictures[b]).mean() > 1 for a, b in (("regions", "single"), ("regions", "baseline")))


def test_a_flat_region_has_no_structure_that_drowns_the_style():
    flat, other = torch.full((30, 5), 0.5), torch.full((30, 5), 0.5) + 1e-4 * rows(30, 5)
    assert self_similarity(other, flat).item() < 0.1
