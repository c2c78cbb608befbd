"""What every test may ask for."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import demo  # noqa: F401  # before Gradio, which writes stub files beside our components otherwise, under a type checker's nose

ROOT = Path(__file__).resolve().parent.parent
torch.set_num_threads(min(2, torch.get_num_threads()))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of golden numbers and evaluation pictures beside the checkout; it may be absent."""
    return ROOT.parent / "shared"


@pytest.fixture
def passes_in_node() -> Callable[[str], None]:
    """Runs a script of `tests/unit` in Node on the page's own scripts, and demands that it ends well."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")

    def run(name: str) -> None:
        command = ["node", str(ROOT / "tests" / "unit" / name), str(ROOT / "demo" / "web")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr

    return run
