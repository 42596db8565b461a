"""Pixels for tests."""

from __future__ import annotations

import numpy as np

SHAPE = (13, 17)


def noise(channels: int, dtype: type = np.uint16, seed: int = 0) -> np.ndarray:
    """Every byte value occurs, in all filters' reach."""
    top = np.iinfo(dtype).max + 1
    return np.random.default_rng(seed).integers(0, top, (*SHAPE, channels)).astype(dtype)
