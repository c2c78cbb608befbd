"""StyleID and StyleID+SCSA against the reference: one transformer block, and whole runs of a tiny network.

The network is diffusers' own; its golden weights carry the names of the authors' single
file and go through the same conversion of names as a person's file does.
"""

from functools import cache

import numpy as np
import pytest
import torch

from scsa_core.attention import RegionIndex
from scsa_core.backbones.styleid import injection
from scsa_core.backbones.styleid.injection import Call, Grid, RegionAttention, Settings, Switch
from scsa_core.backbones.styleid.keys import unet_name
from scsa_core.backbones.styleid.network import Network
from scsa_core.backbones.styleid.sampling import Painting, invert
from scsa_core.backbones.styleid.schedule import Schedule
from scsa_core.checkpoints import load_into

from .golden import arrays, fill

ROLES = ("content", "style", "content_map", "style_map")
NAMES = ("content", "style", "content_sem", "style_sem")


def tensor(golden, name):
    return torch.from_numpy(golden[name])


def grid(golden, prefix=""):
    content, style = (torch.from_numpy(golden[f"{prefix}{which}_label"].astype(np.int64)) for which in ("content", "style"))
    return Grid(content, style, RegionIndex.build(content.flatten(), style.flatten(), fallback="mean"))


# -- one block ----------------------------------------------------------------------------


class Block:
    """diffusers' transformer block with the golden weights and our processor."""

    def __init__(self, shared, case):
        from diffusers.models.attention import BasicTransformerBlock

        self.golden, self.case = arrays(shared, "styleid_block"), case
        self.block = BasicTransformerBlock(64, 4, 16, cross_attention_dim=32).eval()
        fill(shared).fill_module_(self.block, int(self[f"{case}_seed"]), "block.")
        self.switch = Switch()
        self.block.attn1.set_processor(RegionAttention(9, 1, self.block.norm1, self.switch))

    def __getitem__(self, name):
        return self.golden[name]

    def input(self, name):
        return tensor(self.golden, f"{self.case}_{name}")

    def run(self, roles=(), settings=None, first_layer=0):
        """The block's output for the last row."""
        rows = [self.input({"picture": "x"}.get(r, f"x_{r.replace('_map', '_sem')}")) for r in roles] or [self.input("x")]
        if roles:
            self.switch.call = Call(roles, settings, first_layer, {1: grid(self.golden, f"{self.case}_")})
        with torch.inference_mode():
            x = torch.cat(rows)
            return self.block(x, encoder_hidden_states=self.input("context").expand(len(x), -1, -1))[-1:]

    def error(self, out, name):
        return (out - self.input(name)).abs().max().item()

    def settings(self):
        t, a1, a2, t1, t2 = self[f"{self.case}_config"].tolist()
        return Settings(t, alpha1=t1, alpha2=t2, map_blend=a1, content_blend=a2)


@pytest.fixture(params=["a", "b"])
def block(shared, request):
    return Block(shared, request.param)


def test_the_plain_block(block):
    assert block.error(block.run(), "plain") <= 1e-4
    assert block.error(block.run(), "plain_scsa_block") <= 1e-4  # 0.75 A + 0.25 A


def test_a_decoder_block_that_takes_nothing_multiplies_its_attention(block):
    out = block.run((*ROLES, "picture"), block.settings(), first_layer=10)
    assert block.error(out, "plain_scsa_block_config") <= 1e-4


def test_the_baseline_block(block):
    t, gamma = block[f"{block.case}_styleid_config"].tolist()
    out = block.run(("content", "style", "picture"), Settings(t, gamma=gamma))
    assert block.error(out, "styleid_block") <= 1e-4


def test_the_scsa_block_and_its_parts(block):
    out = block.run((*ROLES, "picture"), block.settings())
    assert block.error(out, "scsa_block") <= 1e-4
    found, attn, settings = block.switch.call.features[9], block.block.attn1, block.settings()
    labels = block.switch.call.grids[1]
    with torch.inference_mode():
        assert block.error(injection.sca(attn, found, settings, labels), "sca") <= 1e-4
        assert block.error(injection.ssa(attn, block.input("x"), found, settings, labels), "ssa") <= 1e-4
        adapted = injection.adapted(block.input("x_content"), block.input("x_style"), labels)
    assert block.error(adapted, "x_content_sadain1") <= 1e-4
    assert block.error(adapted, "x_content_sadain2") <= 1e-4  # once is enough


# -- whole runs ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def golden(shared):
    return arrays(shared, "styleid_unet")


@pytest.fixture(scope="module")
def network(shared, golden):
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel(
        sample_size=32, in_channels=4, out_channels=4, layers_per_block=2, block_out_channels=(32, 64), cross_attention_dim=32,
        attention_head_dim=4, norm_num_groups=32,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    ).eval()  # fmt: skip
    shapes = {str(n): tuple(int(k) for k in s if k) for n, s in zip(golden["unet_names"], golden["unet_shapes"], strict=True)}
    tensors = {f"unet.{name}": torch.empty(shape) for name, shape in shapes.items()}
    fill(shared).fill_(tensors, int(golden["seed"]))
    load_into(unet, {unet_name(k.removeprefix("unet.")): v for k, v in tensors.items()}, "the golden UNet")
    return Network(unet, tensor(golden, "context"))


@pytest.fixture(scope="module")
def schedule():
    return Schedule.scaled_linear()


@pytest.fixture(scope="module")
def trajectories(golden, network, schedule):
    """Number of steps -> the four inversions."""

    @cache
    def of(steps):
        with torch.inference_mode():
            starts = [tensor(golden, f"z0_{n}") for n in NAMES]
            if steps <= 10:
                return {r: invert(network, schedule, start, steps) for r, start in zip(ROLES, starts, strict=True)}
            # Side by side, which takes less time.
            together = invert(network, schedule, torch.cat(starts), steps).unflatten(0, (steps + 1, len(ROLES)))
            return {r: together[:, k] for k, r in enumerate(ROLES)}

    return of


def test_the_network_predicts_the_reference_noise(golden, network):
    with torch.inference_mode():
        out = network.noise(tensor(golden, "z0_content"), 501)
    assert (out - tensor(golden, "a_eps_t501")).abs().max() <= 1e-4
    assert (out - tensor(golden, "a_eps_t501_scsa_net")).abs().max() <= 1e-4


def test_the_times(golden, schedule):
    for case in "abc":
        assert list(reversed(schedule.times(int(golden[f"{case}_num_steps"])))) == golden[f"{case}_timesteps"].tolist()


@pytest.mark.parametrize(("case", "steps"), [("a", 10), pytest.param("c", 50, marks=pytest.mark.slow)])
def test_inversion(golden, trajectories, case, steps):
    for role, name in zip(ROLES, NAMES, strict=True):
        stored = tensor(golden, f"{case}_inv_{name}")
        mine = trajectories(steps)[role][1:]
        assert mine.shape == (steps, 4, 32, 32)
        assert (mine[-len(stored) :] - stored).abs().max() <= 1e-3, role


def painting(golden, network, schedule, trajectories, case, method):
    steps = int(golden[f"{case}_num_steps"])
    if method == "styleid":
        t, gamma = golden[f"{case}_styleid_config"].tolist()
        settings, grids = Settings(t, gamma=gamma), {}
    else:
        t, a1, a2, t1, t2 = golden[f"{case}_config"].tolist()
        settings = Settings(t, alpha1=t1, alpha2=t2, map_blend=a1, content_blend=a2)
        grids = {1: grid(golden)}
    sources = {role: trajectories(steps)[role] for role in settings.roles}
    first, start = int(golden[f"{case}_layers"].min()), int(golden[f"{case}_start_step"])
    return Painting(network, schedule, sources, grids, settings, first, start, as_reference=True)


@pytest.mark.parametrize("case", ["a", "b", pytest.param("c", marks=pytest.mark.slow)])
@pytest.mark.parametrize("method", ["styleid", "scsa"])
def test_a_whole_run(golden, network, schedule, trajectories, case, method):
    run, seen = painting(golden, network, schedule, trajectories, case, method), []
    with torch.inference_mode():
        assert (run.initial() - tensor(golden, f"{case}_{method}_init")).abs().max() <= 3e-4
        move = schedule.move
        object.__setattr__(schedule, "move", lambda *args: seen.append(move(*args)) or seen[-1])
        try:
            final = run.paint()
        finally:
            object.__delattr__(schedule, "move")
    error = (final - tensor(golden, f"{case}_{method}_final")).abs()
    way = (torch.cat(seen[:: 8 if case == "c" else 1]) - tensor(golden, f"{case}_{method}_traj")).abs()
    print(case, method, "max", error.max().item(), "mean", error.mean().item(), "on the way", way.max().item())
    if method == "styleid":
        limit = 2e-2 if case == "c" else 5e-3
        assert error.max() <= limit and way.max() <= limit
    else:  # top-1 winners flip on near-ties
        assert error.max() <= 0.3 and error.mean() <= 1e-2
        assert way.max() <= 0.3 and way.mean() <= 1e-2


def test_the_schedule_is_the_one_of_diffusers(schedule):
    from diffusers import DDIMScheduler

    theirs = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False, steps_offset=1
    )  # fmt: skip
    theirs.set_timesteps(20)
    times = schedule.times(20)
    assert theirs.timesteps.tolist() == list(reversed(times))
    x, noise = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8)
    for m in (0, 7, 19):
        mine = schedule.move(x, noise, times[m], times[m - 1] if m else 0)
        assert torch.allclose(mine, theirs.step(noise, times[m], x).prev_sample, atol=1e-4)
