"""The text encoder of Stable Diffusion 1 (CLIP ViT-L/14's, Radford et al. 2021), for one sentence: the empty one.

Only its embedding is needed, and the empty prompt's tokens are known: begin, then end as
padding. So no tokenizer, no vocabulary and no further package.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scsa_core.checkpoints import load_into
from scsa_core.errors import CheckpointMismatch

_HEAD = 64  # width of a head in every CLIP
_TOKENS = "text_model.embeddings.token_embedding.weight"
_POSITIONS = "text_model.embeddings.position_embedding.weight"


class _Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            self.add_module(name, nn.Linear(width, width))
        self.heads = max(1, width // _HEAD)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (self.get_submodule(n)(x).reshape(*x.shape[:2], self.heads, -1).transpose(1, 2) for n in ("q_proj", "k_proj", "v_proj"))
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        out: Tensor = self.get_submodule("out_proj")(attended)
        return out


class _Layer(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.self_attn = _Attention(width)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, inner), "fc2": nn.Linear(inner, width)})

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.layer_norm1(x))
        hidden = self.mlp["fc1"](self.layer_norm2(x))
        out: Tensor = x + self.mlp["fc2"](hidden * torch.sigmoid(1.702 * hidden))  # the "quick" GELU it was trained with
        return out


class ClipText(nn.Module):
    """Under the published names, `text_model.encoder.layers.0.self_attn.q_proj.weight` and so on."""

    def __init__(self, vocabulary: int, positions: int, width: int, inner: int, layers: int) -> None:
        super().__init__()
        embeddings = nn.ModuleDict(
            {"token_embedding": nn.Embedding(vocabulary, width), "position_embedding": nn.Embedding(positions, width)}
        )
        encoder = nn.ModuleDict({"layers": nn.ModuleList(_Layer(width, inner) for _ in range(layers))})
        self.text_model = nn.ModuleDict({"embeddings": embeddings, "encoder": encoder, "final_layer_norm": nn.LayerNorm(width)})

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> ClipText:
        """Sizes are read from the tensors. Raises CheckpointMismatch."""
        kept = {k: v for k, v in tensors.items() if not k.endswith("position_ids")}
        missing = [k for k in (_TOKENS, _POSITIONS) if k not in kept or kept[k].ndim != 2]
        if missing:
            raise CheckpointMismatch(f"this is not Stable Diffusion 1's text encoder (missing: {missing[0]})", missing=tuple(missing))
        vocabulary, width = kept[_TOKENS].shape
        layers = len({k.split(".")[3] for k in kept if k.startswith("text_model.encoder.layers.")})
        inner = kept.get("text_model.encoder.layers.0.mlp.fc1.weight", torch.empty(0)).shape[0]
        with torch.device("meta"):
            model = cls(vocabulary, len(kept[_POSITIONS]), width, inner, layers)
        load_into(model, kept, "the text encoder of Stable Diffusion 1", assign=True)
        return model.requires_grad_(False).eval()

    def empty_prompt(self) -> Tensor:
        """(1, positions, width): the embedding of no words at all."""
        embeddings = self.text_model["embeddings"]
        table = embeddings["position_embedding"].weight  # type: ignore[index]
        vocabulary = embeddings["token_embedding"].num_embeddings  # type: ignore[index]
        ids = torch.full((1, len(table)), vocabulary - 1)
        ids[0, 0] = vocabulary - 2
        x = embeddings["token_embedding"](ids) + table  # type: ignore[index]
        for layer in self.text_model["encoder"]["layers"]:  # type: ignore[index]
            x = layer(x)
        out: Tensor = self.text_model["final_layer_norm"](x)
        return out
