"""A training small enough for a test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ipt.priors.unet import UNetConfig
from ipt.training.options import TrainingOptions
from ipt.training.sources import ArraySource
from ipt.training.trainer import Trainer

NETWORK = UNetConfig(1, width=8, multipliers=(1, 2))
OPTIONS = {"images": 64, "batch": 4, "warmup": 8, "save_every": 8, "validate_every": 32, "validation_images": 4}


def gratings(count: int = 24, side: int = 8) -> np.ndarray:
    """(count, side, side, 1) of uint8: stripes of a few directions and periods, all different."""
    rows, columns = np.mgrid[:side, :side]
    index = np.arange(count)[:, None, None]
    wave = np.sin(rows * np.cos(index) + columns * np.sin(index) + index)
    return (127.5 + 127.4 * wave).astype(np.uint8)[..., None]


@pytest.fixture
def make_trainer(tmp_path: Path) -> Callable[..., Trainer]:
    """make_trainer(folder name, source=..., accept_changes=..., start=..., option=...) -> a Trainer in tmp_path."""

    def make(
        name: str = "out", source: Any = None, accept_changes: bool = False, start: Any = None, **options: Any
    ) -> Trainer:
        source = source or ArraySource(gratings(), held_out=4)
        chosen = TrainingOptions(**{**OPTIONS, **options})
        return Trainer(NETWORK, source, chosen, tmp_path / name, accept_changes, start)

    return make
