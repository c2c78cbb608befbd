"""Memory given back to the system."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from scsa_core import memory

ROOT = Path(__file__).resolve().parents[2]


def test_the_peak_is_at_least_what_is_held_now():
    assert memory.peak_memory() >= psutil.Process().memory_info().rss * 0.9


SCRIPT = """
import threading, psutil, torch
from scsa_core import memory

kept = []

def work():  # holes between kept tensors, as a cache leaves them in a thread's arena
    made = [torch.zeros(20_000) for _ in range(6000)]  # 80 kB each, 480 MB together
    kept.extend(made[::100])

for _ in range(2):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
before = psutil.Process().memory_info().rss
memory.give_back()
print(before, psutil.Process().memory_info().rss)
"""


@pytest.mark.skipif(memory._malloc_trim() is None, reason="the GNU C library only")
def test_what_threads_freed_goes_back_to_the_system():
    ran = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=True)
    before, after = map(int, ran.stdout.split())
    assert after < before - 200e6, (before, after)
