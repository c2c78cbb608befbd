"""Kept renders: what comes back, for how long, within what space, and for whom."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from demo.kept import KeptRenders, usable
from scsa_core.engine import RenderRequest
from scsa_core.errors import LinkGone
from scsa_core.knobs import METHODS, Knobs
from scsa_core.labels import LabelMap, Region


@pytest.fixture
def now():
    return [2_000_000_000.0]


@pytest.fixture
def kept(tmp_path, now):
    return KeptRenders(tmp_path / "links", days=30, megabytes=50, clock=lambda: now[0])


def noise(width, height, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8))


def request(**changes):
    ids = np.zeros((40, 60), np.uint8)
    ids[:, 30:] = 1
    regions = (Region(0, "Rest", "#cccccc"), Region(1, "<img src=x onerror=alert(1)>"[:40], "#ff66cc"))
    maps = LabelMap.from_ids(ids, regions)
    base = {"content": noise(900, 600), "style": noise(64, 64), "content_map": maps, "style_map": maps, "links": {1: (0, 1)}}
    return RenderRequest(**(base | {"knobs": Knobs(alpha1=1.1, size=768), "method": "sca"} | changes))


@pytest.fixture
def result(tmp_path):
    path = tmp_path / "result.png"
    noise(768, 512, 1).save(path)
    return path


def test_a_kept_render_comes_back(kept, result, now):
    key, expires = kept.keep(request(), result, result)
    assert len(key) == 22 and expires == now[0] + 30 * 86400
    found = kept.open(key)
    example = found.example
    assert (example.backbone, example.method, example.links, found.expires) == ("lite", "sca", {1: (0, 1)}, expires)
    assert example.knobs["alpha1"] == 1.1 and example.knobs["size"] == 768 and example.size == (512, 341)
    assert example.content_map.digest() == request().content_map.digest()
    assert [r.name for r in example.regions] == ["Rest", "<img src=x onerror=alert(1)>"]
    for path in (example.content, example.style, example.result, example.baseline):
        assert max(Image.open(path).size) <= 512
    assert example.words("zh") != example.words("en")


def test_without_maps_and_baseline_too(kept, result):
    key, _ = kept.keep(request(content_map=None, style_map=None, links=None), result, None)
    example = kept.open(key).example
    assert example.baseline is None and not example.content_map.ids.any() and dict(example.links) == {}


def test_what_is_unknown_expired_or_damaged_is_gone(kept, result, now):
    key, _ = kept.keep(request(), result, None)
    for wrong in ("", "x", "A" * 22, "../" + key, key + "/../" + key, "." + key[1:]):
        with pytest.raises(LinkGone):
            kept.open(wrong)
    now[0] += 31 * 86400
    with pytest.raises(LinkGone):
        kept.open(key)
    assert not (kept.folder / key).exists()
    key, _ = kept.keep(request(), result, None)
    record = kept.folder / key / "record.json"
    for text in ("{", "[]", json.dumps({"created": "x", "recipe": 1}), json.dumps({"created": now[0], "recipe": "{}"})):
        record.write_text(text)
        with pytest.raises(LinkGone):
            kept.open(key)


def test_the_oldest_make_room(tmp_path, result, now):
    import os

    one = KeptRenders(tmp_path / "probe", 30, 50, lambda: now[0])
    key, _ = one.keep(request(), result, None)
    size = sum(f.stat().st_size for f in (one.folder / key).iterdir())
    kept = KeptRenders(tmp_path / "links", 30, 1, lambda: now[0])
    kept._bytes = int(2.5 * size)
    keys = []
    for _ in range(4):
        keys.append(kept.keep(request(), result, None)[0])
        for earlier, k in enumerate(keys):
            if (kept.folder / k).exists():
                os.utime(kept.folder / k, (now[0] - 100 + earlier, now[0] - 100 + earlier))
        kept.sweep()
    assert [(kept.folder / k).exists() for k in keys] == [False, False, True, True]
    (kept.folder / ".left-over").mkdir()
    os.utime(kept.folder / ".left-over", (0, 0))
    kept.sweep()
    assert not (kept.folder / ".left-over").exists()


def test_a_failed_save_leaves_nothing(kept, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    with pytest.raises(Exception, match="picture"):
        kept.keep(request(), bad, None)
    assert not kept.folder.exists() or list(kept.folder.iterdir()) == []


def test_only_what_this_machine_can_do(kept, result):
    key, _ = kept.keep(request(backbone="sanet"), result, None)
    example = usable(kept.open(key).example, {"lite"}, lambda name: METHODS[:2], (256, 512))
    assert (example.backbone, example.method, example.knobs["size"]) == ("lite", "scsa", 512)
