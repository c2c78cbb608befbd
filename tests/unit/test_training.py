"""The recipe on tiny pictures: it learns, it resumes exactly, its files load as the model's."""

import csv
import dataclasses
import json
import random

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from scsa_core import checkpoints
from scsa_core.attention import RegionIndex, continuous_attention, mvn, semantic_adain
from scsa_core.backbones import align, patches
from scsa_core.backbones.base import no_checkpoint
from scsa_core.backbones.lite import read_basis
from scsa_core.backbones.lite_decoder import LiteDecoder
from scsa_core.errors import CheckpointMismatch
from scsa_core.metrics import cfsd
from scsa_core.training import __main__ as command
from scsa_core.training import batched, data, losses, ridge
from scsa_core.training.regions import Regions, joint_regions
from scsa_core.training.train import PLANS, Trainer


@pytest.fixture(scope="module")
def vgg():
    folder = checkpoints.find("vgg16", "vgg16-00001-of-00004.safetensors").parent
    return checkpoints.read_shards(folder, "vgg16")


@pytest.fixture
def folders(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("photos", "paintings"):
        (tmp_path / name).mkdir()
        for k in range(4):
            small = rng.integers(0, 255, (5, 6, 3), dtype=np.uint8)
            Image.fromarray(small).resize((96, 80), Image.Resampling.BICUBIC).save(tmp_path / name / f"{k}.png")
    return tmp_path


def trainer(folders, vgg, phase, steps=4):
    plan = dataclasses.replace(PLANS[phase], crop=48, steps=steps, reconstructions=3, stylisations=PLANS[phase].stylisations and 1)
    encoder = ridge.encoder_for(vgg, {f"relu{k}": s for k, s in SCALE.items()}, "relu5_1")
    rng = random.Random(0)
    torch.manual_seed(0)
    crops = [data.Crops(data.picture_files(folders / n), 64, rng) for n in ("photos", "paintings")]
    return Trainer(plan, encoder, LiteDecoder(), torch.linalg.qr(torch.randn(512, 4))[0], *crops, folders / "run")


SCALE = {"1_1": 21, "1_2": 116, "2_1": 196, "2_2": 222, "3_1": 260, "3_2": 273, "3_3": 181, "4_1": 141, "4_2": 75, "4_3": 19, "5_1": 19}


def test_an_empty_folder_is_said_plainly(tmp_path):
    with pytest.raises(FileNotFoundError, match="no pictures"):
        data.picture_files(tmp_path)


def test_crops_are_square_pictures_in_range(folders):
    crops = data.Crops(data.picture_files(folders / "photos"), 64, random.Random(0))
    x = crops.batch(3, 48)
    assert x.shape == (3, 3, 48, 48) and x.min() >= 0 and x.max() <= 1


def test_ridge_fit_reconstructs_better_than_the_mean_colour(folders, vgg):
    batches = [torch.stack([data.centre_square(f, 64) for f in data.picture_files(folders / n)]) for n in ("photos", "paintings")]
    scale = ridge.measure_scale(vgg, batches)
    encoder = ridge.encoder_for(vgg, scale)
    features = encoder(batches[0], ("relu4_1",))["relu4_1"]
    assert features.mean().item() == pytest.approx(1, rel=0.3)  # what the scale is for
    decoder = ridge.fit(encoder, batches)
    with torch.inference_mode():
        error = (decoder(features) - batches[0]).square().mean()
    assert error < (batches[0] - batches[0].mean((2, 3), keepdim=True)).square().mean() / 3


def test_reconstruction_learns(folders, vgg):
    t = trainer(folders, vgg, "reconstruct", steps=30)
    first = t.advance()["pixel"]
    for _ in range(24):
        last = t.advance()["pixel"]
    assert last < first * 0.8


def test_stylisation_has_every_term_finite_and_moves_the_decoder(folders, vgg):
    t = trainer(folders, vgg, "stylise")
    before = t.decoder.picture.weight.detach().clone()
    terms = t.advance()
    assert set(terms) == {"pixel", "logarithm", "feature", "stage", "content", "moments", "sliced", "structure", "bounds"}
    assert all(np.isfinite(v) for v in terms.values())
    assert not torch.equal(before, t.decoder.picture.weight)


def test_pictures_come_back_on_the_ways_that_the_model_knows(folders, vgg):
    t = trainer(folders, vgg, "stylise")
    torch.nn.init.normal_(t.decoder.residuals[1].expand.weight, std=0.02)
    x = t.photos.batch(3, 48)
    with torch.no_grad():
        features = {k: v for k, v in t.encoder(x, align.LEVELS).items() if k}
        stages, out = t._decode_with_stages(features, 1)
        straight, shared, own = ({k: v[i : i + 1] for k, v in features.items()} for i in range(3))
        nothing = lambda y: y  # noqa: E731
        torch.testing.assert_close(out[:1], t.decoder(straight["relu4_1"]), rtol=1e-4, atol=1e-4)
        blended = t.decoder(shared["relu4_1"], [lambda y: align.blend(y, shared["relu3_1"]), nothing, nothing])
        torch.testing.assert_close(out[1:2], blended, rtol=1e-4, atol=1e-4)
        whole = torch.zeros(48, 48, dtype=torch.long)
        aligned = t.decoder(own["relu4_1"], align.build(own.__getitem__, whole, whole).steps(own["relu3_1"]))
        torch.testing.assert_close(out[2:], aligned, rtol=1e-3, atol=1e-3)
    assert [s.shape[1] for s in stages] == [256, 128, 64] and all(len(s) == 3 for s in stages)


def test_a_run_logs_saves_and_resumes_where_it_was(folders, vgg, monkeypatch):
    t = trainer(folders, vgg, "reconstruct", steps=20)
    saves, save = [], t.save
    monkeypatch.setattr(t, "save", lambda: saves.append(t.step) or (t.step == 20 and save()))  # a sheet takes longer than a step
    t.run(save_every=0)
    assert saves == [*range(1, 21), 20]
    rows = list(csv.DictReader((folders / "run" / "log-reconstruct.csv").open()))
    assert rows[-1]["step"] == "20" and float(rows[-1]["psnr"]) > 5
    again = trainer(folders, vgg, "reconstruct", steps=20)
    again.load(folders / "run" / "reconstruct.pt")
    assert again.step == 20
    for a, b in zip(t.decoder.parameters(), again.decoder.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not list((folders / "run").glob("*.part"))
    with Image.open(folders / "run" / "reconstruct-00020.jpg") as sheet:
        assert sheet.size == (4 * 96, 4 * 96)  # four pairs; content, reconstruction, style, result


def test_export_writes_a_file_that_describes_itself(folders, vgg, monkeypatch):
    t = trainer(folders, vgg, "reconstruct", steps=1)
    t.run()
    run = folders / "run"
    save_file({"x": torch.zeros(1)}, run / "ridge.safetensors", {"encoder_scale": json.dumps({"relu1_1": 1.0})})
    monkeypatch.setattr("sys.argv", ["training", "export", "--out", str(run), "--phase", "reconstruct"])
    command.main()
    tensors = checkpoints.read_tensors(run / "decoder.safetensors")
    checkpoints.load_into(LiteDecoder(), tensors, "the decoder")
    assert all(v.dtype == torch.float16 for v in tensors.values())
    assert checkpoints.read_metadata(run / "decoder.safetensors")["steps"] == "1"


def test_losses_are_zero_for_the_style_itself_and_grow_with_distance():
    style = {k: torch.rand(1, 6, 64 // f, 64 // f) for k, f in losses.LAYERS.items()}
    labels = torch.zeros(1, 8, 8, dtype=torch.long)
    labels[:, :, 4:] = 1
    regions, others = Regions.of(labels, 4), Regions.of(labels + 2, 4)
    assert losses.region_moments_loss(style, style, regions, regions).item() == pytest.approx(0, abs=1e-6)
    assert losses.sliced_wasserstein_loss(style, style, regions, regions).item() == pytest.approx(0, abs=1e-6)
    near = {k: v + 0.1 for k, v in style.items()}
    far = {k: v + 1 for k, v in style.items()}
    for loss in (losses.region_moments_loss, losses.sliced_wasserstein_loss):
        assert 0 < loss(near, style, regions, regions) < loss(far, style, regions, regions)
        assert loss(near, style, regions, others).item() == 0  # nothing shared


def test_the_structure_loss_is_the_metric_and_zero_for_the_content_itself():
    content, other = torch.rand(1, 8, 6, 7) * 9, torch.rand(1, 8, 6, 7) * 9
    assert losses.structure_loss(content, content).item() == pytest.approx(0, abs=1e-5)
    assert losses.structure_loss(other, content).item() == pytest.approx(cfsd(content[0], other[0]), rel=1e-4)


def test_a_phase_ends_by_time_and_its_rate_falls(folders, vgg):
    t = trainer(folders, vgg, "reconstruct", steps=1000)
    t.plan = dataclasses.replace(t.plan, minutes=1.0)
    t.step = 40
    early = t.rate()
    t.seconds = 57.0
    assert t.done() == pytest.approx(0.95) and t.rate() < early / 10
    t.seconds = 61.0
    t.run()
    assert t.step == 40  # nothing left to do


def test_a_decoder_of_another_kind_is_refused(folders, vgg, monkeypatch):
    save_file({"x": torch.zeros(1)}, folders / "other.safetensors", {"encoder_scale": json.dumps({"relu1_1": 1.0})})
    save_file(vgg, folders / "vgg.safetensors")
    options = ["train", "--start", "other.safetensors", "--vgg", "vgg.safetensors", "--photos", "photos", "--paintings", "paintings", "--out", "run"]
    monkeypatch.chdir(folders)
    monkeypatch.setattr("sys.argv", ["training", *options])
    with pytest.raises(CheckpointMismatch, match="does not hold lite's decoder"):
        command.main()


def test_the_basis_is_made_by_the_recipe(folders, vgg, monkeypatch):
    for k in range(4, 8):  # eight pictures are a batch
        (folders / "photos" / f"{k}.png").write_bytes((folders / "photos" / f"{k - 4}.png").read_bytes())
    save_file({"x": torch.zeros(1)}, folders / "start.safetensors", {"encoder_scale": json.dumps({f"relu{k}": s for k, s in SCALE.items()})})
    save_file(vgg, folders / "vgg.safetensors")
    options = ["basis", "--start", "start.safetensors", "--vgg", "vgg.safetensors", "--photos", "photos", "--paintings", "paintings", "--out", "run"]
    monkeypatch.chdir(folders)
    monkeypatch.setattr("sys.argv", ["training", *options])
    command.main()
    basis = read_basis(folders / "run" / "basis.safetensors")
    torch.testing.assert_close(basis.T @ basis, torch.eye(patches.DIRECTIONS), atol=1e-2, rtol=0)
    encoder = ridge.encoder_for(vgg, {f"relu{k}": s for k, s in SCALE.items()}, "relu4_1")
    pictures = torch.stack([data.centre_square(f, 192) for f in data.picture_files(folders / "photos")])
    tokens = mvn(encoder(pictures, ("relu4_1",))["relu4_1"][:1])[0].flatten(1)
    kept = (basis.T @ tokens).square().sum() / tokens.square().sum()
    assert kept > 0.3  # of the variance, in 24 of 512 directions


def test_joint_regions_give_the_same_number_to_the_same_thing():
    torch.manual_seed(0)
    texture = torch.randn(2, 8)
    left, right = (texture[i][:, None, None].expand(8, 6, 3) + 0.01 * torch.randn(8, 6, 3) for i in (0, 1))
    content, style = torch.cat([left, right], 2)[None], torch.cat([right, left], 2)[None]
    (a,), (b,) = joint_regions(content, style, [2], torch.Generator().manual_seed(1))
    assert (a[:, 1] == b[:, 4]).all() and (a[:, 4] == b[:, 1]).all()
    assert not (a[:, 1] == a[:, 4]).any()


def test_many_pairs_at_once_are_treated_as_the_model_treats_each():
    torch.manual_seed(0)
    sizes = dict(zip(align.LEVELS, align.FACTORS, strict=True))
    channels = {"relu4_1": 12, "relu3_1": 10, "relu2_1": 8, "relu1_1": 6}
    content, style = ({k: torch.rand(2, channels[k], 48 // f, 64 // f) * 3 for k, f in sizes.items()} for _ in range(2))
    mine, theirs = (torch.arange(8).expand(2, 6, 8) // width for width in (2, 4))  # four regions here, two of them there
    theirs = torch.stack([theirs[0], 3 - theirs[1]])
    regions = Regions.of(mine, 4), Regions.of(theirs, 4)
    moves = batched.Alignment(style, *regions)
    adapted = batched.semantic_adain(content["relu4_1"], style["relu4_1"], *regions)
    attention = patches.PatchLevel(torch.linalg.qr(torch.randn(12, 5))[0], 1.0)
    sca, ssa = batched.attend(adapted, style["relu4_1"], *regions, torch.tensor([0.0, 0.3]), attention.basis)
    at_once = [moves.at(level, content[name], 0.8) for level, name in enumerate(align.LEVELS)]
    steps = moves.steps(content["relu3_1"], 0.8)
    for k, scale in enumerate((0.0, 0.3)):
        c, s = ({name: x[k : k + 1] for name, x in side.items()} for side in (content, style))
        labels = mine[k], theirs[k]
        plain = semantic_adain(c["relu4_1"], s["relu4_1"], *labels)
        torch.testing.assert_close(adapted[k : k + 1], plain, rtol=1e-4, atol=1e-4)
        index = RegionIndex.build(labels[0].flatten(), labels[1].flatten())
        query, key, value = (x.flatten(2).transpose(1, 2) for x in (mvn(plain), mvn(s["relu4_1"]), s["relu4_1"]))
        swapped = attention.sparse(plain, s["relu4_1"], value, index, no_checkpoint)
        for expected, out in ((continuous_attention(query, key, value, index, scale), sca), (swapped, ssa)):
            torch.testing.assert_close(out[k].flatten(1).T, expected[0], rtol=1e-4, atol=1e-4)
        fine = [x.repeat_interleave(8, 0).repeat_interleave(8, 1) for x in labels]
        alone = align.build(s.__getitem__, *fine)
        for level, name in enumerate(align.LEVELS):
            torch.testing.assert_close(at_once[level][k : k + 1], alone.at(level, c[name], 0.8), rtol=1e-3, atol=1e-3)
        blended = steps[0](content["relu3_1"] * 2)[k : k + 1]
        torch.testing.assert_close(blended, alone.blend(c["relu3_1"] * 2, alone.at(align.SHARED, c["relu3_1"], 0.8), 0.8), rtol=1e-3, atol=1e-3)


def test_quantiles_of_a_region_are_those_of_its_tokens_alone():
    x, inside = torch.rand(2, 3, 50), torch.rand(2, 50) > 0.4
    found, enough = losses._quantiles(x, inside)
    assert enough.all()
    for k in range(2):
        own = x[k][:, inside[k]]
        levels = ((torch.arange(losses.QUANTILES) + 0.5) / losses.QUANTILES * own.shape[1] - 0.5) / (own.shape[1] - 1)
        torch.testing.assert_close(found[k], torch.quantile(own, levels.clamp(0, 1), dim=1).T, rtol=1e-4, atol=1e-4)
