"""Small pictures of kinds that once came out worse than they were, with the right values beside them.

An even line whose kernel is known, lamps that the sensor has clipped, and the numbers of a camera in a file of 16 bits.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage import data
from torch import Tensor

import ipt
from ipt.images.files import Picture
from ipt.operators.blur import Blur
from ipt.solve.metrics import psnr
from ipt.solve.picture import solve_picture
from ipt.solve.prepare import ImageTask
from ipt.solve.result import ImageResult

SIDE, REACH = 56, 8


@pytest.fixture(scope="module")
def solver() -> ipt.Multiscale:
    return ipt.build(operator="blur", prior="natural", known=("kernel",), steps=20)


@pytest.fixture(scope="module")
def scene() -> Tensor:
    """A grey picture with what lies around it."""
    side = SIDE + 2 * REACH
    return torch.from_numpy(data.camera()[90 : 90 + side, 200 : 200 + side] / 255).float()[None]


def row(side: int) -> Tensor:
    return F.pad(torch.full((1, 1, side), 1 / side), (0, 0, side // 2, side // 2))


def middle(picture: Tensor) -> Tensor:
    return picture[:, REACH:-REACH, REACH:-REACH]


def measured(scene: Tensor, kernel: Tensor, noise: float = 0.005) -> Tensor:
    """The blurred middle of a scene, whose surroundings are real."""
    reach = kernel.shape[-1] // 2
    blurred = Blur(kernel.shape[-1], margin=reach).forward(scene[None], kernel[None])[0]
    inside = middle(F.pad(blurred, (reach,) * 4))
    return inside + noise * torch.randn(inside.shape, generator=torch.Generator().manual_seed(0))


def solved(solver: ipt.Multiscale, pixels: Tensor, kernel: Tensor, **more: object) -> ImageResult:
    picture = Picture(pixels.clamp(0, 1), depth=16, source="TIFF uint16")
    return solve_picture(solver, ImageTask(picture, known={"kernel": kernel}, **{"noise": 0.007, **more}))  # type: ignore[arg-type]


@pytest.mark.parametrize("kernel", [row(15), torch.full((1, 15, 15), 1 / 225)], ids=["row", "box"])
def test_an_even_kernel_that_is_known(solver, scene, kernel):
    pixels = measured(scene, kernel)
    found = solved(solver, pixels, kernel).picture.pixels
    before = psnr(pixels.clamp(0, 1), middle(scene))
    assert psnr(found.clamp(0, 1), middle(scene)) > before + 2, "it was 8 dB worse than the measurement"


def test_away_from_clipped_lamps_nothing_rings(solver, scene):
    kernel = row(9)
    dark = 0.35 * scene
    lamps = dark.clone()
    for down, right in ((18, 20), (40, 50), (52, 22)):
        lamps[:, down - 1 : down + 2, right - 1 : right + 2] = 12.0
    seen = {name: measured(each, kernel, 0.003).clamp(0, 1) for name, each in (("dark", dark), ("lamps", lamps))}
    away = F.max_pool2d((seen["lamps"] >= 0.985).float(), 9, 1, 4) == 0
    assert 0.5 < away.float().mean() < 0.95
    errors = {
        name: float((solved(solver, pixels, kernel).picture.pixels - middle(dark))[away].square().mean().sqrt())
        for name, pixels in seen.items()
    }
    assert errors["lamps"] < 1.1 * errors["dark"]


def test_12_bits_are_deblurred_as_16(solver, scene):
    kernel = row(9)
    pixels = measured(scene, kernel).clamp(0, 1)
    found = {}
    for bits in (16, 12):
        numbers = np.rint(pixels.numpy() * (2**bits - 1)) / 65535
        found[bits] = solved(solver, torch.from_numpy(numbers).float(), kernel, noise=None).picture.pixels
    assert psnr(found[12], middle(scene)) == pytest.approx(psnr(found[16], middle(scene)), abs=0.1)
    assert psnr(found[12], middle(scene)) > psnr(pixels, middle(scene)) + 3
