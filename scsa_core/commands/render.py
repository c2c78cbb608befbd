"""`scsa render`: one picture from two."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from scsa_core import __version__, files
from scsa_core.backbones import FAMILIES
from scsa_core.commands.base import Command, UsageError, add_knobs, knob_values
from scsa_core.engine import Engine, RenderRequest, RenderResult
from scsa_core.errors import ImageError, LabelError
from scsa_core.images import load_image, open_image
from scsa_core.knobs import ALL_METHODS
from scsa_core.labels import LabelMap, read_maps
from scsa_core.pairing import Pairing
from scsa_core.plan import REFERENCE_SIZE
from scsa_core.progress import Progress
from scsa_core.recipe import Recipe, embed

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
_WORDS = {
    "load_model": "loading the model",
    "encode_content": "reading the content",
    "encode_style": "reading the style",
    "encode_maps": "reading the maps",
    "match": "matching regions",
    "paint": "painting",
    "finish": "finishing",
}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example: scsa render --content photo.jpg --style painting.jpg --content-map a.png --style-map b.png --out out.png"
    pictures = parser.add_argument_group("pictures")
    pictures.add_argument("--content", required=True, type=Path, metavar="FILE", help="What is painted.")
    pictures.add_argument("--style", required=True, type=Path, metavar="FILE", help="What it is painted like.")
    pictures.add_argument(
        "--content-map",
        type=Path,
        metavar="FILE",
        help="Its regions: a picture of flat colours, or a greyscale one of region numbers. Give both maps or none.",
    )
    pictures.add_argument("--style-map", type=Path, metavar="FILE", help="The style's regions; the same colour is the same region.")
    pictures.add_argument(
        "--links",
        metavar="JSON",
        help='Content region: style regions that feed it, e.g. \'{"4": [3, 1]}\'; without an entry: the same number; []: the whole style.',
    )
    pictures.add_argument(
        "--out", required=True, type=Path, metavar="FILE", help="Result: .png (carries all settings), .jpg or .webp."
    )
    parser.add_argument("--backbone", choices=tuple(FAMILIES), default="lite", help="The model (default: %(default)s).")
    parser.add_argument("--method", choices=ALL_METHODS, help="The method, its baseline or an ablation (default: the model's own first).")
    add_knobs(parser)
    parser.add_argument(
        "--reference",
        action="store_true",
        help=f"The reference implementation's own preprocessing: {REFERENCE_SIZE}x{REFERENCE_SIZE} squash, its label rule, its fallbacks.",
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="Where to compute (default: %(default)s).")
    parser.add_argument("--json", action="store_true", help="Print timings, peak memory, regions and warnings as one JSON object.")


def run(args: argparse.Namespace) -> int:
    out: Path = args.out
    _check_output(out, [p for p in (args.content, args.style, args.content_map, args.style_map) if p is not None])
    if args.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("there is no CUDA device here", hint="Leave --device out.")
    engine = Engine(args.device)
    args.method = args.method or engine.info(args.backbone).capabilities.methods[0]
    request, warnings = _request(args, engine)
    bar = _Bar()
    try:
        result = engine.render(request, progress=bar)
    finally:
        bar.clear()
    warnings += [note.text for note in result.notes]
    write_atomically(out, encode(result, out, tuple(warnings)))
    if args.json:
        print(json.dumps(report(result, out, warnings), ensure_ascii=False))
    else:
        for warning in warnings:
            print(f"note: {warning}", file=sys.stderr)
        width, height = result.image.size
        print(f"{out}: {width} × {height}, {request.backbone}, {request.method}, {result.timings['total']:.1f} s")
    return 0


def _request(args: argparse.Namespace, engine: Engine) -> tuple[RenderRequest, list[str]]:
    warnings = []
    values = knob_values(args)
    if args.reference:
        if values["size"] not in (None, REFERENCE_SIZE):
            warnings.append(f"--reference always works at {REFERENCE_SIZE} pixels; --size was not used.")
        values["size"] = REFERENCE_SIZE
    knobs = engine.defaults(args.backbone).replace(**values)
    maps = [None if path is None else _open("--" + which, path, as_map=True) for which, path in _map_paths(args)]
    if len([m for m in maps if m is not None]) == 1 and args.method != "baseline":
        missing = "--content-map" if maps[0] is None else "--style-map"
        raise LabelError(f"{missing} is missing", hint="Give maps for both pictures, or for none.")
    content_map, style_map = read_maps(*maps)
    both = None
    if args.reference and maps[0] is not None and maps[1] is not None:
        both = (maps[0].convert("RGB"), maps[1].convert("RGB"))
    request = RenderRequest(
        content=_open("--content", args.content),
        style=_open("--style", args.style),
        content_map=content_map,
        style_map=style_map,
        links=None if args.links is None else Pairing.from_json(args.links).links,
        backbone=args.backbone,
        method=args.method,
        knobs=knobs,
        reference=args.reference,
        map_pictures=both,
    )
    return request, warnings


def _map_paths(args: argparse.Namespace) -> tuple[tuple[str, Path | None], ...]:
    return (("content-map", args.content_map), ("style-map", args.style_map))


def _open(option: str, path: Path, *, as_map: bool = False) -> Image.Image:
    """A picture, or a map as it is stored; an error says which option it is about."""
    try:
        return open_image(path) if as_map else load_image(path)
    except ImageError as error:
        raise UsageError(f"{option} {path}: {error}", hint=error.hint) from error


def _check_output(out: Path, inputs: list[Path]) -> None:
    """Raise UsageError for an output that cannot or must not be written, before any work is done."""
    if out.suffix.lower() not in FORMATS:
        raise UsageError(f"--out {out}: the name must end in .png, .jpg or .webp")
    if out.is_dir():
        raise UsageError(f"--out {out}: this is a folder")
    if any(path.exists() and out.exists() and path.samefile(out) for path in inputs):
        raise UsageError(f"--out {out}: this would overwrite an input", hint="Choose another name.")
    parent = next(folder for folder in (out.parent, *out.parent.parents) if folder.exists())
    if not parent.is_dir():
        raise UsageError(f"--out {out}: {parent} is not a folder")
    if not os.access(parent, os.W_OK):
        raise UsageError(f"--out {out}: {parent} cannot be written to")


def encode(result: RenderResult, out: Path, warnings: tuple[str, ...] = ()) -> bytes:
    """The file's bytes by its suffix. A PNG carries its recipe; the other formats have no place for it."""
    if FORMATS[out.suffix.lower()] != "PNG":
        buffer = io.BytesIO()
        result.image.save(buffer, FORMATS[out.suffix.lower()], quality=95)
        return buffer.getvalue()
    return embed(result.image, Recipe.of(result, __version__, warnings))


def write_atomically(path: Path, data: bytes) -> None:
    """The whole file or nothing; parent folders are made. Raises UsageError."""
    try:
        files.write_atomically(path, data)
    except OSError as error:
        raise UsageError(f"--out {path}: cannot be written ({error.strerror})") from error


def report(result: RenderResult, out: Path, warnings: list[str]) -> dict[str, Any]:
    """What --json prints. Seconds, bytes, (width, height); shares are of each picture's area."""
    request = result.request
    assert request.knobs is not None
    return {
        "out": str(out),
        "size": list(result.image.size),
        "backbone": request.backbone,
        "weights": result.weights,
        "method": request.method,
        "reference": request.reference,
        "knobs": request.knobs.as_dict(),
        "timings": {name: round(seconds, 4) for name, seconds in result.timings.items()},
        "peak_memory_bytes": result.peak_bytes,
        "regions": _regions(request.content_map, request.style_map),
        "warnings": warnings,
    }


def _regions(content: LabelMap | None, style: LabelMap | None) -> list[dict[str, Any]]:
    """Every region of either map with its share of each picture."""
    shares = [{} if m is None else m.shares() for m in (content, style)]
    listed = []
    for region_id in sorted(shares[0].keys() | shares[1].keys()):
        owner = content if content is not None and region_id in shares[0] else style
        assert owner is not None
        region = owner.region(region_id)
        listed.append(
            {
                "id": region_id,
                "name": region.name,
                "colour": region.colour,
                "content_share": round(shares[0].get(region_id, 0.0), 6),
                "style_share": round(shares[1].get(region_id, 0.0), 6),
            }
        )
    return listed


class _Bar:
    """Progress on one line of a terminal; silent when standard error is a file or a pipe."""

    def __init__(self) -> None:
        self._visible = sys.stderr.isatty()

    def __call__(self, event: Progress) -> None:
        if self._visible:
            words = _WORDS.get(event.stage, event.stage)
            print(f"\r\033[K{event.fraction:4.0%} {words}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self._visible:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


RENDER = Command("render", "Paint a content picture like a style picture, region by region.", configure, run)
