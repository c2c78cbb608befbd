"""Closed-form start of the decoder: one ridge regression a stage.

Each stage is fitted on the *predicted* output of the stage before, against VGG-16's own
features one level finer (the picture itself at the end). From random weights the decoder
takes days on a CPU; from here it starts as a blurred but true reconstruction.
"""

from __future__ import annotations

import logging

import torch
import torch.nn.functional as F
from torch import Tensor

from scsa_core.backbones.lite_decoder import LiteDecoder
from scsa_core.backbones.vgg import VGG16, ConvStack, caffe_vgg16, until

log = logging.getLogger(__name__)
TAPS = ("relu3_1", "relu2_1", "relu1_1")
SAMPLES = (6000, 12000, 24000, 24000)  # positions a batch of eight: rows of the regression
STRENGTH = 1e-3  # lambda, as a share of the Gram matrix's mean diagonal


def measure_scale(weights: dict[str, Tensor], batches: list[Tensor]) -> dict[str, float]:
    """Mean activation of each ReLU layer of the raw VGG-16 over the given pictures."""
    ones = {s.tap: 1.0 for s in VGG16}
    raw = caffe_vgg16(weights, ones, "relu5_3")
    with torch.inference_mode():
        sums = dict.fromkeys(ones, 0.0)
        for x in batches:
            for tap, f in raw(x, ones).items():
                if tap:
                    sums[tap] += f.mean().item() / len(batches)
    return sums


def _rows(x: Tensor, upsample: bool, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Rows of the regression for a batch: (n, 9C + 1) patches and the flat positions (n,)."""
    b, c, h, w = x.shape
    patches = F.unfold(F.pad(x, (1, 1, 1, 1), mode="reflect"), 3).view(b, 9 * c, h, w)
    picked, where = [], []
    k = 2 if upsample else 1
    for i in range(b):  # one picture at a time: the upsampled patches of all would not fit
        p = patches[i : i + 1]
        if upsample:
            p = F.interpolate(p, scale_factor=2, mode="bilinear", align_corners=False)
        at = torch.randperm(h * w * k * k, generator=generator)[: count // b]
        picked.append(p.flatten(2)[0].T[at])
        where.append(at + i * h * w * k * k)
    rows = torch.cat(picked)
    return torch.cat([rows, torch.ones(len(rows), 1)], 1), torch.cat(where)


@torch.inference_mode()
def fit(encoder: ConvStack, batches: list[Tensor], seed: int = 0) -> LiteDecoder:
    """A decoder whose four plain convolutions are fitted; its residual blocks do nothing yet.

    batches: (8, 3, H, W) pictures in 0..1, H and W multiples of 8.
    """
    decoder = LiteDecoder()
    generator = torch.Generator().manual_seed(seed)
    features = [encoder(x, (*TAPS, "relu4_1")) for x in batches]
    inputs = [f["relu4_1"] for f in features]
    convs = [*decoder.stages, decoder.picture]
    for k, conv in enumerate(convs):
        upsample = k < len(TAPS)
        targets = [f[TAPS[k]] for f in features] if upsample else batches
        size = conv.in_channels * 9 + 1
        gram, cross = torch.zeros(size, size), torch.zeros(size, conv.out_channels)
        for x, y in zip(inputs, targets, strict=True):
            rows, at = _rows(x, upsample, SAMPLES[k], generator)
            gram += rows.T @ rows
            cross += rows.T @ y.permute(0, 2, 3, 1).reshape(-1, conv.out_channels)[at]
        gram, cross = gram.double(), cross.double()
        gram.diagonal().add_(STRENGTH * gram.diagonal().mean())
        w = torch.linalg.solve(gram, cross).float()
        conv.weight.copy_(w[:-1].T.view_as(conv.weight))
        conv.bias.copy_(w[-1])
        if upsample:
            inputs = [decoder.stage(k, x) for x in inputs]
        log.info("stage %d fitted on %d rows", k, sum(len(x) for x in inputs) * SAMPLES[k] // 8)
    error = torch.stack([F.mse_loss(conv(x).clamp(0, 1), y) for x, y in zip(inputs, batches, strict=True)]).mean()
    log.info("reconstruction %.2f dB", -10 * error.log10().item())
    return decoder


def encoder_for(weights: dict[str, Tensor], scale: dict[str, float], last: str = "relu4_1") -> ConvStack:
    until(VGG16, last)
    return caffe_vgg16(weights, scale, last).to(memory_format=torch.channels_last)
