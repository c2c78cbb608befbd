"""The beginning: garbage collection waits until the page is built, and what needs no heavy package does not wait for one."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from demo.beginning import uncollected
from demo.component import _schema
from demo.painter import Painter, PainterModel

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def thawed():
    yield
    gc.unfreeze()


def test_what_is_made_uncollected_stays_out_of_later_collections(thawed):
    before = gc.get_freeze_count()
    with uncollected():
        assert not gc.isenabled()
        made = [[] for _ in range(1000)]
    assert gc.isenabled() and gc.get_freeze_count() >= before + len(made)


def test_collection_goes_on_after_a_failed_start(thawed):
    with pytest.raises(OSError, match="port"), uncollected():
        raise OSError("the port is taken")
    assert gc.isenabled()


def test_help_imports_nothing_heavy():
    done = subprocess.run([sys.executable, "-X", "importtime", "app.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "demo.beginning" in imported and not imported & {"torch", "gradio", "numpy"}
    assert "--no-browser" in done.stdout


def test_a_schema_is_worked_out_once(monkeypatch):
    painters = [Painter(texts={}, render=False) for _ in range(2)]
    first = painters[0].api_info()
    assert first["type"] == "object" and "description" not in first
    _schema.cache_clear()
    calls = []
    made = PainterModel.model_json_schema
    monkeypatch.setattr(PainterModel, "model_json_schema", lambda *a, **k: calls.append(1) or made(*a, **k))
    assert [p.api_info() for p in painters] == [first, first] and len(calls) == 1
