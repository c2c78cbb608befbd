"""SSA on windows of tokens: against loops written out, and what must never happen at a border."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from scsa_core import checkpoints
from scsa_core.attention import RegionIndex, sparse_attention
from scsa_core.backbones import lite
from scsa_core.backbones.base import no_checkpoint
from scsa_core.backbones.patches import PatchLevel, overlaid, windows
from scsa_core.errors import Cancelled, CheckpointCorrupt, CheckpointMismatch


def grid(seed, *shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) - 0.5


def tokens(x):
    return x.flatten(2).transpose(1, 2).contiguous()


def mirrored(k, n):
    k = abs(k)
    return 2 * (n - 1) - k if k >= n else k


@pytest.mark.parametrize("reach", [1, 2])
def test_windows_are_those_of_unfold_on_a_reflected_picture(reach):
    x = grid(0, 1, 3, 6, 9)
    side = 2 * reach + 1
    expected = F.unfold(F.pad(x, (reach,) * 4, mode="reflect"), side).view(1, 3, side * side, 54)  # channel first, then place
    assert torch.equal(windows(x, reach), expected.permute(0, 3, 2, 1).reshape(1, 54, -1))


def test_grids_narrower_than_a_window_have_windows_too():
    for shape in ((1, 1), (1, 7), (2, 2), (5, 1)):
        assert windows(grid(0, 1, 3, *shape)).shape == (1, shape[0] * shape[1], 75)


SIDE = st.integers(1, 7)


@settings(deadline=None)
@given(st.integers(0, 10_000), SIDE, SIDE, SIDE, SIDE, st.integers(1, 4), st.integers(0, 2))
def test_overlaid_is_the_mean_of_what_the_windows_lay_down(seed, height, width, rows, columns, regions, reach):
    random = torch.Generator().manual_seed(seed)
    own = torch.randint(regions, (height, width), generator=random)
    may = torch.rand(regions, rows, columns, generator=random) < 0.5
    may[:, 0, 0] = True  # every region has a token
    value = torch.randn(rows * columns, 4, generator=random)
    picked = [may[r].flatten().nonzero().flatten() for r in own.flatten().tolist()]
    winners = torch.stack([p[int(torch.randint(len(p), (), generator=random))] for p in picked])
    expected = torch.zeros(height, width, 4)
    for y in range(height):
        for x in range(width):
            given_to = []
            for i in range(-reach, reach + 1):
                for j in range(-reach, reach + 1):
                    middle_y, middle_x = y - i, x - j
                    if not (0 <= middle_y < height and 0 <= middle_x < width) or own[middle_y, middle_x] != own[y, x]:
                        continue
                    winner = int(winners[middle_y * width + middle_x])
                    at_y, at_x = (min(max(mirrored(k, n), 0), n - 1) for k, n in ((winner // columns + i, rows), (winner % columns + j, columns)))
                    if may[own[y, x], at_y, at_x]:
                        given_to.append(value[at_y * columns + at_x])
            expected[y, x] = torch.stack(given_to).mean(0)
    torch.testing.assert_close(overlaid(value, winners, own, may, reach), expected.view(-1, 4), rtol=1e-5, atol=1e-5)


def level(channels=6, directions=6):
    return PatchLevel(torch.linalg.qr(grid(7, channels, directions))[0], 0.05)


def test_a_picture_in_its_own_style_is_itself():
    style = grid(1, 1, 6, 8, 10)
    labels = (torch.arange(80) % 10 >= 4).long()
    out = level().sparse(style, style, tokens(style), RegionIndex.build(labels, labels), no_checkpoint)
    torch.testing.assert_close(out, tokens(style))


def test_nothing_comes_from_another_region_or_goes_into_one():
    content, style = grid(1, 1, 6, 8, 10), grid(2, 1, 6, 7, 9)
    mine, theirs = (torch.arange(80) % 10 >= 4).long(), (torch.arange(63) % 9 >= 5).long()
    mine[:10] = 2  # a region of its own, linked to both of the style
    index = RegionIndex.build(mine, theirs, {2: (0, 1)})
    value = F.one_hot(theirs, 2)[None].float()
    out = level().sparse(content, style, value, index, no_checkpoint)[0]
    for region in (0, 1):
        assert (out[mine == region][:, 1 - region] == 0).all()
    torch.testing.assert_close(out.sum(1), torch.ones(80))


def test_windows_keep_neighbours_together():
    """The content is a piece of the style, disturbed token by token: its windows find where it came from, single tokens do not."""
    style = grid(3, 1, 6, 16, 16)
    content = style[..., 4:12, 4:12] + 0.5 * grid(4, 1, 6, 8, 8)
    index = RegionIndex.whole(64, 256)
    true = tokens(style[..., 4:12, 4:12])
    alone = sparse_attention(tokens(content), tokens(style), tokens(style), index)
    together = level().sparse(content, style, tokens(style), index, no_checkpoint)
    assert (together - true).square().mean() < 0.1 * (alone - true).square().mean()


def test_a_region_without_a_counterpart_gets_the_mean_where_that_is_asked():
    content, style = grid(1, 1, 6, 6, 6), grid(2, 1, 6, 6, 6)
    mine, theirs = torch.arange(36) // 18, torch.zeros(36, dtype=torch.long)
    index = RegionIndex.build(mine, theirs, fallback="mean")
    out = level().sparse(content, style, tokens(style), index, no_checkpoint)[0]
    torch.testing.assert_close(out[18:], tokens(style)[0].mean(0).expand(18, 6))
    assert not torch.allclose(out[:18], out[18:])


def test_it_can_be_cancelled():
    def stop():
        raise Cancelled()

    x = grid(1, 1, 6, 6, 6)
    with pytest.raises(Cancelled):
        level().sparse(x, x, tokens(x), RegionIndex.whole(36, 36), stop)


def test_the_shipped_basis_is_orthonormal_and_of_the_encoders_width():
    basis = lite.read_basis(checkpoints.find("lite", "basis.safetensors"))
    assert basis.shape[0] == lite.CHANNELS and basis.dtype == torch.float32
    torch.testing.assert_close(basis.T @ basis, torch.eye(basis.shape[1]), atol=1e-2, rtol=0)


@pytest.mark.parametrize(
    ("tensors", "error", "words"),
    [
        ({"other": torch.zeros(512, 24)}, CheckpointMismatch, "does not hold lite's basis"),
        ({"basis": torch.zeros(64, 24)}, CheckpointMismatch, "does not hold lite's basis"),
        ({"basis": torch.full((512, 24), torch.nan)}, CheckpointCorrupt, "not finite"),
    ],
)
def test_a_wrong_basis_is_refused(tmp_path, tensors, error, words):
    save_file(tensors, tmp_path / "basis.safetensors")
    with pytest.raises(error, match=words):
        lite.read_basis(tmp_path / "basis.safetensors")
