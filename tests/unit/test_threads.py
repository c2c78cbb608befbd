"""Threads follow what the container allows, never more than was asked for."""

from __future__ import annotations

import os
import subprocess
import sys

import joblib
import pytest
import torch

from scsa_core.threads import keep_to_allowed_cores


@pytest.fixture(autouse=True)
def as_before():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_a_quota_bounds_the_threads(monkeypatch):
    torch.set_num_threads(8)
    monkeypatch.setattr(joblib, "cpu_count", lambda: 3)
    assert keep_to_allowed_cores() == torch.get_num_threads() == 3
    torch.set_num_threads(2)
    assert keep_to_allowed_cores() == torch.get_num_threads() == 2


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="affinity is Linux's")
def test_the_command_line_keeps_to_the_core_it_is_given():
    first = min(os.sched_getaffinity(0))
    code = (
        f"import os, torch; torch.set_num_threads(4); os.sched_setaffinity(0, [{first}]); "
        "from scsa_core import cli; cli.main(['checkpoints', 'list']); import sys; print(torch.get_num_threads(), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stderr.split()[-1] == "1"
