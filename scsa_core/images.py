"""Pictures in and out: decode, validate, orient, resize. The limits live here.

A file's type is read from its content, never from its name. Size is checked from the
header before a pixel is decoded, so a decompression bomb costs nothing.
"""

from __future__ import annotations

import io
import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageCms, ImageOps, PngImagePlugin, UnidentifiedImageError
from torch import Tensor

from scsa_core.errors import ImageError, ImageSizeError, UnreadableImage

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")
PNG_LEVEL = 2
"""A third of the time of the usual 6, and 5 % more bytes."""
_USE = "Use PNG, JPEG, WebP or TIFF."

Source = str | os.PathLike[str] | bytes | BinaryIO | Image.Image


@dataclass(frozen=True)
class Limits:
    """What a picture may be: pixels, bytes of the file, and each side in pixels."""

    max_pixels: int = 50_000_000
    max_bytes: int = 100_000_000
    min_side: int = 16
    max_side: int = 30_000


DEFAULT_LIMITS = Limits()


def load_image(source: Source, limits: Limits = DEFAULT_LIMITS) -> Image.Image:
    """An 8-bit sRGB picture, upright, without metadata.

    source: a path, bytes, an open binary file, or a PIL picture. EXIF orientation is
    applied, an embedded colour profile converted, transparency laid on white, 16-bit and
    float values scaled, the first frame of an animation taken. Raises UnreadableImage,
    ImageSizeError.
    """
    im = source if isinstance(source, Image.Image) else open_image(source, limits)
    _check_size(im, limits)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd EXIF and palettes that it then reads
        try:
            return _plain(_to_rgb(_upright(im)))
        except (ImageError, MemoryError):
            raise
        except Exception as error:  # a colour space or palette that Pillow opens and cannot convert
            raise UnreadableImage("The colours of this picture cannot be read.", hint="Save it as 8-bit RGB PNG.") from error


def open_image(source: Any, limits: Limits = DEFAULT_LIMITS) -> Image.Image:
    """Decode a file of a type we read, as it is stored. Raises UnreadableImage, ImageSizeError."""
    data = _read(source, limits)
    if not data:
        raise UnreadableImage("This file is empty.", hint=_USE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            im = Image.open(io.BytesIO(data), formats=FORMATS)
            _check_size(im, limits)
            im.seek(0)
            im.load()
    except ImageSizeError:
        raise
    except Image.DecompressionBombError as error:
        found = re.search(r"\d{6,}", str(error))  # Pillow refuses by itself and names the number of pixels
        count = f"{int(found[0]) / 1e6:.0f}" if found else "far too many"
        raise ImageSizeError(
            f"The picture has {count} megapixels; the limit here is {limits.max_pixels / 1e6:g}.",
            size=(0, 0),
            hint="Make it smaller, or run the app on your own machine.",
        ) from error
    except UnidentifiedImageError as error:
        kind = _looks_like(data)
        seems = f" (it looks like {kind})" if kind else ""
        raise UnreadableImage(f"This file isn't a picture we can read{seems}.", hint=_USE, looks_like=kind) from error
    except Exception as error:  # Pillow's decoders raise many kinds on damaged files
        raise UnreadableImage("This picture is damaged or cut short.", hint="Save it again, or use another file.") from error
    return im


def _read(source: Any, limits: Limits) -> bytes:
    size = 0
    if isinstance(source, bytes):
        data = source
    elif isinstance(source, (str, os.PathLike)):
        path = Path(source)
        try:
            size = path.stat().st_size
            if not path.is_file():
                raise UnreadableImage(f"{path.name} is not a file.")
            data = b"" if size > limits.max_bytes else path.read_bytes()
        except OSError as error:
            raise UnreadableImage(f"{path.name or path} cannot be opened ({error.strerror or 'no such file'}).") from error
        except ValueError as error:
            raise UnreadableImage("This is not a file name.") from error
    else:
        data = source.read(limits.max_bytes + 1)
    if max(size, len(data)) > limits.max_bytes:
        raise UnreadableImage(f"This file is larger than {limits.max_bytes / 1e6:.0f} MB.", hint="Make it smaller first.")
    return data


def _looks_like(data: bytes) -> str:
    """What a refused file seems to be, for the message."""
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    if b"<svg" in data[:4096].lower():
        return "an SVG"
    if head[:5].lower() in (b"<!doc", b"<html"):
        return "a web page"
    for start, name in ((b"%PDF", "a PDF"), (b"PK\x03\x04", "a ZIP file"), (b"8BPS", "a Photoshop file"), (b"RIFF", "a sound or video")):
        if head.startswith(start):
            return name
    if data[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1"):
        return "an HEIC photo"
    if data[4:8] == b"ftyp":
        return "a video or AVIF"
    return ""


def _check_size(im: Image.Image, limits: Limits) -> None:
    width, height = im.size
    if max(width, height) > limits.max_side or width * height > limits.max_pixels:
        raise ImageSizeError(
            f"The picture is {width} × {height}; the limit here is {limits.max_pixels / 1e6:g} megapixels.",
            size=im.size,
            hint="Make it smaller, or run the app on your own machine.",
        )
    if min(width, height) < limits.min_side:
        raise ImageSizeError(
            f"The picture is {width} × {height}; each side needs at least {limits.min_side} pixels.",
            size=im.size,
            hint="Use a larger picture.",
        )


def _upright(im: Image.Image) -> Image.Image:
    """Turned as its EXIF says; where that is damaged, as it lies."""
    try:
        return ImageOps.exif_transpose(im)
    except MemoryError:
        raise
    except Exception:  # Pillow raises many kinds, among them SyntaxError
        return im


def _to_rgb(im: Image.Image) -> Image.Image:
    if im.mode.startswith("I") or im.mode == "F":
        return _from_wide(im)
    im = _to_srgb(im)
    if im.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in im.info:
        rgba = im.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return im.convert("RGB")


def _from_wide(im: Image.Image) -> Image.Image:
    """16-bit integers by their full range; floats by 0..1, or by their own range where it is wider."""
    values = np.asarray(im).astype(np.float64)
    if not np.isfinite(values).all():
        raise UnreadableImage("This picture holds values that are not numbers.", hint="Save it as 8-bit PNG.")
    if im.mode.startswith("I"):
        top = 65535.0 if values.max() > 255 else 255.0
        scaled = values / top
    else:
        low, high = min(0.0, values.min()), max(1.0, values.max())
        scaled = (values - low) / (high - low)
    return Image.fromarray((scaled.clip(0, 1) * 255).round().astype(np.uint8)).convert("RGB")


def _to_srgb(im: Image.Image) -> Image.Image:
    profile = im.info.get("icc_profile")
    if not profile or im.mode not in ("RGB", "RGBA", "CMYK", "L"):
        return im
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        target = "RGBA" if im.mode == "RGBA" else "RGB"
        converted = ImageCms.profileToProfile(im, source, ImageCms.createProfile("sRGB"), outputMode=target)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return im  # a damaged profile: the plain values are the best guess
    return converted if converted is not None else im


def _plain(im: Image.Image) -> Image.Image:
    """The pixels alone: no EXIF, profile, text or file handle travels on."""
    out = Image.new("RGB", im.size)
    out.paste(im)
    return out


def working_size(
    size: tuple[int, int], long_side: int, multiple: int = 8, minimum: int = 32
) -> tuple[tuple[int, int], tuple[int, int]]:
    """((width, height) of the result, the same rounded up to the multiple).

    The longer side becomes `long_side`, the shorter keeps the aspect but at least `minimum`.
    """
    longest = max(size)
    width, height = (max(minimum, round(s * long_side / longest)) for s in size)
    padded = (-(-width // multiple) * multiple, -(-height // multiple) * multiple)
    return (width, height), padded


def to_tensor(image: Image.Image, size: tuple[int, int] | None = None, pad_to: tuple[int, int] | None = None) -> Tensor:
    """(1, 3, H, W) float32 in 0..1; resized to `size` (Lanczos), then padded right and below by repeating the edge."""
    if size is not None and image.size != size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    x = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)[None].float() / 255
    if pad_to is not None and pad_to != image.size:
        x = F.pad(x, (0, pad_to[0] - image.width, 0, pad_to[1] - image.height), mode="replicate")
    return x


def to_image(x: Tensor, size: tuple[int, int] | None = None) -> Image.Image:
    """(1, 3, H, W) or (3, H, W) around 0..1 -> RGB, clipped, rounded, cropped to `size` at the top left."""
    x = x[0] if x.ndim == 4 else x
    if size is not None:
        x = x[:, : size[1], : size[0]]
    return Image.fromarray((x.float().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().cpu().numpy())


def encode_png(image: Image.Image, text: Mapping[str, str] | None = None) -> bytes:
    """A PNG with the given texts as iTXt chunks."""
    info = PngImagePlugin.PngInfo()
    for key, value in (text or {}).items():
        info.add_itxt(key, value, zip=len(value) > 256)
    out = io.BytesIO()
    image.save(out, "PNG", pnginfo=info, compress_level=PNG_LEVEL)
    return out.getvalue()
