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
from scsa_core.backbones.lite_decoder import LiteDecoder
from scsa_core.training import data, ridge
from scsa_core.training.train import PLANS, Trainer


def _start(args: argparse.Namespace, weights: dict[str, torch.Tensor]) -> None:
    rng = random.Random(0)
    files = data.picture_files(args.photos)[:260] + data.picture_files(args.paintings)
    rng.shuffle(files)
    files = files[: len(files) // 8 * 8]
    squares = [data.centre_square(f, 192) for f in files]
    batches = [torch.stack(squares[i : i + 8]).contiguous(memory_format=torch.channels_last) for i in range(0, len(squares), 8)]
    scale = ridge.measure_scale(weights, batches[:6])
    decoder = ridge.fit(ridge.encoder_for(weights, scale), batches)
    save_file(decoder.state_dict(), args.out / "ridge.safetensors", {"encoder_scale": json.dumps(scale)})


def _train(args: argparse.Namespace, weights: dict[str, torch.Tensor]) -> None:
    start = args.start or args.out / "ridge.safetensors"
    with safe_open(start, "pt") as f:
        scale = json.loads(f.metadata()["encoder_scale"])
    plan = PLANS[args.phase]
    if args.steps:
        plan = dataclasses.replace(plan, steps=args.steps)
    if args.minutes:
        plan = dataclasses.replace(plan, minutes=args.minutes)
    if args.crop:
        plan = dataclasses.replace(plan, crop=args.crop)
    if args.pairs:
        plan = dataclasses.replace(plan, stylisations=args.pairs, reconstructions=args.pairs)
    decoder = LiteDecoder()
    checkpoints.load_into(decoder, load_file(start), "lite's decoder")
    rng = random.Random(1)
    torch.manual_seed(1)
    device = torch.device(args.device)
    torch.backends.cudnn.benchmark = True
    photos = data.Crops(data.picture_files(args.photos), 256, rng, device)
    paintings = data.Crops(data.picture_files(args.paintings), 320, rng, device)
    encoder = ridge.encoder_for(weights, scale, "relu5_1").to(device)
    decoder.to(device)
    trainer = Trainer(plan, encoder, decoder, photos, paintings, args.out)
    own, before = args.out / f"{args.phase}.pt", args.out / "reconstruct.pt"
    if own.exists():
        trainer.load(own)
    elif args.phase == "stylise" and before.exists() and not args.start:
        average = torch.load(before, weights_only=True)["average"]
        decoder.load_state_dict(average)
        trainer.average = {k: v.clone() for k, v in average.items()}
    trainer.run()


def _export(args: argparse.Namespace) -> None:
    with safe_open(args.start or args.out / "ridge.safetensors", "pt") as f:
        scale = f.metadata()["encoder_scale"]
    state = torch.load(args.out / f"{args.phase}.pt", weights_only=True, map_location="cpu")
    half = {k: v.half().contiguous() for k, v in state["average"].items()}
    meta = {"format": "pt", "encoder_scale": scale, "phase": args.phase, "steps": str(state["step"])}
    save_file(half, args.out / "decoder.safetensors", meta)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scsa_core.training", description=__doc__)
    parser.add_argument("command", choices=("start", "train", "export"))
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--paintings", type=Path)
    parser.add_argument("--vgg", type=Path, help="safetensors with torchvision's VGG-16 keys, Caffe convention (default: the shipped)")
    parser.add_argument("--out", type=Path, required=True, help="folder for states, logs and sheets")
    parser.add_argument("--phase", choices=tuple(PLANS), default="stylise")
    parser.add_argument("--start", type=Path, help="decoder to begin from, e.g. the shipped one (default: ridge.safetensors in --out)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument("--crop", type=int, help="side of the crops in pixels, a multiple of 16, instead of the plan's")
    parser.add_argument("--pairs", type=int, help="pairs a step, and as many reconstructions, instead of the plan's")
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
    _start(args, weights) if args.command == "start" else _train(args, weights)


if __name__ == "__main__":
    main()
