"""Training pictures as one array of squares: a folder or a pack of JPEG files, decoded once and cached.

The array is `pictures-<digest>.npy` in the folder of the training; the digest is of the files' names, sizes and times
of change. Once it exists, nothing but torch and numpy is needed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from ipt.core.errors import IptError
from ipt.images.choices import USUAL_SUFFIXES, is_picture

USUAL_SIZE = 64
"""Default side of the squares, in pixels."""
THREADS = min(8, os.cpu_count() or 1)
"""Number of threads that decode pictures."""
LUMINANCE = (0.299, 0.587, 0.114)
"""Weights of red, green and blue: ITU-R BT.601, as in JPEG."""


def load(
    path: str | os.PathLike[str],
    cache: str | os.PathLike[str],
    size: int | None = None,
    channels: int | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> np.ndarray:
    """Load pictures as a read-only array, memory-mapped from disk.

    Args:
        path: A folder (with its subfolders, in the order of names); a .npz pack (`buf`: JPEG files end to end, `off`:
            the offset of each and the end of the last); or a .npy array of uint8 (N, H, W, C) or (N, H, W).
        cache: Folder for the converted array.
        size: Side in pixels of the squares, cut from the centre and reduced with antialiasing; None: 64, and a .npy
            array is not changed.
        channels: 1 or 3; None: those of the pictures, which must agree.
        log: Called with a line before a conversion.

    Returns:
        uint8 (N, H, W, C).

    Raises:
        IptError: There is no such path, or no picture; pictures are damaged, smaller than `size`, transparent, or some
            grey and some in colour; an array has another dtype or shape.
    """
    place = Path(path).expanduser()
    if channels not in (None, 1, 3):
        raise IptError(f"pictures have 1 or 3 channels, not {channels}: choose one of them (channels=)")
    if not place.exists():
        raise IptError(f"{place} does not exist: give a folder of pictures, a .npy array or a .npz pack of JPEG files")
    if place.suffix == ".npy":
        return _array(place, size, channels)
    side = USUAL_SIZE if size is None else size
    if side < 1:
        raise IptError(f"pictures of {side} pixels: choose a size of at least 1 (size=)")
    if place.is_dir():
        files = listed(place)
        stamps = [(str(file.relative_to(place)), *_stamp(file)) for file in files]
        names, readers = [str(file) for file in files], [file_reader(file) for file in files]
    elif place.suffix == ".npz":
        stamps = [(place.name, *_stamp(place))]
        names, readers = _packed(place)
    else:
        raise IptError(f"{place} is one file: give a folder of pictures, a .npy array or a .npz pack of JPEG files")
    digest = hashlib.sha256(json.dumps([stamps, side, channels]).encode()).hexdigest()[:16]
    target = Path(cache) / f"pictures-{digest}.npy"
    if not target.exists():
        log(f"converting {len(readers):,} pictures of {place} to {side} x {side} px")
        _convert(names, readers, side, channels, target)
        for old in target.parent.glob("pictures-*"):
            if old != target and old.suffix in (".npy", ".partial"):
                old.unlink()
    array: np.ndarray = np.load(target, mmap_mode="r")
    return array


def usual_held_out(count: int) -> int:
    """The default number of pictures for validation: 500, but at most a tenth of `count`."""
    return min(500, max(1, count // 10))


def square(pixels: Tensor, side: int) -> Tensor:
    """The central square of pixels (C, H, W) in 0..1, reduced with antialiasing to (C, side, side)."""
    height, width = pixels.shape[-2:]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    cut = pixels[None, :, top : top + short, left : left + short]
    if short == side:
        return cut[0]
    reduced = torch.nn.functional.interpolate(cut, (side, side), mode="bicubic", antialias=True, align_corners=False)
    return reduced[0].clamp(0, 1)


def _array(file: Path, size: int | None, channels: int | None) -> np.ndarray:
    try:
        array: np.ndarray = np.load(file, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise IptError(f"{file} is not a readable .npy array ({error}): save it again with numpy.save") from None
    if array.ndim == 3:
        array = array[..., None]
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[-1] not in (1, 3) or not array.size:
        raise IptError(
            f"{file} is {array.dtype} {array.shape}: pictures are uint8 (N, H, W) or (N, H, W, 1 or 3); convert it"
        )
    if size is not None and array.shape[1:3] != (size, size):
        _, height, width, _ = array.shape
        raise IptError(f"{file} has pictures of {width} x {height} px, not {size} x {size}: leave size= out")
    if channels not in (None, array.shape[-1]):
        raise IptError(f"{file} has {array.shape[-1]} channels, not {channels}: leave channels= out, or convert it")
    return array


def listed(folder: Path) -> list[Path]:
    """The pictures of a folder and its subfolders by name, without hidden ones; IptError if there are none."""
    found = sorted(
        file
        for file in folder.rglob("*")
        if is_picture(file)
        and file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    )
    if not found:
        raise IptError(f"{folder} holds no pictures: give a folder with some ({', '.join(USUAL_SUFFIXES)}, ...)")
    return found


def _stamp(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_size, status.st_mtime_ns


def file_reader(file: Path) -> Callable[[], Tensor]:
    """A function that reads a picture, (1 or 3, H, W) in 0..1; it raises IptError with the file's name."""

    def read() -> Tensor:
        from ipt.images import files

        return _decoded(files.contents(file), str(file))

    return read


def _packed(file: Path) -> tuple[list[str], list[Callable[[], Tensor]]]:
    try:
        with np.load(file) as pack:
            data, offsets = pack["buf"], pack["off"].astype(np.int64)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise IptError(
            f"{file} is not a pack of JPEG files with `buf` and `off` ({error}): give one, or a folder of pictures"
        ) from None
    sound = data.dtype == np.uint8 and data.ndim == offsets.ndim == 1 and len(offsets) > 1
    if not sound or offsets[0] < 0 or offsets[-1] > len(data) or (np.diff(offsets) <= 0).any():
        raise IptError(f"{file} has no pictures, or offsets that do not fit its bytes: make it again, or give a folder")
    names = [f"picture {index} of {file}" for index in range(len(offsets) - 1)]

    def reader(index: int) -> Callable[[], Tensor]:
        return lambda: _decoded(data[offsets[index] : offsets[index + 1]].tobytes(), names[index])

    return names, [reader(index) for index in range(len(names))]


def _decoded(data: bytes, name: str) -> Tensor:
    """Decode a picture as a solve does, (1 or 3, H, W) in 0..1; IptError if it cannot be used."""
    # Imported here: with converted pictures, a training needs nothing but torch and numpy.
    from ipt.images import files

    picture = files.decode(data, name, least=1)
    return picture.in_used_bits(picture.used_bits).opaque(name).clamp(0, 1)


def _convert(
    names: Sequence[str], readers: Sequence[Callable[[], Tensor]], side: int, channels: int | None, target: Path
) -> None:
    """Write the array, whole or not at all; IptError with the first fault and the number of faults of its kind."""
    found = channels or len(_first(readers))
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    array = np.lib.format.open_memmap(partial, "w+", np.uint8, (len(readers), side, side, found))

    def convert(index: int) -> tuple[str, str] | None:
        try:
            pixels = readers[index]()
        except IptError as error:
            return "damaged", str(error)
        height, width = pixels.shape[1:]
        if min(height, width) < side:
            return "small", f"{names[index]} has {width} x {height} px"
        if channels is None and len(pixels) != found:
            return "mixed", f"{names[index]} is {'grey' if len(pixels) == 1 else 'in colour'}, {names[0]} is not"
        pixels = in_channels(square(pixels, side), found)
        array[index] = (255 * pixels).round().to(torch.uint8).permute(1, 2, 0).numpy()
        return None

    try:
        with ThreadPoolExecutor(THREADS, "ipt-pictures") as pool:
            faults = [fault for fault in pool.map(convert, range(len(readers))) if fault]
        if faults:
            raise IptError(_summary(faults, len(readers), side))
        array.flush()
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _first(readers: Sequence[Callable[[], Tensor]]) -> Tensor:
    """The first picture that can be read; raises the first error if there is none."""
    fault: IptError | None = None
    for reader in readers:
        try:
            return reader()
        except IptError as error:
            fault = fault or error
    assert fault is not None
    raise fault


def in_channels(pixels: Tensor, channels: int) -> Tensor:
    """Pixels (1 or 3, H, W) with 1 or 3 channels: the luminance of colour, or grey repeated."""
    if len(pixels) == channels:
        return pixels
    if channels == 3:
        return pixels.expand(3, -1, -1)
    return (pixels * torch.tensor(LUMINANCE)[:, None, None]).sum(0, keepdim=True)


def _summary(faults: Sequence[tuple[str, str]], total: int, side: int) -> str:
    kind = faults[0][0]
    alike = [text for other, text in faults if other == kind]
    advice = {
        "damaged": "Fix or remove them.",
        "small": f"They must be at least {side} x {side} px: choose a smaller size (size=), or remove them.",
        "mixed": "Choose channels=3 (grey becomes colour) or channels=1 (colour becomes grey).",
    }[kind]
    meaning = {"damaged": "cannot be used", "small": "are too small", "mixed": "differ in their channels"}[kind]
    return f"{len(alike)} of {total} pictures {meaning}; the first: {alike[0]}.\n{advice}"
