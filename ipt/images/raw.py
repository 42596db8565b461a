"""Raw files of cameras, developed by LibRaw (the package rawpy, extra `raw`).

The mosaic is interpolated and converted to linear light in sRGB primaries, with the camera's white balance, without a
tone curve or brightening; 1 is the sensor's saturation. The picture's values are the sRGB encoding of that light. EXIF
data are those of the file if it is a TIFF, as most raw files are, else those of its preview.
"""

from __future__ import annotations

from contextlib import suppress
from io import BytesIO
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from PIL import ExifTags, Image

from ipt.extras import imported
from ipt.images import raster, tiff
from ipt.images.choices import RAW_SUFFIXES
from ipt.images.decoded import Decoded, check_size
from ipt.images.light import encoded

_OWN = (0x927C, 0xA005)
"""Tags that mean nothing outside the file: the maker's note and the pointer to the interoperability tags."""


def is_raw(place: str) -> bool:
    """Whether a file is a raw file by its name; by its contents it may be a TIFF."""
    return PurePath(place).suffix.lower() in RAW_SUFFIXES


def decode(data: bytes) -> Decoded:
    """Develop a raw file, upright, to 16 bits.

    Raises:
        IptError: The package rawpy is not there.
        Exception: LibRaw does not know the file, or it is damaged.
    """
    with _opened(data) as file:
        check_size(file.sizes.width, file.sizes.height)
        light = file.postprocess(
            use_camera_wb=True,
            output_bps=16,
            gamma=(1, 1),
            no_auto_bright=True,
            adjust_maximum_thr=0.0,
            output_color=imported("rawpy", "ColorSpace").sRGB,
        )
        metadata, _ = raster.described(_exif(data, file), b"")
    values = encoded(torch.from_numpy(light / np.float32(65535))).numpy()
    return Decoded(values, 16, "RAW developed", metadata=metadata)


def shape(data: bytes) -> tuple[int, int, int]:
    """(C, H, W) before its orientation; raises as `decode`."""
    with _opened(data) as file:
        return 3, file.sizes.iheight, file.sizes.iwidth


def _exif(data: bytes, file: Any) -> Image.Exif:
    """Texts, exposure and location from the EXIF data, without the orientation, which LibRaw has applied."""
    found, kept = Image.Exif(), Image.Exif()
    # Damaged or unusual EXIF data is no reason to refuse the picture.
    with suppress(Exception):
        if data.startswith((b"II", b"MM")):
            # Some makers write another magic number than a TIFF's 42.
            found.load(data[:2] + (b"*\0" if data.startswith(b"II") else b"\0*") + data[4:])
        else:
            found = raster.opened(bytes(file.extract_thumb().data)).getexif()
        kept.update({tag: value for tag in tiff.TEXTS if isinstance(value := found.get(tag), str)})
        for part in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            if tags := {tag: value for tag, value in found.get_ifd(part).items() if tag not in _OWN}:
                kept[part] = tags
    return kept


def _opened(data: bytes) -> Any:
    return imported("rawpy", "imread")(BytesIO(data))
