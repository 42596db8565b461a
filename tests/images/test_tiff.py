"""Deep TIFF files, decoded page by page."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tifffile

from ipt.images import tiff

from .conftest import SHAPE, noise


def written(*pages: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for page in pages:
            writer.write(page, **options)
    return file.getvalue()


def test_pages_are_decoded_by_their_place():
    first, second = noise(3, seed=1), noise(3, seed=2)
    data = written(first, second, photometric="rgb")
    assert tiff.pages(data) == [0, 1]
    decoded = tiff.decode_deep(data, 1)
    assert decoded is not None and (np.rint(decoded.values * 65535) == second).all()
    with pytest.raises(ValueError, match=r"2 pages or frames; .*frames=True"):
        tiff.decode_deep(data)


def test_reduced_copies_are_no_pages():
    data = io.BytesIO()
    with tifffile.TiffWriter(data) as writer:
        writer.write(noise(1)[:, :, 0], photometric="minisblack")
        writer.write(noise(1)[::2, ::2, 0], photometric="minisblack", subfiletype=1)
    assert tiff.pages(data.getvalue()) == [0]
    decoded = tiff.decode_deep(data.getvalue())
    assert decoded is not None and decoded.values.shape == (*SHAPE, 1) and decoded.kind == "uint16"


def test_eight_bits_are_left_to_others():
    assert tiff.decode_deep(written(noise(3, np.uint8), photometric="rgb")) is None


def test_inverted_grey_is_turned_and_texts_are_kept():
    values = noise(1)[:, :, 0]
    data = written(values, photometric="miniswhite", description="by hand", software="a test")
    decoded = tiff.decode_deep(data)
    assert decoded is not None and (np.rint((1 - decoded.values[:, :, 0]) * 65535) == values).all()
    assert decoded.texts[270] == "by hand" and decoded.texts[305] == "a test"
    assert (decoded.orientation, decoded.icc) == (1, b"")


def test_damage_is_an_os_error():
    for call in (tiff.pages, tiff.decode_deep):
        with pytest.raises(OSError, match="no page"):
            call(b"II*\0" + b"\xff" * 30)
