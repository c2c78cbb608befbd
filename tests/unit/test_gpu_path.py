"""Renders on a make-believe GPU: everything lies where it has to, and nothing waits for it but the picture itself."""

from __future__ import annotations

import copy
import dataclasses
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from scsa_core import resident
from scsa_core.backbones.styleid.model import StyleID
from scsa_core.backbones.styleid.network import Network
from scsa_core.backbones.styleid.schedule import Schedule
from scsa_core.checkpoints import VARIABLE
from scsa_core.commands.bench_families import write_weights
from scsa_core.commands.bench_render import picture, quarters
from scsa_core.engine import Engine
from scsa_core.precision import VARIABLE as PRECISION
from scsa_core.request import RenderRequest
from scsa_core.rivals.strotss import Settings
from tests.fake_gpu import fake_gpu
from tests.unit import tiny_diffusion

SIZE = 96
GROUPING = {"unique", "bincount", "cpu"}
"""What StyTr²'s distinct patches and MAST's neighbours are found by; the other families wait for nothing."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    for family in ("sanet", "stytr2"):
        write_weights(family, folder)
    return folder


@pytest.fixture
def on_gpu(monkeypatch, weights):
    monkeypatch.setenv(resident.VARIABLE, "4000")  # there is no card to ask for its memory
    monkeypatch.setenv(PRECISION, "fp32")
    monkeypatch.setenv(VARIABLE, str(weights))


def request(engine, family, **knobs):
    maps = quarters(SIZE), quarters(SIZE)
    known = engine.defaults(family).replace(size=SIZE, **knobs)
    return RenderRequest(picture(SIZE, 0), picture(SIZE, 2), *maps, backbone=family, knobs=known)


@pytest.mark.parametrize(("family", "may_wait"), [("lite", set()), ("sanet", set()), ("stytr2", GROUPING), ("mast", GROUPING)])
def test_a_render_on_a_gpu_is_that_of_the_processor_and_waits_once(on_gpu, family, may_wait):
    usual = Engine("cpu")
    with fake_gpu() as gpu:
        engine = Engine("cuda")
        engine.load(family)
        for method in engine.info(family).capabilities.methods:
            asked = dataclasses.replace(request(engine, family), method=method)
            gpu.waits.clear()
            result = engine.render(asked).image
            assert gpu.waits.count("cpu") >= 1 and set(gpu.waits) - {"cpu"} <= may_wait, method
            assert may_wait or gpu.waits == ["cpu"]
            gpu.waits.clear()
            moved = dataclasses.replace(asked, knobs=asked.knobs.replace(alpha1=0.3, keep_colours=0.5))
            engine.render(moved)
            assert gpu.waits == ["cpu"] or (may_wait and set(gpu.waits) <= may_wait)  # the picture, at the end
            here = np.asarray(usual.render(asked).image).astype(int)
            assert np.abs(np.asarray(result).astype(int) - here).max() <= 1  # rounding: other sums, other order


def test_strotss_optimises_there(on_gpu, monkeypatch):
    monkeypatch.setattr("scsa_core.backbones.strotss.Settings", lambda **given: Settings(**given | {"steps": 2}))
    with fake_gpu():
        engine = Engine("cuda")
        result = engine.render(dataclasses.replace(request(engine, "strotss"), method=engine.info("strotss").capabilities.methods[0]))
    assert result.image.size == (SIZE, SIZE)


def test_styleid_inverts_and_paints_there(on_gpu):
    unet, vae, text = tiny_diffusion.modules()
    with torch.inference_mode():
        context = text.empty_prompt().clone()
    pictures = []
    for device in ("cpu", "cuda"):
        with fake_gpu() if device == "cuda" else nullcontext():
            parts = (copy.deepcopy(m).to(device) for m in (unet, vae))
            network, coder = next(parts), next(parts)
            model = StyleID(Network(network, context.to(device)), coder, Schedule.scaled_linear(), "tiny")
            engine = Engine(device)
            engine._models.load("styleid", lambda model=model: model)
            pictures.append(np.asarray(engine.render(request(engine, "styleid", timesteps=10)).image).astype(int))
    assert np.abs(pictures[0] - pictures[1]).max() <= 1


def test_borders_kept_regions_and_links_lie_there_too(on_gpu):
    with fake_gpu() as gpu:
        engine = Engine("cuda")
        asked = request(engine, "lite", soft_borders=1.0)
        result = engine.render(dataclasses.replace(asked, links={1: (2, 3), 2: (), 3: (99,)}))
        assert result.image.size == (SIZE, SIZE) and gpu.waits.count("cpu") == 1


def test_the_make_believe_gpu_refuses_what_a_real_one_refuses():
    with fake_gpu() as gpu:
        there, here = torch.ones(3, device="cuda"), torch.ones(3)
        assert there.device.type == "cuda" and (there + 1).is_cuda and not here.is_cuda
        with pytest.raises(RuntimeError, match="cuda and on cpu"):
            there + here
        with pytest.raises(TypeError):
            there.numpy()
        assert gpu.waits == []
        assert there.sum().item() == 3 and there[there > 0].cpu().tolist() == [1, 1, 1]
        assert gpu.waits == ["item", "mask", "cpu"]
        assert here.to("cuda", non_blocking=True).is_cuda and gpu.waits[3:] == []
        assert here.to("cuda").is_cuda and gpu.waits[3:] == ["upload"]
