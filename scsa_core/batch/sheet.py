"""Contact sheets: one row a directed pair, with content, style and every method's picture."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from scsa_core.errors import ScsaError
from scsa_core.images import load_image

CELL, GAP, MARGIN, HEAD, CAPTION = 240, 8, 16, 28, 22
_Font = ImageFont.ImageFont | ImageFont.FreeTypeFont
_PAPER, _INK, _PALE = (236, 236, 236), (31, 31, 31), (214, 214, 214)


@dataclass(frozen=True)
class Row:
    """caption; two pictures; by method a picture's file, or words that say why there is none."""

    caption: str
    content: Path
    style: Path
    pictures: Mapping[str, Path | str]


def draw(rows: Sequence[Row], methods: Sequence[str]) -> bytes:
    """The sheet as a JPEG."""
    heads = ("content", "style", *methods)
    width = 2 * MARGIN + len(heads) * (CELL + GAP) - GAP
    sheet = Image.new("RGB", (width, 2 * MARGIN + HEAD + len(rows) * (CAPTION + CELL + GAP)), _PAPER)
    pen = ImageDraw.Draw(sheet)
    large, small = ImageFont.load_default(16), ImageFont.load_default(13)
    for k, head in enumerate(heads):
        pen.text((MARGIN + k * (CELL + GAP), MARGIN), head, _INK, large)
    y = MARGIN + HEAD
    for row in rows:
        pen.text((MARGIN, y), row.caption, _INK, small)
        y += CAPTION
        cells: list[Path | str] = [row.content, row.style, *(row.pictures.get(m, "not painted") for m in methods)]
        for k, cell in enumerate(cells):
            _put(sheet, pen, cell, (MARGIN + k * (CELL + GAP), y), small)
        y += CELL + GAP
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=88)
    return out.getvalue()


def _put(sheet: Image.Image, pen: ImageDraw.ImageDraw, cell: Path | str, at: tuple[int, int], font: _Font) -> None:
    """A picture fitted into its cell, or words in a grey one."""
    words = cell if isinstance(cell, str) else ""
    if isinstance(cell, Path):
        try:
            picture = load_image(cell)
            picture.thumbnail((CELL, CELL), Image.Resampling.LANCZOS)
            sheet.paste(picture, (at[0] + (CELL - picture.width) // 2, at[1] + (CELL - picture.height) // 2))
            return
        except ScsaError as error:
            words = str(error)
    pen.rectangle((*at, at[0] + CELL - 1, at[1] + CELL - 1), fill=_PALE)
    printable = words.encode("ascii", "replace").decode()  # the built-in font knows no more
    pen.multiline_text((at[0] + 10, at[1] + 10), "\n".join(textwrap.wrap(printable, 34)[:12]), _INK, font)
