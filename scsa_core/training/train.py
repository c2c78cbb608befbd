"""The training loop: two phases, resumable, with a loss log and sample sheets.

`reconstruct`: pictures through the encoder and back. `stylise`: the decoder also paints
what the semantic attention makes of two pictures, with region statistics aligned on the
way (backbones/align.py), judged by region moments and sliced Wasserstein distance of its
re-encoded output. Only the decoder learns; the encoder stays VGG-16.
"""

from __future__ import annotations

import csv
import math
import random
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from scsa_core.attention import RegionIndex, continuous_attention, mvn, semantic_adain, sparse_attention
from scsa_core.backbones import align
from scsa_core.backbones.lite_decoder import LiteDecoder
from scsa_core.backbones.vgg import ConvStack
from scsa_core.precision import convolution_dtype
from scsa_core.training.data import Crops
from scsa_core.training.losses import LAYERS, region_moments_loss, sliced_wasserstein_loss, structure_loss
from scsa_core.training.regions import joint_regions
from scsa_core.training.samples import sheet

LOGIT_SCALE = 0.05
SHEET_PAIRS = 4


@dataclass(frozen=True)
class Plan:
    """One phase. rate: peak learning rate, cosine decay over `steps`. crop: pixels, a multiple of 16."""

    phase: str
    steps: int
    rate: float
    crop: int
    reconstructions: int  # pictures a step that pass straight through
    stylisations: int  # pairs a step
    pixel: float = 300.0
    feature: float = 0.2
    stage: float = 0.03
    content: float = 0.5
    moments: float = 0.8
    sliced: float = 1.0
    structure: float = 40.0
    bounds: float = 5.0
    minutes: float | None = None  # the phase ends after so much training at the latest; the rate follows


PLANS = {
    "reconstruct": Plan("reconstruct", steps=1200, rate=4e-4, crop=128, reconstructions=6, stylisations=0),
    "stylise": Plan("stylise", steps=6000, rate=3e-4, crop=160, reconstructions=4, stylisations=2),
}


def _precision() -> torch.autocast:
    """bfloat16 where the processor computes in it: elsewhere emulating it costs many times what it saves."""
    return torch.autocast("cpu", torch.bfloat16, enabled=convolution_dtype(torch.device("cpu")) is torch.bfloat16)


class Trainer:
    """Owns decoder, moving average, optimiser and counters; `save` and `load` keep all of them."""

    def __init__(self, plan: Plan, encoder: ConvStack, decoder: LiteDecoder, photos: Crops, paintings: Crops, folder: Path) -> None:
        self.plan, self.encoder, self.folder = plan, encoder, folder
        self.decoder = decoder.to(memory_format=torch.channels_last).train()
        self.average = {k: v.detach().clone() for k, v in decoder.named_parameters()}
        self.optimiser = torch.optim.Adam(decoder.parameters(), plan.rate, betas=(0.9, 0.99))
        self.photos, self.paintings = photos, paintings
        self.rng = random.Random(0)
        self.generator = torch.Generator().manual_seed(0)
        self.step, self.seconds = 0, 0.0
        state = photos.rng.getstate()
        self.pairs = [(photos.one(2 * plan.crop), paintings.one(2 * plan.crop)) for _ in range(SHEET_PAIRS)]
        photos.rng.setstate(state)
        folder.mkdir(parents=True, exist_ok=True)

    # -- one step ---------------------------------------------------------------------

    def losses(self) -> dict[str, Tensor]:
        """Loss terms of one random batch, unweighted, each a scalar with gradient."""
        p = self.plan
        terms: dict[str, Tensor] = {}
        with _precision():
            paintings = max(1, p.reconstructions // 3)
            x = torch.cat([self.photos.batch(p.reconstructions - paintings, p.crop), self.paintings.batch(paintings, p.crop)])
            x = x.contiguous(memory_format=torch.channels_last)
            with torch.no_grad():
                f = self.encoder(x, align.LEVELS)
            stages, out = self._decode_with_stages(f["relu4_1"])
            g = self.encoder(out, align.LEVELS)
        terms["pixel"] = F.mse_loss(out.float(), x)
        terms["feature"] = torch.stack([F.mse_loss(g[k].float(), f[k].float()) for k in align.LEVELS]).sum()
        terms["stage"] = torch.stack([F.mse_loss(a.float(), f[k].float()) for a, k in zip(stages, align.LEVELS[1:], strict=True)]).sum()
        bounds = [out.float()]
        for _ in range(p.stylisations):
            for name, value in self._stylise(bounds).items():
                terms[name] = terms.get(name, torch.zeros(())) + value / p.stylisations
        terms["bounds"] = torch.stack([(F.relu(-o).square() + F.relu(o - 1).square()).mean() for o in bounds]).mean()
        return terms

    def _decode_with_stages(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        stages = []
        for k in range(3):
            x = self.decoder.stage(k, x)
            stages.append(x)
        return stages, self.decoder.picture(x)

    def _stylise(self, outputs: list[Tensor]) -> dict[str, Tensor]:
        p = self.plan
        pair = [self.photos.one(p.crop), self.paintings.one(p.crop)]
        if self.rng.random() < 0.35:
            pair.reverse()  # a painting as content, a photograph as style
        x = torch.stack(pair).contiguous(memory_format=torch.channels_last)
        with torch.no_grad(), _precision():
            f = {k: v.float() for k, v in self.encoder(x, LAYERS).items() if k}
        content, style = ({k: v[i : i + 1] for k, v in f.items()} for i in (0, 1))
        labels = joint_regions(content["relu4_1"], style["relu4_1"], self.rng.randint(1, 5), self.generator)
        fine = [lab.repeat_interleave(8, 0).repeat_interleave(8, 1) for lab in labels]
        with torch.no_grad():
            target = self._attended(content["relu4_1"], style["relu4_1"], *labels)
            moves = align.build(style, fine[0], fine[1])
            target = moves.at(0, target)
        with _precision():
            out = self.decoder(target, moves.steps(content["relu3_1"]))
            g = self.encoder(out, LAYERS)
        outputs.append(out.float())
        g = {k: v.float() for k, v in g.items() if k}
        return {
            "content": F.mse_loss(g["relu4_1"], target),
            "moments": region_moments_loss(g, style, *fine),
            "sliced": sliced_wasserstein_loss(g, style, *fine),
            "structure": structure_loss(g["relu3_1"], content["relu3_1"]),
        }

    def _attended(self, content: Tensor, style: Tensor, content_labels: Tensor, style_labels: Tensor) -> Tensor:
        """(1, 512, h, w) decoder input as the model makes it, with random strengths.

        SCA is nearly the region's mean where maps are flat; a soft attention on the
        pictures themselves stands for its variation near borders.
        """
        c = semantic_adain(content, style, content_labels, style_labels) if self.rng.random() < 0.9 else content
        query, key, value = (x.flatten(2).transpose(1, 2) for x in (mvn(c), mvn(style), style))
        index = RegionIndex.build(content_labels.flatten(), style_labels.flatten())
        ssa = sparse_attention(query, key, value, index)
        sharp = 0.0 if self.rng.random() < 0.6 else LOGIT_SCALE * self.rng.random()
        sca = continuous_attention(query, key, value, index, sharp)
        a1, a2 = self.rng.uniform(0.1, 1.2), self.rng.uniform(0.1, 2.0)

        def picture(t: Tensor) -> Tensor:
            return t.transpose(1, 2).reshape(c.shape)

        return (c + a1 * picture(sca) + a2 * picture(ssa)) / (1 + a1 + a2)

    # -- the loop ---------------------------------------------------------------------

    def done(self) -> float:
        """Share of the phase that lies behind, by steps or by time, whichever is further."""
        by_time = self.seconds / 60 / self.plan.minutes if self.plan.minutes else 0.0
        return max(self.step / self.plan.steps, by_time)

    def rate(self) -> float:
        done = self.done()
        return self.plan.rate * min(1.0, (self.step + 1) / 20) * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))

    def advance(self) -> dict[str, float]:
        """One optimiser step. Returns the loss terms as numbers."""
        started = time.monotonic()
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate()
        terms = self.losses()
        total = torch.stack([getattr(self.plan, name) * value for name, value in terms.items()]).sum()
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.decoder.parameters(), 20.0)
        if torch.isfinite(norm):
            self.optimiser.step()
        self.step += 1
        keep = min(0.997, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for name, value in self.decoder.named_parameters():
                self.average[name].lerp_(value, 1 - keep)
        self.seconds += min(60.0, time.monotonic() - started)
        return {name: value.item() for name, value in terms.items()}

    def run(self, save_every: float = 240.0) -> None:
        """Train to the plan's end; log every 20 steps, save and draw a sheet every few minutes."""
        seen: list[dict[str, float]] = []
        saved = time.monotonic()
        while self.done() < 1:
            seen.append(self.advance())
            if self.step % 20 == 0:
                self._log(seen)
                seen = []
            if time.monotonic() - saved > save_every:
                self.save()
                saved = time.monotonic()
        self.save()

    def _log(self, seen: list[dict[str, float]]) -> None:
        means = {k: sum(s[k] for s in seen) / len(seen) for k in seen[0]}
        row: dict[str, object] = {"phase": self.plan.phase, "step": self.step, "minutes": round(self.seconds / 60, 1)}
        row |= {"psnr": round(-10 * math.log10(means["pixel"]), 2)} | {k: round(v, 4) for k, v in means.items()}
        path = self.folder / f"log-{self.plan.phase}.csv"
        fresh = not path.exists()
        with path.open("a", newline="") as f:
            writer = csv.DictWriter(f, list(row))
            if fresh:
                writer.writeheader()
            writer.writerow(row)
        print(" ".join(f"{k} {v}" for k, v in row.items()), flush=True)

    def save(self) -> None:
        """Everything needed to go on, written beside and renamed, so a kill leaves a whole file."""
        path = self.folder / f"{self.plan.phase}.pt"
        state = {
            "decoder": self.decoder.state_dict(), "average": self.average, "optimiser": self.optimiser.state_dict(),
            "step": self.step, "seconds": self.seconds,
        }  # fmt: skip
        torch.save(state, path.with_suffix(".part"))
        path.with_suffix(".part").rename(path)
        sheet(self.encoder, self.average, self.pairs).save(self.folder / f"{self.plan.phase}-{self.step:05d}.jpg", quality=90)

    def load(self, path: Path) -> None:
        """Go on from a file that `save` wrote."""
        state = torch.load(path, weights_only=True)
        self.decoder.load_state_dict(state["decoder"])
        self.average = state["average"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.rng.seed(self.step)
        self.generator.manual_seed(self.step)
        torch.manual_seed(self.step)
