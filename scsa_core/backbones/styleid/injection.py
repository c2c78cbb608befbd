"""What happens inside the decoder's self-attention layers while a picture is painted.

One attention processor a layer, set on diffusers' own network. The sources (content, style
and their two maps) and the picture being painted are rows of a batch: source rows attend
to themselves as always and leave their features here; the picture's row takes them.

Sources: Chung et al. 2024 (StyleID: query kept from the content, key and value of the
style), Shang et al. 2025 (SCSA in its place).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scsa_core.attention import Links, RegionIndex, continuous_attention, semantic_adain, sparse_attention
from scsa_core.backbones.base import Checkpoint, no_checkpoint

Role = Literal["content", "style", "content_map", "style_map", "picture"]
"""Whose row it is. "picture", what is being painted, comes last."""

LayerFeatures = dict[str, Tensor]
"""Of one layer at one time: query, key, value, map_query, map_key, each (1, tokens, C)."""

Features = dict[int, LayerFeatures]
"""By layer number."""


@dataclass(frozen=True)
class Grid:
    """Labels of a token grid, (h, w) content and (h', w') style, and who may see whom."""

    content: Tensor
    style: Tensor
    index: RegionIndex
    links: Links | None = None


@dataclass(frozen=True)
class Settings:
    """How the picture takes the sources' features.

    gamma: share of the content's query in the baseline; None: SCSA with the other numbers.
    adain: whether the content's features take the style's statistics, region by region.
    """

    temperature: float
    gamma: float | None = None
    alpha1: float = 0.8
    alpha2: float = 0.2
    map_blend: float = 0.3
    content_blend: float = 0.5
    adain: bool = True

    @property
    def roles(self) -> tuple[Role, ...]:
        """The sources that are needed."""
        return ("content", "style") if self.gamma is not None else ("content", "style", "content_map", "style_map")

    @property
    def passing(self) -> float:
        """What decoder layers that take nothing multiply their attention by: the reference fuses there too."""
        return 1.0 if self.gamma is not None else self.alpha1 + self.alpha2


@dataclass
class Call:
    """One run of the network over some rows. features: found so far at this time; filled by source rows.

    first_layer: decoder layers from this number on are injected. grids: by the factor that
    a layer's grid is smaller than the latent by; empty for the baseline.
    """

    roles: tuple[Role, ...]
    settings: Settings
    first_layer: int
    grids: Mapping[int, Grid]
    features: Features = field(default_factory=dict)
    checkpoint: Checkpoint = no_checkpoint


class Switch:
    """What all processors of a network look at: the call in progress, or None (the plain network)."""

    call: Call | None = None


class RegionAttention:
    """Self-attention of one decoder layer, for diffusers' `Attention.set_processor`.

    factor: the layer's grid is the latent's divided by it. norm: the layer norm before the
    attention; its input, the block's own, is remembered because SCSA needs it raw.
    """

    def __init__(self, layer: int, factor: int, norm: nn.Module, switch: Switch) -> None:
        self.layer, self.factor, self.norm, self.switch = layer, factor, norm, switch
        self._raw: Tensor | None = None
        norm.register_forward_pre_hook(self._remember)

    def _remember(self, _: nn.Module, args: tuple[Tensor, ...]) -> None:
        self._raw = args[0] if self.switch.call is not None and args[0].ndim == 3 else None

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, attention_mask: Tensor | None = None
    ) -> Tensor:
        """hidden_states: normalised tokens (B, N, C). Returns what the block adds to its input, (B, N, C)."""
        call, raw = self.switch.call, self._raw
        self._raw = None
        if call is None:
            return plain(attn, hidden_states)
        assert raw is not None
        painting = call.roles[-1] == "picture"
        injected = self.layer >= call.first_layer
        if not injected:
            out = plain(attn, hidden_states)
            if painting:
                out[-1] *= call.settings.passing
            return out
        sources = len(call.roles) - painting
        parts = []
        found = call.features.setdefault(self.layer, {})
        if sources:
            rows = hidden_states[:sources]
            q, k, v = attn.to_q(rows), attn.to_k(rows), attn.to_v(rows)
            keep(found, call.roles[:sources], raw, q, k, v, baseline=call.settings.gamma is not None)
            parts.append(attend(attn, q, k, v))
        if painting:
            if call.settings.gamma is not None:
                parts.append(styleid(attn, hidden_states[-1:], found, call.settings))
            else:
                grid = call.grids[self.factor]
                adapt(attn, self.norm, found, grid, adain=call.settings.adain)
                parts.append(scsa(attn, raw[-1:], found, call.settings, grid, call.checkpoint))
        return torch.cat(parts)


def keep(found: LayerFeatures, roles: tuple[Role, ...], raw: Tensor, q: Tensor, k: Tensor, v: Tensor, *, baseline: bool) -> None:
    """Put what each source row is needed for into `found`; tensors (rows, N, C) in the order of the roles."""
    for n, role in enumerate(roles):
        row = slice(n, n + 1)
        if role == "style":
            found["key"], found["value"] = k[row].clone(), v[row].clone()
            if not baseline:
                found["style_input"] = raw[row].clone()
        elif role == "content":
            if baseline:
                found["query"] = q[row].clone()
            else:
                found["content_input"] = raw[row].clone()
        elif role == "content_map":
            found["map_query"] = q[row].clone()
        else:
            found["map_key"] = k[row].clone()


def adapt(attn: Any, norm: nn.Module, found: LayerFeatures, grid: Grid, *, adain: bool) -> None:
    """Turn both block inputs into the content's query after S-AdaIN. Does nothing where that is done.

    The reference applies S-AdaIN a second time for SSA; that moves values by less than 3e-5.
    """
    if "query" in found:
        return
    content = found.pop("content_input")
    style = found.pop("style_input")
    if adain:
        content = adapted(content, style, grid)
    found["query"] = attn.to_q(norm(content))


def adapted(content: Tensor, style: Tensor, grid: Grid) -> Tensor:
    """S-AdaIN on tokens: (1, N, C), (1, M, C) -> (1, N, C), in float32 inside."""

    def picture(x: Tensor, labels: Tensor) -> Tensor:
        return x.float().transpose(1, 2).reshape(1, x.shape[2], *labels.shape)

    out = semantic_adain(picture(content, grid.content), picture(style, grid.style), grid.content, grid.style, links=grid.links)
    return out.flatten(2).transpose(1, 2).to(content.dtype)


def styleid(attn: Any, tokens: Tensor, found: LayerFeatures, settings: Settings) -> Tensor:
    """StyleID's attention (its equations 4 to 6): the content's query blended in, the style's key and value."""
    gamma = settings.gamma
    assert gamma is not None
    q = gamma * found["query"] + (1 - gamma) * attn.to_q(tokens)
    return attend(attn, q, found["key"], found["value"], settings.temperature)


def scsa(
    attn: Any, raw: Tensor, found: LayerFeatures, settings: Settings, grid: Grid, checkpoint: Checkpoint = no_checkpoint
) -> Tensor:
    """alpha1 SCA + alpha2 SSA, each with the output projection: (1, N, C)."""
    out = torch.zeros_like(raw)
    if settings.alpha1:
        out += settings.alpha1 * sca(attn, found, settings, grid, checkpoint)
    if settings.alpha2:
        out += settings.alpha2 * ssa(attn, raw, found, settings, grid, checkpoint)
    return out


def sca(attn: Any, found: LayerFeatures, settings: Settings, grid: Grid, checkpoint: Checkpoint = no_checkpoint) -> Tensor:
    """Queries and keys of the maps, blended with those of the pictures; the style's values (1, N, C)."""
    a1 = settings.map_blend
    q = a1 * found["map_query"] + (1 - a1) * found["query"]
    k = a1 * found["map_key"] + (1 - a1) * found["key"]
    value, factor = heads(attn, found["value"]), scale(attn) * settings.temperature
    out = continuous_attention(heads(attn, q), heads(attn, k), value, grid.index, factor, checkpoint)
    return project(attn, out[None].to(q.dtype))


def ssa(attn: Any, raw: Tensor, found: LayerFeatures, settings: Settings, grid: Grid, checkpoint: Checkpoint = no_checkpoint) -> Tensor:
    """Queries of the content and of the picture so far; the single best key of the style (1, N, C)."""
    a2 = settings.content_blend
    q = a2 * found["query"] + (1 - a2) * attn.to_q(normalised(raw))
    out = sparse_attention(heads(attn, q), heads(attn, found["key"]), heads(attn, found["value"]), grid.index, scale(attn), checkpoint)
    return project(attn, out[None].to(q.dtype))


def normalised(tokens: Tensor, eps: float = 1e-5) -> Tensor:
    """Mean 0 and deviation 1 per channel over the tokens, unbiased: (B, N, C) -> (B, N, C)."""
    x = tokens.float()
    variance, mean = torch.var_mean(x, dim=1, correction=1, keepdim=True)
    return ((x - mean) * (variance + eps).rsqrt()).to(tokens.dtype)


# -- attention as diffusers' module holds it --------------------------------------------


def plain(attn: Any, tokens: Tensor) -> Tensor:
    """Self-attention as it was trained: (B, N, C) -> (B, N, C)."""
    return attend(attn, attn.to_q(tokens), attn.to_k(tokens), attn.to_v(tokens))


def attend(attn: Any, q: Tensor, k: Tensor, v: Tensor, temperature: float = 1.0) -> Tensor:
    """Dense attention with every head, then the output projection. Never forms the N x M matrix."""
    out = F.scaled_dot_product_attention(split(attn, q), split(attn, k), split(attn, v), scale=scale(attn) * temperature)
    return project(attn, out)


def split(attn: Any, x: Tensor) -> Tensor:
    """(B, N, heads * d) -> (B, heads, N, d)."""
    return x.reshape(*x.shape[:2], attn.heads, -1).transpose(1, 2)


def heads(attn: Any, x: Tensor) -> Tensor:
    """(1, N, heads * d) -> (heads, N, d) float32: sums over thousands of keys overflow half precision."""
    return split(attn, x)[0].float()


def project(attn: Any, attended: Tensor) -> Tensor:
    """(B, heads, N, d) -> (B, N, C) through the output projection."""
    out: Tensor = attn.to_out[0](attended.transpose(1, 2).flatten(2))
    return out


def scale(attn: Any) -> float:
    return float(attn.scale)
