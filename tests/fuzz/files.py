"""Files made by hand, for the kinds of bad input: sound pictures, and PNG and TIFF byte by byte."""

from __future__ import annotations

import io
import random
import struct
import zlib

import numpy as np
from PIL import Image

File = tuple[str, bytes]
"""(name as a client might send it, content)."""


def noise(rng: random.Random, *shape: int) -> np.ndarray:
    return np.random.default_rng(rng.getrandbits(32)).integers(0, 256, shape, dtype=np.uint8)


def photo(rng: random.Random, size: tuple[int, int] | None = None, mode: str = "RGB") -> Image.Image:
    """Something with soft areas, an edge and noise."""
    w, h = size or (rng.randint(40, 120), rng.randint(40, 120))
    y, x = np.mgrid[0:h, 0:w]
    planes = [(x * rng.uniform(0.5, 3) + y * rng.uniform(0.5, 3) + rng.randint(0, 255)) % 256 for _ in range(3)]
    array = np.stack(planes, -1) * 0.8 + noise(rng, h, w, 3) * 0.2
    return Image.fromarray(array.astype(np.uint8)).convert(mode)


def encoded(im: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    im.save(out, form, **options)
    return out.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, *, bits: int = 8, colour: int = 2, raw: bytes | None = None, extra: bytes = b"") -> bytes:
    """A PNG by hand. raw: the rows, compressed here; None: far too few of them."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", zlib.compress(raw or b"\0" * 64)) + chunk(b"IEND", b"")


def tiff(width: int, height: int, data: bytes, tags: dict[int, tuple[int, int, bytes]], order: str = "<") -> bytes:
    """A TIFF by hand of one strip. tags: number -> (type, count, bytes of the values) beside what every TIFF has."""
    body = {
        256: (4, 1, struct.pack(order + "I", width)), 257: (4, 1, struct.pack(order + "I", height)),
        273: (4, 1, struct.pack(order + "I", 8)), 278: (4, 1, struct.pack(order + "I", height)),
        279: (4, 1, struct.pack(order + "I", len(data))), **tags,
    }  # fmt: skip
    at = 8 + len(data)
    extra, entries = b"", b""
    after = at + 2 + 12 * len(body) + 4
    for number, (form, count, value) in sorted(body.items()):
        if len(value) <= 4:
            entries += struct.pack(order + "HHI", number, form, count) + value.ljust(4, b"\0")
        else:
            entries += struct.pack(order + "HHII", number, form, count, after + len(extra))
            extra += value
    start = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, at)
    return start + data + struct.pack(order + "H", len(body)) + entries + struct.pack(order + "I", 0) + extra


def shorts(*values: int, order: str = "<") -> tuple[int, int, bytes]:
    """A TIFF tag of short numbers."""
    return 3, len(values), struct.pack(f"{order}{len(values)}H", *values)


def junk(rng: random.Random, depth: int = 0) -> object:
    """Any JSON value, mostly an unwelcome one."""
    plain: list[object] = [
        None, True, False, 0, -1, 1, 255, 256, 2**31, 2**63, 10**400, -(10**30), 0.5, -0.0, 1e308, float("nan"), float("inf"), "", "0", "-1", "nan",
        "1e999", "lite", "scsa", "content", "../../etc/passwd", "/etc/passwd", "${7*7}", "<img src=x onerror=alert(1)>", "\0", "\ud83d\ude00" * 50,
        "x" * 3000, "#ff0000", "#xyz", "٣", "a\nb", "﷽", [], {}, [[]], [None], {"": None},
    ]  # fmt: skip
    if depth < 3 and rng.random() < 0.25:
        return [junk(rng, depth + 1) for _ in range(rng.randint(0, 5))]
    if depth < 3 and rng.random() < 0.2:
        keys = ["id", "name", "colour", "path", "side", "1", "-1", "picture", "meta", "__proto__", "size"]
        return {rng.choice(keys): junk(rng, depth + 1) for _ in range(rng.randint(0, 4))}
    return rng.choice(plain)
