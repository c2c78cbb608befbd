"""python -m scsa_core.training --photos DIR --paintings DIR --vgg FILE --out DIR [--phase ...]."""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import random
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from scsa_core import checkpoints
from scsa_core.backbones.lite import read_basis
from scsa_core.backbones.lite_decoder import LiteDecoder
from scsa_core.training import data, directions, ridge
from scsa_core.training.train import PLANS, Trainer


def _batches(args: argparse.Namespace) -> list[torch.Tensor]:
    """Some photographs and all paintings, eight at a time, (8, 3, 192, 192)."""
    rng = random.Random(0)
    files = data.picture_files(args.photos)[:260] + data.picture_files(args.paintings)
    rng.shuffle(files)
    files = files[: len(files) // 8 * 8]
    squares = [data.centre_square(f, 192) for f in files]
    return [torch.stack(squares[i : i + 8]).contiguous(memory_format=torch.channels_last) for i in range(0, len(squares), 8)]


def _start(args: argparse.Namespace, weights: dict[str, torch.Tensor]) -> None:
    batches = _batches(args)
    scale = ridge.measure_scale(weights, batches[:6])
    decoder = ridge.fit(ridge.encoder_for(weights, scale), batches)
    save_file(decoder.state_dict(), args.out / "ridge.safetensors", {"encoder_scale": json.dumps(scale)})


def _basis(args: argparse.Namespace, weights: dict[str, torch.Tensor]) -> None:
    encoder = ridge.encoder_for(weights, _scale(args), "relu4_1")
    save_file({"basis": directions.principal(encoder, _batches(args)).half()}, args.out / "basis.safetensors", {"format": "pt"})


def _scale(args: argparse.Namespace) -> dict[str, float]:
    """Mean activations of the encoder's layers, from the decoder to begin with."""
    with safe_open(_beginning(args), "pt") as f:
        scale: dict[str, float] = json.loads(f.metadata()["encoder_scale"])
    return scale


def _beginning(args: argparse.Namespace) -> Path:
    return Path(args.start or args.out / "ridge.safetensors")


def _train(args: argparse.Namespace, weights: dict[str, torch.Tensor]) -> None:
    start, scale = _beginning(args), _scale(args)
    plan = PLANS[args.phase]
    if args.steps:
        plan = dataclasses.replace(plan, steps=args.steps)
    if args.minutes:
        plan = dataclasses.replace(plan, minutes=args.minutes)
    if args.crop:
        plan = dataclasses.replace(plan, crop=args.crop)
    if args.pairs:
        plan = dataclasses.replace(plan, stylisations=args.pairs, reconstructions=3 * args.pairs)
    decoder = LiteDecoder()
    checkpoints.load_into(decoder, load_file(start), "lite's decoder")
    rng = random.Random(1)
    torch.manual_seed(1)
    device = torch.device(args.device)
    torch.backends.cudnn.benchmark = True
    photos = data.Crops(data.picture_files(args.photos), 288, rng, device)
    paintings = data.Crops(data.picture_files(args.paintings), 320, rng, device)
    encoder = ridge.encoder_for(weights, scale, "relu5_1").to(device)
    decoder.to(device)
    own_basis = args.out / "basis.safetensors"
    basis = read_basis(own_basis if own_basis.exists() else checkpoints.find("lite", "basis.safetensors")).to(device)
    trainer = Trainer(plan, encoder, decoder, basis, photos, paintings, args.out)
    own, before = args.out / f"{args.phase}.pt", args.out / "reconstruct.pt"
    if own.exists():
        trainer.load(own)
    elif args.phase == "stylise" and before.exists() and not args.start:
        average = torch.load(before, weights_only=True)["average"]
        decoder.load_state_dict(average)
        trainer.average = {k: v.clone() for k, v in average.items()}
    trainer.run()


def _export(args: argparse.Namespace) -> None:
    scale = json.dumps(_scale(args))
    state = torch.load(args.out / f"{args.phase}.pt", weights_only=True, map_location="cpu")
    half = {k: v.half().contiguous() for k, v in state["average"].items()}
    meta = {"format": "pt", "encoder_scale": scale, "phase": args.phase, "steps": str(state["step"])}
    save_file(half, args.out / "decoder.safetensors", meta)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scsa_core.training", description=__doc__)
    parser.add_argument("command", choices=("start", "basis", "train", "export"))
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--paintings", type=Path)
    parser.add_argument("--vgg", type=Path, help="safetensors with torchvision's VGG-16 keys, Caffe convention (default: the shipped)")
    parser.add_argument("--out", type=Path, required=True, help="folder for states, logs and sheets")
    parser.add_argument("--phase", choices=tuple(PLANS), default="stylise")
    parser.add_argument("--start", type=Path, help="decoder to begin from, e.g. the shipped one (default: ridge.safetensors in --out)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument("--crop", type=int, help="side of the crops in pixels, a multiple of 16, instead of the plan's")
    parser.add_argument("--pairs", type=int, help="pairs a step, and three times as many reconstructions, instead of the plan's")
    parser.add_argument("--steps", type=int, help="length of the phase instead of the plan's")
    parser.add_argument("--minutes", type=float, help="end of the phase by training time, beside --steps")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    args.out.mkdir(parents=True, exist_ok=True)
    if args.command == "export":
        _export(args)
        return
    shipped = checkpoints.find("vgg16", "vgg16-00001-of-00004.safetensors").parent
    weights = load_file(args.vgg) if args.vgg else checkpoints.read_shards(shipped, "vgg16")
    {"start": _start, "basis": _basis, "train": _train}[args.command](args, weights)


if __name__ == "__main__":
    main()
