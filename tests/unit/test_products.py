"""Matrix products by convolution: the same numbers, where it is worth it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from scsa_core import products
from scsa_core.products import by_convolution, linear


@pytest.fixture
def faster(monkeypatch):
    monkeypatch.setattr(products, "convolves_faster", lambda: True)


def rows(n=512, width=512, seed=0):
    return torch.randn(n, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("n", [512, 1024 + 8, 517, 3])
@pytest.mark.parametrize("biased", [True, False])
def test_it_is_the_linear_map(faster, n, biased):
    x, weight = rows(n), rows(96, seed=1)
    bias = rows(96, 1, seed=2)[:, 0] if biased else None
    assert by_convolution(x, 96) == (n * 512 >= products.FEWEST_NUMBERS and n % 8 == 0)
    torch.testing.assert_close(linear(x, weight, bias), F.linear(x, weight, bias), rtol=1e-5, atol=1e-4)
    assert linear(x, weight, bias).is_contiguous()


def test_rows_of_a_larger_matrix_are_taken_as_they_lie(faster):
    x = rows(1024, 1024)[::2, :512]
    assert by_convolution(x, 64)
    torch.testing.assert_close(linear(x, rows(64, seed=1)), x @ rows(64, seed=1).T, rtol=1e-5, atol=1e-4)


def test_what_stays_a_matrix_product(faster, monkeypatch):
    assert by_convolution(rows(), 64)
    assert by_convolution(rows(112, 4608), 64)  # few long ones
    assert not by_convolution(rows(504), 64) and not by_convolution(rows(8192, 63), 64) and not by_convolution(rows(), 63)
    assert not by_convolution(rows().double(), 64) and not by_convolution(rows().bfloat16(), 64)
    assert not by_convolution(rows().requires_grad_(), 64)
    monkeypatch.setattr(products, "convolves_faster", lambda: False)
    assert not by_convolution(rows(), 64)


@pytest.mark.parametrize(("capability", "vendor", "expected"), [("AVX512", "AuthenticAMD", True), ("AVX2", "AuthenticAMD", False), ("AVX512", "GenuineIntel", False)])
def test_which_processors(monkeypatch, tmp_path, capability, vendor, expected):
    if not (torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()):
        pytest.skip("torch without MKL or oneDNN")
    (tmp_path / "cpuinfo").write_text(f"vendor_id : {vendor}\n")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(products, "Path", lambda _: tmp_path / "cpuinfo")
    assert products.convolves_faster.__wrapped__() is expected
    (tmp_path / "cpuinfo").unlink()
    assert products.convolves_faster.__wrapped__() is False
