"""TIFF files: the page that is the picture, and channels of other than 8 bits, which Pillow would reduce to 8."""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator
from io import BytesIO

import numpy as np
import tifffile
from PIL import ExifTags, Image

from ipt.images import raster, tiff_samples
from ipt.images.decoded import Decoded, Unusable, check_size, several, unmultiplied

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ORIENTATION, _ICC_PROFILE = 274, 34675
# Descriptive tags that mean the same in EXIF: description, maker, model, software, date, artist, copyright.
TEXTS = (270, 271, 272, 305, 306, 315, 33432)
_GREY_INVERTED = 0
_CHANNELS = {_GREY_INVERTED: 1, 1: 1, 2: 3}
"""Number of channels by photometric interpretation: grey (0 and 1) and RGB (2)."""
_SIGNED = 2
"""Sample format of signed numbers."""
_MULTIPLIED, _ALPHA = 1, 2
"""Kinds of extra samples: premultiplied alpha, and alpha."""
_PILLOWS_BITS = (1, 2, 4, 8)
"""Bits per channel that Pillow decodes."""
# tifffile logs faults of files; whether a file is complete is checked here (`_check_whole`).
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def pages(data: bytes) -> list[int]:
    """The indices of the pages that are pictures, without thumbnails and masks.

    Raises:
        Unusable: There is no such page, or only a reduced copy of a picture within it.
        Exception: The file is damaged.
    """
    with tifffile.TiffFile(BytesIO(data)) as file:
        return [page.index for page in _pictures(file, data)]


def shape(data: bytes) -> tuple[int, int, int]:
    """(C, H, W) of the first picture before its orientation; raises as `pages`."""
    with tifffile.TiffFile(BytesIO(data)) as file:
        page = _pictures(file, data)[0]
        return _CHANNELS.get(page.photometric, 3), page.imagelength, page.imagewidth


def decode(data: bytes, place: int | None = None) -> Decoded:
    """Decode a TIFF file: whole numbers scaled to 0..1, floats unchanged.

    Args:
        data: The whole file.
        place: One of its `pages`; None: the file must have one only.

    Raises:
        Unusable: The file has several pages, colours other than grey or RGB, signed numbers, or a compression that is
            not supported.
        Exception: The file is damaged.
    """
    with tifffile.TiffFile(BytesIO(data)) as file:
        page = _only(file, data) if place is None else file.pages[place].aspage()
        check_size(page.imagewidth, page.imagelength)
        _check_whole(page, len(data))
        bits = max(np.atleast_1d(page.bitspersample))
        if _SIGNED in np.atleast_1d(page.sampleformat):
            raise Unusable(
                f"its numbers have a sign ({bits} bits); save it with 8 or 16 bits a channel from 0 up, or as floats"
            )
        alpha = _alpha(page)
        if bits in _PILLOWS_BITS:
            return raster.decode(data, place, page.index)
        return _decoded(page, data, alpha)


def _pictures(file: tifffile.TiffFile, data: bytes) -> list[tifffile.TiffPage]:
    """The pages that are pictures, and no reduced copies or masks."""
    count = sum(1 for _ in _directories(data))
    every = [page.aspage() for page in file.pages]
    if not every or len(every) < count:
        raise struct.error(f"{len(every)} of {count} pages are there")
    found = [page for page in every if not page.is_reduced and not page.is_mask]
    larger = [size for page in every for size in _sizes_within(file, page)]
    if not found or max(larger, default=0) > max(page.imagewidth * page.imagelength for page in found):
        raise Unusable(
            "it shows only a small copy of the picture within it, as cameras' raw files do; rename it with "
            "its own suffix (.dng, .nef, ...), or save the picture itself as a TIFF"
        )
    return found


def _only(file: tifffile.TiffFile, data: bytes) -> tifffile.TiffPage:
    found = _pictures(file, data)
    if len(found) > 1:
        raise several(len(found))
    # ImageJ and tifffile store a stack of pictures behind the directory of one page.
    count = 1 if len(file.pages) > 1 or not file.series else file.series[0].size // max(1, found[0].size)
    if count > 1:
        raise Unusable(f"it is a stack of {count} pictures behind one page; save the one you mean as its own file")
    return found[0]


def _check_whole(page: tifffile.TiffPage, size: int) -> None:
    """Raise struct.error if a strip or tile of a page is missing, or lies outside the file of `size` bytes."""
    pieces = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    across, down = (page.tilewidth, page.tilelength) if page.is_tiled else (page.imagewidth, page.rowsperstrip)
    planes = {1: 1, 2: page.samplesperpixel}[page.planarconfig]
    expected = planes * -(-page.imagewidth // across) * -(-page.imagelength // down)
    if len(pieces) < expected or not all(place > 0 < count and place + count <= size for place, count in pieces):
        raise struct.error(f"not all of its {expected} pieces are there")


def _sizes_within(file: tifffile.TiffFile, page: tifffile.TiffPage) -> Iterator[int]:
    """Numbers of pixels of the pictures within a page (SubIFDs)."""
    for offset in page.subifds or ():
        file.filehandle.seek(offset)
        within = tifffile.TiffPage(file, index=(page.index, 0))
        yield within.imagewidth * within.imagelength


def _directories(data: bytes) -> Iterator[int]:
    """The offsets of the pages' directories; struct.error if their chain leaves the file or forms a loop."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    number, count, entry, start = ("Q", "Q", 20, 8) if big else ("I", "H", 12, 4)
    (place,) = struct.unpack_from(order + number, data, start)
    seen: set[int] = set()
    while place:
        if place in seen or place >= len(data):
            raise struct.error("its pages end outside the file")
        seen.add(place)
        yield place
        (entries,) = struct.unpack_from(order + count, data, place)
        (place,) = struct.unpack_from(order + number, data, place + struct.calcsize(count) + entries * entry)


def _alpha(page: tifffile.TiffPage) -> int | None:
    """The index of the alpha channel, or None; Unusable if there are channels besides it and the colours."""
    colours, kinds = _CHANNELS.get(page.photometric, 0), page.extrasamples
    found = [colours + place for place, kind in enumerate(kinds) if kind in (_MULTIPLIED, _ALPHA)][:1]
    # A fourth channel of unspecified kind is padding (RGBX).
    unnamed = page.samplesperpixel - colours - len(found)
    if colours and not 0 <= unnamed <= (colours == 3):
        raise Unusable(
            f"it has {page.samplesperpixel} channels, and does not say what they are; save it as RGB or grey, or as "
            f"several files"
        )
    return found[0] if found else None


def _decoded(page: tifffile.TiffPage, data: bytes, alpha: int | None) -> Decoded:
    if page.photometric not in _CHANNELS:
        name = getattr(page.photometric, "name", page.photometric)
        raise Unusable(f"its colours are of kind {name}; save it as RGB or grey")
    if page.dtype is None or (page.dtype not in (np.uint8, np.uint16) and page.dtype.kind != "f"):
        raise Unusable(
            f"its numbers are {page.dtype or 'of several kinds'}; save it with 8 or 16 bits a channel, or as floats in "
            f"0..1"
        )
    stored = _stored(page, data)
    colours = _CHANNELS[page.photometric]
    values = stored[[*range(colours), *([] if alpha is None else [alpha])]].transpose(1, 2, 0)
    whole = page.dtype.kind == "u"
    bits = int(np.max(page.bitspersample))
    values = values / np.float32(2**bits - 1) if whole else values.astype(np.float32)
    if alpha is not None and page.extrasamples[alpha - colours] == _MULTIPLIED:
        values = unmultiplied(values).clip(0, 1) if whole else unmultiplied(values)
    if page.photometric == _GREY_INVERTED:
        values = np.concatenate([1 - values[:, :, :1], values[:, :, 1:]], axis=-1)
    tags = page.tags
    exif = Image.Exif()
    exif.update({tag: value for tag in TEXTS if isinstance(value := tags.valueof(tag), str) and value})
    exif[ExifTags.Base.Orientation] = int(tags.valueof(_ORIENTATION, 1))
    metadata, orientation = raster.described(exif, bytes(tags.valueof(_ICC_PROFILE, b"")))
    kind = f"uint{bits}" if whole else str(page.dtype)
    return Decoded(values, 16, f"TIFF {kind}", orientation, metadata)


def _stored(page: tifffile.TiffPage, data: bytes) -> np.ndarray:
    """The stored numbers of a page, (channels, H, W)."""
    shape = (page.imagelength, page.imagewidth)
    if page.axes not in ("YX", "YXS", "SYX") or page.shape[page.axes.index("Y") : page.axes.index("X") + 1] != shape:
        raise Unusable(f"it is a stack with axes {page.axes}; save one picture of it as its own file")
    try:
        stored = page.asarray()
    except (ValueError, NotImplementedError, ImportError):
        # tifffile needs the package imagecodecs for some compressions.
        return tiff_samples.decode(page, data)
    return stored[None] if "S" not in page.axes else np.moveaxis(stored, page.axes.index("S"), 0)
