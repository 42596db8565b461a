"""Colour profiles of what PNG's chunks gAMA and cHRM say."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from ipt.images import icc, png
from ipt.images.files import decode

from .conftest import noise

WIDE = (0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)


def with_chunks(
    pixels: np.ndarray, gamma: float | None = None, places: tuple[float, ...] = (), more: bytes = b""
) -> bytes:
    data = png.encode(pixels)
    inserted = b"" if gamma is None else png._chunk(b"gAMA", struct.pack(">I", round(gamma * 1e5)))
    inserted += png._chunk(b"cHRM", struct.pack(">8I", *(round(1e5 * one) for one in places))) if places else b""
    return data[:33] + inserted + more + data[33:]


def seen(profile: bytes, mode: str, value) -> tuple[int, ...]:
    """What a screen of sRGB shows for a value."""
    own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    transform = ImageCms.buildTransform(own, ImageCms.createProfile("sRGB"), mode, "RGB")
    return ImageCms.applyTransform(Image.new(mode, (1, 1), value), transform).getpixel((0, 0))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_png_of_another_gamma_or_other_colours_gets_a_profile(dtype):
    values = noise(3, dtype)
    linear, wide = (decode(with_chunks(values, *given), "a.png").metadata["icc"] for given in ((1.0,), (None, WIDE)))
    assert seen(linear, "RGB", (55, 55, 55)) == (128, 128, 128)
    assert seen(wide, "RGB", (255, 255, 255)) == (255, 255, 255)
    red, green, blue = seen(wide, "RGB", (200, 100, 50))
    assert red > 215 and abs(green - 100) < 4 and blue < 48
    grey = decode(with_chunks(noise(1, dtype), 1.0), "a.png").metadata["icc"]
    assert seen(grey, "L", 55) == (128, 128, 128)


def test_a_png_like_srgb_gets_none():
    values = noise(3, np.uint8)
    rendered = png._chunk(b"sRGB", b"\0")
    for data in (with_chunks(values, 0.45455, icc._SRGB), with_chunks(values), with_chunks(values, 1.0, more=rendered)):
        assert "icc" not in decode(data, "a.png").metadata
