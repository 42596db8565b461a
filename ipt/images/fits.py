"""FITS files of astronomy (the package astropy, extra `fits`): numbers of any range, scaled to 0..1 and scaled back.

Rows go as the file has them: the first one, which astronomers show at the bottom, is the picture's uppermost.

References:
    IAU FITS Working Group, "Definition of the Flexible Image Transport System", version 4.0, 2018.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np

from ipt.extras import imported
from ipt.images.decoded import Decoded, Unusable

SIGNATURE = b"SIMPLE  ="
HEADER = "fits"
"""The header's name among a picture's metadata."""
_BELOW, _ABOVE = 0.1, 2.0
"""Room below and above the numbers, in multiples of their range: a deblurred star is far brighter (docs/files.md)."""


def decode(data: bytes) -> Decoded:
    """Decode the image of a FITS file: of the first header and data unit that has one, or of the one called SCI.

    Raises:
        IptError: The package astropy is not there.
        Unusable: There is no image, several, or one of other than 1 or 3 planes.
        Exception: The file is damaged.
    """
    with imported("astropy.io.fits", "open")(BytesIO(data)) as units:
        unit = _image(units)
        stored = np.squeeze(np.asarray(unit.data, dtype=np.float64))
        header = unit.header.copy(strip=True).tostring().encode("ascii", "replace")
    planes = stored[None] if stored.ndim == 2 else stored
    if planes.ndim != 3 or len(planes) not in (1, 3):
        raise Unusable(f"it is a cube of shape {stored.shape}; save one plane of it, or three as colours")
    finite = planes[np.isfinite(planes)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    extent = (high - low) or 1.0
    span = (low - _BELOW * extent, high + _ABOVE * extent)
    values = ((planes - span[0]) / (span[1] - span[0])).transpose(1, 2, 0).astype(np.float32)
    return Decoded(values, 16, f"FITS {unit.header['BITPIX']}", metadata={HEADER: header}, span=span)


def encode(values: np.ndarray, header: bytes) -> bytes:
    """A FITS file of floats (C, H, W) with the header of another, as `Decoded.metadata` has it."""
    described = imported("astropy.io.fits", "Header").fromstring(header.decode("ascii"))
    data = values[0] if len(values) == 1 else values
    file = BytesIO()
    imported("astropy.io.fits", "PrimaryHDU")(data.astype(np.float32), described).writeto(file)
    return file.getvalue()


def _image(units: Any) -> Any:
    found = [unit for unit in units if unit.is_image and unit.header.get("NAXIS", 0) >= 2]
    named = [unit for unit in found if unit.name == "SCI"] or found
    if len(named) != 1:
        names = ", ".join(unit.name or "PRIMARY" for unit in named)
        raise Unusable(f"it has {len(named) or 'no'} images{f' ({names})' if names else ''}; save one as its own file")
    return named[0]
