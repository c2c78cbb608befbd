"""Malformed and mismatched semantic maps: as files that a person imports, and as values that a browser sends."""

from __future__ import annotations

import base64
import json
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from .files import File, encoded, junk, noise, photo, png, shorts, tiff
from .pictures import picture

COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255), (0, 255, 255), (255, 255, 255), (0, 0, 0))


@dataclass
class MapCase:
    """files: to import, none: the value itself is tried. changes: fields of the painter's value, pictures excepted."""

    files: list[File] = field(default_factory=list)
    side: str = "content"
    changes: dict[str, Any] = field(default_factory=dict)


_MAKE: dict[str, Callable[[random.Random], MapCase]] = {}


def kind(make: Callable[[random.Random], MapCase]) -> Callable[[random.Random], MapCase]:
    _MAKE[make.__name__] = make
    return make


def kinds() -> tuple[str, ...]:
    return tuple(_MAKE)


def map_case(name: str, rng: random.Random) -> MapCase:
    return _MAKE[name](rng)


# -- tools --------------------------------------------------------------------------------


def areas(rng: random.Random, size: tuple[int, int], ids: list[int]) -> np.ndarray:
    """(h, w) ids in a few bands and boxes."""
    w, h = size
    found = np.full((h, w), ids[0], np.uint8)
    for region in ids[1:]:
        x, y = rng.randrange(w), rng.randrange(h)
        found[y : y + rng.randint(1, max(1, h // 2)), x : x + rng.randint(1, max(1, w // 2))] = region
    return found


def coloured(ids: np.ndarray) -> Image.Image:
    return Image.fromarray(np.array(COLOURS, np.uint8)[ids % len(COLOURS)])


def any_size(rng: random.Random) -> tuple[int, int]:
    return rng.choice([(64, 48), (48, 64), (16, 16), (17, 900), (900, 17), (333, 111), (1, 1), (2, 300), (128, 128)])


def pair(first: bytes, second: bytes, extension: str = "png") -> list[File]:
    return [(f"content_map.{extension}", first), (f"style_map.{extension}", second)]


def packed(ids: np.ndarray) -> str:
    return base64.b64encode(zlib.compress(ids.tobytes())).decode()


def side_of(ids: np.ndarray) -> dict[str, Any]:
    return {"w": ids.shape[1], "h": ids.shape[0], "map": packed(ids)}


def legend(*ids: int) -> list[dict[str, Any]]:
    return [{"id": k, "name": f"R{k}", "colour": "#{:02x}{:02x}{:02x}".format(*COLOURS[k % 8])} for k in ids]


# -- files ----------------------------------------------------------------------------------


@kind
def one_region(rng: random.Random) -> MapCase:
    """Everything is one region, or Rest alone."""
    a, b = (np.full(any_size(rng), rng.choice([0, 1, 255]), np.uint8) for _ in range(2))
    return MapCase(pair(encoded(Image.fromarray(a), "PNG"), encoded(Image.fromarray(b), "PNG")))


@kind
def empty_region(rng: random.Random) -> MapCase:
    """A region of one pixel, or in one picture only."""
    a, b = np.zeros((48, 64), np.uint8), areas(rng, (64, 48), [1, 2])
    a[rng.randrange(48), rng.randrange(64)] = rng.choice([1, 3])
    make = coloured if rng.random() < 0.5 else Image.fromarray
    return MapCase(pair(encoded(make(a), "PNG"), encoded(make(b), "PNG")))


@kind
def other_size(rng: random.Random) -> MapCase:
    """Maps of other sizes and aspects than their pictures and than each other."""
    made = [coloured(areas(rng, any_size(rng), [1, 2, 3])) for _ in range(2)]
    return MapCase(pair(*(encoded(m, "PNG") for m in made)))


@kind
def other_labels(rng: random.Random) -> MapCase:
    """Maps that share no region, or use ids that the legend does not have."""
    a, b = areas(rng, (64, 48), [1, 2]), areas(rng, (64, 48), rng.choice([[3, 4], [200, 255], [0, 9]]))
    make = Image.fromarray if rng.random() < 0.7 else coloured
    return MapCase(pair(encoded(make(a), "PNG"), encoded(make(b), "PNG")))


@kind
def too_many(rng: random.Random) -> MapCase:
    """A photograph, noise, or hundreds of ids for a map."""
    made = [photo(rng, (64, 48)), Image.fromarray(noise(rng, 48, 64, 3)), Image.fromarray(noise(rng, 48, 64)), Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))]
    files = pair(*(encoded(rng.choice(made), "PNG") for _ in range(2)))
    return MapCase(files if rng.random() < 0.6 else files[:1])


@kind
def mixed_forms(rng: random.Random) -> MapCase:
    """One map in colours, the other in ids; or two forms that look alike."""
    a, b = encoded(coloured(areas(rng, (64, 48), [1, 2])), "PNG"), encoded(Image.fromarray(areas(rng, (64, 48), [1, 2])), "PNG")
    return MapCase(pair(*rng.choice([(a, b), (b, a)])))


@kind
def map_modes(rng: random.Random) -> MapCase:
    """16-bit, float, palette, alpha, 1-bit, CMYK and JPEG maps."""
    ids = areas(rng, (64, 48), [1, 2, 3])
    quantized = coloured(ids).quantize(4)
    rgba = coloured(ids).convert("RGBA")
    rgba.putalpha(Image.fromarray(noise(rng, 48, 64)))
    made = [
        encoded(Image.fromarray(ids.astype(np.uint16) * rng.choice([1, 100, 300])), "PNG"), encoded(Image.fromarray(ids.astype(np.float32)), "TIFF"),
        encoded(Image.fromarray(ids.astype(np.int32) - 2), "TIFF"), encoded(quantized, "PNG"), encoded(rgba, "PNG"), encoded(Image.fromarray(ids > 1), "PNG"),
        encoded(coloured(ids).convert("CMYK"), "TIFF"), encoded(coloured(ids), "JPEG", quality=rng.choice([10, 60, 95])), encoded(coloured(ids), "GIF"),
        encoded(Image.fromarray(np.full((48, 64), np.nan, np.float32)), "TIFF"), encoded(coloured(ids), "WEBP", quality=30),
        tiff(64, 48, noise(rng, 48, 64, 3).tobytes(), {258: shorts(8, 8, 8), 262: shorts(8), 277: shorts(3)}),
    ]  # fmt: skip
    return MapCase(pair(rng.choice(made), rng.choice(made)) if rng.random() < 0.7 else [("map.png", rng.choice(made))], rng.choice(["content", "style"]))


@kind
def not_a_map(rng: random.Random) -> MapCase:
    """Any broken picture in place of a map."""
    names = ["wrong_type", "svg", "truncated", "damaged", "spliced", "tiny", "huge", "odd_tiff", "float_tiff", "deep", "animated", "palette", "narrow"]
    files = [picture(rng.choice(names), rng) for _ in range(rng.choice([1, 2]))]
    return MapCase(files, rng.choice(["content", "style"]))


@kind
def large_map(rng: random.Random) -> MapCase:
    """Up to what a picture may have, in a few colours."""
    w, h = rng.choice([(3000, 2000), (29_000, 1700), (4000, 100)])
    return MapCase([("map.png", png(w, h, bits=1, colour=0, raw=bytes([0] + [0b00110101] * ((w + 7) // 8)) * h))])


@kind
def bad_legend(rng: random.Random) -> MapCase:
    """JSON beside the maps that is no legend, or one with faults."""
    ids = areas(rng, (64, 48), [1, 2])
    records: Any = legend(0, 1, 2)
    for _ in range(rng.randint(1, 3)):
        records[rng.randrange(3)][rng.choice(["id", "name", "colour"])] = junk(rng)
    whole: Any = {"schema": 1, "regions": records, "links": {"1": [2]}}
    if rng.random() < 0.5:
        whole[rng.choice(["regions", "links"])] = junk(rng)
    if rng.random() < 0.2:
        whole = junk(rng)
    text = json.dumps(whole) if rng.random() < 0.8 else rng.choice(["", "{", "[" * 60_000, "\0\0", '{"regions": [' + "{}," * 90_000 + "{}]}", "9" * 9000, "\ufeff{}"])
    data = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.4:
        info = PngImagePlugin.PngInfo()
        info.add_itxt("scsa-map", text[:200_000])
        return MapCase([("map.png", encoded(coloured(ids), "PNG", pnginfo=info))])
    files = [("map.png", encoded(Image.fromarray(ids), "PNG")), ("map.json", data)]
    return MapCase(files if rng.random() < 0.7 else files[1:], "style")


@kind
def odd_files(rng: random.Random) -> MapCase:
    """None, many, twice the same, or names that say nothing."""
    one = encoded(coloured(areas(rng, (64, 48), [1, 2])), "PNG")
    names = rng.choice([["a.png"] * 3, ["content.png", "content2.png"], ["photo style.png", "style photo.png"], ["x.json", "y.json"], ["🙂.png", "a" * 150], ["content_map.png"] * 9])
    return MapCase([(name, one) for name in names], rng.choice(["content", "style", "other", ""]))


# -- values ---------------------------------------------------------------------------------


@kind
def value_sizes(rng: random.Random) -> MapCase:
    """Sizes that do not fit the data."""
    side = side_of(areas(rng, (64, 48), [1, 2]))
    side[rng.choice(["w", "h"])] = rng.choice([0, -1, 1, 63, 65, 1025, 10**9, 2**63, 10**30, True, 64.5, "64", None])
    return MapCase(changes={rng.choice(["content", "style"]): side})


@kind
def value_data(rng: random.Random) -> MapCase:
    """Data that is not a packed map."""
    side = side_of(areas(rng, (64, 48), [1, 2]))
    text = side["map"]
    side["map"] = rng.choice(
        ["", "=", "A" * 100, text[:-9], text[:5] + "!" + text[5:], text * 2, "\0" * 50, "é" * 40, base64.b64encode(zlib.compress(b"\0" * 30_000_000)).decode()[:6000],
         base64.b64encode(zlib.compress(b"\1" * (64 * 48 - 1))).decode(), base64.b64encode(b"plain" * 99).decode(), None, 5, ["a"], {"a": 1}]
    )  # fmt: skip
    return MapCase(changes={rng.choice(["content", "style"]): side})


@kind
def value_legend(rng: random.Random) -> MapCase:
    """A legend without a region that the map has, with one twice, or with nonsense."""
    records: Any = legend(0, 1, 2)
    which = rng.randrange(5)
    if which == 0:
        records = legend(0)
    elif which == 1:
        records = legend(1, 1, 2)
    elif which == 2:
        records[rng.randrange(3)][rng.choice(["id", "name", "colour"])] = junk(rng)
    elif which == 3:
        records = legend(*range(256)) + legend(3)
    else:
        records[1]["name"] = rng.choice(["<img src=x onerror=alert(1)>", "${process}", "\u202e\u0000\n", " " * 90, "🙂" * 90, ""])
    ids = areas(rng, (64, 48), [1, 2])
    return MapCase(changes={"content": side_of(ids), "style": side_of(ids), "regions": records})


@kind
def value_links(rng: random.Random) -> MapCase:
    """Links from and to regions that are not there, and things that are no links."""
    links: Any = {str(rng.choice([0, 1, 2, 9, 255])): rng.choice([[2], [], [9], [-1], [1, 1, 2], [0, -1]]) for _ in range(3)}
    if rng.random() < 0.5:
        links[str(rng.choice([256, -1, "x", "", "٣", "²", "1e3", 10**30]))] = rng.choice([[1], [256], [-5], [10**20], [None], "2", [[1]], 5])
    if rng.random() < 0.2:
        links = junk(rng)
    ids = [areas(rng, (64, 48), [1, 2, 0]) for _ in range(2)]
    return MapCase(changes={"content": side_of(ids[0]), "style": side_of(ids[1]), "links": links, "regions": legend(0, 1, 2)})


@kind
def value_junk(rng: random.Random) -> MapCase:
    """Any field is anything."""
    changes: dict[str, Any] = {"content": side_of(areas(rng, (64, 48), [1]))}
    for _ in range(rng.randint(1, 3)):
        changes[rng.choice(["v", "content", "style", "regions", "links", "by", "error", "incoming"])] = junk(rng)
    return MapCase(changes=changes)
