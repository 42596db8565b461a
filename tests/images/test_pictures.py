from __future__ import annotations

import numpy as np
import pytest
import torch

from ipt.images.pictures import KERNEL_SIDE, Cell, contact_sheet, kernel_picture, residual_picture, spread_picture


def test_a_kernel_is_seen_entry_by_entry() -> None:
    kernel = torch.zeros(1, 5, 7)
    kernel[0, 1, 2], kernel[0, 3, 3], kernel[0, 0, 0] = 0.5, 0.25, -0.1
    picture = kernel_picture(kernel)
    times = picture.shape[0] // 5
    assert min(picture.shape) >= KERNEL_SIDE and picture.shape == (5 * times, 7 * times)
    blocks = picture.reshape(5, times, 7, times)
    assert (blocks == blocks[:, :1, :, :1]).all()
    assert blocks[1, 0, 2, 0] == 255 and blocks[3, 0, 3, 0] == 128 and blocks[0, 0, 0, 0] == 0
    assert kernel_picture(torch.zeros(1, 3, 3)).max() == 0
    with pytest.raises(ValueError, match="a kernel is"):
        kernel_picture(torch.zeros(2, 3, 3))


def test_a_residual_has_a_fixed_scale() -> None:
    residual = torch.tensor([0.0, 0.04, -0.04, 0.02, 1.0]).reshape(1, 1, 5)
    assert residual_picture(residual, 0.01)[0].tolist() == [128, 255, 0, 191, 255]
    assert residual_picture(residual.expand(3, 1, 5), 0.01).shape == (1, 5, 3)


def test_a_spread_rises_in_lightness() -> None:
    ramp = torch.linspace(0, 0.1, 50).expand(3, 2, 50)
    lightness = spread_picture(ramp).astype(float).mean(-1)[0]
    assert (np.diff(lightness) > 0).all()
    assert (spread_picture(ramp, top=0.05)[:, 25:] == spread_picture(ramp)[0, -1]).all()


def test_a_contact_sheet_holds_every_picture() -> None:
    red, green = torch.zeros(3, 8, 8), torch.zeros(3, 300, 100)
    red[0], green[1] = 1, 0.5
    sheet = contact_sheet([[Cell(red, "red"), Cell(green)], [Cell(np.zeros((4, 4), np.uint8), "black")]], cell=64)
    assert sheet.shape[2] == 3
    assert ((sheet == [255, 0, 0]).all(-1)).sum() == 64 * 64
    assert ((sheet == [0, 128, 0]).all(-1)).sum() == 64 * 21
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([])
