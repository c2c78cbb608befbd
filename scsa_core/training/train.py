"""The training loop: two phases, resumable, with a loss log and sample sheets.

`reconstruct`: pictures through the encoder and back. `stylise`: the decoder also paints
what the semantic attention makes of two pictures, with region statistics aligned on the
way (backbones/align.py), judged by region moments and sliced Wasserstein distance of its
re-encoded output; and pictures come back on the ways that the model knows too: with the
content's share of relu3_1, and with every layer aligned with themselves. Only the
decoder learns; the encoder stays VGG-16. Everything happens where the encoder's weights
are: on a processor, or on a GPU.
"""

from __future__ import annotations

import csv
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from scsa_core.backbones import align
from scsa_core.backbones.lite_decoder import LiteDecoder
from scsa_core.backbones.vgg import ConvStack
from scsa_core.precision import convolution_dtype
from scsa_core.training import batched
from scsa_core.training.data import Crops
from scsa_core.training.losses import LAYERS, region_moments_loss, sliced_wasserstein_loss, structure_loss
from scsa_core.training.regions import Regions, joint_regions
from scsa_core.training.samples import sheet

LOGIT_SCALE = 0.05
SHEET_PAIRS = 4
MOST_REGIONS = 6
LEAST_ERROR = 1e-4  # 40 dB: below it a reconstruction need not get better


@dataclass(frozen=True)
class Plan:
    """One phase. rate: peak learning rate, cosine decay over `steps`. crop: pixels, a multiple of 16."""

    phase: str
    steps: int
    rate: float
    crop: int
    reconstructions: int  # pictures a step that come back: straight where there are no pairs, else a third on each way
    stylisations: int  # pairs a step
    pixel: float = 0.0
    logarithm: float = 0.0  # of each picture's squared error: the hard ones do not outweigh the rest
    feature: float = 0.1
    stage: float = 0.03
    content: float = 0.5
    moments: float = 0.8
    sliced: float = 1.0
    structure: float = 100.0
    bounds: float = 5.0
    minutes: float | None = None  # the phase ends after so much training at the latest; the rate follows
    keep: float = 0.997  # of the moving average, a step


PLANS = {
    "reconstruct": Plan("reconstruct", steps=1200, rate=4e-4, crop=128, reconstructions=6, stylisations=0, pixel=300.0, feature=0.2),
    "stylise": Plan("stylise", steps=6000, rate=2e-4, crop=176, reconstructions=6, stylisations=2, logarithm=2.5),
}


def _precision(device: torch.device) -> torch.autocast:
    """bfloat16 on a GPU, and where the processor computes in it: elsewhere emulating it costs many times what it saves."""
    fast = device.type == "cuda" or convolution_dtype(device) is torch.bfloat16
    return torch.autocast(device.type, torch.bfloat16, enabled=fast)


def _in_full_precision(step: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Statistics are sums over a picture: they are not taken in half precision."""

    def run(x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return step(x.float())

    return run


class Trainer:
    """Owns decoder, moving average, optimiser and counters; `save` and `load` keep all of them."""

    def __init__(
        self, plan: Plan, encoder: ConvStack, decoder: LiteDecoder, basis: Tensor, photos: Crops, paintings: Crops, folder: Path
    ) -> None:
        self.plan, self.encoder, self.basis, self.folder = plan, encoder, basis, folder
        self.decoder = decoder.to(memory_format=torch.channels_last).train()
        self.average = {k: v.detach().clone() for k, v in decoder.named_parameters()}
        self.optimiser = torch.optim.Adam(decoder.parameters(), plan.rate, betas=(0.9, 0.99))
        self.photos, self.paintings = photos, paintings
        self.device = next(encoder.parameters()).device
        self.rng = random.Random(0)
        self.generator = torch.Generator(self.device).manual_seed(0)
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
        paintings = max(1, p.reconstructions // 3)
        x = torch.cat([self.photos.batch(p.reconstructions - paintings, p.crop), self.paintings.batch(paintings, p.crop)])
        x = x[torch.randperm(len(x))].contiguous(memory_format=torch.channels_last)
        others = len(x) // 3 if p.stylisations else 0
        unaltered = len(x) - others  # what is aligned does not reach the layers that it stands for
        with _precision(self.device):
            with torch.no_grad():
                f = self.encoder(x, align.LEVELS)
            stages, out = self._decode_with_stages({k: v for k, v in f.items() if k}, others)
            g = self.encoder(out, align.LEVELS)
        errors = (out.float() - x).square().mean((1, 2, 3))
        terms["pixel"], terms["logarithm"] = errors.mean(), (errors + LEAST_ERROR).log().mean()
        terms["feature"] = torch.stack([F.mse_loss(g[k].float(), f[k].float()) for k in align.LEVELS]).sum()
        reached = zip(stages, align.LEVELS[1:], strict=True)
        terms["stage"] = torch.stack([F.mse_loss(a[:unaltered].float(), f[k][:unaltered].float()) for a, k in reached]).sum()
        bounds = [out.float()]
        if p.stylisations:
            terms |= self._stylise(bounds)
        terms["bounds"] = torch.stack([(F.relu(-o).square() + F.relu(o - 1).square()).mean() for o in bounds]).mean()
        return terms

    def _decode_with_stages(self, features: dict[str, Tensor], others: int) -> tuple[list[Tensor], Tensor]:
        """What each stage makes of pictures' own features, and the pictures.

        The last `others` pictures are aligned with themselves at every layer, as many before them
        take their share of relu3_1, the rest pass straight.
        """
        x, detail = features["relu4_1"], features["relu3_1"]
        straight = len(x) - 2 * others
        steps: Sequence[Callable[[Tensor], Tensor]] = ()
        if others:
            own = {k: v[-others:].float() for k, v in features.items()}
            whole = Regions.of(torch.zeros(others, *x.shape[2:], dtype=torch.long, device=x.device), 1)
            with torch.no_grad():
                moves = batched.Alignment(own, whole, whole).steps(own["relu3_1"])
            steps = [_in_full_precision(step) for step in moves]
        stages = []
        for k in range(3):
            x = self.decoder.stage(k, x)
            stages.append(x)
            if others:
                shared = x[straight:-others]
                if k == 0:
                    shared = align.blend(shared, detail[straight:-others].to(x.dtype))
                x = torch.cat([x[:straight], shared, steps[k](x[-others:]).to(x.dtype)])
        return stages, self.decoder.picture(x)

    def _stylise(self, outputs: list[Tensor]) -> dict[str, Tensor]:
        p = self.plan
        pairs = [self._pair(p.crop) for _ in range(p.stylisations)]
        x = torch.stack([*(c for c, _ in pairs), *(s for _, s in pairs)]).contiguous(memory_format=torch.channels_last)
        with torch.no_grad(), _precision(self.device):
            f = {k: v.float() for k, v in self.encoder(x, LAYERS).items() if k}
        content, style = ({k: v[at] for k, v in f.items()} for at in (slice(len(pairs)), slice(len(pairs), None)))
        with torch.no_grad():
            counts = [self.rng.randint(1, MOST_REGIONS) for _ in pairs]
            labels = joint_regions(content["relu4_1"], style["relu4_1"], counts, self.generator)
            mine, theirs = (Regions.of(each, max(counts)) for each in labels)
            moves = batched.Alignment(style, mine, theirs)
            target = self._attended(content["relu4_1"], style["relu4_1"], mine, theirs)
            target = moves.at(0, target)
        with _precision(self.device):
            steps = [_in_full_precision(step) for step in moves.steps(content["relu3_1"])]
            out = self.decoder(target, steps)
            g = self.encoder(out, LAYERS)
        outputs.append(out.float())
        g = {k: v.float() for k, v in g.items() if k}
        return {
            "content": F.mse_loss(g["relu4_1"], target),
            "moments": region_moments_loss(g, style, mine, theirs),
            "sliced": sliced_wasserstein_loss(g, style, mine, theirs),
            "structure": structure_loss(g["relu3_1"], content["relu3_1"]),
        }

    def _pair(self, size: int) -> tuple[Tensor, Tensor]:
        """A photograph and a painting, now and then the other way round."""
        pair = self.photos.one(size), self.paintings.one(size)
        return (pair[1], pair[0]) if self.rng.random() < 0.35 else pair

    def _attended(self, content: Tensor, style: Tensor, mine: Regions, theirs: Regions) -> Tensor:
        """(B, 512, h, w) decoder input as the model makes it, with random strengths.

        SCA is nearly the region's mean where maps are flat; a soft attention on the
        pictures themselves stands for its variation near borders.
        """

        def drawn(draw: Callable[[], float]) -> Tensor:
            return torch.tensor([draw() for _ in range(len(content))], device=content.device)

        adapted = batched.semantic_adain(content, style, mine, theirs)
        kept = drawn(lambda: float(self.rng.random() < 0.1))[:, None, None, None]
        c = torch.lerp(adapted, content, kept)
        sharp = drawn(lambda: 0.0 if self.rng.random() < 0.6 else LOGIT_SCALE * self.rng.random())
        sca, ssa = batched.attend(c, style, mine, theirs, sharp, self.basis)
        a1 = drawn(lambda: self.rng.uniform(0.1, 1.2))[:, None, None, None]
        a2 = drawn(lambda: self.rng.uniform(0.1, 2.0))[:, None, None, None]
        return (c + a1 * sca + a2 * ssa) / (1 + a1 + a2)

    # -- the loop ---------------------------------------------------------------------

    def done(self) -> float:
        """Share of the phase that lies behind, by steps or by time, whichever is further."""
        by_time = self.seconds / 60 / self.plan.minutes if self.plan.minutes else 0.0
        return max(self.step / self.plan.steps, by_time)

    def rate(self) -> float:
        done = self.done()
        return self.plan.rate * min(1.0, (self.step + 1) / 20) * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))

    def advance(self) -> dict[str, Tensor]:
        """One optimiser step. Returns the loss terms, unweighted scalars."""
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
        keep = min(self.plan.keep, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for name, value in self.decoder.named_parameters():
                self.average[name].lerp_(value, 1 - keep)
        self.seconds += min(60.0, time.monotonic() - started)
        return {name: value.detach() for name, value in terms.items()}

    def run(self, save_every: float = 240.0) -> None:
        """Train to the plan's end; log every 20 steps, save and draw a sheet every few minutes."""
        seen: list[dict[str, Tensor]] = []
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

    def _log(self, seen: list[dict[str, Tensor]]) -> None:
        means = {k: torch.stack([s[k] for s in seen]).mean().item() for k in seen[0]}
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
        sheet(self.encoder, self.average, self.basis, self.pairs).save(self.folder / f"{self.plan.phase}-{self.step:05d}.jpg", quality=90)

    def load(self, path: Path) -> None:
        """Go on from a file that `save` wrote."""
        state = torch.load(path, weights_only=True, map_location=self.device)
        self.decoder.load_state_dict(state["decoder"])
        self.average = state["average"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.rng.seed(self.step)
        self.generator.manual_seed(self.step)
        torch.manual_seed(self.step)
