"""The segmenter and the matcher against maps made by hand, over a folder of pairs.

A pair is a folder `<id>/` with `<id>.jpg`, `<id>_paint.jpg` and their colour maps
`<id>_sem.png`, `<id>_paint_sem.png`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scsa_core.commands.render import write_atomically
from scsa_core.errors import ImageError
from scsa_core.images import encode_png, load_image, open_image
from scsa_core.labels import LabelMap, read_maps
from scsa_core.metrics.joint_miou import joint_miou, shared_area
from scsa_core.pairing import Pairing
from scsa_core.segment import builtin, match_regions

Maps = tuple[LabelMap, LabelMap]

LEAST = 0.01
"""True regions of less area (mean share of both pictures) are lips and pupils, which a grid of 24 tokens a side cannot hold."""


@dataclass(frozen=True, eq=False)
class Pair:
    """content and style with their true maps, which have the pictures' sizes."""

    name: str
    pictures: tuple[Image.Image, Image.Image]
    truth: Maps


@dataclass(frozen=True, eq=False)
class Row:
    """Outcome of one pair.

    ours: maps with the number of regions that was asked for. given, automatic: joint mIoU over
    the true regions of at least `LEAST`, their number given or chosen. strict: over every true
    region, their number given. matched: share of region area matched right on the true maps.
    seconds: of the segmenter, one number of regions.
    """

    pair: Pair
    ours: Maps
    true_regions: int
    given: float
    automatic: float
    strict: float
    matched: float
    seconds: float


def find_pairs(folder: Path) -> list[Path]:
    """Sub-folders that hold a whole pair, numbers in order. Raises ImageError where there is none."""
    found = [d for d in folder.iterdir() if (d / f"{d.name}_paint_sem.png").is_file()] if folder.is_dir() else []
    if not found:
        raise ImageError(f"{folder} holds no pairs", hint="A pair is <id>/<id>.jpg, _paint.jpg, _sem.png and _paint_sem.png.")
    return sorted(found, key=lambda d: (len(d.name), d.name))


def read_pair(folder: Path) -> Pair:
    """Raises ImageError, LabelError."""
    stem = folder / folder.name
    pictures = load_image(Path(f"{stem}.jpg")), load_image(Path(f"{stem}_paint.jpg"))
    content, style = read_maps(open_image(Path(f"{stem}_sem.png")), open_image(Path(f"{stem}_paint_sem.png")))
    assert content is not None and style is not None
    return Pair(folder.name, pictures, (content.resized(pictures[0].size), style.resized(pictures[1].size)))


def true_number(truth: Maps, least: float = 0.0) -> int:
    """How many regions there are of at least that mean share of both pictures."""
    shares = [m.shares() for m in truth]
    return sum(sum(s.get(k, 0.0) for s in shares) / 2 >= least for k in {*shares[0], *shares[1]})


def measure(folders: list[Path], regions: Literal["true", "auto"] = "true") -> Iterator[Row]:
    """One row a pair, as soon as it is known. regions: which of our maps to keep."""
    for folder in folders:
        pair = read_pair(folder)
        number = true_number(pair.truth, LEAST)
        started = time.perf_counter()
        found = builtin.analyse(*pair.pictures)
        given = found.maps(number)
        seconds = time.perf_counter() - started
        automatic, every = found.maps(None), found.maps(min(true_number(pair.truth), builtin.MOST))
        scores = joint_miou(given, pair.truth, LEAST), joint_miou(automatic, pair.truth, LEAST), joint_miou(every, pair.truth)
        yield Row(pair, given if regions == "true" else automatic, number, *scores, match_accuracy(pair), seconds)


def report(folder: Path, regions: Literal["true", "auto"], out: Path | None) -> None:
    """Print a row a pair and the means; a contact sheet `maps.png` of the maps with that number goes into `out`."""
    print("joint mIoU of the built-in segmenter with the true number of regions, an automatic one, and over every true region")
    print("    pair  regions   given    auto  strict  matched right  seconds")
    rows = []
    for row in measure(find_pairs(folder), regions):
        rows.append(row)
        cells = f"{row.given:6.3f}  {row.automatic:6.3f}  {row.strict:6.3f}  {row.matched:13.1%}  {row.seconds:7.2f}"
        print(f"{row.pair.name:>8}  {row.true_regions:7d}  {cells}", flush=True)
    table = np.array([[r.given, r.automatic, r.strict, r.matched, r.seconds] for r in rows])
    mean = table.mean(0)
    print(f"    mean           {mean[0]:6.3f}  {mean[1]:6.3f}  {mean[2]:6.3f}  {mean[3]:13.1%}  {mean[4]:7.2f}")
    if len(rows) > 1:
        low, high = np.quantile(resampled(table), (0.025, 0.975), axis=0)
        for name, bound in (("from", low), ("to", high)):
            print(f"{name:>8}           {bound[0]:6.3f}  {bound[1]:6.3f}  {bound[2]:6.3f}  {bound[3]:13.1%}   95 % bootstrap over pairs")
    print(f"given, auto: over true regions of at least {LEAST:.0%} of the area; strict: over all of them, their own number given.")
    print("matched right: share of region area, on the true maps with ids hidden.")
    if out is not None:
        write_atomically(out / "maps.png", encode_png(contact_sheet(rows)))
        print(f"{out / 'maps.png'}: content, truth, ours, style, truth, ours; ours in the colours of what it overlaps most.")


def resampled(table: NDArray[np.float64], draws: int = 9999) -> NDArray[np.float64]:
    """(pairs, columns) -> (draws, columns) means over pairs drawn with replacement, fixed seed."""
    chosen = np.random.default_rng(0).integers(0, len(table), (draws, len(table)))
    out: NDArray[np.float64] = table[chosen].mean(1)
    return out


def match_accuracy(pair: Pair) -> float:
    """Share of content area whose first link is the true region, ids hidden by a fixed shuffle of the style's.

    Only content regions that the style has too are counted.
    """
    content, style = pair.truth
    ids = np.array(style.region_ids)
    shuffled = np.random.default_rng(len(ids)).permutation(len(ids)) + 1
    table = np.zeros(256, dtype=np.uint8)
    table[ids] = shuffled
    links = match_regions(*pair.pictures, content, LabelMap.from_ids(table[style.ids]))
    return area_right(content, style, links, table)


def area_right(content: LabelMap, style: LabelMap, links: Pairing, table: NDArray[np.uint8]) -> float:
    """0..1; table: true style id -> the id it was hidden under."""
    shares = {k: share for k, share in content.shares().items() if k in style.region_ids}
    right = sum(share for k, share in shares.items() if links.sources(k)[:1] == (int(table[k]),))
    return right / sum(shares.values()) if shares else 1.0


def contact_sheet(rows: list[Row], side: int = 128, columns: int = 3) -> Image.Image:
    """Per pair: content, truth, ours, style, truth, ours; `columns` pairs a line."""
    lines = -(-len(rows) // columns)
    sheet = Image.new("RGB", (columns * (6 * side + 12), lines * (side + 6)), "white")
    for k, row in enumerate(rows):
        left, top = (k % columns) * (6 * side + 12), k // columns * (side + 6)
        colours = _like_truth(row)
        for i in range(2):
            tiles = row.pair.pictures[i], row.pair.truth[i].to_colour_image(), colours[i]
            for j, tile in enumerate(tiles):
                smooth = Image.Resampling.LANCZOS if j == 0 else Image.Resampling.NEAREST
                sheet.paste(tile.resize((side, side), smooth), (left + (3 * i + j) * side, top))
    return sheet


def _like_truth(row: Row) -> list[Image.Image]:
    """Our maps in the colours of the true regions that they overlap most."""
    best = shared_area(row.ours, row.pair.truth).argmax(1)
    table = np.array([[int(row.pair.truth[0].region(int(k)).colour[i : i + 2], 16) for i in (1, 3, 5)] for k in best], dtype=np.uint8)
    return [Image.fromarray(table[m.ids]) for m in row.ours]
