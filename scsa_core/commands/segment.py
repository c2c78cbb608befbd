"""`scsa segment`: label maps of two pictures, and which regions belong together."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from scsa_core.commands.base import Command, UsageError, positive
from scsa_core.commands.render import write_atomically
from scsa_core.images import encode_png, load_image
from scsa_core.labels import LabelMap
from scsa_core.pairing import notes
from scsa_core.segment import METHODS, segment_pair

SHEET = 512  # long side of a picture on the overlay sheet


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example: scsa segment --content photo.jpg --style painting.jpg --out-dir maps"
    parser.add_argument("--content", required=True, type=Path, metavar="FILE", help="The picture that will be painted.")
    parser.add_argument("--style", required=True, type=Path, metavar="FILE", help="The picture it will be painted like.")
    parser.add_argument("--out-dir", required=True, type=Path, metavar="DIR", help="Where the maps, their colours and the links go.")
    parser.add_argument("--method", choices=METHODS, default="builtin", help="The segmenter (default: %(default)s).")
    parser.add_argument("--regions", type=positive, metavar="K", help="How many regions, 1 to 32 (default: chosen for you).")
    sizes = ("vit_b", "vit_l", "vit_h")
    parser.add_argument("--sam-model", choices=sizes, default="vit_b", help="Which Segment Anything (default: %(default)s).")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="Where to compute (default: %(default)s).")


def run(args: argparse.Namespace) -> int:
    out: Path = args.out_dir
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out-dir {out} is not a folder")
    if args.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("there is no CUDA device here", hint="Leave --device out.")
    device = args.device if args.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    content, style = load_image(args.content), load_image(args.style)
    content_map, style_map, pairing = segment_pair(
        content, style, method=args.method, regions=args.regions, device=device, sam_model=args.sam_model
    )
    for name, label_map in (("content", content_map), ("style", style_map)):
        write_atomically(out / f"{name}_labels.png", encode_png(label_map.to_index_image()))
        write_atomically(out / f"{name}_colours.png", encode_png(label_map.to_colour_image()))
    write_atomically(out / "overlay.png", encode_png(overlay_sheet(((content, content_map), (style, style_map)))))
    write_atomically(out / "pairing.json", (pairing.to_json() + "\n").encode())
    for note in notes(content_map, style_map, pairing):
        print(f"note: {note.text}")
    print(f"{out}: {len(content_map.region_ids)} regions in the content, {len(style_map.region_ids)} in the style, {args.method}")
    return 0


def overlay(picture: Image.Image, label_map: LabelMap, side: int = SHEET) -> Image.Image:
    """The picture under its regions' colours, its longer side `side` pixels."""
    scale = side / max(picture.size)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    small = np.asarray(picture.convert("RGB").resize(size, Image.Resampling.LANCZOS), dtype=np.float32)
    colours = np.asarray(label_map.to_colour_image().resize(size, Image.Resampling.NEAREST), dtype=np.float32)
    return Image.fromarray((0.45 * small + 0.55 * colours).astype(np.uint8))


def overlay_sheet(pairs: tuple[tuple[Image.Image, LabelMap], ...]) -> Image.Image:
    """Overlays side by side on white."""
    tiles = [overlay(*pair) for pair in pairs]
    sheet = Image.new("RGB", (SHEET * len(tiles) + 8 * (len(tiles) - 1), max(tile.height for tile in tiles)), "white")
    for k, tile in enumerate(tiles):
        sheet.paste(tile, (k * (SHEET + 8), 0))
    return sheet


SEGMENT = Command("segment", "Find the regions of two pictures and match them.", configure, run)
