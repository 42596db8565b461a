"""The contact sheet: for each of the first cases a line of pictures and a line of kernels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ipt.images import files
from ipt.images.parameters import read_parameter
from ipt.images.pictures import Cell, contact_sheet, kernel_picture

CASES = 8


def sheet(folder: Path, stems: Sequence[str], solvers: Sequence[str]) -> np.ndarray | None:
    """Of the files that a run leaves in its folder `pictures`: clean, measurement, each solver; below, the kernels
    where there are. None without pictures."""
    names = [name for name in solvers if name != "measurement"]
    rows = []
    for stem in stems[:CASES]:
        if not (folder / f"{stem}.clean.png").is_file():
            continue
        shown = ["clean", "measurement", *names]
        rows.append([_picture(folder / f"{stem}.{name}.png", name) for name in shown])
        if (folder / f"{stem}.clean.kernel.npy").is_file():
            rows.append([_kernel(folder / f"{stem}.{name}.kernel.npy", name == "clean") for name in shown])
    return contact_sheet(rows, cell=144) if rows else None


def _picture(path: Path, name: str) -> Cell:
    return Cell(files.read(path).pixels, name) if path.is_file() else _EMPTY


def _kernel(path: Path, true: bool) -> Cell:
    picture = kernel_picture(read_parameter(path)) if path.is_file() else None
    return _EMPTY if picture is None else Cell(picture, "true kernel" if true else "kernel")


_EMPTY = Cell(np.full((8, 8), 255, np.uint8))
