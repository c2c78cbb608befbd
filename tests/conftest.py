"""What every test may ask for."""

from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
torch.set_num_threads(min(2, torch.get_num_threads()))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of golden numbers and evaluation pictures beside the checkout; it may be absent."""
    return ROOT.parent / "shared"
