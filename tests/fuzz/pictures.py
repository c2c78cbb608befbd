"""Malformed and unusual pictures. Each kind is a function of a seeded random source; the same seed makes the same bytes."""

from __future__ import annotations

import gzip
import json
import random
import struct
import zlib
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin

from .files import File, chunk, encoded, junk, noise, photo, png, shorts, tiff

RASTERS = (("png", "PNG"), ("jpg", "JPEG"), ("webp", "WEBP"), ("tif", "TIFF"), ("bmp", "BMP"), ("gif", "GIF"))
_MAKE: dict[str, Callable[[random.Random], File]] = {}


def kind(make: Callable[[random.Random], File]) -> Callable[[random.Random], File]:
    _MAKE[make.__name__] = make
    return make


def kinds() -> tuple[str, ...]:
    return tuple(_MAKE)


def picture(name: str, rng: random.Random) -> File:
    """A file of a kind."""
    return _MAKE[name](rng)


def valid(rng: random.Random) -> tuple[str, bytes]:
    """(extension, bytes) of a sound picture of any type."""
    extension, form = rng.choice(RASTERS)
    return extension, encoded(photo(rng), form)


# -- not a picture, or not one any more -----------------------------------------------------


@kind
def wrong_type(rng: random.Random) -> File:
    """Something else behind the name of a picture."""
    data = rng.choice(
        [
            b"<html><script>alert(1)</script></html>", b"%PDF-1.7\n%\xe2\xe3\n1 0 obj<<>>endobj", b"PK\x03\x04" + rng.randbytes(60),
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) run", b"8BPS\0\x01" + rng.randbytes(40), b"\x7fELF" + rng.randbytes(60),
            b"\0\0\0\x18ftypheic" + rng.randbytes(40), b"\0\0\0\x18ftypavif" + rng.randbytes(40), b"RIFF\x24\0\0\0WAVEfmt " + rng.randbytes(20),
            gzip.compress(b"x" * 5000), b"import os\n", b"", b"\0" * rng.randint(1, 4000), rng.randbytes(rng.randint(1, 4000)),
            b"\xff\xd8\xff" + rng.randbytes(200), b"\x89PNG\r\n\x1a\n" + rng.randbytes(200), b"GIF89a" + rng.randbytes(30), b"II*\0" + rng.randbytes(90),
            b"BM" + rng.randbytes(80), b"#define a_width 9\n#define a_height 9\nstatic char a_bits[] = {1};", b"P6 64 64 255\n" + rng.randbytes(64 * 64 * 3),
        ]
    )  # fmt: skip
    return rng.choice(["a.png", "a.jpg", "b.webp", "c.tif", "d.bmp", "e.gif", "photo"]), data


@kind
def svg(rng: random.Random) -> File:
    """Active formats."""
    start = rng.choice(["", "\ufeff", "<?xml version='1.0'?>", "<!-- " + "x" * 500 + " -->", "<!DOCTYPE svg [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>"])
    body = "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><script>alert(1)</script><image href='http://127.0.0.1/x'/></svg>"
    return rng.choice(["a.svg", "a.png", "a.svg.png"]), (start + body).encode()


@kind
def truncated(rng: random.Random) -> File:
    extension, data = valid(rng)
    return f"cut.{extension}", data[: int(len(data) * rng.random())]


@kind
def damaged(rng: random.Random) -> File:
    """A few bytes of a sound file changed, some of them in its head."""
    extension, data = valid(rng)
    found = bytearray(data)
    for _ in range(rng.randint(1, 30)):
        found[rng.randrange(min(len(found), rng.choice([60, len(found)])))] = rng.randrange(256)
    return f"damaged.{extension}", bytes(found)


@kind
def spliced(rng: random.Random) -> File:
    """The head of one file, the tail of another."""
    (extension, a), (_, b) = valid(rng), valid(rng)
    return f"spliced.{extension}", a[: rng.randrange(len(a))] + b[rng.randrange(len(b)) :]


@kind
def polyglot(rng: random.Random) -> File:
    """A picture that is something else too."""
    tail = rng.choice([b"PK\x03\x04" + rng.randbytes(80), b"<script>alert(1)</script>", b"<svg onload='alert(1)'/>", encoded(photo(rng), "PNG")])
    if rng.random() < 0.3:
        return "both.jpg", encoded(photo(rng), "JPEG", comment=b"--><script>alert(1)</script>")
    extension, data = valid(rng)
    return f"both.{extension}", data + tail


# -- sizes ----------------------------------------------------------------------------------


@kind
def tiny(rng: random.Random) -> File:
    """1x1 and the like, at and below the smallest side."""
    w, h = rng.choice([(1, 1), (1, 1), (2, 2), (1, 500), (500, 1), (15, 16), (16, 16), (16, 15), (3, 40), (16, 17)])
    extension, form = rng.choice(RASTERS)
    return f"tiny.{extension}", encoded(photo(rng, (w, h)), form)


@kind
def narrow(rng: random.Random) -> File:
    """Very long, very thin."""
    size = (rng.randint(16, 20), rng.randint(800, 4000))
    return "narrow.png", encoded(photo(rng, size if rng.random() < 0.5 else size[::-1]), "PNG")


@kind
def huge(rng: random.Random) -> File:
    """Sides of 30,000 pixels and more."""
    make = rng.choice([_whole_giant, _giant_header, _giant_bmp, _giant_gif, _giant_frame, _giant_tiff, _giant_webp, _giant_jpeg])
    return make(rng)


@lru_cache(maxsize=1)
def _giant() -> bytes:
    """A sound 1-bit PNG of 30,000 x 30,000."""
    rows = zlib.compressobj(1)
    data = b"".join(rows.compress(b"\0" * (3751 * 1000)) for _ in range(30)) + rows.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def _whole_giant(rng: random.Random) -> File:
    return "giant.png", _giant()


def _giant_header(rng: random.Random) -> File:
    return "giant.png", png(*rng.choice([(30_000, 30_000), (2**31 - 1, 2), (2**31 - 1, 2**31 - 1), (30_001, 20), (0, 20), (9000, 9000)]))


def _giant_bmp(rng: random.Random) -> File:
    w, h = rng.choice([(30_000, 30_000), (2**31 - 1, 2**31 - 1), (-5, 30_000), (30_000, -(2**31)), (40_000, -40_000)])
    return "giant.bmp", b"BM" + struct.pack("<IHHIIiiHHIIiiII", 99, 0, 0, 54, 40, w, h, 1, 24, 0, 0, 1, 1, 0, 0) + b"\0" * 64


def _giant_gif(rng: random.Random) -> File:
    data = bytearray(encoded(photo(rng), "GIF"))
    data[6:10] = struct.pack("<HH", 65535, 65535)
    return "giant.gif", bytes(data)


def _giant_frame(rng: random.Random) -> File:
    """A small screen with a frame that is larger than it."""
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\x08\x02\x4c\x01\x00\x3b"
    return "frame.gif", b"GIF89a" + struct.pack("<HHBBB", 64, 64, 0x80, 0, 0) + b"\0" * 6 + frame


def _giant_tiff(rng: random.Random) -> File:
    data = zlib.compress(b"\0" * 1000)
    tags = {258: shorts(8), 259: shorts(8), 262: shorts(1), 277: shorts(1)}
    return "giant.tif", tiff(*rng.choice([(30_000, 30_000), (2**32 - 1, 2**32 - 1), (60_000, 10), (7000, 7000)]), data, tags)


def _giant_webp(rng: random.Random) -> File:
    """A lossless WebP whose head says 16383 x 16383."""
    bits = (16382) | (16382 << 14)
    body = b"\x2f" + struct.pack("<I", bits) + b"\0" * 40
    riff = b"WEBPVP8L" + struct.pack("<I", len(body)) + body + (b"\0" if len(body) % 2 else b"")
    return "giant.webp", b"RIFF" + struct.pack("<I", len(riff)) + riff


def _giant_jpeg(rng: random.Random) -> File:
    data = bytearray(encoded(photo(rng, (64, 64)), "JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", 65500, 65500)
    return "giant.jpg", bytes(data)


@kind
def bomb(rng: random.Random) -> File:
    """Little that becomes much: pixels, text, profiles, frames."""
    packed = zlib.compress(b"A" * 60_000_000, 1) if rng.random() < 0.5 else zlib.compress(b"\0" * 80_000_000, 1)
    which = rng.randrange(7)
    if which == 0:  # more rows than the head says
        return "bomb.png", png(64, 64, raw=b"\0" * 40_000_000)
    if which == 1:
        return "bomb.png", png(64, 64, raw=(b"\0" * 193) * 64, extra=chunk(b"zTXt", b"scsa\0\0" + packed))
    if which == 2:
        return "bomb.png", png(64, 64, raw=(b"\0" * 193) * 64, extra=chunk(b"iTXt", b"scsa\0\1\0\0\0" + packed))
    if which == 3:
        return "bomb.png", png(64, 64, raw=(b"\0" * 193) * 64, extra=chunk(b"iCCP", b"p\0\0" + packed))
    if which == 4:  # many small texts
        texts = b"".join(chunk(b"zTXt", b"k%d\0\0" % k + zlib.compress(b"A" * 900_000)) for k in range(90))
        return "bomb.png", png(64, 64, raw=(b"\0" * 193) * 64, extra=texts)
    if which == 5:
        return "bomb.tif", tiff(6900, 6900, zlib.compress(b"\0" * (6900 * 6900), 1), {258: shorts(8), 259: shorts(8), 262: shorts(1), 277: shorts(1)})
    return "bomb.png", png(29_000, 1700, bits=1, colour=0, raw=b"\0" * (1700 * 3626))  # 49 megapixels, all of them there


# -- modes ----------------------------------------------------------------------------------


@kind
def cmyk(rng: random.Random) -> File:
    form, extension = rng.choice([("JPEG", "jpg"), ("TIFF", "tif")])
    options = {"icc_profile": rng.randbytes(300)} if rng.random() < 0.3 else {}
    return f"cmyk.{extension}", encoded(photo(rng, mode="CMYK"), form, **options)


@kind
def palette(rng: random.Random) -> File:
    im = photo(rng).quantize(rng.choice([2, 3, 16, 256]))
    options: dict[str, object] = {}
    if rng.random() < 0.5:
        options["transparency"] = rng.choice([0, 1, bytes(rng.randrange(256) for _ in range(rng.randint(1, 256)))])
    data = encoded(im, "PNG", **options)
    if rng.random() < 0.3:  # indices beyond a palette that is cut short
        at = data.index(b"PLTE")
        data = data[: at - 4] + chunk(b"PLTE", b"\x10\x20\x30") + data[at + 8 + struct.unpack(">I", data[at - 4 : at])[0] :]
    return "palette.png", data


@kind
def alpha(rng: random.Random) -> File:
    mode = rng.choice(["RGBA", "LA"])
    im = photo(rng, mode=mode)
    im.putalpha(rng.choice([0, 255, Image.fromarray(noise(rng, im.height, im.width))]))
    extension, form = ("webp", "WEBP") if mode == "RGBA" and rng.random() < 0.4 else ("png", "PNG")
    if mode == "RGBA" and rng.random() < 0.2:
        return "alpha.tif", tiff(im.width, im.height, im.tobytes(), {258: shorts(8, 8, 8, 8), 262: shorts(2), 277: shorts(4), 338: shorts(rng.choice([0, 1, 2, 9]))})
    return f"alpha.{extension}", encoded(im, form)


@kind
def one_bit(rng: random.Random) -> File:
    extension, form = rng.choice([("png", "PNG"), ("tif", "TIFF"), ("bmp", "BMP")])
    return f"bits.{extension}", encoded(photo(rng, mode="1"), form)


@kind
def deep(rng: random.Random) -> File:
    """16 and 32 bits."""
    w, h = rng.randint(20, 80), rng.randint(20, 80)
    wide = noise(rng, h, w, 2).view(np.uint16)[..., 0]
    which = rng.randrange(6)
    if which == 0:
        return "deep.png", encoded(Image.fromarray(wide), "PNG")
    if which == 1:  # RGB of 16 bits
        raw = b"".join(b"\0" + noise(rng, w * 6).tobytes() for _ in range(h))
        return "deep.png", png(w, h, bits=16, colour=2, raw=raw)
    if which == 2:
        return "deep.tif", tiff(w, h, wide.astype(">u2").tobytes(), {258: shorts(16, order=">"), 262: shorts(1, order=">"), 277: shorts(1, order=">")}, ">")
    if which == 3:  # signed, below zero
        signed = (wide.astype(np.int32) - 30_000) * rng.choice([1, 60_000])
        return "deep.tif", encoded(Image.fromarray(signed), "TIFF")
    if which == 4:
        return "deep.tif", tiff(w, h, wide.astype("<u4").tobytes(), {258: shorts(32), 262: shorts(1), 277: shorts(1), 339: shorts(1)})
    return "deep.tif", tiff(w, h, np.repeat(wide, 3).tobytes(), {258: shorts(16, 16, 16), 262: shorts(2), 277: shorts(3)})


@kind
def float_tiff(rng: random.Random) -> File:
    w, h = rng.randint(20, 80), rng.randint(20, 80)
    values = noise(rng, h, w).astype(np.float32) / 255
    which = rng.randrange(8)
    if which == 1:
        values[rng.randrange(h), rng.randrange(w)] = np.nan
    elif which == 2:
        values[rng.randrange(h), rng.randrange(w)] = rng.choice([np.inf, -np.inf])
    elif which == 3:
        values *= np.float32(3e38)
    elif which == 4:
        values = -values * 1000
    elif which == 5:
        values[:] = rng.choice([0.0, 1e-38, -1.0])
    elif which == 6:  # 64 bits: a type that Pillow does not read
        return "float.tif", tiff(w, h, values.astype(np.float64).tobytes(), {258: shorts(64), 262: shorts(1), 277: shorts(1), 339: shorts(3)})
    elif which == 7:
        return "float.tif", tiff(w, h, np.repeat(values, 3).tobytes(), {258: shorts(32, 32, 32), 262: shorts(2), 277: shorts(3), 339: shorts(3, 3, 3)})
    return "float.tif", encoded(Image.fromarray(values), "TIFF")


@kind
def odd_tiff(rng: random.Random) -> File:
    """Colour spaces, sample counts and layouts that are rare or wrong."""
    w, h = rng.randint(20, 60), rng.randint(20, 60)
    which = rng.randrange(7)
    if which == 0:  # CIE L*a*b*
        return "lab.tif", tiff(w, h, noise(rng, h, w, 3).tobytes(), {258: shorts(8, 8, 8), 262: shorts(8), 277: shorts(3)})
    if which == 1:
        return "ycbcr.tif", encoded(photo(rng, (w, h), "YCbCr"), "TIFF")
    if which == 2:
        n = rng.choice([2, 5, 7])
        return "samples.tif", tiff(w, h, noise(rng, h, w, n).tobytes(), {258: shorts(*[8] * n), 262: shorts(2), 277: shorts(n), 338: shorts(*[0] * max(0, n - 3))})
    if which == 3:
        return "pages.tif", encoded(photo(rng), "TIFF", save_all=True, append_images=[photo(rng) for _ in range(5)])
    if which == 4:
        return "odd.tif", tiff(w, h, noise(rng, h, w, 3).tobytes(), {258: shorts(8, 8, 8), 262: shorts(rng.randrange(12)), 277: shorts(3), 259: shorts(rng.choice([1, 2, 5, 7, 8, 32773, 34712, 9999]))})
    if which == 5:  # no pixels are where the tags say
        return "empty.tif", tiff(w, h, b"\0" * 8, {258: shorts(8, 8, 8), 262: shorts(2), 277: shorts(3)})
    return "turned.tif", tiff(w, h, noise(rng, h, w, 3).tobytes(), {258: shorts(8, 8, 8), 262: shorts(2), 277: shorts(3), 274: shorts(rng.randrange(12))})


@kind
def profile(rng: random.Random) -> File:
    """Colour profiles: sound, of another space, cut short, nonsense."""
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile(rng.choice(["sRGB", "LAB", "XYZ"]))).tobytes()
    made = made[:24] + bytes(12) + made[36:]  # the time at which it was made
    data = rng.choice([made, made[: rng.randrange(len(made))], rng.randbytes(500), b"", made[:36] + rng.randbytes(8) + made[44:]])
    mode = rng.choice(["RGB", "L", "RGBA", "P"])
    im = photo(rng).quantize(32) if mode == "P" else photo(rng, mode=mode)
    return "profile.png", encoded(im, "PNG", icc_profile=data)


# -- what is written beside the pixels --------------------------------------------------------


@kind
def turned(rng: random.Random) -> File:
    """EXIF: every orientation, ones that do not exist, and damaged blocks."""
    form, extension = rng.choice([("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp")])
    exif: object = Image.Exif()
    assert isinstance(exif, Image.Exif)
    exif[0x0112] = rng.choice([1, 2, 3, 4, 5, 6, 7, 8, 8, 6, 0, 9, 65535])
    exif[0x010E] = "words"
    data = exif.tobytes()
    which = rng.random()
    if which < 0.2:
        data = b"Exif\0\0" + rng.randbytes(rng.randint(0, 60))
    elif which < 0.4:
        found = bytearray(data)
        for _ in range(rng.randint(1, 8)):
            found[rng.randrange(6, len(found))] = rng.randrange(256)
        data = bytes(found)
    elif which < 0.5:
        data = data[: rng.randrange(6, len(data))]
    return f"turned.{extension}", encoded(photo(rng), form, exif=data)


@kind
def animated(rng: random.Random) -> File:
    extension, form = rng.choice([("gif", "GIF"), ("webp", "WEBP"), ("png", "PNG")])
    first = photo(rng)
    more = [photo(rng, first.size) for _ in range(rng.randint(1, 12))]
    data = encoded(first, form, save_all=True, append_images=more, duration=rng.choice([0, 40]), loop=0)
    return f"animated.{extension}", data if rng.random() < 0.7 else data[: int(len(data) * rng.uniform(0.1, 0.95))]


@kind
def recipe(rng: random.Random) -> File:
    """A PNG with settings in it, which nobody checked before they got here."""
    info = PngImagePlugin.PngInfo()
    info.add_itxt("scsa", _settings(rng), zip=rng.random() < 0.5)
    return "result.png", encoded(photo(rng), "PNG", pnginfo=info)


def _settings(rng: random.Random) -> str:
    ids = np.array([[0, 1], [2, 1]], np.uint8)
    import base64

    found: dict[str, object] = {
        "schema": 1, "app_version": "0.1.0", "backbone": "lite", "weights": "ab12", "method": "scsa", "knobs": {"alpha1": 0.5, "size": 128},
        "size": [64, 48], "links": {"1": [2]}, "content_sha256": "ab", "style_sha256": "cd", "seconds": 1.5, "warnings": ["x"],
        "content_map": {"size": [2, 2], "ids": base64.b64encode(zlib.compress(ids.tobytes())).decode(), "regions": [[1, "sky", "#0000ff"]]},
    }  # fmt: skip
    if rng.random() < 0.15:
        return rng.choice(["", "null", "[]", "{", "[" * 100_000, '{"schema":1}', "9" * 5000, json.dumps({"schema": 1, "method": "scsa", "size": [1, 1]}), "x" * 400_000])
    for _ in range(rng.randint(1, 4)):
        found[rng.choice(list(found))] = junk(rng)
    if rng.random() < 0.4:
        found["knobs"] = {k: junk(rng) for k in ("alpha1", "alpha2", "size", "seed", "timesteps", "<b>", "gamma")}
    if rng.random() < 0.3:
        one = {"size": junk(rng), "ids": junk(rng), "regions": junk(rng)}
        whole = found["content_map"]
        if isinstance(whole, dict):
            whole[rng.choice(["size", "ids", "regions"])] = junk(rng)
        found["style_map"] = one
    return json.dumps(found)


@kind
def odd_name(rng: random.Random) -> File:
    """A sound picture under a name that is none."""
    name = rng.choice(["a" * 200 + ".png", "тест 图片 .png", "a\nb.png", "..png", "-rf.png", "%2e%2e.png", "a.PNG.exe", "con", "<b>.png", "${x}.png", "noextension"])
    return name, encoded(photo(rng), "PNG")


@kind
def sound(rng: random.Random) -> File:
    """Nothing wrong with it: it must render."""
    extension, data = valid(rng)
    return f"sound.{extension}", data
