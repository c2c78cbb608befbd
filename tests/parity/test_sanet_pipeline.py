"""SANet and SANet+SCSA end to end against the reference's own pictures.

The golden weights are written as the three published files and go through the code that a
user's files take; the pictures go through the engine's reference mode. Values outside 0..1
are clipped by saving, in the reference as here, so the stored arrays are compared clipped.
"""

import importlib.util

import numpy as np
import pytest
import torch
from PIL import Image

import scsa_core.engine
from scsa_core.backbones import sanet
from scsa_core.backbones.vgg import SANET_DECODER, VGG19_NORMALISED, ConvStack
from scsa_core.engine import Engine, RenderRequest
from scsa_core.knobs import Knobs
from scsa_core.labels import read_maps
from scsa_core.plan import Plan, stage_keys

CASES = [("pair29_fwd", 29, False), ("pair1_fwd", 1, False), ("pair1_rev", 1, True)]


@pytest.fixture(scope="module")
def golden(shared):
    folder = shared / "parity"
    if not (folder / "sanet_e2e.npz").exists():
        pytest.skip("the golden numbers are not beside this checkout")
    return np.load(folder / "sanet_e2e.npz")


@pytest.fixture(scope="module")
def weights(shared, golden, tmp_path_factory):
    """A checkpoints folder with the golden weights under the published names."""
    spec = importlib.util.spec_from_file_location("fill", shared / "parity" / "fill.py")
    fill = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fill)
    folder = tmp_path_factory.mktemp("weights") / "sanet"
    folder.mkdir()
    modules = (ConvStack(VGG19_NORMALISED), ConvStack(SANET_DECODER), sanet.Transform())
    for module, prefix, name in zip(modules, ("vgg.", "decoder.", "transform."), sanet.FILES, strict=True):
        fill.fill_module_(module, 7, prefix)
        torch.save(module.state_dict(), folder / name)
    return folder.parent


@pytest.fixture
def engine(weights, monkeypatch):
    monkeypatch.setenv("SCSA_CHECKPOINTS", str(weights))
    return Engine("cpu", cache_bytes=2_000_000_000)


def pictures(shared, pair, reverse):
    stem = shared / "data" / "sem_pairs" / str(pair) / str(pair)
    sides = ["", "_paint"]
    if reverse:
        sides.reverse()
    photos = [Image.open(f"{stem}{s}.jpg").convert("RGB") for s in sides]
    maps = [Image.open(f"{stem}{s}_sem.png").convert("RGB") for s in sides]
    return photos, maps


def raw(engine, request):
    """The decoder's output before clipping: the engine's own stages, without `finish`."""
    result = engine.render(request)
    plan = Plan.of(result.request, engine.info("sanet").capabilities)
    keys = stage_keys(result.request, plan, result.weights)
    return engine._cache.get(keys["paint"])[0].numpy()


@pytest.mark.parametrize(("name", "pair", "reverse"), CASES)
@pytest.mark.parametrize("method", ["baseline", "scsa"])
def test_pipeline(shared, golden, engine, monkeypatch, name, pair, reverse, method):
    photos, maps = pictures(shared, pair, reverse)
    # The stored label maps: exact ties between two colours follow K-means' own order there.
    grids = {
        (which, side, side): torch.from_numpy(golden[f"{name}_{which}_label_{side}"].astype(np.int64))
        for which in ("content", "style")
        for side in (64, 32)
    }
    monkeypatch.setattr(scsa_core.engine, "_reference_grids", lambda *_: grids)
    content_map, style_map = read_maps(*maps)
    request = RenderRequest(
        *photos, content_map, style_map, backbone="sanet", method=method, knobs=Knobs(alpha1=0.7, alpha2=0.3),
        reference=True, map_pictures=tuple(maps),
    )  # fmt: skip
    error = np.abs(raw(engine, request) - golden[f"{name}_{method}"].astype(np.float32))
    if method == "baseline":
        assert error.max() <= 3e-3 and error.mean() <= 3e-4
    else:  # top-1 winners flip on near-ties
        assert error.mean() <= 1e-3 and np.quantile(error, 0.95) <= 3e-3 and error.max() <= 0.3


@pytest.mark.parametrize(("name", "pair", "reverse"), CASES)
def test_reference_grids_are_the_reference_labels(shared, golden, name, pair, reverse):
    from scsa_core.engine import _reference_grids

    photos, maps = pictures(shared, pair, reverse)
    request = RenderRequest(*photos, *read_maps(*maps), reference=True, map_pictures=tuple(maps))
    grids = _reference_grids(request, (request.content_map, request.style_map))
    for side in (64, 32):
        for which in ("content", "style"):
            mine, theirs = grids[(which, side, side)].numpy(), golden[f"{name}_{which}_label_{side}"]
            # Numbering has no meaning: compare the partition, allowing exact ties to differ.
            table = {m: np.bincount(theirs[mine == m]).argmax() for m in np.unique(mine)}
            agree = np.vectorize(table.get)(mine) == theirs
            assert agree.mean() > 0.985, (which, side)


def test_the_wrong_file_is_named(weights, monkeypatch, tmp_path):
    from scsa_core.errors import CheckpointMismatch

    folder = tmp_path / "sanet"
    folder.mkdir()
    for name in sanet.FILES:
        (folder / name).write_bytes((weights / "sanet" / sanet.FILES[1]).read_bytes())
    monkeypatch.setenv("SCSA_CHECKPOINTS", str(tmp_path))
    with pytest.raises(CheckpointMismatch, match="encoder"):
        Engine("cpu").load("sanet")
