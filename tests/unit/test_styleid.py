"""The diffusion family on a tiny random model: every method, both ways of having features, inversion and back, and its cache."""

import copy
import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from scsa_core.backbones import FAMILIES
from scsa_core.backbones.base import Pair, preparation_of
from scsa_core.backbones.styleid import StyleID, model
from scsa_core.backbones.styleid.injection import Settings
from scsa_core.backbones.styleid.network import Network, nbytes
from scsa_core.backbones.styleid.sampling import Painting, invert
from scsa_core.backbones.styleid.schedule import Schedule
from scsa_core.disk_cache import DiskCache
from scsa_core.engine import Engine, RenderRequest
from scsa_core.errors import Cancelled, MissingPackage, ScsaError
from scsa_core.knobs import Knobs
from scsa_core.labels import LabelMap
from scsa_core.progress import CancelToken

spec = importlib.util.spec_from_file_location("tiny_diffusion", Path(__file__).with_name("tiny_diffusion.py"))
tiny = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tiny)

STEPS = 10
KNOBS = Knobs(alpha1=0.8, alpha2=0.2, size=64, timesteps=STEPS, start_step=9, first_layer=3)
METHODS = model.INFO.capabilities.methods


@pytest.fixture(scope="module")
def parts():
    return tiny.modules()


def make(parts, **settings):
    unet, vae, text = parts
    with torch.inference_mode():
        context = text.empty_prompt().clone()
    return StyleID(Network(copy.deepcopy(unet), context), vae, Schedule.scaled_linear(), "tiny", **settings)


@pytest.fixture
def styleid(parts):
    return make(parts)


@pytest.fixture
def count(monkeypatch):
    """Rows that went through the UNet, run by run."""
    rows, run = [], Network._run

    def counted(network, latent, time):
        rows.append(len(latent))
        return run(network, latent, time)

    monkeypatch.setattr(Network, "_run", counted)
    return rows


PAIRS = {}  # every model here has the same weights


def pair_for(styleid, content=(64, 64), style=(64, 64)):
    if (content, style) not in PAIRS:
        PAIRS[content, style] = new_pair(styleid, content, style)
    return PAIRS[content, style]


def new_pair(styleid, content, style):
    g = torch.Generator().manual_seed(1)
    small = [torch.rand(1, 3, *(s // 8 for s in size), generator=g) for size in (content, style)]
    pictures = [torch.nn.functional.interpolate(p, scale_factor=8, mode="bilinear") for p in small]
    labels = [torch.zeros(s, dtype=torch.long) for s in (content, style)]
    labels[0][: content[0] // 2], labels[1][:, : style[1] // 2] = 1, 1
    maps = [lab[None, None].float().expand(1, 3, -1, -1).contiguous() for lab in labels]
    with torch.inference_mode():
        encoded = [styleid.encode(p, role="map", timesteps=STEPS) for p in (*pictures, *maps)]
    return Pair(*encoded, *labels)


@pytest.fixture(scope="module")
def usual(parts):
    """What the knobs as they are paint."""
    styleid = make(parts)
    return paint(styleid, pair_for(styleid))


def paint(styleid, pair, method="scsa", knobs=KNOBS, prepared=None):
    with torch.inference_mode():
        prepared = prepared or styleid.prepare(pair, preparation_of(method))
        return styleid.render(prepared, knobs, method)


def test_every_method_paints_a_picture_of_its_own(styleid):
    pair = pair_for(styleid)
    pictures = {m: paint(styleid, pair, m) for m in METHODS}
    for method, picture in pictures.items():
        assert picture.shape == (1, 3, 64, 64)
        assert torch.isfinite(picture).all()
        for other, another in pictures.items():
            assert method == other or (picture - another).abs().mean() > 1e-4, (method, other)


@pytest.mark.parametrize(
    "change",
    [{"alpha1": 0.2}, {"alpha2": 0.9}, {"temperature": 3.0}, {"map_blend": 0.9}, {"content_blend": 0.0}, {"start_step": 5}, {"first_layer": 5}],
)  # fmt: skip
def test_every_knob_acts(styleid, usual, change):
    pair = pair_for(styleid)
    assert (usual - paint(styleid, pair, knobs=KNOBS.replace(**change))).abs().max() > 1e-5


def test_the_baseline_has_knobs_of_its_own_and_no_others(styleid):
    pair = pair_for(styleid)
    base = paint(styleid, pair, "baseline")
    for change in ({"gamma": 0.0}, {"baseline_temperature": 3.0}):
        assert (base - paint(styleid, pair, "baseline", KNOBS.replace(**change))).abs().max() > 1e-5
    for name in model.INFO.capabilities.idle["baseline"]:
        assert torch.equal(base, paint(styleid, pair, "baseline", KNOBS.replace(**{name: 0.6})))


def test_a_sources_picture_beside_or_alone_two_at_a_time_or_kept_is_the_same(parts, count):
    beside, apart, keeping = make(parts), make(parts), make(parts, features="memory")
    apart.network.rows = 2
    pair = pair_for(beside)
    count.clear()
    first = paint(beside, pair)
    assert set(count) == {5}  # four sources and the picture
    count.clear()
    assert torch.allclose(first, paint(apart, pair), atol=1e-5)
    assert max(count) == 2 and len(count) == 3 * KNOBS.start_step
    prepared = keeping.prepare(pair, "scsa")
    assert torch.allclose(first, paint(keeping, pair, prepared=prepared), atol=1e-5)
    assert keeping.memory.held == sum(nbytes(keeping.memory.get((prepared.owner, 3), m)) for m in range(9)) > 0
    count.clear()
    other = KNOBS.replace(alpha1=0.3, map_blend=0.7, temperature=2.0)
    again = paint(keeping, pair, prepared=prepared, knobs=other)
    assert set(count) == {1}  # the picture alone
    assert torch.allclose(again, paint(beside, pair, knobs=other), atol=1e-5)


def test_a_budget_is_held_and_what_does_not_fit_is_recomputed(parts, count):
    whole = make(parts, features="memory")
    pair = pair_for(whole)
    expected = paint(whole, pair)
    tight = make(parts, features="memory", budget=whole.memory.held // 2)
    prepared = tight.prepare(pair, "scsa")
    paint(tight, pair, prepared=prepared)
    assert 0 < tight.memory.held <= tight.memory.budget
    count.clear()
    assert torch.allclose(expected, paint(tight, pair, prepared=prepared), atol=1e-5)
    assert set(count) == {1, 5}
    held, second = tight.memory.held, tight.prepare(pair, "scsa")
    paint(tight, pair, prepared=second)  # another pair makes room for itself
    assert tight.memory.get((prepared.owner, 3), 8) is None and tight.memory.get((second.owner, 3), 8) is not None
    assert tight.memory.held == held


@pytest.mark.parametrize("sizes", [((64, 128), (128, 64)), ((128, 64), (64, 64))])
def test_content_and_style_may_differ_in_size(styleid, sizes):
    pair = pair_for(styleid, *sizes)
    for method in METHODS:
        out = paint(styleid, pair, method)
        assert out.shape[-2:] == sizes[0] and torch.isfinite(out).all()


def test_regions_without_a_counterpart_never_give_nan(styleid):
    pair = pair_for(styleid)
    lonely = dataclasses.replace(pair, content_labels=pair.content_labels * 7 + 2)
    for fallback in ("whole", "mean"):
        for method in ("scsa", "no_sadain"):
            assert torch.isfinite(paint(styleid, dataclasses.replace(lonely, fallback=fallback), method)).all()


def test_a_region_takes_from_its_own_style_region_alone(styleid):
    """With all keys of the wrong region changed, a layer's output stays as it was."""
    pair = pair_for(styleid)
    first = paint(styleid, pair)
    swapped = paint(styleid, dataclasses.replace(pair, links={0: (1,), 1: (0,)}))
    same = paint(styleid, dataclasses.replace(pair, links={0: (0,), 1: (1,)}))
    assert torch.equal(first, same)
    assert (first - swapped).abs().mean() > 1e-4


def test_masks_are_made_at_every_grid(styleid):
    prepared = styleid.prepare(pair_for(styleid, (128, 64)), "scsa")
    assert {f: tuple(g.content.shape) for f, g in prepared.grids.items()} == {1: (16, 8), 2: (8, 4)}
    assert prepared.nbytes > 0


def test_half_precision_is_near(parts):
    full, half = make(parts), make((copy.deepcopy(parts[0]).half(), *parts[1:]))
    assert full.fingerprint != half.fingerprint
    pair = pair_for(full)
    for method in ("scsa", "baseline"):
        a, b = paint(full, pair, method), paint(half, pair, method)
        assert b.dtype == torch.float32
        assert torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), 0) > 0.999


# -- inversion ----------------------------------------------------------------------------


@pytest.fixture
def gentle(parts):
    """A network whose noise changes slowly with the latent, as a trained one's does and a random one's does not."""
    styleid = make(parts)
    styleid.network.unet.conv_out.weight.mul_(0.1)
    return styleid


def psnr(a, b):
    return -10 * float(torch.log10((a - b).square().mean() / (b.max() - b.min()) ** 2))


@pytest.mark.parametrize(("steps", "least"), [(10, 32.0), (50, 39.0)])
def test_inverting_and_painting_with_nothing_injected_gives_the_latent_back(gentle, steps, least):
    """From the latent of the last time on, every step undone; more steps are truer."""
    latent = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        way = invert(gentle.network, gentle.schedule, latent, steps)
        times, x = gentle.schedule.times(steps), way[steps - 1 : steps]
        for m in reversed(range(steps)):
            x = gentle.schedule.move(x, gentle.network.noise(x, times[m]), times[m], times[m - 1] if m else 0)
    assert torch.equal(way[:1], latent) and way.shape == (steps + 1, 4, 8, 8)
    found = psnr(x, latent)
    print(f"{steps} steps: {found:.1f} dB")
    assert found >= least


def test_a_style_of_the_content_itself_that_takes_nothing_gives_the_picture_back(gentle):
    """The whole way: no layer is injected, the statistics are the content's own."""
    with torch.inference_mode():
        content = invert(gentle.network, gentle.schedule, gentle.latent(photo_tensor()), STEPS)
        same = dict.fromkeys(("content", "style"), content)
        run = Painting(gentle.network, gentle.schedule, same, {}, Settings(1.0, gamma=1.0), 99, STEPS - 2)
        painted, original = gentle.picture(run.paint()), gentle.picture(content[:1])
    found = psnr(painted, original)
    print(f"{found:.1f} dB")
    assert found >= 23


def test_a_late_start_begins_with_the_latent_of_its_time(styleid):
    sources = {k: torch.randn(STEPS + 1, 4, 8, 8) for k in ("content", "style")}
    runs = {
        (start, reference): Painting(styleid.network, styleid.schedule, sources, {}, Settings(1.0, gamma=1.0), 3, start, reference)
        for start in (5, 9, 10, 99)
        for reference in (True, False)
    }
    assert runs[99, False].executed == 10
    last = runs[9, True].initial()
    assert all(torch.equal(last, runs[key].initial()) for key in runs if key != (5, False))
    mean = sources["style"][4].mean((1, 2))
    assert torch.allclose(runs[5, False].initial().mean((0, 2, 3)), mean, atol=1e-5)


def test_an_inversion_is_small():
    shape = (51, 4, 64, 64)  # 50 steps at 512 x 512
    assert torch.empty(shape).nbytes < 20e6


def photo_tensor():
    small = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(4))
    return torch.nn.functional.interpolate(small, scale_factor=8, mode="bilinear")


# -- the disk cache -----------------------------------------------------------------------


def test_an_inversion_is_kept_on_disk_and_a_damaged_one_is_made_again(parts, tmp_path, count):
    styleid = make(parts, inversions=DiskCache(tmp_path))
    picture = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        first = styleid.encode(picture, role="content", timesteps=STEPS)["trajectory"]
        assert len(count) == STEPS
        (file,) = tmp_path.glob("*.safetensors")
        again = make(parts, inversions=DiskCache(tmp_path)).encode(picture, role="style", timesteps=STEPS)["trajectory"]
        assert torch.equal(first, again) and len(count) == STEPS
        styleid.encode(picture, role="content", timesteps=12)
        styleid.encode(picture * 0.9, role="content", timesteps=STEPS)
        assert len(list(tmp_path.glob("*.safetensors"))) == 3
        for damage in (b"", b"\x00" * 50, file.read_bytes()[:-20]):
            file.write_bytes(damage)
            count.clear()
            assert torch.equal(first, styleid.encode(picture, role="content", timesteps=STEPS)["trajectory"])
            assert len(count) == STEPS and file.stat().st_size > 100
    other = StyleID(styleid.network, styleid.vae, styleid.schedule, "other weights", inversions=DiskCache(tmp_path))
    count.clear()
    with torch.inference_mode():
        other.encode(picture, role="content", timesteps=STEPS)
    assert len(count) == STEPS


# -- through the engine -------------------------------------------------------------------


def photo(width, height, seed):
    small = np.random.default_rng(seed).integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def halves(width, height):
    ids = np.ones((height, width), dtype=np.uint8)
    ids[:, width // 2 :] = 2
    return LabelMap.from_ids(ids)


@pytest.fixture
def engine(styleid, monkeypatch):
    family = dataclasses.replace(FAMILIES["styleid"], load=lambda device: styleid, check=lambda: None)
    monkeypatch.setitem(FAMILIES, "styleid", family)
    return Engine("cpu")


REQUEST = RenderRequest(photo(96, 72, 0), photo(72, 96, 1), halves(96, 72), halves(72, 96), backbone="styleid", knobs=KNOBS.replace(size=96))


def test_the_engine_renders_it_at_any_size_and_the_baseline_shares_its_inversions(engine, count):
    events = []
    result = engine.render(REQUEST, progress=events.append)
    assert result.image.size == (96, 72)
    assert len(count) >= 4 * STEPS
    fractions = [e.fraction for e in events]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    for stage, least in (("encode_content", STEPS), ("encode_maps", 2 * STEPS), ("paint", KNOBS.start_step)):
        assert sum(e.stage == stage for e in events) >= least
    assert {e.picture.size for e in events if e.picture is not None} == {(96, 72)}
    count.clear()
    engine.render(dataclasses.replace(REQUEST, method="baseline"))
    assert count == [3] * KNOBS.start_step  # nothing inverted again
    count.clear()
    engine.render(dataclasses.replace(REQUEST, knobs=REQUEST.knobs.replace(gamma=0.1)))
    assert not count  # gamma means nothing to SCSA
    engine.render(dataclasses.replace(REQUEST, knobs=REQUEST.knobs.replace(timesteps=12)))
    assert len(count) >= 4 * 12


def test_cancel_stops_between_two_steps(engine, count):
    token = CancelToken()

    def stop(event):
        if event.stage == "paint" and event.picture is not None:
            token.cancel()

    with pytest.raises(Cancelled):
        engine.render(REQUEST, progress=stop, cancel=token)
    assert len(count) == 4 * STEPS + 2  # the second step's run was under way


def test_out_of_memory_lets_go_of_the_kept_features(parts, monkeypatch):
    styleid = make(parts, features="memory")
    pair = pair_for(styleid)
    paint(styleid, pair)
    assert styleid.memory.held

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(styleid.schedule.__class__, "clean", fail)
    with pytest.raises(MemoryError):
        paint(styleid, pair)
    assert styleid.memory.held == 0


def test_the_absent_package_is_named_with_its_install_line(monkeypatch, tmp_path):
    monkeypatch.setenv("SCSA_CHECKPOINTS", str(tmp_path))
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "diffusers" else find_spec(name, *a))
    with pytest.raises(MissingPackage) as caught:
        FAMILIES["styleid"].probe()
    assert caught.value.package == "diffusers" and "pip install diffusers" in caught.value.hint
    (state,) = (s for s in Engine("cpu").backbones() if s.info.name == "styleid")
    assert not state.ready and "diffusers" in state.reason and "pip install" in state.hint


def test_the_setting_of_features(monkeypatch):
    monkeypatch.delenv(model.VARIABLE, raising=False)
    assert model.feature_mode() == "memory"
    monkeypatch.setenv(model.VARIABLE, " Recompute")
    assert model.feature_mode() == "recompute"
    monkeypatch.setenv(model.VARIABLE, "disk")
    with pytest.raises(ScsaError, match="disk"):
        model.feature_mode()
    assert 0 < model.feature_budget(torch.device("cpu")) <= model.MOST_FEATURES
