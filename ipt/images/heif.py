"""HEIC files of phones, decoded by libheif (the package pillow-heif, extra `heic`)."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
from PIL import Image

from ipt.extras import imported
from ipt.images import raster
from ipt.images.decoded import Decoded, check_size, several, unmultiplied

_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def is_heif(data: bytes) -> bool:
    """Whether a file begins as a HEIC file does."""
    return data[4:8] == b"ftyp" and data[8:12] in _BRANDS


def decode(data: bytes) -> Decoded:
    """Decode the picture of a HEIC file, without previews, depth and gain maps; 10 and 12 bits become 16.

    Raises:
        IptError: The package pillow-heif is not there.
        Unusable: There are several pictures.
        Exception: The file is damaged.
    """
    file = _opened(data)
    if len(file) > 1:
        raise several(len(file))
    check_size(*file.size)
    pixels, bits = np.asarray(file), int(file.info.get("bit_depth") or 8)
    deep = pixels.dtype == np.uint16
    # libheif shifts values of 10 or 12 bits to the upper bits of 16.
    values = (pixels >> (16 - bits)) / np.float32(2**bits - 1) if deep else pixels / np.float32(255)
    if file.premultiplied_alpha:
        values = unmultiplied(values).clip(0, 1)
    exif = Image.Exif()
    with suppress(Exception):
        exif.load(file.info.get("exif") or b"")
    # libheif has rotated the picture already, so the orientation in its EXIF data is ignored.
    metadata, _ = raster.described(exif, file.info.get("icc_profile") or b"")
    values = values[:, :, None] if values.ndim == 2 else values
    return Decoded(values, 16 if deep else 8, f"HEIC {bits}-bit", metadata=metadata)


def shape(data: bytes) -> tuple[int, int, int]:
    """(C, H, W); raises as `decode`."""
    file = _opened(data)
    return 1 if file.mode.startswith("L") else 3, file.size[1], file.size[0]


def _opened(data: bytes) -> Any:
    return imported("pillow_heif", "open_heif")(data, convert_hdr_to_8bit=False)
