"""PNG, against Pillow and the specification."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from ipt.images import png

from .conftest import SHAPE, noise


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_encoder_agrees_with_pillow(dtype: type) -> None:
    values = noise(1, dtype)[:, :, 0]
    assert (np.asarray(Image.open(io.BytesIO(png.encode(values)))) == values).all()
    packed = io.BytesIO()
    Image.fromarray(values).save(packed, "PNG")
    if dtype is np.uint16:
        assert (png.decode16(packed.getvalue())[:, :, 0] == values).all()


def test_every_row_filter_is_undone() -> None:
    """Filters applied one byte at a time, as the specification defines them, in every order of rows."""
    values = noise(3)
    plain = values.astype(">u2").view(np.uint8).reshape(SHAPE[0], -1).astype(int)
    size, lines = 6, []
    for y, row in enumerate(plain):
        line = [y % 5]
        for i, value in enumerate(row):
            left = row[i - size] if i >= size else 0
            above = plain[y - 1][i] if y else 0
            corner = plain[y - 1][i - size] if y and i >= size else 0
            paeth = min((left, above, corner), key=lambda v: abs(left + above - corner - v))
            line.append((value - (0, left, above, (left + above) // 2, paeth)[y % 5]) % 256)
        lines.append(line)
    filtered = np.array(lines, np.uint8)
    back = png._unfiltered(filtered[:, 0], filtered[:, 1:].reshape(*SHAPE, size))
    assert (back.reshape(SHAPE[0], -1) == plain).all()


PASSES = ("16462646", "77777777", "56565656", "77777777", "36463646", "77777777", "56565656", "77777777")
"""Of every 8x8 pixels, as the figure of the specification (section 8.1) has them."""


@pytest.mark.parametrize(("height", "width"), [SHAPE, (8, 8), (5, 3), (1, 6), (1, 1)])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_an_interlaced_picture_is_put_together(height: int, width: int, channels: int) -> None:
    values = noise(channels)[:height, :width]
    numbers = np.tile([[int(number) for number in row] for row in PASSES], (2, 3))[:height, :width]
    packed = b""
    for number in range(1, 8):
        rows, columns = (numbers == number).any(1), (numbers == number).any(0)
        if rows.any():
            part = np.ascontiguousarray(values[rows][:, columns].astype(">u2")).view(np.uint8)
            packed += png._filtered(part)
    plain = png.encode(values)
    header = png._chunk(b"IHDR", plain[16:28] + b"\1")
    data = png.SIGNATURE + header + png._chunk(b"IDAT", zlib.compress(packed)) + png._chunk(b"IEND", b"")
    assert (png.decode16(data) == values).all()
    if channels == 1:
        assert (np.asarray(Image.open(io.BytesIO(data))) == values[:, :, 0]).all()


def test_the_depth_is_that_of_the_header():
    assert png.depth(png.encode(noise(3))) == 16 and png.depth(png.encode(noise(3, np.uint8))) == 8
    assert png.depth(b"") == png.depth(b"GIF89a" * 9) == 0


def test_a_transparent_colour_becomes_alpha():
    values = noise(1)
    chunk = png._chunk(b"tRNS", int(values[0, 0, 0]).to_bytes(2, "big"))
    data = png.encode(values)
    decoded = png.decode16(data[:33] + chunk + data[33:])
    assert decoded.shape == (*SHAPE, 2) and (decoded[:, :, :1] == values).all()
    assert (decoded[:, :, 1:] == np.where(values == values[0, 0], 0, 65535)).all()


def test_other_pixels_are_refused():
    for pixels in (np.zeros((2, 2, 5), np.uint8), np.zeros((2, 2), np.float32)):
        with pytest.raises(ValueError, match="uint8 or uint16 in 1 to 4 channels"):
            png.encode(pixels)
