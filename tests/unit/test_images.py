"""Every kind of picture a person may hand us: read rightly, or refused with words."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from scsa_core.errors import ImageSizeError, UnreadableImage
from scsa_core.images import Limits, encode_png, load_image, to_image, to_tensor, working_size


def encoded(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def picture(mode="RGB", size=(40, 30)):
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)).convert(mode)


def png_header(width, height):
    """A PNG that only claims its size: the header chunk and nothing to decode."""
    data = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + data
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return start + struct.pack(">I", 100) + b"IDAT"


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF", "WEBP", "JPEG"])
def test_every_kind_is_read_by_content_not_by_name(tmp_path, kind):
    path = tmp_path / "name.txt"
    path.write_bytes(encoded(picture(), kind))
    loaded = load_image(path)
    assert loaded.mode == "RGB" and loaded.size == (40, 30)
    if kind in ("PNG", "BMP", "TIFF"):
        assert np.array_equal(np.asarray(loaded), np.asarray(picture()))


def test_sources_may_be_paths_bytes_files_and_pictures(tmp_path):
    data = encoded(picture(), "PNG")
    (tmp_path / "a.png").write_bytes(data)
    seen = [load_image(s) for s in (str(tmp_path / "a.png"), tmp_path / "a.png", data, io.BytesIO(data), picture())]
    assert all(np.array_equal(np.asarray(s), np.asarray(picture())) for s in seen)


def test_transparency_is_laid_on_white():
    clear = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    assert load_image(encoded(clear, "PNG")).getpixel((5, 5)) == (255, 255, 255)
    half = Image.new("LA", (20, 20), (0, 128))
    assert abs(load_image(encoded(half, "PNG")).getpixel((5, 5))[0] - 127) <= 1
    indexed = Image.new("P", (20, 20), 0)
    indexed.putpalette([255, 0, 0])
    assert load_image(encoded(indexed, "PNG", transparency=0)).getpixel((1, 1)) == (255, 255, 255)


def test_exif_rotation_is_applied_and_metadata_is_gone():
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Camera"
    loaded = load_image(encoded(picture(), "JPEG", exif=exif.tobytes()))
    assert loaded.size == (30, 40)
    assert not loaded.getexif() and not loaded.info


def test_deep_and_float_pictures_are_scaled():
    deep = Image.fromarray(np.full((20, 20), 32768, dtype=np.uint16))
    assert load_image(encoded(deep, "PNG")).getpixel((0, 0)) == (128, 128, 128)
    real = Image.fromarray(np.full((20, 20), 0.5, dtype=np.float32))
    assert load_image(encoded(real, "TIFF")).getpixel((0, 0)) == (128, 128, 128)
    broken = Image.fromarray(np.full((20, 20), np.nan, dtype=np.float32))
    with pytest.raises(UnreadableImage, match="not numbers"):
        load_image(encoded(broken, "TIFF"))


def test_cmyk_and_animation_and_profile():
    assert load_image(encoded(picture("CMYK"), "JPEG")).mode == "RGB"
    frames = [Image.new("RGB", (20, 20), c) for c in ("#ff0000", "#00ff00")]
    animated = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert load_image(animated).getpixel((3, 3)) == (255, 0, 0)
    assert load_image(encoded(picture(), "PNG", icc_profile=b"not a profile")).size == (40, 30)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG"),
        (b"<!doctype html><html></html>", "a web page"),
        (b"%PDF-1.7", "a PDF"),
        (b"PK\x03\x04zip", "a ZIP file"),
        (b"\0\0\0\x18ftypheic0000", "an HEIC photo"),
        (b"\0\0\0\x18ftypmp420000", "a video or AVIF"),
        (b"just words", ""),
    ],
)
def test_what_is_not_a_picture_is_named(data, kind):
    with pytest.raises(UnreadableImage) as caught:
        load_image(data)
    assert caught.value.looks_like == kind and kind in str(caught.value) and "PNG" in caught.value.hint


def test_damaged_and_absent_files_are_refused(tmp_path):
    for kind in ("PNG", "JPEG"):
        whole = encoded(picture(size=(200, 200)), kind)
        with pytest.raises(UnreadableImage, match="damaged"):
            load_image(whole[: len(whole) // 2])
    for source in (b"", tmp_path, tmp_path / "none.png", "bad\0name"):
        with pytest.raises(UnreadableImage):
            load_image(source)


def test_size_limits_hold_before_anything_is_decoded(tmp_path):
    with pytest.raises(ImageSizeError, match="30001") as caught:
        load_image(png_header(30001, 10))
    assert caught.value.size == (30001, 10)
    with pytest.raises(ImageSizeError, match="900 megapixels"):
        load_image(png_header(30000, 30000))
    with pytest.raises(ImageSizeError, match="at least 16"):
        load_image(encoded(picture(size=(1, 1)), "PNG"))
    large = tmp_path / "large.png"
    large.write_bytes(encoded(picture(size=(200, 200)), "PNG"))
    with pytest.raises(UnreadableImage, match="larger than"):
        load_image(large, Limits(max_bytes=1000))
    with pytest.raises(ImageSizeError):
        load_image(picture(size=(200, 200)), Limits(max_pixels=100))


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (2000, 1), (333, 777)])
def test_working_size_keeps_aspect_and_pads_up(size):
    exact, padded = working_size(size, 512)
    assert max(exact) == 512 and min(exact) >= 32
    assert all(p % 8 == 0 and 0 <= p - e < 8 for e, p in zip(exact, padded, strict=True))


def test_tensor_round_trip_resizes_pads_and_crops():
    x = to_tensor(picture(), (20, 15), (24, 16))
    assert x.shape == (1, 3, 16, 24) and x.min() >= 0 and x.max() <= 1
    assert torch.equal(x[..., 19], x[..., 23]) and torch.equal(x[..., 14, :], x[..., 15, :])
    assert to_image(x, (20, 15)).size == (20, 15)
    assert np.array_equal(np.asarray(to_image(to_tensor(picture()))), np.asarray(picture()))
    assert to_image(torch.tensor([-1.0, 0.5, 2.0]).view(3, 1, 1)).getpixel((0, 0)) == (0, 128, 255)


def test_png_texts_survive():
    back = Image.open(io.BytesIO(encode_png(picture(), {"scsa": "é" * 400, "short": "a"})))
    assert back.text["scsa"] == "é" * 400 and back.text["short"] == "a"


def test_a_damaged_orientation_leaves_the_picture_as_it_lies():
    exif = Image.Exif()
    exif[0x0112] = 6
    for damage in (exif.tobytes().replace(b"II*", b"II\xf7").replace(b"MM\0*", b"MM\0\xf7"), b"Exif\0\0", b"Exif\0\0" + b"\xff" * 30):
        assert load_image(encoded(picture(), "PNG", exif=damage)).size == (40, 30)
    assert load_image(encoded(picture(), "PNG", exif=exif.tobytes())).size == (30, 40)


def test_colours_that_cannot_be_converted_are_said(monkeypatch):
    monkeypatch.setattr("scsa_core.images._to_srgb", lambda im: im.convert("no such mode"))
    with pytest.raises(UnreadableImage, match="colours") as caught:
        load_image(picture())
    assert caught.value.hint
    monkeypatch.setattr("scsa_core.images._to_srgb", lambda im: (_ for _ in ()).throw(MemoryError))
    with pytest.raises(MemoryError):
        load_image(picture())
