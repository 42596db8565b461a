"""Pictures from files of any format as tensors, and back to PNG.

Depth (8 or 16 bits), grey or colour, and alpha are kept. Values are clipped to 0..1 and rounded, never stretched, so
that figures computed from written files are right.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from ipt.core.errors import IptError
from ipt.images import fits, heif, png, raster, raw, tiff
from ipt.images.atomic import atomic
from ipt.images.choices import USUAL_SUFFIXES, taken
from ipt.images.decoded import reading
from ipt.images.ranges import check_picture

MINIMUM_SIDE = 8
"""Pixels of a side; smaller pictures are refused."""
ROUNDING_NOISE = 1 / 255 / math.sqrt(12)
"""Standard deviation of the error of rounding to 8 bits, for values in 0..1."""
SENSOR_BITS = (8, 10, 12)
"""Bits of sensors whose values may be stored in 16. (14 bits cannot be told from a dark picture of 16.)"""


@dataclass(frozen=True)
class Picture:
    """A picture with the properties of its file.

    Attributes:
        pixels: float32 (C, H, W), C = 1 grey or 3 colour, in 0..1 (from files of floats also a little outside).
        alpha: (1, H, W) in 0..1, or None.
        depth: bits per channel to write it with, 8 or 16; 16 for files of floats.
        source: format and pixel type of the file, such as "JPEG RGB".
        white: the number in the file that 1 stands for (`in_used_bits`); 0: the largest of `depth` bits.
        metadata: "icc" (colour profile), "exif" (without the orientation, which is applied to the pixels) and "fits"
            (header).
        span: the numbers in a FITS file that 0 and 1 stand for; None: of other files.
    """

    pixels: Tensor
    alpha: Tensor | None = None
    depth: int = 8
    source: str = ""
    white: int = 0
    metadata: Mapping[str, bytes] = field(default_factory=dict)
    span: tuple[float, float] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W)."""
        return tuple(self.pixels.shape)

    def opaque(self, name: str) -> Tensor:
        """The pixels; IptError, about the picture `name`, if parts of it are transparent."""
        if self.alpha is not None and float(self.alpha.min()) < 1:
            raise IptError(f"{name} has transparent parts: put it on a background")
        return self.pixels

    @property
    def numbers(self) -> Tensor:
        """The numbers of a file of any range, float64 (C, H, W); for other files the pixels."""
        low, high = self.span or (0.0, 1.0)
        return low + (high - low) * self.pixels.double()

    @property
    def is_raw(self) -> bool:
        """Whether it was developed from a camera's raw file."""
        return self.source.startswith("RAW")

    @property
    def largest(self) -> int:
        """The number in the file that 1 stands for."""
        return self.white if self.white and self.depth == 16 else int(2**self.depth - 1)

    @property
    def used_bits(self) -> int:
        """The fewest bits of `SENSOR_BITS` that hold the numbers of a 16-bit file; else `depth`."""
        if self.alpha is not None or not re.search("16-bit|uint16", self.source):
            return self.depth
        largest = round(float(self.pixels.max()) * self.largest)
        return min((bits for bits in SENSOR_BITS if 0 < largest < 2**bits), default=self.depth)

    def in_used_bits(self, bits: int) -> Picture:
        """The same numbers of a 16-bit file, with 1 for the largest number of `bits` bits."""
        white = 2**bits - 1
        if self.depth != 16 or bits >= self.depth or white == self.white:
            return self
        source = f"{self.source}, {bits} bits used"
        return replace(self, pixels=self.pixels * (self.largest / white), source=source, white=white)

    def in_range_of(self, other: Picture) -> Picture:
        """The same numbers of a file, with 0 and 1 for the numbers that they stand for in another picture."""
        if self.span is not None and other.span is not None:
            low, high = other.span
            return replace(self, pixels=((self.numbers - low) / (high - low)).float(), span=other.span)
        if self.depth != 16 or other.depth != 16 or self.largest == other.largest:
            return self
        return replace(self, pixels=self.pixels * (self.largest / other.largest), white=other.white)

    def levels(self, name: str = "the picture") -> np.ndarray:
        """The numbers to write to a file, uint8 or uint16 (H, W, C), alpha last, clipped to 0..1 and rounded.

        Args:
            name: For messages.

        Raises:
            IptError: Values that are NaN or infinite.
        """
        planes = [*self.pixels] if self.alpha is None else [*self.pixels, *self.alpha.to(self.pixels)]
        whole = np.empty((*self.shape[1:], len(planes)), np.uint16 if self.depth == 16 else np.uint8)
        # Plane by plane, since a picture of many megapixels is large in float64.
        for number, plane in enumerate(planes):
            values = plane.detach().cpu().numpy()
            if not np.isfinite(values).all():
                raise IptError(f"{name} has NaN or infinite values and was not written; try another seed or guidance")
            # float64: in float32 a 16-bit value could round to its neighbour.
            whole[..., number] = np.rint(np.clip(values.astype(np.float64), 0, 1) * self.largest)
        return whole

    def with_pixels(self, pixels: Tensor) -> Picture:
        """Other pixels (C, H, W) with this picture's depth, alpha (where the size is the same) and metadata.

        The colour profile is left out where the number of channels changes.
        """
        same_size = pixels.shape[1:] == self.pixels.shape[1:]
        metadata = dict(self.metadata)
        if len(pixels) != len(self.pixels):
            metadata.pop("icc", None)
        return replace(self, pixels=pixels, alpha=self.alpha if same_size else None, metadata=metadata)


def inputs(path: str | os.PathLike[str]) -> list[Path]:
    """The pictures of a folder, without subfolders, by name (numpy files if there are no pictures); or the file itself.

    Raises:
        IptError: There is no such file or folder, or no picture in it, or two with the same name of results.
    """
    place = Path(path)
    if not place.exists():
        raise IptError(
            f"{place} does not exist; give a picture ({', '.join(USUAL_SUFFIXES)}, ...) or a folder of pictures"
        )
    if not place.is_dir():
        return [place]
    try:
        there = sorted(path for path in place.iterdir() if path.name[0] != "." and path.is_file())
    except OSError as error:
        raise IptError(f"{place} cannot be read ({error.strerror}); check its permissions") from error
    found = list(filter(taken(there), there))
    if not found:
        raise IptError(f"{place} holds no pictures; ipt reads {', '.join(USUAL_SUFFIXES)} and more")
    by_stem: dict[str, Path] = {}
    for file in found:
        other = by_stem.setdefault(file.stem, file)
        if other != file:
            raise IptError(f"{other.name} and {file.name} in {place} would both become {file.stem}.png; rename one")
    return found


def read(path: str | os.PathLike[str], least: int = MINIMUM_SIDE, any_range: bool = False) -> Picture:
    """Read a picture file and turn it upright by its EXIF orientation.

    Palettes become colour, 1-bit pictures grey. Of a JPEG with further pictures inside (phones add previews and gain
    maps) the main one is read.

    Args:
        path: The file.
        least: Least number of pixels on a side.
        any_range: Whether floats may have any range; else they must lie about 0..1.

    Raises:
        IptError: The file cannot be read, is damaged, or is no picture; it has several pages, CMYK or Lab colours, NaN
            or infinite values, or fewer pixels than `least` on a side.
    """
    return decode(contents(path), str(path), least=least, any_range=any_range)


def shape_of(path: str | os.PathLike[str]) -> tuple[int, int, int]:
    """(C, H, W) of a picture file before its EXIF orientation, from its header where possible; of the first frame.

    Raises:
        IptError: As for `read`.
    """
    with reading(str(path)), Path(path).open("rb") as file:
        reader = _reader(file.read(16), str(path))
        file.seek(0)
        # Only the header of the usual formats is read: a folder may hold thousands of files.
        shape: tuple[int, int, int] = raster.shape(file) if reader is raster else reader.shape(file.read())
        return shape


def contents(path: str | os.PathLike[str]) -> bytes:
    """Read the bytes of a file.

    Raises:
        IptError: It cannot be read, or is empty.
    """
    place = Path(path)
    try:
        data = place.read_bytes()
    except OSError as error:
        hint = "give a picture file" if place.is_dir() else "check the name and its permissions"
        raise IptError(f"{place} cannot be read ({error.strerror}); {hint}") from error
    if not data:
        raise IptError(f"{place} is empty (0 bytes); copy it again")
    return data


def decode(
    data: bytes, place: str, page: int | None = None, least: int = MINIMUM_SIDE, any_range: bool = False
) -> Picture:
    """Decode the bytes of a file.

    Args:
        data: The whole file.
        place: The file's name, which tells raw files, and is for messages.
        page: Index of the page or frame; None: the file must have one only.
        least: As for `read`.
        any_range: As for `read`.

    Raises:
        IptError: As for `read`.
    """
    with reading(place):
        reader = _reader(data, place)
        found = reader.decode(data) if page is None else reader.decode(data, page)
    height, width = found.values.shape[:2]
    if min(height, width) < least:
        raise IptError(f"{place} has {width} x {height} pixels; the least is {least} x {least}")
    if not np.isfinite(found.values).all():
        raise IptError(f"{place} has NaN or infinite values; replace them, then try again")
    if not any_range:
        check_picture(place, found.values)
    turned = np.ascontiguousarray(_turned(found.values, found.orientation).transpose(2, 0, 1), dtype=np.float32)
    planes = torch.from_numpy(turned)
    alpha = planes[-1:] if len(planes) in (2, 4) else None
    pixels = planes if alpha is None else planes[:-1]
    picture = Picture(pixels.contiguous(), alpha, found.depth, found.source, 0, found.metadata, found.span)
    return replace(picture, pixels=picture.numbers.float(), span=None) if any_range and found.span else picture


def write(path: str | os.PathLike[str], picture: Picture | Tensor | np.ndarray) -> None:
    """Write a PNG, whole or not at all.

    Args:
        path: The file; its suffix is .png.
        picture: A Picture, written at its depth with alpha and metadata; or floats (C, H, W) in 0..1, written at 8
            bits; or uint8 (H, W) or (H, W, 3). Floats are clipped to 0..1 and rounded.

    Raises:
        IptError: Values that are NaN or infinite; a file that cannot be written.
        ValueError: Another suffix.
    """
    place = Path(path)
    if place.suffix.lower() != ".png":
        raise ValueError(f"pictures are written as PNG, not {place.name}")
    with atomic(place) as file:
        file.write(encoded(picture, str(place)))


def encoded(picture: Picture | Tensor | np.ndarray, name: str = "the picture") -> bytes:
    """The bytes of the PNG that `write` writes, with its errors; name: for messages."""
    if isinstance(picture, np.ndarray) and picture.dtype == np.uint8:
        return png.encode(picture)
    if not isinstance(picture, Picture):
        picture = Picture(torch.as_tensor(picture))
    return png.encode(picture.levels(name), picture.metadata.get("icc", b""), picture.metadata.get("exif", b""))


def _reader(data: bytes, place: str) -> ModuleType:
    """The module that decodes a file; raw files, many of which are TIFFs, are told by their names."""
    if raw.is_raw(place):
        return raw
    if heif.is_heif(data):
        return heif
    if data.startswith(fits.SIGNATURE):
        return fits
    return tiff if data[:4] in tiff.SIGNATURES else raster


def _turned(values: np.ndarray, orientation: int) -> np.ndarray:
    """(H, W, C) made upright; orientation 1..8 of EXIF 2.32, section 4.6.4 A; others are 1."""
    if orientation in (5, 6, 7, 8):
        values = values.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    return values
