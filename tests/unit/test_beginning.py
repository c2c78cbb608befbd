"""The beginning: garbage collection waits until the page is built, and what needs no heavy package does not wait for one."""

from __future__ import annotations

import gc
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from demo.beginning import keep_few_kernels, uncollected
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


SIZES = """
import sys
from demo import beginning
if sys.argv[1] == "few":
    beginning.keep_few_kernels()
import psutil, torch
from scsa_core.memory import give_back

weight = torch.randn(256, 256, 3, 3).contiguous(memory_format=torch.channels_last)
held = []
for n in range(600):
    x = torch.zeros(1, 256, 4 + n % 30, 4 + n // 30).contiguous(memory_format=torch.channels_last)
    torch.nn.functional.conv2d(x, weight)
    if n in (299, 599):
        give_back()
        held.append(psutil.Process().memory_info().rss)
print(held[1] - held[0])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux" or platform.machine() != "x86_64", reason="another library convolves there")
def test_pictures_of_ever_new_sizes_leave_nothing_behind():
    """Kernels of sizes that are gone go too; by themselves they would stay."""
    clean = {k: v for k, v in os.environ.items() if not k.endswith("CACHE_CAPACITY")} | {"OMP_NUM_THREADS": "1"}
    grown = [
        int(subprocess.run([sys.executable, "-c", SIZES, how], cwd=ROOT, env=clean, capture_output=True, text=True, check=True).stdout)
        for how in ("few", "all")
    ]
    assert 3 * grown[0] < grown[1]


def test_a_persons_own_bound_stays(monkeypatch):
    monkeypatch.setenv("LRU_CACHE_CAPACITY", "7")
    monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", raising=False)
    keep_few_kernels()
    assert os.environ["LRU_CACHE_CAPACITY"] == "7" and int(os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"]) < 1024
    monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY")


def test_a_schema_is_worked_out_once(monkeypatch):
    painters = [Painter(texts={}, render=False) for _ in range(2)]
    first = painters[0].api_info()
    assert first["type"] == "object" and "description" not in first
    _schema.cache_clear()
    calls = []
    made = PainterModel.model_json_schema
    monkeypatch.setattr(PainterModel, "model_json_schema", lambda *a, **k: calls.append(1) or made(*a, **k))
    assert [p.api_info() for p in painters] == [first, first] and len(calls) == 1
