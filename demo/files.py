"""Files between Python and the browser: published pictures, and decoded ones kept for the next render."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from gradio import processing_utils, utils
from PIL import Image

from scsa_core.files import write_atomically
from scsa_core.images import Limits, encode_png, load_image
from scsa_core.recipe import picture_sha256

MAX_SIDE = 2560
"""Long side that an uploaded picture is kept at: more than any working size needs."""
KEPT = 8


def publish(data: bytes, name: str) -> str:
    """Write a file into Gradio's own folder of served files, under the hash of its content; its path."""
    folder = Path(utils.get_upload_folder()) / processing_utils.hash_bytes(data)
    path = folder / name
    if path.exists():
        with contextlib.suppress(OSError):
            os.utime(path)  # it is swept away by age
    else:
        write_atomically(path, data)
    return str(path.resolve())


def publish_picture(image: Image.Image, name: str) -> str:
    """A plain PNG of a picture, scaled down to MAX_SIDE."""
    if max(image.size) > MAX_SIDE:
        image = image.copy()
        image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    return publish(encode_png(image), name)


@dataclass(frozen=True)
class Picture:
    """A decoded picture and the hash of its pixels."""

    image: Image.Image
    sha256: str


class Pictures:
    """The last few pictures, decoded. A file in the cache never changes: its name is its hash."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._kept: OrderedDict[str, Picture] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, path: str, opened: Image.Image | None = None) -> Picture:
        """opened: that file, where it is open already. Raises ImageError."""
        with self._lock:
            if path in self._kept:
                self._kept.move_to_end(path)
                return self._kept[path]
        image = load_image(opened or path, self.limits)
        found = Picture(image, picture_sha256(image))
        self.know(path, found)
        return found

    def know(self, path: str, picture: Picture) -> None:
        """That a file holds a picture that is decoded already."""
        with self._lock:
            self._kept[path] = picture
            self._kept.move_to_end(path)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
