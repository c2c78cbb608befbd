"""`styleid`: StyleID (Chung et al., CVPR 2024) with SCSA, on Stable Diffusion 1.4 or 1.5 through diffusers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, cast

import psutil
import torch
import torch.nn.functional as F
from torch import Tensor

from scsa_core import checkpoints, disk_cache
from scsa_core.attention import RegionIndex
from scsa_core.backbones.base import (
    BackboneInfo,
    Capabilities,
    Checkpoint,
    Pair,
    alphas,
    no_checkpoint,
)
from scsa_core.backbones.base import Features as Encoded
from scsa_core.backbones.level import grid_labels
from scsa_core.backbones.styleid import loading
from scsa_core.backbones.styleid.injection import Grid, Role, Settings
from scsa_core.backbones.styleid.memory import FeatureMemory
from scsa_core.backbones.styleid.network import Network
from scsa_core.backbones.styleid.sampling import Painting, Trajectory, invert
from scsa_core.backbones.styleid.schedule import Schedule
from scsa_core.cache import digest
from scsa_core.errors import ScsaError
from scsa_core.knobs import Knobs, Method
from scsa_core.memory import ran_out

VARIABLE = "SCSA_FEATURES"
FeatureMode = Literal["recompute", "memory"]
SMALL_GPU = 10_000_000_000  # bytes; below, rows go through the network two at a time and the VAE in tiles
MOST_FEATURES = 4_000_000_000  # bytes of features kept in main memory, at most

INFO = BackboneInfo(
    name="styleid",
    title="StyleID",
    line="Stable Diffusion, inverted and painted anew; slow without a GPU.",
    licence="weights: CreativeML Open RAIL-M",
    defaults={"alpha1": 0.8, "alpha2": 0.2},
    capabilities=Capabilities(
        multiple_of=64,
        minimum=64,
        knobs=(
            "alpha1", "alpha2", "size", "stroke_size", "keep_colours", "timesteps", "start_step", "first_layer",
            "temperature", "map_blend", "content_blend", "gamma", "baseline_temperature",
        ),
        methods=("scsa", "baseline", "sca", "ssa", "no_sadain"),
        half_precision=True,
        tiling=True,
        slow=True,
        previews=True,
        encode_knobs=("timesteps",),
        attends=1024,
        idle={
            "baseline": ("alpha1", "alpha2", "temperature", "map_blend", "content_blend"),
            "scsa": ("gamma", "baseline_temperature"),
            "no_sadain": ("gamma", "baseline_temperature"),
            "sca": ("gamma", "baseline_temperature", "alpha2", "content_blend"),
            "ssa": ("gamma", "baseline_temperature", "alpha1", "temperature", "map_blend"),
        },
        timeline={
            "load_model": 0.0, "encode_content": 0.02, "encode_style": 0.12, "encode_maps": 0.22, "match": 0.43, "paint": 0.44,
            "finish": 0.98,
        },
    ),
)  # fmt: skip

_ROLES: tuple[Role, ...] = ("content", "style", "content_map", "style_map")
# Red, green and blue of each latent channel of Stable Diffusion 1: a rough picture without its decoder.
_LATENT_RGB = ((0.298, 0.207, 0.208), (0.187, 0.286, 0.173), (-0.158, 0.189, 0.264), (-0.184, -0.271, -0.473))


@dataclass(frozen=True, eq=False)
class Prepared:
    """sources: trajectories by role, the maps' absent for the baseline. grids: by factor, see `injection.Call`."""

    sources: Mapping[Role, Trajectory]
    grids: Mapping[int, Grid]
    as_reference: bool
    owner: object = field(default_factory=object)

    @property
    def nbytes(self) -> int:
        blocks = [t for g in self.grids.values() for b in g.index.blocks for t in (b.queries, b.keys)]
        labels = [t for g in self.grids.values() for t in (g.content, g.style)]
        return sum(t.nbytes for t in (*self.sources.values(), *blocks, *labels))


class StyleID:
    """See `base.Backbone`.

    features: "recompute" runs the sources beside the picture at every step, so only their
    latents are stored; "memory" keeps what they leave in the attention layers, as far as
    `budget` bytes go, so that another α runs the picture alone.
    """

    info = INFO

    def __init__(
        self,
        network: Network,
        vae: Any,
        schedule: Schedule,
        fingerprint: str,
        *,
        features: FeatureMode = "recompute",
        budget: int = MOST_FEATURES,
        inversions: disk_cache.DiskCache | None = None,
    ) -> None:
        self.network, self.vae, self.schedule = network, vae, schedule
        self.fingerprint = digest(fingerprint, str(network.dtype))
        self.memory = FeatureMemory(budget if features == "memory" else 0)
        self.inversions = inversions or disk_cache.DiskCache(None)

    @classmethod
    def load(cls, device: torch.device) -> StyleID:
        """From what lies in `checkpoints/styleid/`. Half precision on a GPU. Raises CheckpointError, MissingPackage."""
        loading.probe()
        parts = loading.load(loading.find(), torch.float16 if device.type == "cuda" else torch.float32)
        network = Network(parts.unet.to(device), parts.context.to(device))
        vae, folder = parts.vae.to(device), disk_cache.root()
        if device.type == "cuda" and torch.cuda.get_device_properties(device).total_memory < SMALL_GPU:
            network.rows = 2
            vae.enable_tiling()
        return cls(
            network,
            vae,
            parts.schedule,
            checkpoints.fingerprint(parts.paths),
            features=feature_mode(),
            budget=feature_budget(device),
            inversions=disk_cache.DiskCache(None if folder is None else folder / "inversions"),
        )

    def encode(self, picture: Tensor, *, role: str, checkpoint: Checkpoint = no_checkpoint, timesteps: int = 50) -> Encoded:
        """{"trajectory": (timesteps + 1, 4, h, w)}: the picture's latent and every stage of its inversion."""
        checkpoint()
        key = digest(self.fingerprint, timesteps, tuple(picture.shape), picture.float().cpu().numpy().tobytes())
        found = (self.inversions.get(key) or {}).get("trajectory")
        if found is not None and len(found) == timesteps + 1:
            return {"trajectory": found.to(picture.device)}
        trajectory = invert(self.network, self.schedule, self.latent(picture), timesteps, checkpoint)
        self.inversions.put(key, {"trajectory": trajectory})
        return {"trajectory": trajectory}

    def prepare(self, pair: Pair, method: Method, checkpoint: Checkpoint = no_checkpoint) -> Prepared:
        checkpoint()
        encoded = dict(zip(_ROLES, (pair.content, pair.style, pair.content_map, pair.style_map), strict=True))
        sources = {role: e["trajectory"] for role, e in encoded.items() if e is not None}
        grids = {}
        if method != "baseline":
            for factor in {1, *self.network.factors.values()}:
                grids[factor] = _grid(pair, sources["content"], sources["style"], factor)
        return Prepared(sources, grids, as_reference=pair.fallback == "mean")

    def render(self, prepared: Prepared, knobs: Knobs, method: Method, checkpoint: Checkpoint = no_checkpoint) -> Tensor:
        painting = Painting(
            self.network,
            self.schedule,
            prepared.sources,
            prepared.grids,
            settings(knobs, method),
            knobs.first_layer,
            knobs.start_step,
            prepared.as_reference,
        )
        owner = (prepared.owner, knobs.first_layer)
        keep: dict[str, Any] = {}
        if method != "baseline":  # painted once a pair: it would only push out what a slider needs
            keep = {"recall": partial(self.memory.get, owner), "keep": partial(self.memory.put, owner)}
        try:
            latent = painting.paint(**keep, checkpoint=checkpoint, show=self.rough)
        except Exception as error:
            if ran_out(error):
                self.memory.clear()
            raise
        return self.picture(latent)

    def latent(self, picture: Tensor) -> Tensor:
        """(1, 3, H, W) in 0..1 -> (1, 4, H / 8, W / 8): the mean of what the VAE's encoder says, so nothing is drawn by chance."""
        mean: Tensor = self.vae.encode((picture * 2 - 1).to(self.vae.dtype)).latent_dist.mode()
        return mean.float() * float(self.vae.config.scaling_factor)

    def picture(self, latent: Tensor) -> Tensor:
        """(1, 4, h, w) -> (1, 3, 8h, 8w) around 0..1."""
        decoded: Tensor = self.vae.decode((latent / self.vae.config.scaling_factor).to(self.vae.dtype)).sample
        return decoded.float() / 2 + 0.5

    def rough(self, latent: Tensor) -> Tensor:
        """What a latent will look like, roughly and at once: (1, 4, h, w) -> (1, 3, 8h, 8w)."""
        colours = torch.tensor(_LATENT_RGB, device=latent.device)
        rgb = torch.einsum("bchw,ck->bkhw", latent, colours) / 2 + 0.5
        picture: Tensor = F.interpolate(rgb.clamp(0, 1), scale_factor=8, mode="bilinear", align_corners=False)
        return picture


def settings(knobs: Knobs, method: Method) -> Settings:
    """The knobs as a method reads them."""
    if method == "baseline":
        return Settings(knobs.baseline_temperature, gamma=knobs.gamma)
    alpha1, alpha2 = alphas(knobs, method)
    return Settings(
        knobs.temperature,
        alpha1=alpha1,
        alpha2=alpha2,
        map_blend=knobs.map_blend,
        content_blend=knobs.content_blend,
        adain=method != "no_sadain",
    )


def _grid(pair: Pair, content: Tensor, style: Tensor, factor: int) -> Grid:
    """Labels at the latents' grid divided by `factor`, and which tokens may see which."""
    assert pair.content_labels is not None and pair.style_labels is not None
    labels = []
    for which, whole, latent in (("content", pair.content_labels, content), ("style", pair.style_labels, style)):
        height, width = (-(-s // factor) for s in latent.shape[-2:])
        given = pair.grid_labels.get((which, height, width))
        labels.append(grid_labels(whole, height, width) if given is None else given)
    index = RegionIndex.build(labels[0].flatten(), labels[1].flatten(), pair.links, pair.fallback).to(content.device)
    return Grid(labels[0], labels[1], index, pair.links)


def feature_mode() -> FeatureMode:
    """$SCSA_FEATURES: "memory" (default) or "recompute". Raises ScsaError for anything else."""
    wanted = os.environ.get(VARIABLE, "").strip().lower() or "memory"
    if wanted not in ("recompute", "memory"):
        raise ScsaError(f"{VARIABLE} is {wanted!r}", hint="Set it to memory or recompute.")
    return cast(FeatureMode, wanted)


def feature_budget(device: torch.device) -> int:
    """Bytes that kept features may take: a quarter of what is free in main memory, half of what a GPU has beyond 3 GB."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return max(0, (free - 3_000_000_000) // 2)
    return min(MOST_FEATURES, psutil.virtual_memory().available // 4)
