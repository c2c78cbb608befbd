"""The row of examples: what is damaged is left out, and every card has small pictures that any browser shows."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from demo.gallery import THUMBNAIL, Cards, load_examples
from demo.settings import Settings


@pytest.fixture
def folder(tmp_path):
    """Two examples of the shipped ones, the second of them first in order, and a damaged third."""
    shipped = sorted(p.parent for p in Settings().examples.glob("*/example.toml"))[:2]
    for k, source in enumerate(shipped):
        shutil.copytree(source, tmp_path / f"e{k}")
        record = (tmp_path / f"e{k}" / "example.toml").read_text()
        lines = [line for line in record.splitlines() if not line.startswith("order")]
        (tmp_path / f"e{k}" / "example.toml").write_text("\n".join([f"order = {9 - k}", *lines]))
    shutil.copytree(shipped[0], tmp_path / "broken")
    (tmp_path / "broken" / "style.jpg").write_bytes(b"no picture")
    return tmp_path


def test_examples_keep_their_order_and_a_damaged_one_is_said(folder, caplog):
    assert [e.name for e in load_examples(folder)] == ["e1", "e0"]
    assert [r.args[0] for r in caplog.records] == ["broken"]


def test_thumbnails_are_small_and_in_the_order_of_the_cards(folder, tmp_path):
    examples = load_examples(folder)
    Image.fromarray(np.linspace(0, 255, 900 * 500).astype(np.uint8).reshape(500, 900)).save(examples[0].content)  # a grey one

    def publish(data: bytes, name: str) -> str:
        path = tmp_path / name
        path.write_bytes(data)
        return str(path)

    cards = Cards(examples, publish).value("en")["cards"]
    assert [card["name"] for card in cards] == ["e1", "e0"]
    for card in cards:
        for kind in ("content", "style"):
            assert Path(card[kind].path).name == f"{card['name']}-{kind}-small.jpg"
            with Image.open(card[kind].path) as image:
                assert image.format == "JPEG" and image.mode == "RGB" and max(image.size) == THUMBNAIL
    with Image.open(cards[0]["content"].path) as image:
        assert image.size == (260, 144) and np.ptp(np.asarray(image)) > 200
