"""StyTr² and StyTr²+SCSA end to end against the reference's own pictures.

The golden weights are written as the published files and go through the code that a user's
files take; the pictures go through the engine's reference mode. Values outside 0..1 are kept:
the stored arrays are the network's own output.
"""

import numpy as np
import pytest
import torch
from PIL import Image

import scsa_core.engine
from scsa_core.backbones import stytr2
from scsa_core.backbones.transformer import Transformer
from scsa_core.backbones.vgg import SANET_DECODER, ConvStack
from scsa_core.engine import Engine, RenderRequest
from scsa_core.labels import read_maps
from scsa_core.plan import Plan, stage_keys
from tests.parity import golden as files

NAME = "pair31_rev"


@pytest.fixture(scope="module")
def golden(shared):
    return files.arrays(shared, "stytr2_e2e")


@pytest.fixture(scope="module")
def engine(shared, golden, tmp_path_factory):
    """One engine, so that both methods share the encoded pictures, on golden weights under the published names."""
    fill = files.fill(shared)
    gains = dict(zip(golden["gain_names"].tolist(), golden["gain_values"].tolist(), strict=True))
    folder = tmp_path_factory.mktemp("weights") / "stytr2"
    folder.mkdir()
    modules = (ConvStack(SANET_DECODER), Transformer(), stytr2.Embedding())
    for module, prefix, name in zip(modules, ("decoder.", "transformer.", "embedding."), stytr2.FILES, strict=True):
        fill.fill_module_(module, int(golden["seed"]), prefix, gains=gains)
        torch.save(module.state_dict(), folder / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCSA_CHECKPOINTS", str(folder.parent))
        # The stored label maps: exact ties between two colours follow K-means' own order there.
        grids = {
            (which, side, side): torch.from_numpy(golden[f"{NAME}_{which}_label_{side}"].astype(np.int64))
            for which in ("content", "style")
            for side in (64, 32)
        }
        patch.setattr(scsa_core.engine, "_reference_grids", lambda *_: grids)
        yield Engine("cpu", cache_bytes=2_000_000_000)


def pictures(shared):
    stem = shared / "data" / "sem_pairs" / "31" / "31"
    sides = ("_paint", "")  # the painting is the content
    return [[Image.open(f"{stem}{s}{kind}").convert("RGB") for s in sides] for kind in (".jpg", "_sem.png")]


@pytest.mark.parametrize("method", ["baseline", "scsa"])
def test_pipeline(shared, golden, engine, method):
    photos, maps = pictures(shared)
    knobs = engine.defaults("stytr2")
    assert (knobs.alpha1, knobs.alpha2, knobs.blend) == tuple(pytest.approx(float(golden[k])) for k in ("t1", "t2", "b"))
    request = RenderRequest(*photos, *read_maps(*maps), backbone="stytr2", method=method, reference=True, map_pictures=tuple(maps))
    result = engine.render(request)
    plan = Plan.of(result.request, engine.info("stytr2").capabilities)
    painted = engine._cache.get(stage_keys(result.request, plan, result.weights)["paint"])[0].numpy()
    error = np.abs(painted - golden[f"{NAME}_{method}"].astype(np.float32))
    if method == "baseline":
        assert error.max() <= 2e-3 and error.mean() <= 1e-4
    else:  # top-1 winners flip on near-ties
        assert error.mean() <= 5e-4 and np.quantile(error, 0.95) <= 2e-3 and error.max() <= 0.2
