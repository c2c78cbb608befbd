"""Large tensors lie on large pages, where the system lends them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LENT = Path("/sys/kernel/mm/transparent_hugepage/enabled")
PROGRAM = """
import scsa_core, torch
kept = torch.ones(50_000_000)
print(*(line.split()[1] for line in open("/proc/self/smaps_rollup") if line.startswith("AnonHugePages")))
"""


@pytest.mark.skipif(not LENT.exists() or "[madvise]" not in LENT.read_text(), reason="such pages are lent to all, or to none")
def test_large_tensors_lie_on_huge_pages():
    environment = {name: value for name, value in os.environ.items() if name != "THP_MEM_ALLOC_ENABLE"}
    ran = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    assert int(ran.stdout) > 0  # kB; a system short of memory lends fewer than were asked for
