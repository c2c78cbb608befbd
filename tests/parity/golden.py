"""The golden numbers beside the checkout: arrays and the weights they were made with."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest


def arrays(shared: Path, name: str):
    """The arrays of `<name>.npz`; skips the test where they are not there."""
    path = shared / "parity" / f"{name}.npz"
    if not path.exists():
        pytest.skip("the golden numbers are not beside this checkout")
    return np.load(path)


def fill(shared: Path):
    """The module that draws the golden weights by name and seed."""
    spec = importlib.util.spec_from_file_location("fill", shared / "parity" / "fill.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
