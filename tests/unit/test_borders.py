import pytest
import torch

from scsa_core.backbones import borders


def two_regions(size: int = 16) -> torch.Tensor:
    labels = torch.zeros(size, size, dtype=torch.long)
    labels[:, size // 2 :] = 7  # ids need not follow on each other
    return labels


def test_an_answer_to_a_border_is_held_within_what_its_region_has():
    torch.manual_seed(0)
    x, labels = torch.randn(1, 5, 16, 16), two_regions()
    x[..., 7:9] += 20.0
    before = x.clone()
    out = borders.held(x, labels)
    assert torch.equal(x, before)
    for columns, inside in ((slice(6, 8), slice(0, 6)), (slice(8, 10), slice(10, 16))):
        within = x[..., inside]
        mean, deviation = within.mean((2, 3), keepdim=True), within.std((2, 3), keepdim=True)
        assert ((out[..., columns] - mean).abs() <= borders.DEVIATIONS * deviation * 1.01).all()
    assert torch.equal(out[..., :6], x[..., :6]) and torch.equal(out[..., 10:], x[..., 10:])


def test_what_is_like_its_region_hardly_moves():
    torch.manual_seed(0)
    x = torch.randn(1, 3, 16, 16)
    x[..., 6:10] *= 0.1
    assert (borders.held(x, two_regions()) - x).abs().max() < 0.1


@pytest.mark.parametrize("labels", [torch.zeros(16, 16, dtype=torch.long), torch.full((16, 16), 3)])
def test_without_a_border_nothing_is_touched(labels):
    x = torch.randn(1, 3, 16, 16)
    assert borders.held(x, labels) is x


def test_a_region_without_an_inside_is_left_alone_and_its_surroundings_are_not():
    torch.manual_seed(0)
    x, labels = torch.randn(1, 3, 24, 24), torch.zeros(24, 24, dtype=torch.long)
    labels[10:14, 10:14] = 1  # a face of 16 tokens, all of them near its border
    x[..., 8:16, 8:16] += 9.0
    out = borders.held(x, labels)
    assert torch.equal(out[..., 10:14, 10:14], x[..., 10:14, 10:14])
    assert out[..., 9, 9:15].max() < x[..., 9, 9:15].min() - 2.0


def test_it_is_the_same_wherever_the_picture_lies_in_memory():
    torch.manual_seed(0)
    x, labels = torch.randn(1, 3, 16, 20), torch.zeros(16, 20, dtype=torch.long)
    labels[5:] = 1
    out = borders.held(x, labels)
    torch.testing.assert_close(borders.held(x.contiguous(memory_format=torch.channels_last), labels), out)
    torch.testing.assert_close(borders.held(x.transpose(2, 3), labels.T).transpose(2, 3), out)
