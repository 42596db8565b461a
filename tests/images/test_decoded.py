"""What any decoder raises becomes one clear message."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
from PIL import Image

from ipt.core.errors import IptError
from ipt.images.decoded import Unusable, check_size, reading, unmultiplied
from ipt.images.files import decode, read


@pytest.mark.parametrize(
    "error", [KeyError(271), TypeError("Missing dimensions"), NotImplementedError("no"), OSError(2, "")]
)
def test_whatever_a_decoder_raises_is_damage(error):
    with pytest.raises(IptError, match=r"a.tif is damaged or cut short \(.+\); copy it again"), reading("a.tif"):
        raise error


def test_what_is_no_damage_stays_what_it_is():
    with pytest.raises(IptError, match=r"a.png cannot be used: it has 3 arms"), reading("a.png"):
        raise Unusable("it has 3 arms")
    with pytest.raises(MemoryError), reading("a.png"):
        raise MemoryError
    with warnings.catch_warnings(record=True) as heard, reading("a.png"):
        warnings.warn("Corrupt EXIF data", UserWarning, stacklevel=1)
    assert heard == []


def test_what_alpha_was_multiplied_into():
    values = np.array([[[0.25, 0.5], [0.3, 0.0], [0.7, 1.0]]])
    assert np.allclose(unmultiplied(values), [[[0.5, 0.5], [0, 0], [0.7, 1]]])


def test_too_many_pixels(tmp_path):
    check_size(10_000, 10_000)
    with pytest.raises(Unusable, match="cut or reduce it"):
        check_size(20_000, 10_000)
    Image.new("1", (20_000, 10_000)).save(tmp_path / "a.png")
    with pytest.raises(IptError, match=r"cannot be used: it has more than 178,956,970 pixels"):
        read(tmp_path / "a.png")


def test_a_damaged_exif_costs_no_picture():
    file, exif = io.BytesIO(), Image.Exif()
    exif[270] = "words"
    Image.new("L", (8, 8)).save(file, "JPEG", exif=exif)
    data = file.getvalue().replace(b"Exif\0\0MM", b"Exif\0\0QQ").replace(b"Exif\0\0II", b"Exif\0\0QQ")
    assert data != file.getvalue() and decode(data, "a.jpg").shape == (1, 8, 8)
