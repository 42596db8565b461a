"""The blur's own steps, for the image and for the kernel: what holds for every border, and how near they come to the
truth."""

from __future__ import annotations

import math

import pytest
import torch

from ipt.core.abilities import Belief
from ipt.core.observation import Observation
from ipt.linalg.covariances import Isotropic
from ipt.operators.blur import BORDERS, Blur
from ipt.operators.kernels import MotionKernels
from ipt.solve.metrics import kernel_mnc, psnr

NOISE = 0.01


def _random(*shape, seed=0):
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def _normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def _kernels(batch, sides, seed=1):
    kernel = _random(batch, 1, *sides, seed=seed) ** 3
    return kernel / kernel.sum((-2, -1), keepdim=True)


def _ones(batch, value):
    return torch.full((batch, 1, 1, 1), value, dtype=torch.float64)


def gaussian(mean, variance, sigma=math.inf):
    return Belief(mean, Isotropic(variance), sigma)


def observed(measurement, variance):
    return Observation(measurement, variance.sqrt())


# ---- What must hold for every border.


def _problem(batch, shape, sides, border, channels=3):
    """A measurement, beliefs about picture and kernel that are both off, and the kernel."""
    image, kernel = _random(batch, channels, *shape, seed=3), _kernels(batch, sides)
    measured = Blur(sides, border).forward(image, kernel) + NOISE * _normal(*image.shape, seed=4)
    noise = torch.linspace(1, 9, batch, dtype=torch.float64).reshape(-1, 1, 1, 1) * NOISE**2
    belief = gaussian(image + 0.1 * _normal(*image.shape, seed=7), _ones(batch, 0.01), 0.2)
    believed = gaussian(3 * _kernels(batch, sides, seed=6), _ones(batch, 0.01), 0.3)
    return measured, noise, belief, kernel, believed


def _steps(border, measured, noise, belief, kernel, believed):
    """Kernel, image with the kernel's uncertainty, image with the kernel known."""
    operator = Blur((kernel.shape[-2], kernel.shape[-1]), border)
    found = operator.parameter_step(observed(measured, noise), belief, {"kernel": believed}, {})["kernel"]
    return (
        found,
        operator.image_step(observed(measured, noise), belief, {"kernel": kernel}, {"kernel": believed}),
        operator.image_step(observed(measured, noise), belief, {"kernel": kernel}, {}),
    )


def _each(function, *arguments):
    """A function of every tensor in nested arguments, levels kept."""
    return [
        gaussian(function(one.mean), function(one.covariance.variance), one.sigma)
        if isinstance(one, Belief)
        else function(one)
        for one in arguments
    ]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 2e-7)])
@pytest.mark.parametrize("border", BORDERS)
def test_an_image_alone_and_in_a_batch_of_8(border, dtype, tolerance):
    problem = _each(lambda value: value.to(dtype), *_problem(8, (16, 15), (4, 5), border))
    # One picture is nearly black, and one nearly flat: that makes kernel equations stiff.
    problem[2].mean[2] *= 0.1
    problem[2].mean[5] = 0.6 + 0.1 * problem[2].mean[5]
    together = _steps(border, *problem)
    for index in range(8):
        one = slice(index, index + 1)
        alone = _steps(border, *_each(lambda value, one=one: value[one], *problem))
        for single, several in zip(alone, together, strict=True):
            assert single.dtype == dtype and torch.isfinite(single).all()
            torch.testing.assert_close(single[0], several[index], rtol=0, atol=tolerance)


@pytest.mark.parametrize("border", BORDERS)
def test_single_precision_suffices(border):
    """A smooth picture that is bright everywhere, seen at a coarse level, makes the kernel's equations stiff."""
    problem = _problem(2, (18, 18), (5, 5), border)
    coarse = torch.nn.functional.interpolate(_random(2, 3, 4, 4), size=(18, 18), mode="bicubic", align_corners=True)
    problem = [problem[0], problem[1], gaussian(0.4 + 0.4 * coarse, _ones(2, 0.1), 10.0), *problem[3:]]
    exact = _steps(border, *problem)
    rounded = _steps(border, *_each(lambda value: value.float(), *problem))
    for precise, single in zip(exact, rounded, strict=True):
        torch.testing.assert_close(single.double(), precise, rtol=0, atol=1e-3)


@pytest.mark.parametrize("border", BORDERS)
def test_inputs_stay_as_they_are(border):
    problem = _problem(2, (12, 11), (4, 5), border)
    before = _each(torch.clone, *problem)
    _steps(border, *problem)
    for one, copy in zip(problem, before, strict=True):
        if isinstance(one, Belief):
            assert torch.equal(one.mean, copy.mean) and torch.equal(one.covariance.variance, copy.covariance.variance)
        else:
            assert torch.equal(one, copy)


@pytest.mark.parametrize(("shape", "sides"), [((16, 15), (4, 7)), ((12, 20), (3, 9)), ((15, 15), (15, 2))])
@pytest.mark.parametrize("border", BORDERS)
def test_both_axes_are_treated_alike(border, shape, sides):
    """Pictures and kernels on their side: the answers are, too."""
    problem = _problem(2, shape, sides, border)
    upright = _steps(border, *problem)
    turned = _steps(border, *_each(lambda value: value.mT.contiguous(), *problem))
    for one, other in zip(upright, turned, strict=True):
        if one.shape[-2:] == sides:
            # By their sums: what differs is small against a kernel's sum, and its peak is one of its entries.
            one, other = (3 * kernel / kernel.sum((1, 2, 3), keepdim=True) for kernel in (one, other))
        # Iterations that end early enlarge rounding, and an unknown border's trust is a mean over half of the spectrum.
        torch.testing.assert_close(other.mT, one, rtol=0, atol=1e-7 if border == "circular" else 2e-3)


def test_a_circular_picture_has_no_corner():
    problem = _problem(2, (12, 11), (4, 5), "circular")
    rolled = _each(lambda value: value.roll((3, 4), (-2, -1)) if value.shape[-2:] == (12, 11) else value, *problem)
    kernel, *images = _steps("circular", *problem)
    same, *moved = _steps("circular", *rolled)
    torch.testing.assert_close(same, kernel, rtol=0, atol=1e-8)
    for one, other in zip(images, moved, strict=True):
        torch.testing.assert_close(other, one.roll((3, 4), (-2, -1)), rtol=0, atol=1e-10)


@pytest.mark.parametrize("sides", [(1, 1), (3, 3), (4, 4), (2, 7), (7, 2), (1, 6), (10, 9)], ids=str)
@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("border", BORDERS)
def test_kernels_and_pictures_of_every_shape(border, channels, sides):
    """Up to a kernel as large as the picture, and with priors that saw nothing."""
    problem = _problem(2, (10, 9), sides, border, channels)
    blind = [one if not isinstance(one, Belief) else gaussian(one.mean, one.covariance.variance) for one in problem]
    for given in (problem, blind):
        kernel, *images = _steps(border, *given)
        assert kernel.shape == (2, 1, *sides) and (kernel >= 0).all()
        torch.testing.assert_close(kernel.amax((1, 2, 3)), torch.ones(2).to(kernel))
        for image in images:
            assert image.shape == (2, channels, 10, 9) and torch.isfinite(image).all()
            assert image.abs().max() < 3


@pytest.mark.parametrize("border", ["circular", "unknown"])
def test_a_belief_without_anything_positive_is_survived(border):
    measured, noise, belief, kernel, believed = _problem(2, (10, 9), (3, 3), border)
    nothing = gaussian(-believed.mean, believed.covariance.variance, believed.sigma)
    for one in _steps(border, measured, noise, belief, kernel, nothing):
        assert torch.isfinite(one).all()


# ---- The truth.


@pytest.fixture
def case(rectangles, photographed):
    """case(border, seed): a photograph's measurement by a motion kernel; for an unknown border it goes on outside."""

    def make(border, seed, size=11):
        kernel = MotionKernels((0.4, 0.8)).sample([seed], (1, size, size)).double()
        picture = rectangles(side=48 + (size - 1 if border == "unknown" else 0), seed=seed)
        measured, frame = photographed(picture, kernel, border)
        return measured, frame, kernel

    return make


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("border", BORDERS)
def test_with_the_true_image_the_kernel_is_recovered(border, seed, case):
    measured, frame, kernel = case(border, seed)
    flat = torch.full_like(kernel, 0.4)
    image = gaussian(frame, _ones(1, 1e-6), 0.003)
    operator, found = Blur(11, border), flat
    # A step ends before it is exact; in a solve the next goes on from there.
    for _ in range(1 if border == "circular" else 4):
        belief = {"kernel": gaussian(found, _ones(1, 1.0), math.inf)}
        found = operator.parameter_step(observed(measured, _ones(1, NOISE**2)), image, belief, {})["kernel"]
    assert kernel_mnc(flat[0], kernel[0]) < 0.7
    # Less is known where what lies outside takes part.
    least = 0.975 if border == "unknown" else 0.99
    assert kernel_mnc(operator.constrain({"kernel": found})["kernel"][0], kernel[0]) > least


@pytest.mark.parametrize("level", [0.05, 0.5, math.inf])
@pytest.mark.parametrize("border", BORDERS)
def test_with_the_true_kernel_the_image_is_sharper(border, level, case):
    """From the measurement itself as the estimate, whether or not the kernel counts as known."""
    measured, frame, kernel = case(border, 4)
    image = gaussian(measured, _ones(1, 0.01), level)
    sure = gaussian(5 * kernel, _ones(1, 1e-6), 0.003)
    before = psnr(measured[0], frame[0])
    for beliefs in ({}, {"kernel": sure}):
        found = Blur(11, border).image_step(observed(measured, _ones(1, NOISE**2)), image, {"kernel": kernel}, beliefs)
        assert psnr(found[0], frame[0]) > before + 2


def test_small_entries_drop_while_the_image_is_coarse(rectangles, photographed):
    """Below a twentieth of the largest; the share falls with the level, and none is lost where the image is fine."""
    kernel = torch.full((1, 1, 5, 5), 0.03, dtype=torch.float64)
    kernel[..., 2, 2] = 1.0
    kernel = kernel / kernel.sum()
    picture = rectangles(side=24)
    measured, _ = photographed(picture, kernel, "circular", noise=0.0)
    sure = gaussian(kernel, _ones(1, 1e-8), 1e-5)

    def left(level):
        image = gaussian(picture, _ones(1, 0.01), level)
        found = Blur(5, "circular").parameter_step(observed(measured, _ones(1, NOISE**2)), image, {"kernel": sure}, {})[
            "kernel"
        ]
        return (found > 0).sum().item()

    assert left(math.inf) == left(1.0) == 1 and left(0.05) == 25
