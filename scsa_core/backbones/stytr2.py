"""`stytr2`: StyTr² (Deng et al., CVPR 2022) with SCSA, on the published weights.

Files, by their published names: `decoder_iter_160000.pth` (the CNN decoder, numbered as
SANet's), `transformer_iter_160000.pth` (`encoder_c.layers.0.self_attn.in_proj_weight`, ...,
`new_ps.weight`), `embedding_iter_160000.pth` (`proj.weight`, `proj.bias`). The VGG published
beside them measures losses in training; painting never runs it, so it is not asked for.

How SCSA enters (Shang et al. 2025): the first decoder layer blends the S-AdaIN'd content in,
and its self-attention is SCA + SSA; so is the cross-attention of every layer. The maps go
through the encoders like pictures, the content's with the content's own positions.

Most patches of a map are of one flat colour and so equal. Keys carry no position, so the
style map's encoder and every SCA run on the distinct patches and their counts: the same
numbers for a fraction of the work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scsa_core import checkpoints
from scsa_core.attention import Distinct, RegionIndex, semantic_adain
from scsa_core.backbones.base import IDLE, BackboneInfo, Capabilities, Checkpoint, Features, Pair, alphas, no_checkpoint
from scsa_core.backbones.level import soften
from scsa_core.backbones.sanet import decode, pair_labels
from scsa_core.backbones.transformer import DecoderLayer, Transformer
from scsa_core.backbones.vgg import SANET_DECODER, ConvStack
from scsa_core.knobs import Knobs, Method
from scsa_core.transfer import upload

FILES = ("decoder_iter_160000.pth", "transformer_iter_160000.pth", "embedding_iter_160000.pth")
PATCH = 8  # pixels a side
WIDTH = 512

INFO = BackboneInfo(
    name="stytr2",
    title="StyTr²",
    line="Transformer with six semantic attentions; the paper's second family.",
    licence="no licence stated by its authors; research use",
    defaults={"alpha1": 1.2, "alpha2": 0.5, "blend": 0.7},
    capabilities=Capabilities(
        multiple_of=PATCH,
        minimum=32,
        knobs=("alpha1", "alpha2", "blend", "size", "stroke_size", "keep_colours", "soft_borders"),
        idle={**IDLE, "no_sadain": ("blend",)},
        attends=1024,
    ),
)


class Embedding(nn.Module):
    """Patch embedding under its published names: 8x8 pixels to width 512."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, PATCH, stride=PATCH)

    def forward(self, picture: Tensor) -> Tensor:
        """(1, 3, H, W) -> (1, C, H/8, W/8)."""
        out: Tensor = self.proj(picture)
        return out

    def distinct(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings of the distinct patches (U, C), and the number of each place's patch (H/8, W/8) int64."""
        _, channels, height, width = picture.shape
        grid = height // PATCH, width // PATCH
        patches = picture.view(channels, grid[0], PATCH, grid[1], PATCH).permute(1, 3, 0, 2, 4).reshape(grid[0] * grid[1], -1)
        kinds, number = torch.unique(patches, dim=0, return_inverse=True)
        return F.linear(kinds, self.proj.weight.flatten(1), self.proj.bias), number.view(grid)


@dataclass(frozen=True)
class Semantic:
    """What the maps bring, and no slider changes. Sequences are (N, C).

    adapted: the content after S-AdaIN. continuous: SCA of the first self-attention, then of
    each layer's cross-attention. sparse: SSA of the first self-attention. index: whom SSA may
    see. labels (h, w) and soft_borders: where and how far region borders are softened.
    """

    adapted: Tensor
    continuous: tuple[Tensor, ...]
    sparse: Tensor
    index: RegionIndex
    labels: Tensor
    soft_borders: float

    @property
    def nbytes(self) -> int:
        blocks = sum(b.queries.nbytes + b.keys.nbytes for b in self.index.blocks)
        return self.adapted.nbytes + sum(t.nbytes for t in self.continuous) + self.sparse.nbytes + self.labels.nbytes + blocks


@dataclass(frozen=True)
class Sequences:
    """The encoded sequences (N, C) or (M, C), the content's grid (h, w), and what the maps bring."""

    grid: tuple[int, int]
    content: Tensor
    position: Tensor
    memory: Tensor
    semantic: Semantic | None = None

    @property
    def nbytes(self) -> int:
        own = self.content.nbytes + self.position.nbytes + self.memory.nbytes
        return own + (self.semantic.nbytes if self.semantic else 0)


class StyTr2:
    """See `base.Backbone`.

    Features, by role: content {"sequence", "position"} and style {"memory", "as_content"},
    each (1, C, h, w); map {"kinds": (U, C) distinct patches, "kind": (h, w) which is where}.
    """

    info = INFO

    def __init__(self, embedding: Embedding, transformer: Transformer, decoder: ConvStack, fingerprint: str) -> None:
        self.embedding, self.transformer, self.decoder = embedding, transformer, decoder
        self.fingerprint = fingerprint
        for module in (embedding, transformer, decoder):
            module.requires_grad_(False).eval()
        decoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def load(cls, device: torch.device) -> StyTr2:
        """From the published files. Raises CheckpointMissing, -Corrupt or -Mismatch."""
        paths = [checkpoints.find("stytr2", name) for name in FILES]
        embedding, transformer, decoder = cls.build(*(checkpoints.read_tensors(p) for p in paths))
        return cls(embedding.to(device), transformer.to(device), decoder.to(device), checkpoints.fingerprint(paths))

    @staticmethod
    def build(
        decoder: Mapping[str, Tensor], transformer: Mapping[str, Tensor], embedding: Mapping[str, Tensor]
    ) -> tuple[Embedding, Transformer, ConvStack]:
        """Modules from state dicts, in the order of FILES."""
        head, body, tail = Embedding(), Transformer(), ConvStack(SANET_DECODER)
        checkpoints.load_into(tail, decoder, "StyTr²'s decoder")
        checkpoints.load_into(body, transformer, "StyTr²'s transformer")
        checkpoints.load_into(head, embedding, "StyTr²'s patch embedding")
        return head, body, tail

    def encode(self, picture: Tensor, *, role: str, checkpoint: Checkpoint = no_checkpoint) -> Features:
        checkpoint()
        if role not in ("content", "style"):
            kinds, kind = self.embedding.distinct(picture)
            return {"kinds": kinds, "kind": kind}
        patches = self.embedding(picture)
        grid = patches.shape[-2], patches.shape[-1]
        if role == "content":
            position = self.transformer.position(patches)
            sequence = self.transformer.encoder_c(_tokens(patches), _tokens(position), checkpoint=checkpoint)
            return {"sequence": _picture(sequence, grid), "position": position}
        memory = self.transformer.encoder_s(_tokens(patches), checkpoint=checkpoint)
        as_content = self.transformer.encoder_c(memory, checkpoint=checkpoint)
        return {"memory": _picture(memory, grid), "as_content": _picture(as_content, grid)}

    def prepare(self, pair: Pair, method: Method, checkpoint: Checkpoint = no_checkpoint) -> Sequences:
        content, memory = pair.content["sequence"], _tokens(pair.style["memory"])
        position = _tokens(pair.content["position"])
        semantic = None if method == "baseline" else self._semantic(pair, position, memory, method, checkpoint)
        return Sequences((content.shape[-2], content.shape[-1]), _tokens(content), position, memory, semantic)

    def _semantic(self, pair: Pair, position: Tensor, memory: Tensor, method: Method, checkpoint: Checkpoint) -> Semantic:
        assert pair.content_map is not None
        content, layers = pair.content["sequence"], self.transformer.decoder.parts
        labels, style_labels = pair_labels(pair, content, pair.style["memory"])
        adapted = content
        if method != "no_sadain":
            adapted = semantic_adain(content, pair.style["as_content"], labels, style_labels, links=pair.links, checkpoint=checkpoint)
            adapted = soften(adapted, labels, pair.soft_borders)
        content_map = pair.content_map["kinds"][pair.content_map["kind"].flatten()]
        query = self.transformer.encoder_c(content_map, position, checkpoint=checkpoint) + position
        keys, value = self._map_keys(pair, memory, style_labels, checkpoint)
        index = RegionIndex.build(labels.flatten(), keys.labels.cpu(), pair.links, pair.fallback).to(content.device)
        attentions = [layers[0].self_attn, *(layer.multihead_attn for layer in layers)]
        continuous = tuple(a.continuous(query, keys.rows, value, index, keys.counts, checkpoint) for a in attentions)
        index = RegionIndex.build(labels.flatten(), style_labels.flatten(), pair.links, pair.fallback).to(content.device)
        adapted = _tokens(adapted)
        sparse = layers[0].self_attn.sparse(adapted + position, memory, memory, index, checkpoint)
        return Semantic(adapted, continuous, sparse, index, labels, pair.soft_borders)

    def _map_keys(
        self, pair: Pair, memory: Tensor, labels: Tensor, checkpoint: Checkpoint
    ) -> tuple[Distinct, Tensor]:
        """Distinct keys (G, C) of the style map, with which SCA works, and the means (G, C) of the memory that they stand for."""
        assert pair.style_map is not None
        kinds, kind, label = pair.style_map["kinds"], pair.style_map["kind"].flatten(), upload(labels.flatten(), memory.device)
        encoded = self.transformer.encoder_s(kinds, counts=torch.bincount(kind, minlength=len(kinds)), checkpoint=checkpoint)
        groups, group = torch.unique(torch.stack([kind, label]), dim=1, return_inverse=True)
        keys = Distinct(encoded[groups[0]], groups[1], group, torch.bincount(group))
        return keys, keys.means(memory)

    def render(self, prepared: Sequences, knobs: Knobs, method: Method, checkpoint: Checkpoint = no_checkpoint) -> Tensor:
        x, decoder = prepared.content, self.transformer.decoder
        for number, layer in enumerate(decoder.parts):
            x = self._self_attention(layer, number, x, prepared, knobs, method, checkpoint)
            x = self._cross_attention(layer, number, x, prepared, knobs, method, checkpoint)
            x = layer.feed_forward(x, layer.norm3, checkpoint)
        checkpoint()
        return decode(self.decoder, _picture(decoder.norm(x), prepared.grid), checkpoint)

    def _self_attention(
        self, layer: DecoderLayer, number: int, x: Tensor, p: Sequences, knobs: Knobs, method: Method, checkpoint: Checkpoint
    ) -> Tensor:
        """The first attention: over the memory like the second, in StyTr² as published. Semantic in the first layer only."""
        if p.semantic is None or number > 0:
            attended = layer.self_attn.plain(x + p.position, p.memory, p.memory, checkpoint)
        else:
            a1, a2 = alphas(knobs, method)
            attended = _softened(a1 * p.semantic.continuous[0] + a2 * p.semantic.sparse, p)
            x = torch.lerp(x, p.semantic.adapted, knobs.blend)
        out: Tensor = layer.norm1(x + attended)
        return out

    def _cross_attention(
        self, layer: DecoderLayer, number: int, x: Tensor, p: Sequences, knobs: Knobs, method: Method, checkpoint: Checkpoint
    ) -> Tensor:
        query = x + p.position
        if p.semantic is None:
            attended = layer.multihead_attn.plain(query, p.memory, p.memory, checkpoint)
        else:
            a1, a2 = alphas(knobs, method)
            attended = a1 * p.semantic.continuous[number + 1]
            if a2:
                attended = attended + a2 * layer.multihead_attn.sparse(query, p.memory, p.memory, p.semantic.index, checkpoint)
            attended = _softened(attended, p)
        out: Tensor = layer.norm2(x + attended)
        return out


def _tokens(x: Tensor) -> Tensor:
    """(1, C, h, w) -> (N, C), rows first."""
    return x[0].permute(1, 2, 0).reshape(-1, x.shape[1])


def _picture(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """(N, C) -> (1, C, h, w), channels last in memory: no copy."""
    return tokens.view(1, *grid, tokens.shape[1]).permute(0, 3, 1, 2)


def _softened(tokens: Tensor, p: Sequences) -> Tensor:
    """`soften` on tokens, where borders are to be soft."""
    if p.semantic is None or not p.semantic.soft_borders:
        return tokens
    return _tokens(soften(_picture(tokens, p.grid), p.semantic.labels, p.semantic.soft_borders))
