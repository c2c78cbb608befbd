"""The number format of convolutions: chosen by the processor or by one switch, and near enough to fp32."""

import pytest
import torch

from scsa_core.backbones.lite import Lite
from scsa_core.errors import ScsaError
from scsa_core.precision import VARIABLE, convolution_dtype

CPU = torch.device("cpu")


@pytest.mark.parametrize(("setting", "dtype"), [("fp32", torch.float32), ("BF16 ", torch.bfloat16), ("fp16", torch.float16)])
def test_the_switch_decides(monkeypatch, setting, dtype):
    monkeypatch.setenv(VARIABLE, setting)
    assert convolution_dtype(CPU) == dtype


@pytest.mark.parametrize(("found", "dtype"), [({"avx512_bf16": True}, torch.bfloat16), ({"avx2": True}, torch.float32)])
def test_left_alone_the_processor_decides(monkeypatch, found, dtype):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)
    assert convolution_dtype(CPU) == dtype


@pytest.mark.parametrize(("capability", "dtype"), [((6, 1), torch.float32), ((7, 0), torch.float16), ((9, 0), torch.float16)])
def test_a_gpu_with_tensor_cores_convolves_in_half_precision(monkeypatch, capability, dtype):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert convolution_dtype(torch.device("cuda")) == dtype


def test_an_older_pytorch_means_fp32(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert convolution_dtype(CPU) == torch.float32


def test_an_unknown_setting_is_said(monkeypatch):
    monkeypatch.setenv(VARIABLE, "int4")
    with pytest.raises(ScsaError, match="int4"):
        convolution_dtype(CPU)


def test_bf16_repaints_a_picture_as_fp32_does(monkeypatch):
    torch.manual_seed(0)
    picture = torch.nn.functional.interpolate(torch.rand(1, 3, 12, 12), size=(96, 96), mode="bicubic").clamp(0, 1)
    outputs, names = [], set()
    for setting in ("fp32", "bf16"):
        monkeypatch.setenv(VARIABLE, setting)
        model = Lite.load(CPU)
        names.add(model.fingerprint)
        with torch.inference_mode():
            features = model.encode(picture, role="content")
            assert all(f.dtype == torch.float32 for f in features.values())
            outputs.append(model.decoder(features["relu4_1"]))
    a, b = outputs
    assert a.dtype == b.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), 0) > 0.9995
    assert (a - b).square().mean() < 1e-4  # 40 dB
    assert not torch.equal(a, b)
    assert len(names) == 2  # results of the two are never mixed up in a cache
