"""Even lines and boxes, which leave nothing of many frequencies, with the border cut: a result is never worse than the
measurement, given the true kernel."""

from __future__ import annotations

import numpy
import pytest
import torch
from skimage import data

import ipt
from ipt.core.abilities import Belief
from ipt.core.observation import Observation
from ipt.linalg.covariances import Isotropic
from ipt.operators.blur import Blur
from ipt.operators.blur import steps as blur_steps
from ipt.solve.metrics import psnr

NOISE = 0.01
SIDES = (15, 16, 20, 25)


def line(side):
    kernel = torch.zeros(1, 1, side, side, dtype=torch.float64)
    kernel[..., side // 2, :] = 1 / side
    return kernel


def diagonal(side):
    return torch.eye(side, dtype=torch.float64)[None, None] / side


def box(side):
    return torch.full((1, 1, side, side), 1 / side**2, dtype=torch.float64)


def photograph(kernel, frame, seed):
    """A window of a photograph as the image, and the measurement of its frame; both (1, 3, ...)."""
    operator = Blur(kernel.shape[-1])
    side = operator.image_shape((3, frame, frame))[1]
    top, left = numpy.random.default_rng(seed).integers(0, 500 - 2 * side, 2)
    window = data.astronaut()[top : top + 2 * side, left : left + 2 * side].transpose(2, 0, 1) / 255
    image = torch.nn.functional.avg_pool2d(torch.from_numpy(window)[None], 2)
    sharp = operator.forward(image, kernel)
    return (
        operator,
        image,
        sharp + NOISE * torch.randn(sharp.shape, generator=torch.Generator().manual_seed(1)).double(),
    )


@pytest.mark.parametrize(("level", "iterations"), [(0.1, None), (0.5, None), (float("inf"), 40)])
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("shape", [line, diagonal, box], ids=lambda shape: shape.__name__)
def test_the_image_step(shape, side, level, iterations, monkeypatch):
    """From the measurement itself as the estimate; one of which nothing was seen takes more iterations."""
    if iterations is not None:
        monkeypatch.setattr(blur_steps, "_IMAGE_ITERATIONS", (iterations, iterations))
    kernel = shape(side)
    operator, image, measured = photograph(kernel, 64, side)
    window = (..., *operator.frame(image.shape[1:]))
    margin = (image.shape[-1] - 64) // 2
    variance = torch.full((1, 1, 1, 1), NOISE, dtype=torch.float64)
    mean = torch.nn.functional.pad(measured, [margin] * 4, mode="replicate")
    belief = Belief(mean, Isotropic(variance), level)
    found = operator.image_step(Observation(measured, variance), belief, {"kernel": kernel}, {})
    assert psnr(found[window][0], image[window][0]) > psnr(measured[0], image[window][0]) + 0.5


@pytest.mark.parametrize(("shape", "side"), [(line, 15), (diagonal, 25), (box, 20)])
def test_a_solve(shape, side):
    kernel = shape(side)
    operator, image, measured = photograph(kernel, 64, side)
    window = (..., *operator.frame(image.shape[1:]))
    solver = ipt.build("blur", "natural", known=["kernel"], settings={"operator.kernel_size": side})
    solution = solver.solve(measured.float(), NOISE, known={"kernel": kernel.float()})
    assert solution.image.shape == measured.shape and solution.whole.shape == image.shape
    before = psnr(measured[0], image[window][0])
    assert psnr(solution.image[0].double(), image[window][0]) > before + 1.5
