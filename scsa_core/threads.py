"""As many threads as this program may use at once.

PyTorch starts one for every core of the machine; where a container is allowed two of
sixty-four, they wait for each other and a render takes many times as long.
"""

from __future__ import annotations

import joblib
import torch


def keep_to_allowed_cores() -> int:
    """Bound PyTorch's threads by the cores that affinity and the container's quota leave; how many there are now.

    Fewer that were asked for, by OMP_NUM_THREADS for one, stay.
    """
    allowed = min(torch.get_num_threads(), int(joblib.cpu_count()))
    torch.set_num_threads(allowed)
    return allowed
