"""Alignment of region statistics on the way through the decoder."""

import torch

from scsa_core.backbones import align


def two_halves(height=32, width=32):
    labels = torch.zeros(height, width, dtype=torch.long)
    labels[:, width // 2 :] = 1
    return labels


def test_masks_are_a_partition_at_every_factor_and_feather():
    for factor, feather in ((1, 0), (2, 1), (4, 2), (8, 0)):
        w = align.masks(two_halves(), [(0,), (1,)], factor, feather)
        assert w.shape == (2, 32 // factor, 32 // factor)
        assert torch.allclose(w.sum(0), torch.ones(w.shape[1:]), atol=1e-5)


def test_moments_equal_those_of_the_region_alone():
    x = torch.randn(5, 32, 32) * 3 + 7
    m = align.moments(x, align.masks(two_halves(), [(0,), (1,)], 1))
    left = x[:, :, :16].flatten(1)
    assert torch.allclose(m.mean[0], left.mean(1), atol=1e-4)
    assert torch.allclose(m.deviation[0], (left.var(1, correction=0) + align.EPS).sqrt(), atol=1e-4)


def test_align_gives_each_region_its_target_and_strength_zero_changes_nothing():
    labels = two_halves()
    x, style = torch.randn(1, 4, 32, 32), torch.randn(4, 32, 32) * 1.5 + 5
    weights = align.masks(labels, [(0,), (1,)], 1)
    target = align.moments(style, weights)
    out = align.align(x, weights, target)
    after = align.moments(out[0], weights)
    assert torch.allclose(after.mean, target.mean, atol=1e-3)
    assert torch.allclose(after.deviation, target.deviation, atol=1e-2)
    assert torch.allclose(align.align(x, weights, target, 0.0), x)


def test_a_flat_region_is_not_blown_up():
    weights = align.masks(torch.zeros(8, 8, dtype=torch.long), [(0,)], 1)
    flat = torch.randn(1, 2, 8, 8) * 1e-4
    target = align.moments(torch.randn(2, 8, 8) * 10, weights)
    out = align.align(flat, weights, target)
    assert out.std((2, 3)).max() < 1e-2


def test_groups_follow_links_and_name_the_whole_style_for_what_has_no_source():
    content, style = torch.tensor([[0, 1, 2, 3]]), torch.tensor([[0, 1, 5, 5]])
    groups = dict(align.groups_of(content, style, {1: (0, 5), 2: (5,)}))
    assert groups[(0,)] == (0,) and groups[(1,)] == (0, 5) and groups[(2,)] == (5,) and groups[(3,)] == ()


def test_build_covers_every_level():
    style = {level: torch.rand(1, 3, 32 // f, 32 // f) for level, f in zip(align.LEVELS, align.FACTORS, strict=True)}
    built = align.build(style.__getitem__, two_halves(), two_halves().T.contiguous())
    assert [w.shape for w in built.weights] == [(2, 4, 4), (2, 8, 8), (2, 16, 16), (2, 32, 32)]
    assert built.nbytes > 0
    assert torch.isfinite(built.at(3, torch.rand(1, 3, 32, 32))).all()


def test_a_region_asks_for_a_share_of_the_whole_style_and_a_lone_one_for_its_own():
    labels = two_halves()
    style = {level: torch.rand(1, 3, 32 // f, 32 // f) + 1 for level, f in zip(align.LEVELS, align.FACTORS, strict=True)}
    style = {level: x + torch.tensor([0.0, 4.0]).repeat_interleave(x.shape[-1] // 2) for level, x in style.items()}
    built, alone = align.build(style.__getitem__, labels, labels), align.build(style.__getitem__, labels * 0, labels * 0)
    for level, (name, factor, share) in enumerate(zip(align.LEVELS, align.FACTORS, align.UNITY, strict=True)):
        own = align.moments(style[name][0], align.masks(labels, [(0,), (1,)], factor))
        whole = align.moments(style[name][0], torch.ones(1, 32 // factor, 32 // factor))
        target, lone = built.targets[level], alone.targets[level]
        for moment in ("mean", "deviation"):
            of_own, of_whole = getattr(own, moment), getattr(whole, moment)
            torch.testing.assert_close(getattr(target, moment), (1 - share) * of_own + share * of_whole)
            torch.testing.assert_close(getattr(lone, moment), of_whole)
    assert max(align.UNITY[2:]) <= 0.1  # what is seen as colour stays the region's


def test_blend_keeps_the_contents_edges_and_the_styles_statistics():
    labels = two_halves()
    style = {level: torch.rand(1, 3, 32 // f, 32 // f) * 2 + 1 for level, f in zip(align.LEVELS, align.FACTORS, strict=True)}
    built = align.build(style.__getitem__, labels, labels, feather=0)
    content = torch.zeros(1, 3, 8, 8)
    content[..., ::2, :] = 1.0  # stripes that the decoded features know nothing of
    decoded = torch.rand(1, 3, 8, 8)
    plain, mixed = built.at(align.SHARED, decoded), built.blend(decoded, built.at(align.SHARED, content))

    def stripes(x):
        return (x[..., ::2, :].mean() - x[..., 1::2, :].mean()).item()

    assert stripes(mixed) > stripes(plain) + 0.1
    weights, target = built.weights[align.SHARED], built.targets[align.SHARED].mean
    before = align.moments(align.blend(decoded, built.at(align.SHARED, content))[0], weights)
    after = align.moments(mixed[0], weights)
    left = (after.mean - target).norm() / (before.mean - target).norm()
    assert abs(left - (1 - align.STRENGTHS[align.SHARED])) < 0.1  # squeezing moves means a little, too


def test_squeezing_tames_a_rare_strong_response_and_leaves_the_rest():
    weights = align.masks(torch.zeros(32, 32, dtype=torch.long), [(0,)], 1)
    x = torch.randn(1, 1, 32, 32) * 0.1
    x[..., 5, 5] = 9.0
    out = align.squeeze(x, weights, align.moments(x[0], weights))
    assert out[0, 0, 5, 5] < 1.0
    quiet = torch.ones(32, 32, dtype=torch.bool)
    quiet[5, 5] = False
    assert (out - x)[0, 0][quiet].abs().max() < 0.1
    target = align.moments(torch.randn(1, 32, 32), weights)
    after = align.moments(align.align(x, weights, target, squeezed=True)[0], weights)
    assert torch.allclose(after.mean, target.mean, atol=1e-2)


def test_pieces_are_the_whole_with_and_without_a_gradient(monkeypatch):
    x, weights = torch.randn(1, 4, 12, 10), align.masks(torch.randint(0, 3, (12, 10)), [(0,), (1,), (2,)], 1, 1)
    target = align.moments(torch.randn(4, 12, 10) * 2 + 1, weights)
    whole = align.align(x, weights, target, 0.7, squeezed=True)
    monkeypatch.setattr(align, "NUMBERS", 28)
    before = x.clone()
    torch.testing.assert_close(align.align(x, weights, target, 0.7, squeezed=True), whole)
    torch.testing.assert_close(align.align(x.requires_grad_(), weights, target, 0.7, squeezed=True), whole)
    assert torch.equal(x, before)  # nothing is written into what was given
