"""TIFF files with more than 8 bits a channel, which Pillow would cut to 8."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import tifffile

from ipt.images.ranges import check_range

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ORIENTATION, _ICC_PROFILE = 274, 34675
# Descriptive tags that mean the same in EXIF: description, maker, model, software, date, artist, copyright.
TEXTS = (270, 271, 272, 305, 306, 315, 33432)
_GREY_INVERTED, _GREY, _RGB = 0, 1, 2
_DAMAGED = (tifffile.TiffFileError, struct.error, IndexError, KeyError)


@dataclass(frozen=True)
class DeepTiff:
    """A decoded page.

    Attributes:
        values: float32 (H, W, C), C = 1 grey, 2 grey and alpha, 3 colour, 4 colour and alpha.
        kind: of the numbers in the file, as in "uint16".
        orientation: EXIF's, 1..8.
        icc: colour profile; empty: none.
        texts: by EXIF tag.
    """

    values: np.ndarray
    kind: str
    orientation: int
    icc: bytes
    texts: dict[int, str]


def pages(data: bytes) -> list[int]:
    """The indices of the pages that are pictures of their own, without thumbnails; OSError: the file is damaged."""
    try:
        with tifffile.TiffFile(BytesIO(data)) as file:
            return [page.index for page in _whole_pages(file)]
    except _DAMAGED as error:
        raise OSError(str(error)) from error


def decode_deep(data: bytes, place: int | None = None) -> DeepTiff | None:
    """Decode a TIFF file of 16-bit numbers, scaled to 0..1, or of floats, as they are.

    Args:
        data: The bytes of the file.
        place: One of its `pages`; None: it has one.

    Returns:
        The page; None where it has 8 bits a channel or fewer.

    Raises:
        ValueError: There are several pages, other colours than grey or RGB, another kind of number, a compression that
            cannot be read, or floats far outside of 0..1.
        OSError: The file is damaged.
    """
    try:
        with tifffile.TiffFile(BytesIO(data)) as file:
            page = _only_page(file) if place is None else file.pages[place].aspage()
            if max(np.atleast_1d(page.bitspersample)) <= 8:
                return None
            return _decoded(page)
    except _DAMAGED as error:
        raise OSError(str(error)) from error


def several(pages: int) -> ValueError:
    """The error to raise where one picture is wanted and there are several pages or frames."""
    return ValueError(
        f"it has {pages} pages or frames; save the one you mean as its own file, or give frames=True if all of them "
        f"are exposures of one scene"
    )


def _whole_pages(file: tifffile.TiffFile) -> list[tifffile.TiffPage]:
    # Reduced copies (thumbnails) are not pages of their own.
    every = [page.aspage() for page in file.pages]
    if not every:
        raise tifffile.TiffFileError("no page")
    return [page for page in every if not page.is_reduced] or every


def _only_page(file: tifffile.TiffFile) -> tifffile.TiffPage:
    whole = _whole_pages(file)
    if len(whole) > 1:
        raise several(len(whole))
    return whole[0]


def _decoded(page: tifffile.TiffPage) -> DeepTiff:
    if page.photometric not in (_GREY_INVERTED, _GREY, _RGB):
        name = getattr(page.photometric, "name", page.photometric)
        raise ValueError(f"its colours are of kind {name}; save it as RGB or grey")
    if page.dtype is None or (page.dtype != np.uint16 and page.dtype.kind != "f"):
        raise ValueError(f"its numbers are {page.dtype}; save it with 8 or 16 bits a channel, or as floats in 0..1")
    try:
        stored = page.asarray()
    except ValueError as error:
        if "imagecodecs" in str(error):
            name = getattr(page.compression, "name", page.compression)
            raise ValueError(f"it is compressed with {name}; save it uncompressed, with ZIP or as PNG") from error
        raise OSError(str(error)) from error
    axes = page.axes
    for axis in [axis for axis in axes if axis not in "YXS"]:
        if stored.shape[axes.index(axis)] != 1:
            raise ValueError(f"it is a stack with axes {page.axes}; save one picture of it as its own file")
        stored = stored.squeeze(axes.index(axis))
        axes = axes.replace(axis, "", 1)
    stored = stored[None] if "S" not in axes else np.moveaxis(stored, axes.index("S"), 0)
    colours = 3 if page.photometric == _RGB else 1
    # Of the extra samples, 1 and 2 are kinds of alpha; others (0: unspecified) are not part of the picture.
    extra = [colours + i for i, kind in enumerate(page.extrasamples) if kind in (1, 2)][:1]
    stored = stored[[*range(colours), *extra]].transpose(1, 2, 0)
    if page.dtype == np.uint16:
        values = stored / np.float32(65535)
    else:
        values = stored.astype(np.float32)
        check_range(values)
    if page.photometric == _GREY_INVERTED:
        values = np.concatenate([1 - values[:, :, :1], values[:, :, 1:]], axis=-1)
    tags = page.tags
    return DeepTiff(
        values=values,
        kind=str(page.dtype),
        orientation=int(tags.valueof(_ORIENTATION, 1)),
        icc=bytes(tags.valueof(_ICC_PROFILE, b"")),
        texts={tag: value for tag in TEXTS if isinstance(value := tags.valueof(tag), str) and value},
    )
