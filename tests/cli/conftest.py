"""A picture to solve."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from skimage import data


@pytest.fixture
def saved() -> Callable[..., Path]:
    """saved(path, side=32): a photograph of so many pixels, written there; the path."""

    def save(path: Path, side: int = 32) -> Path:
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(data.astronaut()[60:184, 163:287]).resize((side, side)).save(path)
        return path

    return save


@pytest.fixture
def picture(tmp_path: Path, saved: Callable[..., Path]) -> Path:
    return saved(tmp_path / "in" / "a.png")
