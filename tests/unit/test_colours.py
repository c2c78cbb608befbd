import torch

from scsa_core import colours
from scsa_core.colours import keep_colours


def luma(x):
    return 0.299 * x[:, 0] + 0.587 * x[:, 1] + 0.114 * x[:, 2]


def test_full_amount_keeps_luma_of_the_result_and_chroma_of_the_content():
    result, content = torch.rand(2, 1, 3, 5, 7)
    out = keep_colours(result, content, 1.0)
    assert torch.allclose(luma(out), luma(result), atol=1e-4)
    assert torch.allclose(out - luma(out)[:, None], content - luma(content)[:, None], atol=1e-4)


def test_amount_is_a_blend_and_zero_is_the_result_itself():
    result, content = torch.rand(2, 1, 3, 4, 4)
    assert keep_colours(result, content, 0.0) is result
    half = keep_colours(result, content, 0.5)
    assert torch.allclose(half, (result + keep_colours(result, content, 1.0)) / 2, atol=1e-5)


def test_large_pictures_go_piece_by_piece(monkeypatch):
    result, content = torch.rand(2, 1, 3, 21, 16)
    whole, looks = colours.keep_colours(result, content, 0.7), []
    monkeypatch.setattr(colours, "PIXELS", 16 * 5)
    torch.testing.assert_close(colours.keep_colours(result, content, 0.7, lambda: looks.append(1)), whole)
    assert len(looks) == 5
