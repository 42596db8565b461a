"""The blur's own steps, for the image and for the kernel: what holds for every border, and how near they come to the
truth."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from ipt.core.abilities import Belief
from ipt.core.observation import Observation
from ipt.linalg.covariances import Isotropic
from ipt.operators.blur import BORDERS, Blur
from ipt.operators.blur import steps as blur_steps
from ipt.operators.blur.kernels import MotionKernels
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
    """A measurement of this shape, beliefs about picture and kernel that are both off, and the kernel."""
    operator, kernel = Blur(sides, border), _kernels(batch, sides)
    image = _random(batch, *operator.image_shape((channels, *shape)), seed=3)
    measured = operator.forward(image, kernel) + NOISE * _normal(batch, channels, *shape, seed=4)
    noise = torch.linspace(1, 9, batch, dtype=torch.float64).reshape(-1, 1, 1, 1) * NOISE**2
    belief = gaussian(image + 0.1 * _normal(*image.shape, seed=7), _ones(batch, 0.01), 0.2)
    believed = gaussian(3 * _kernels(batch, sides, seed=6), _ones(batch, 0.01), 0.3)
    return measured, noise, belief, kernel, believed


def _steps(border, measured, noise, belief, kernel, believed, mask=None):
    """Kernel, image with the kernel's uncertainty, image with the kernel known."""
    operator = Blur((kernel.shape[-2], kernel.shape[-1]), border)
    observation = Observation(measured, noise.sqrt(), mask)
    return (
        operator.parameter_step(observation, belief, {"kernel": believed}, {})["kernel"],
        operator.image_step(observation, belief, {"kernel": kernel}, {"kernel": believed}),
        operator.image_step(observation, belief, {"kernel": kernel}, {}),
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
def test_an_image_alone_and_in_a_batch_of_8(border, dtype, tolerance, monkeypatch):
    # Where an iteration ends early, rounding may decide on one more.
    monkeypatch.setattr("ipt.operators.blur.steps.image_tolerance", lambda *_: 0.0)
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
def test_single_precision_suffices(border, monkeypatch):
    """A smooth picture that is bright everywhere, seen at a coarse level, makes the kernel's equations stiff."""
    problem = _problem(2, (18, 18), (5, 5), border)
    size = problem[2].mean.shape[-2:]
    coarse = torch.nn.functional.interpolate(_random(2, 3, 4, 4), size=size, mode="bicubic", align_corners=True)
    problem = [problem[0], problem[1], gaussian(0.4 + 0.4 * coarse, _ones(2, 0.1), 10.0), *problem[3:]]
    early = _steps(border, *_each(lambda value: value.float(), *problem)), _steps(border, *problem)
    # Iterations that end early enlarge rounding: it is what they come to that is compared, and how near they are.
    monkeypatch.setattr(blur_steps, "_IMAGE_ITERATIONS", (400, 400))
    monkeypatch.setattr(blur_steps, "_TOLERANCE", 0.0)
    monkeypatch.setattr(blur_steps, "_ENOUGH", 0.0)
    exact = _steps(border, *problem)
    rounded = _steps(border, *_each(lambda value: value.float(), *problem))
    for precise, single in zip(exact, rounded, strict=True):
        torch.testing.assert_close(single.double(), precise, rtol=0, atol=1e-3)
    for precise, single, double in list(zip(exact, *early, strict=True))[1:]:
        whole = (precise - problem[2].mean).norm()
        assert (single.double() - precise).norm() < 1.1 * (double - precise).norm() + 0.1 * whole


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
            assert image.shape == given[2].mean.shape and torch.isfinite(image).all()
            assert image.abs().max() < 3


@pytest.mark.parametrize("border", ["circular", "unknown"])
def test_a_belief_without_anything_positive_is_survived(border):
    measured, noise, belief, kernel, believed = _problem(2, (10, 9), (3, 3), border)
    nothing = gaussian(-believed.mean, believed.covariance.variance, believed.sigma)
    for one in _steps(border, measured, noise, belief, kernel, nothing):
        assert torch.isfinite(one).all()


# ---- What was measured.


def _masks(batch, shape, channels=1):
    """Of each image another: single pixels, a block and a corner missing, or half of all; the first lacks nothing."""
    masks = (_random(batch, channels, *shape, seed=12) > 0.2).double()
    masks[0] = 1
    masks[1::2, :, 4:8, 5:9] = 0
    masks[-1, :, :, : shape[1] // 2] = 0
    return masks


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("channels", [1, 3])
def test_what_was_not_measured_has_no_influence(border, channels):
    measured, *others = _problem(3, (16, 15), (4, 5), border)
    masks = _masks(3, (16, 15), channels)
    expected = _steps(border, measured, *others, masks)
    for wrong in (0.0, 1.0, 1e4):
        other = torch.where(masks.bool(), measured, wrong)
        for one, found in zip(expected, _steps(border, other, *others, masks), strict=True):
            torch.testing.assert_close(found, one, rtol=0, atol=1e-12)
    # And what was has some.
    other = measured + 0.1 * masks * (_random(3, 3, 16, 15, seed=13) > 0.8)
    for one, found in zip(expected, _steps(border, other, *others, masks), strict=True):
        assert ((found - one).abs().amax((1, 2, 3)) > 1e-4).all()


@pytest.mark.parametrize("border", BORDERS)
def test_a_mask_of_everything_is_none(border):
    """Where image, frame and grid are one, the kernel is solved for by other iterations, and what noise is left with
    a known one is looked for away from the edges of a mask."""
    problem = _problem(2, (16, 15), (4, 5), border)
    everything = torch.ones(2, 1, 16, 15, dtype=torch.float64)
    expected, found = _steps(border, *problem), _steps(border, *problem, everything)
    tolerances = (0.05, 1e-10, 0.02) if border == "circular" else (1e-12, 1e-12, 1e-12)
    for one, other, tolerance in zip(expected, found, tolerances, strict=True):
        torch.testing.assert_close(other, one, rtol=0, atol=tolerance)


@pytest.mark.parametrize("border", BORDERS)
def test_with_masks_an_image_alone_and_in_a_batch(border):
    problem, masks = _problem(4, (16, 15), (4, 5), border), _masks(4, (16, 15))
    together = _steps(border, *problem, masks)
    # Many iterations enlarge rounding, and may end one sooner: with a known kernel by a tenth of a level of 8 bits.
    tolerances = (2e-7, 2e-7, 4e-4)
    for index in range(4):
        one = slice(index, index + 1)
        alone = _steps(border, *_each(lambda value, one=one: value[one], *problem), masks[one])
        for single, several, tolerance in zip(alone, together, tolerances, strict=True):
            torch.testing.assert_close(single[0], several[index], rtol=0, atol=tolerance)


@pytest.mark.parametrize("border", BORDERS)
def test_a_pixel_of_which_a_channel_is_missing_is_left_out(border):
    problem = _problem(2, (16, 15), (4, 5), border)
    each, whole = torch.ones(2, 3, 16, 15, dtype=torch.float64), torch.ones(2, 1, 16, 15, dtype=torch.float64)
    for channel, row in enumerate((3, 7, 11)):
        each[:, channel, row, 2:9] = 0
        whole[:, 0, row, 2:9] = 0
    for one, found in zip(_steps(border, *problem, whole), _steps(border, *problem, each), strict=True):
        assert torch.equal(found, one)


@pytest.mark.parametrize("left", [0.5, 0.25, 0.03])
@pytest.mark.parametrize("border", BORDERS)
def test_few_measured_pixels_are_survived(border, left):
    problem = _problem(2, (16, 15), (4, 5), border)
    masks = (_random(2, 1, 16, 15, seed=3) < left).double()
    assert masks.sum((1, 2, 3)).min() > 2
    for one in _steps(border, *problem, masks):
        assert torch.isfinite(one).all() and one.abs().max() < 3


@pytest.mark.parametrize("border", BORDERS)
def test_holes_are_filled_with_what_the_rest_says(border, case):
    """Where a twentieth is missing the truth is found nearly as well, in the holes too."""
    measured, picture, kernel = case(border, 4)
    operator = Blur(11, border)
    window = (..., *operator.frame(picture.shape[1:]))
    mask = (_random(1, 1, 48, 48, seed=5) > 0.05).double()
    pads = [5 if border == "unknown" else 0] * 4
    image = gaussian(torch.nn.functional.pad(measured, pads, mode="replicate"), _ones(1, 0.01), 0.5)
    found = [
        operator.image_step(Observation(torch.where(one.bool(), measured, 0), _ones(1, NOISE), one), image,
                            {"kernel": kernel}, {})
        for one in (torch.ones_like(mask), mask)
    ]  # fmt: skip
    whole, holed = (psnr(one[window][0], picture[window][0]) for one in found)
    assert holed > whole - 1
    hidden = (mask == 0).expand(-1, 3, -1, -1)
    assert (found[1] - picture)[window][hidden].square().mean() < 2 * (found[0] - picture)[window][
        hidden
    ].square().mean()


# ---- The truth.


@pytest.fixture
def case(rectangles, photographed):
    """case(border, seed): a photograph's measurement by a motion kernel, and the image behind it."""

    def make(border, seed, size=11):
        kernel = MotionKernels((0.4, 0.8)).sample([seed], (1, size, size)).double()
        picture = rectangles(side=48 + (size - 1 if border == "unknown" else 0), seed=seed)
        return photographed(picture, kernel, border), picture, kernel

    return make


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("border", BORDERS)
def test_with_the_true_image_the_kernel_is_recovered(border, seed, case):
    measured, picture, kernel = case(border, seed)
    assert measured.shape[-2:] == (48, 48)
    flat = torch.full_like(kernel, 0.4)
    image = gaussian(picture, _ones(1, 1e-6), 0.003)
    operator, found = Blur(11, border), flat
    # A step ends before it is exact; in a solve the next goes on from there.
    for _ in range(1 if border == "circular" else 4):
        belief = {"kernel": gaussian(found, _ones(1, 1.0), math.inf)}
        found = operator.parameter_step(observed(measured, _ones(1, NOISE**2)), image, belief, {})["kernel"]
    assert kernel_mnc(flat[0], kernel[0]) < 0.7
    assert kernel_mnc(operator.constrain({"kernel": found})["kernel"][0], kernel[0]) > 0.99


@pytest.mark.parametrize("level", [0.05, 0.5, math.inf])
@pytest.mark.parametrize("border", BORDERS)
def test_with_the_true_kernel_the_image_is_sharper(border, level, case):
    """From the measurement itself as the estimate, whether or not the kernel counts as known."""
    measured, picture, kernel = case(border, 4)
    operator = Blur(11, border)
    window = (..., *operator.frame(picture.shape[1:]))
    pads = [5 if border == "unknown" else 0] * 4
    image = gaussian(torch.nn.functional.pad(measured, pads, mode="replicate"), _ones(1, 0.01), level)
    sure = gaussian(5 * kernel, _ones(1, 1e-6), 0.003)
    before = psnr(measured[0], picture[window][0])
    for beliefs in ({}, {"kernel": sure}):
        found = operator.image_step(observed(measured, _ones(1, NOISE**2)), image, {"kernel": kernel}, beliefs)
        assert psnr(found[window][0], picture[window][0]) > before + 2


def test_small_entries_drop_while_the_image_is_coarse(rectangles, photographed):
    """Below a twentieth of the largest; the share falls with the level, and none is lost where the image is fine."""
    kernel = torch.full((1, 1, 5, 5), 0.03, dtype=torch.float64)
    kernel[..., 2, 2] = 1.0
    kernel = kernel / kernel.sum()
    picture = rectangles(side=24)
    measured = photographed(picture, kernel, "circular", noise=0.0)
    sure = gaussian(kernel, _ones(1, 1e-8), 1e-5)

    def left(level):
        image = gaussian(picture, _ones(1, 0.01), level)
        found = Blur(5, "circular").parameter_step(observed(measured, _ones(1, NOISE**2)), image, {"kernel": sure}, {})[
            "kernel"
        ]
        return (found > 0).sum().item()

    assert left(math.inf) == left(1.0) == 1 and left(0.05) == 25


def test_channels_that_were_measured_in_other_places_are_left_to_the_rule():
    """As behind a colour filter: no pixel has luminance."""
    operator, image = Blur(3), _random(1, 3, 12, 12)
    mask = torch.zeros(1, 3, 10, 10, dtype=torch.float64)
    for channel in range(3):
        mask[:, channel, :, channel::3] = 1
    kernel = _kernels(1, (3, 3))
    observation = Observation(mask * operator.forward(image, kernel), torch.full((1, 1, 1, 1), 0.01).double(), mask)
    belief, believed = gaussian(image, _ones(1, 0.01), 0.2), gaussian(kernel, _ones(1, 0.01), 0.3)
    assert operator.image_step(observation, belief, {"kernel": kernel}, {}) is None
    assert operator.parameter_step(observation, belief, {"kernel": believed}, {}) is None


@pytest.mark.parametrize("border", ["circular", "unknown"])
def test_given_noise_the_image_is_drawn_about_its_mean_as_widely_as_it_is_uncertain(border):
    operator, batch = Blur(9, border), 40
    image, kernel = _random(1, *operator.image_shape((3, 32, 32))), _kernels(1, (9, 9))
    measured = operator.forward(image, kernel).expand(batch, -1, -1, -1)
    means, kernels = (one.expand(batch, -1, -1, -1) for one in (image, kernel))
    white, beliefs = _normal(*means.shape, seed=2), {"kernel": gaussian(kernels, _ones(batch, 1e-4), 0.02)}

    def solved(noise, sigma):
        belief = replace(gaussian(means, _ones(batch, sigma**2), sigma), white=noise)
        return operator.image_step(observed(measured, _ones(batch, 1e-4)), belief, {"kernel": kernels}, beliefs)

    spread = {}
    for sigma in (0.05, 0.25):
        mean = solved(None, sigma)
        drawn = solved(white, sigma) - mean
        torch.testing.assert_close(solved(0.5 * white, sigma) - mean, 0.5 * drawn, atol=1e-6, rtol=1e-4)
        assert drawn.mean(0).std() < 2 * drawn.std() / batch**0.5
        spread[sigma] = float(drawn.std())
    # Less than the level of noise it was seen through, since the prior knew more before, and the measurement as well.
    assert 0.005 < spread[0.05] < 0.05 and spread[0.05] < spread[0.25] < 0.25


@pytest.mark.parametrize("drawn", [False, True])
def test_what_both_steps_of_a_level_have_in_common_is_computed_once(drawn, monkeypatch):
    operator, calls, of = Blur(5), [], blur_steps.Innovation.of
    monkeypatch.setattr(blur_steps.Innovation, "of", lambda *beliefs: calls.append(0) or of(*beliefs))
    image, kernel = _random(1, *operator.image_shape((3, 16, 16))), _kernels(1, (5, 5))
    observation = observed(operator.forward(image, kernel), _ones(1, 1e-4))
    belief, beliefs = gaussian(image, _ones(1, 1e-2), 0.1), {"kernel": gaussian(kernel, _ones(1, 1e-4), 0.02)}
    for level in (1, 2):
        belief = replace(belief, sigma=0.1 / level)
        found = operator.parameter_step(observation, belief, beliefs, {})
        seen = replace(belief, white=_normal(*image.shape)) if drawn else belief
        operator.image_step(observation, seen, operator.constrain(found), beliefs)
        assert len(calls) == level
