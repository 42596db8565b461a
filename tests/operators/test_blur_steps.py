"""The blur's own steps, for the image and for the kernel, against dense solves of the same problems."""

from __future__ import annotations

import numpy
import pytest
import torch
import torch.nn.functional as functional
from scipy.signal import convolve2d

from ipt.core.interfaces import Gaussian
from ipt.operators.blur import BORDERS, Blur, recentred

KNOWN_BORDERS = [border for border in BORDERS if border != "unknown"]


def _random(*shape, seed=0):
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def _kernels(batch, sides, seed=1):
    kernel = _random(batch, 1, *sides, seed=seed) ** 3
    return kernel / kernel.sum((-2, -1), keepdim=True)


def _matrix(operator, kernel, shape):
    """The operator on one channel as a dense matrix, column by column."""
    pixels = shape[0] * shape[1]
    basis = torch.eye(pixels, dtype=torch.float64).reshape(pixels, 1, *shape)
    return operator.forward(basis, kernel).reshape(pixels, pixels).T


def _problem(batch=1, shape=(8, 7), sides=(3, 4), border="circular"):
    image, kernel = _random(batch, 1, *shape, seed=3), _kernels(batch, sides)
    level = torch.full((batch, 1, 1, 1), 0.02, dtype=torch.float64)
    measurement = Blur(sides, border).forward(image, kernel) + 0.02 * (_random(batch, 1, *shape, seed=4) - 0.5)
    belief = Gaussian(image + 0.3 * (_random(batch, 1, *shape, seed=7) - 0.5), torch.full_like(level, 0.01))
    return measurement, level.square(), belief, kernel


@pytest.mark.parametrize("sides", [(3, 4), (4, 3), (5, 5)])
@pytest.mark.parametrize("border", KNOWN_BORDERS)
def test_the_image_step_solves_the_normal_equations(border, sides):
    measurement, noise, belief, kernel = _problem(sides=sides, border=border)
    operator = Blur(sides, border, image_iterations=200)
    matrix = _matrix(operator, kernel, (8, 7))
    normal = matrix.T @ matrix / noise.item() + torch.eye(56, dtype=torch.float64) / belief.variance.item()
    right = matrix.T @ measurement.flatten() / noise.item() + belief.mean.flatten() / belief.variance.item()
    found = operator.image_step(measurement, noise, belief, {"kernel": kernel})
    torch.testing.assert_close(found.flatten(), torch.linalg.solve(normal, right), rtol=0, atol=1e-9)


def test_with_an_unknown_border_the_image_step_solves_for_the_canvas():
    shape, sides = (8, 7), (3, 4)
    measurement, noise, belief, kernel = _problem(shape=shape, sides=sides, border="reflect")
    # As uncertain inside as outside the frame.
    variance = 0.01
    tall, wide = shape[0] + sides[0] - 1, shape[1] + sides[1] - 1
    pads = [(sides[0] - 1 - sides[0] // 2, sides[0] // 2), (sides[1] - 1 - sides[1] // 2, sides[1] // 2)]
    units = numpy.eye(tall * wide).reshape(-1, tall, wide)
    matrix = torch.from_numpy(
        numpy.stack([convolve2d(u, kernel[0, 0].numpy(), mode="valid").ravel() for u in units], 1)
    )
    mean = torch.from_numpy(numpy.pad(belief.mean[0, 0].numpy(), pads, mode="reflect")).flatten()
    normal = matrix.T @ matrix / noise.item() + torch.eye(tall * wide, dtype=torch.float64) / variance
    canvas = torch.linalg.solve(normal, matrix.T @ measurement.flatten() / noise.item() + mean / variance)
    expected = canvas.reshape(tall, wide)[pads[0][0] : pads[0][0] + shape[0], pads[1][0] : pads[1][0] + shape[1]]
    operator = Blur(sides, "unknown", image_iterations=300)
    found = operator.image_step(measurement, noise, belief, {"kernel": kernel})
    torch.testing.assert_close(found[0, 0], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("border", BORDERS)
def test_the_image_step_as_shipped_is_near_its_limit(border):
    measurement, noise, belief, kernel = _problem(2, (24, 24), (5, 5), "reflect" if border == "unknown" else border)
    found = Blur(5, border).image_step(measurement, noise, belief, {"kernel": kernel})
    limit = Blur(5, border, image_iterations=300).image_step(measurement, noise, belief, {"kernel": kernel})
    assert (found - limit).square().mean().sqrt() < 0.2 * (belief.mean - limit).square().mean().sqrt()


@pytest.mark.parametrize("border", BORDERS)
def test_both_steps_treat_images_one_by_one(border):
    measurement, noise, belief, kernel = _problem(4, (12, 11), (4, 5), "circular")
    noise = noise * torch.tensor([1.0, 4.0, 100.0, 1.0]).double().reshape(4, 1, 1, 1)
    believed = Gaussian(kernel.roll(1, 0), torch.full_like(noise, 1e-3))
    operator = Blur((4, 5), border)
    images = operator.image_step(measurement, noise, belief, {"kernel": kernel})
    kernels = operator.parameter_step(measurement, noise, belief, {"kernel": believed})["kernel"]
    for index in range(4):
        one = slice(index, index + 1)
        alone = Gaussian(belief.mean[one], belief.variance[one])
        image = operator.image_step(measurement[one], noise[one], alone, {"kernel": kernel[one]})
        torch.testing.assert_close(image[0], images[index], rtol=0, atol=1e-10)
        pulled = Gaussian(believed.mean[one], believed.variance[one])
        parameter = operator.parameter_step(measurement[one], noise[one], alone, {"kernel": pulled})["kernel"]
        torch.testing.assert_close(parameter[0], kernels[index], rtol=0, atol=1e-6)


def _kernel_problem(border, dtype=torch.float64):
    """A sharp textured colour picture, nearly known; a true kernel that leans; and a flat belief."""
    image = _random(1, 3, 24, 24, seed=8)
    truth = torch.zeros(1, 1, 5, 5, dtype=torch.float64)
    truth[0, 0, 1, 1:4] = 0.1
    truth[0, 0, 2, 1:4] = 0.15
    truth[0, 0, 3, 2] = 0.25
    measurement = Blur(5, border).forward(image, truth)
    noise = torch.full((1, 1, 1, 1), 0.01**2)
    picture = Gaussian(image.to(dtype), torch.full((1, 1, 1, 1), 1e-4, dtype=dtype))
    # The belief's scale is its own: before `constrain` a kernel sums to what its chart gives.
    flat = Gaussian(torch.full((1, 1, 5, 5), 0.2, dtype=dtype), torch.full((1, 1, 1, 1), 0.04, dtype=dtype))
    return measurement.to(dtype), noise.to(dtype), picture, flat, truth


@pytest.mark.parametrize("border", BORDERS)
def test_the_parameter_step_explains_the_measurement_better(border):
    measurement, noise, picture, flat, truth = _kernel_problem(border)
    operator = Blur(5, border)
    found = operator.parameter_step(measurement, noise, picture, {"kernel": flat})["kernel"]
    assert found.shape == truth.shape and (found >= 0).all()
    # Comparable with the belief, as a penalty on the unnormalised kernel needs it.
    torch.testing.assert_close(found.sum(), flat.mean.sum())

    def objective(kernel):
        rest = measurement - operator.forward(picture.mean, kernel / kernel.sum())
        pull = (kernel - flat.mean).square().sum() / flat.variance.item()
        # Even with the generous share of the picture's own error that an unknown border counts, of variance 1e-3.
        return rest.square().sum() / 1e-3 + pull

    assert objective(found) < 0.5 * objective(flat.mean)
    valid = operator.constrain({"kernel": found})["kernel"]
    assert (valid - truth).abs().max() < 0.05


@pytest.mark.parametrize("border", BORDERS)
def test_rounding_does_not_change_the_kernel(border):
    """A smooth picture that is bright everywhere makes the kernel's equations stiff; single precision must do all the
    same."""
    coarse = _random(1, 3, 9, 9, seed=4)
    image = 0.4 + 0.4 * functional.interpolate(coarse, size=(24, 24), mode="bicubic", align_corners=True)
    results = []
    for dtype in (torch.float32, torch.float64):
        _, noise, picture, flat, truth = _kernel_problem(border, dtype)
        operator = Blur(5, border)
        seen = operator.forward(image, truth).to(dtype)
        belief = Gaussian(image.to(dtype), picture.variance)
        results.append(operator.parameter_step(seen, noise, belief, {"kernel": flat})["kernel"].double())
    assert (results[0] - results[1]).abs().max() < 0.01 * results[1].max()


def _centroid(kernel):
    """(B, 2) in pixels from the centre pixel."""
    height, width = kernel.shape[-2:]
    rows, columns = torch.arange(height) - height // 2, torch.arange(width) - width // 2
    mass = kernel.sum((1, 2, 3))
    return torch.stack([(kernel.sum((1, 3)) * rows).sum(1) / mass, (kernel.sum((1, 2)) * columns).sum(1) / mass], 1)


@pytest.mark.parametrize("sides", [(9, 9), (8, 11)])
def test_recentred_moves_by_whole_pixels_an_image_at_a_time(sides):
    compact = torch.zeros(4, 1, *sides, dtype=torch.float64)
    places = [(1, 1), (sides[0] - 2, 2), (2, sides[1] - 2), (sides[0] // 2, sides[1] // 2)]
    blob = torch.tensor([[0.05, 0.1, 0.05], [0.1, 0.4, 0.1], [0.05, 0.1, 0.05]], dtype=torch.float64)
    for one, (row, column) in zip(compact, places, strict=True):
        one[0, row - 1 : row + 2, column - 1 : column + 2] = blob
    moved = recentred(compact)
    # Nothing left the frame, so all four are the same kernel, bit by bit.
    assert all(torch.equal(one, compact[3]) for one in moved)
    assert torch.equal(recentred(moved), moved)
    lopsided = _kernels(3, sides, seed=2)
    assert (_centroid(recentred(compact + 1e-3 * compact.amax())).abs() < 3).all()
    assert torch.equal(recentred(lopsided)[1], recentred(lopsided[1:2])[0])


def test_recentred_stays_within_half_a_pixel_where_nothing_is_lost():
    kernel = torch.zeros(20, 1, 15, 15, dtype=torch.float64)
    kernel[:, :, 2:7, 6:12] = _random(20, 1, 5, 6)
    moved = recentred(kernel)
    torch.testing.assert_close(moved.sum((1, 2, 3)), kernel.sum((1, 2, 3)))
    assert (_centroid(moved).abs() <= 0.5 + 1e-12).all()
