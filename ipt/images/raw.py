"""Raw files of cameras, developed by LibRaw (the package rawpy, extra `raw`).

The mosaic is interpolated, balanced as the camera did, and brought to linear light in the colours of sRGB, without a
tone curve and without brightening; white is the sensor's. The picture's values are the sRGB encoding of that light, as
of any other picture.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import PurePath
from typing import Any

import numpy as np
import torch

from ipt.extras import imported
from ipt.images.choices import RAW_SUFFIXES
from ipt.images.decoded import Decoded, check_size
from ipt.images.light import encoded


def is_raw(place: str) -> bool:
    """Whether a file's name is that of a raw file, which may look like a TIFF inside."""
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
    values = encoded(torch.from_numpy(light / np.float32(65535))).numpy()
    return Decoded(values, 16, "RAW developed")


def shape(data: bytes) -> tuple[int, int, int]:
    """(C, H, W) before its orientation; raises as `decode`."""
    with _opened(data) as file:
        return 3, file.sizes.iheight, file.sizes.iwidth


def _opened(data: bytes) -> Any:
    return imported("rawpy", "imread")(BytesIO(data))
