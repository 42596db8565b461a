"""Files that Pillow decodes to 8 bits a channel, and PNG at 16."""

from __future__ import annotations

from contextlib import suppress
from io import BytesIO
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image

from ipt.images import icc, png
from ipt.images.decoded import Decoded, Unusable, several

FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF")


def decode(data: bytes, page: int | None = None, tiff_page: int | None = None) -> Decoded:
    """Decode the bytes of a file.

    Args:
        data: The whole file.
        page: Index of the frame; None: the file must have one only.
        tiff_page: Index of the page of a TIFF file.

    Raises:
        Unusable: The file has several frames, or colours or pixels that are not read.
        Exception: The file is damaged.
    """
    with opened(data) as image:
        if image.format == "TIFF":
            image.seek(tiff_page or 0)
        elif page is not None:
            image.seek(page)
        elif (frames := getattr(image, "n_frames", 1)) > 1 and image.format != "MPO":
            # A JPEG with previews and gain maps, as of phones (MPO), is no series: its first picture is the main one.
            raise several(frames)
        if image.format == "PNG":
            png.check(data)
        deep_png = image.format == "PNG" and png.depth(data) == 16
        pixels = png.decode16(data) if deep_png else _expanded(image)
        image.load()
        source = f"{image.format} {image.mode if not deep_png else '16-bit'}"
        grey = pixels.shape[2] < 3
        profile = image.info.get("icc_profile") or (icc.of_png(image.info, grey) if image.format == "PNG" else b"")
        metadata, orientation = described(_exif(image), profile)
    deep = pixels.dtype == np.uint16
    return Decoded(pixels / np.float32(65535 if deep else 255), 16 if deep else 8, source, orientation, metadata)


def shape(file: BinaryIO) -> tuple[int, int, int]:
    """(C, H, W) of a picture from its file's header, before its orientation; errors as for `decode`."""
    with Image.open(file, formats=FORMATS) as image:
        channels = 1 if image.mode.partition(";")[0] in ("1", "L", "LA", "La", "I") else 3
        return channels, image.height, image.width


def opened(data: bytes) -> Image.Image:
    """Open a file's bytes with Pillow, which reads only the header."""
    return Image.open(BytesIO(data), formats=FORMATS)


def described(exif: Image.Exif, profile: bytes) -> tuple[dict[str, bytes], int]:
    """Metadata as of `Picture.metadata`, EXIF without the orientation; and the orientation, 1 if there is none."""
    orientation = exif.pop(ExifTags.Base.Orientation, 1)
    kept = {"icc": profile} if profile else {}
    if len(exif):
        # Some cameras write broken tags; then the EXIF data is left out.
        with suppress(Exception):
            kept["exif"] = exif.tobytes().removeprefix(b"Exif\0\0")
    return kept, orientation if isinstance(orientation, int) else 1


def _exif(image: Image.Image) -> Image.Exif:
    try:
        return image.getexif()
    except Exception:
        # Damaged EXIF data is no reason to refuse the picture.
        return Image.Exif()


def _expanded(image: Image.Image) -> np.ndarray:
    """uint8 or uint16 (H, W, C) with C = 1 grey, 2 grey and alpha, 3 colour, 4 colour and alpha."""
    mode = image.mode
    if mode in ("CMYK", "LAB", "HSV"):
        raise Unusable(f"its colours are {mode}; save it as RGB or grey")
    see_through = "transparency" in image.info or mode in ("LA", "La", "PA", "RGBA", "RGBa")
    if mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)[:, :, None]
    if mode in ("1", "L", "LA", "La"):
        target = "LA" if see_through else "L"
    elif mode in ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr"):
        target = "RGBA" if see_through else "RGB"
    else:
        raise Unusable(f"its pixels are of kind {mode}; save it with 8 or 16 bits a channel")
    pixels = np.asarray(image if mode == target else image.convert(target))
    return pixels[:, :, None] if pixels.ndim == 2 else pixels
