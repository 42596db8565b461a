"""Several exposures of one scene: a folder of pictures, a TIFF file of several pages, or an animated GIF."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ipt.core.errors import IptError
from ipt.images import files, measurements, raster, tiff
from ipt.images.decoded import reading
from ipt.images.files import Picture


def read_exposures(path: str | os.PathLike[str], units: bool = False) -> tuple[Picture, ...]:
    """Read the frames of a folder, by name, or of a file, in its order.

    Args:
        path: The folder, of pictures or arrays, or the file.
        units: Whether numbers are taken as they are, in units of the operator's own (`ipt.images.measurements.read`).

    Returns:
        Two or more pictures of one size, as `ipt.images.files.read` gives them, without alpha. Where all frames of a
        colour file are grey, as those of GIFs may be, they have one channel.

    Raises:
        IptError: `files.read` refuses a frame; there is only one; they differ in size, or in colour.
    """
    place = Path(path)
    frames = _of_folder(place, units) if place.is_dir() else _of_file(place, units)
    if len(frames) < 2:
        raise IptError(f"{place} has one frame; give several exposures of the scene, or leave out frames=True")
    return of_one_scene(frames, units)


def read_any(path: str | os.PathLike[str]) -> tuple[Picture, ...]:
    """The frames of a file or folder, or the only picture in a file; IptError if `files.read` refuses it."""
    place = Path(path)
    try:
        return read_exposures(place)
    except IptError:
        return (files.read(place),)


def of_one_scene(frames: Mapping[str, Picture], units: bool = False) -> tuple[Picture, ...]:
    """Make pictures exposures of one scene: without alpha, grey if all of them are, in one range of values.

    Args:
        frames: The pictures by name, for messages.
        units: Whether they are numbers in units of the operator's own, whose channels are kept.

    Raises:
        IptError: They differ in size, or some are grey and some in colour.
    """
    names, pictures = list(frames), [replace(picture, alpha=None) for picture in frames.values()]
    if not units and all(_without_colour(picture) for picture in pictures):
        pictures = [picture.with_pixels(picture.pixels[:1]) for picture in pictures]
    pictures = _in_one_span(pictures)
    first = pictures[0]
    for name, picture in zip(names, pictures, strict=True):
        if picture.shape[1:] != first.shape[1:]:
            raise IptError(
                f"the frames are of different sizes: {names[0]} has {_size(first)} px and {name} {_size(picture)}; "
                f"crop them to one size"
            )
        if picture.shape != first.shape:
            raise IptError(f"{names[0]} and {name} are not both grey or both in colour; convert one of them")
    return tuple(pictures)


def combined(frames: Sequence[Picture]) -> dict[str, Picture]:
    """The mean and the median of the frames, pixel by pixel: simple alternatives to a solve."""
    stack = torch.stack([picture.pixels for picture in frames])
    # numpy's: torch's median of an even number of values is the lower of the middle two.
    median = torch.from_numpy(np.median(stack.numpy(), axis=0))
    return {"mean": frames[0].with_pixels(stack.mean(0)), "median": frames[0].with_pixels(median)}


def _of_folder(place: Path, units: bool) -> dict[str, Picture]:
    return {path.name: measurements.read(path, units) for path in files.inputs(place)}


def _of_file(place: Path, units: bool) -> dict[str, Picture]:
    data = files.contents(place)
    pages = _pages(data, place)
    named = {f"{place.name}, page {number}": page for number, page in enumerate(pages, 1)}
    return {name: files.decode(data, f"{place.parent / name}", page, any_range=units) for name, page in named.items()}


def _pages(data: bytes, place: Path) -> list[int]:
    """The indices of the pages or frames of a file."""
    with reading(str(place)):
        if data[:4] in tiff.SIGNATURES:
            return tiff.pages(data)
        with raster.opened(data) as image:
            return list(range(getattr(image, "n_frames", 1)))


def _in_one_span(pictures: list[Picture]) -> list[Picture]:
    """Pictures from files of any range, rescaled so that 0 and 1 stand for the same numbers in all of them."""
    spans = [picture.span for picture in pictures if picture.span is not None]
    if len(spans) < len(pictures):
        return pictures
    whole = (min(low for low, _ in spans), max(high for _, high in spans))
    return [picture.in_range_of(replace(picture, span=whole)) for picture in pictures]


def _without_colour(picture: Picture) -> bool:
    return bool((picture.pixels == picture.pixels[:1]).all())


def _size(picture: Picture) -> str:
    return f"{picture.shape[2]} x {picture.shape[1]}"
