"""Every source of randomness, set in one place.

Nothing here keeps a generator's state between steps: each step's numbers follow from the stage's seed
and the step's number, so a stopped stage continues exactly without saving any.
"""

from __future__ import annotations

import hashlib


def derived(seed: int, *labels: str | int) -> int:
    """A seed of 63 bits for one use of ``seed``, told apart by ``labels``."""
    text = "/".join(str(part) for part in (seed, *labels))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def seed_everything(seed: int, *labels: str | int) -> None:
    """Set Python's, NumPy's and torch's generators, on every device, for one use of ``seed``."""
    import random

    import numpy as np
    import torch

    value = derived(seed, *labels)
    random.seed(value)
    np.random.seed(value % 2**32)
    torch.manual_seed(value)
