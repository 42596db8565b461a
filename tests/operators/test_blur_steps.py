"""The blur's own steps, for the image and for the kernel: against dense solves of the problems that the module states,
built here from its formulas with full spectra and explicit matrices, and against the truth."""

from __future__ import annotations

import math

import numpy
import pytest
import torch
from scipy.signal import convolve2d

from ipt.core import spectra
from ipt.core.interfaces import Gaussian
from ipt.operators import blur_steps
from ipt.operators.blur import BORDERS, Blur
from ipt.operators.blur_steps import recentred
from ipt.operators.canvas import Canvas
from ipt.operators.kernels import MotionKernels
from ipt.runs.metrics import kernel_mnc, psnr

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


def _picture(batch=1, channels=3, side=48, seed=0):
    """Overlapping rectangles of every size, a little noisy: edges in all directions, mostly shared by the channels."""
    numbers = numpy.random.default_rng(seed)
    pictures = numpy.full((batch, channels, side, side), 0.5)
    for picture in pictures:
        for _ in range(60):
            height, width = (side * numbers.uniform(0.05, 0.5, 2)).astype(int) + 1
            top, left = numbers.integers(-4, side, 2)
            colour = numbers.uniform(0, 1) + numbers.uniform(-0.15, 0.15, channels)
            picture[:, max(top, 0) : top + height, max(left, 0) : left + width] = colour[:, None, None]
    return torch.from_numpy(pictures.clip(0, 1))


def _measured(picture, kernel, border, noise=NOISE, seed=5):
    """The measurement as scipy makes it, and the picture in its frame: for an unknown border the middle of a larger
    one, as in a photograph."""
    mode = {"circular": "wrap", "zero": "constant", "reflect": "reflect", "replicate": "edge"}.get(border)
    height, width = kernel.shape[-2:]
    pads = [(height - 1 - height // 2, height // 2), (width - 1 - width // 2, width // 2)]
    blurred = []
    for planes, (one,) in zip(picture.numpy(), kernel.numpy(), strict=True):
        wide = planes if mode is None else [numpy.pad(plane, pads, mode=mode) for plane in planes]
        blurred.append([convolve2d(plane, one, mode="valid") for plane in wide])
    measured = torch.from_numpy(numpy.array(blurred))
    frame = picture
    if mode is None:
        frame = picture[..., pads[0][0] :, pads[1][0] :][..., : measured.shape[-2], : measured.shape[-1]]
    return measured + noise * _normal(*measured.shape, seed=seed), frame


# ---- The problem that the module's docstring states, for circular borders, with full spectra and dense matrices.


def _frequency(shape):
    rows, columns = numpy.fft.fftfreq(shape[0]), numpy.fft.fftfreq(shape[1])
    return torch.from_numpy(numpy.maximum(numpy.hypot(rows[:, None], columns), 0.5 / max(shape)))


def _error(channels, shape, level):
    """E(f), (C, H, W): the first of the channels is luminance."""
    natural = 0.00025 * _frequency(shape) ** -2.7
    shares = [1.0] if channels == 1 else [2.4] + [0.3] * (channels - 1)
    spectrum = torch.stack([share * natural for share in shares])
    return spectrum if math.isinf(level) else spectrum * level**2 / (spectrum + level**2)


def _luminance(channels):
    """Some orthonormal basis whose first vector is the mean: chrominances weigh the same, so any other will do."""
    first = torch.cat([torch.ones(channels, 1, dtype=torch.float64), _random(channels, channels - 1, seed=9)], 1)
    basis = torch.linalg.qr(first)[0].T
    return basis * basis[0].sum().sign()


def _shifted(kernel, shape):
    """A kernel (h, w) on the picture's grid, its centre pixel at the origin."""
    whole = torch.zeros(shape, dtype=torch.float64)
    for row in range(kernel.shape[0]):
        for column in range(kernel.shape[1]):
            place = (row - kernel.shape[0] // 2) % shape[0], (column - kernel.shape[1] // 2) % shape[1]
            whole[place] = whole[place] + kernel[row, column]
    return whole


def _circulant(spectrum):
    """The dense matrix of the filter with this full, even spectrum (H, W)."""
    pixels = spectrum.numel()
    basis = torch.eye(pixels, dtype=torch.float64).reshape(pixels, *spectrum.shape)
    return torch.fft.ifft2(torch.fft.fft2(basis) * spectrum).real.reshape(pixels, pixels).T.contiguous()


def _uncertain(prior, shape, level, total):
    """V(f) before the kernel step, |K0|^2."""
    height, width = prior.shape
    transfer = torch.fft.fft2(_shifted(prior, shape)).abs().square()
    rows, columns = torch.arange(height) - height // 2, torch.arange(width) - width // 2
    radius = (prior * (rows[:, None] ** 2 + columns**2)).sum().clamp(min=0.05).sqrt()
    frequency = _frequency(shape)
    usual = torch.sinc(frequency) ** 4 / (1 + 3 * math.pi * frequency * radius)
    limit = torch.minimum((1 - transfer).clamp(min=0) ** 2, usual).clamp(min=1e-7)
    if math.isinf(level):
        return limit, transfer
    seen = 2.0 * height * width * (level / total) ** 2
    return limit * seen / (limit + seen), transfer


def _kernel_system(measured, noise, image, belief):
    """Matrix, right side and constant of the kernel's quadratic objective, for one picture (C, H, W), and the spectra
    power(f) and V(f)."""
    channels, *shape = image.mean.shape[1:]
    total = belief.mean.sum().item()
    prior = belief.mean[0, 0] / total
    variance, transfer = _uncertain(prior, shape, belief.level, total)
    basis = _luminance(channels)
    turned = torch.fft.fft2(torch.einsum("ij,jhw->ihw", basis, image.mean[0]))
    seen = torch.fft.fft2(torch.einsum("ij,jhw->ihw", basis, measured[0]))
    weight = 1 / (noise + _error(channels, shape, image.level) * (transfer + variance))
    weight[:, 0, 0] = 0
    power = (weight * turned.abs() ** 2).sum(0)
    pull = prior.numel() / variance
    units = torch.eye(prior.numel(), dtype=torch.float64).reshape(-1, *prior.shape)
    columns = torch.stack([torch.fft.fft2(_shifted(unit, shape)).flatten() for unit in units], 1)
    start = torch.fft.fft2(_shifted(prior, shape)).flatten()
    matrix = (columns.conj().T @ ((power + pull).flatten()[:, None] * columns)).real
    told = (weight * turned.conj() * seen).sum(0).flatten() + pull.flatten() * start
    constant = (weight * seen.abs() ** 2).sum() + (pull.flatten() * start.abs() ** 2).sum()
    return matrix, (columns.conj().T @ told).real, constant, power, variance


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("level", [0.05, 2.0, math.inf])
@pytest.mark.parametrize("sides", [(3, 4), (5, 1), (6, 7)])
def test_the_image_step_with_a_known_kernel_solves_the_normal_equations(sides, level, channels):
    shape = (6, 7)
    image, kernel = _random(1, channels, *shape, seed=3), _kernels(1, sides)
    measured, _ = _measured(image, kernel, "circular")
    belief = Gaussian(_random(1, channels, *shape, seed=7), _ones(1, 0.01), level)
    found = Blur(sides, "circular").image_step(measured, _ones(1, NOISE**2), belief, {"kernel": kernel}, {})
    blur = torch.kron(
        torch.eye(channels, dtype=torch.float64), _circulant(torch.fft.fft2(_shifted(kernel[0, 0], shape)))
    )
    luminance = torch.full((channels, channels), 1 / channels, dtype=torch.float64)
    error = _error(channels, shape, level)
    covariance = torch.kron(luminance, _circulant(error[0]))
    covariance += torch.kron(torch.eye(channels) - luminance, _circulant(error[-1]))
    inverse = torch.linalg.inv(covariance)
    normal = blur.T @ blur / NOISE**2 + inverse
    right = blur.T @ measured.flatten() / NOISE**2 + inverse @ belief.mean.flatten()
    torch.testing.assert_close(found.flatten(), torch.linalg.solve(normal, right), rtol=0, atol=1e-9)


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize(("shape", "sides"), [((6, 7), (3, 4)), ((7, 6), (5, 2)), ((5, 5), (5, 5))])
@pytest.mark.parametrize("level", [0.2, math.inf])
def test_the_image_step_counts_what_is_uncertain_in_the_kernel_as_noise(shape, sides, channels, level):
    image, kernel, prior = _random(1, channels, *shape, seed=3), _kernels(1, sides), _kernels(1, sides, seed=2)
    measured, _ = _measured(image, kernel, "circular")
    belief = Gaussian(_random(1, channels, *shape, seed=7), _ones(1, 0.01), 0.3)
    believed = Gaussian(2.5 * prior, _ones(1, 0.01), level)
    found = Blur(sides, "circular").image_step(
        measured, _ones(1, NOISE**2), belief, {"kernel": kernel}, {"kernel": believed}
    )
    *_, power, variance = _kernel_system(measured, NOISE**2, belief, believed)
    # A window of h x w pixels tapers what the picture's correlation says beyond it: neighbouring frequencies share.
    tapers = [
        (1 - numpy.abs(numpy.fft.fftfreq(n, 1 / n)) / side).clip(min=0) for n, side in zip(shape, sides, strict=True)
    ]
    taper = torch.from_numpy(tapers[0][:, None] * tapers[1])
    smooth = torch.fft.fft2(torch.fft.ifft2(power) * taper).real.clamp(min=0)
    entries = sides[0] * sides[1]
    remaining = entries / (smooth + entries / variance)
    basis, error = _luminance(channels), _error(channels, shape, 0.3)
    transfer = torch.fft.fft2(_shifted(kernel[0, 0], shape))
    mean = torch.einsum("ij,jhw->ihw", basis, belief.mean[0])
    seen = torch.einsum("ij,jhw->ihw", basis, measured[0])
    pixels = shape[0] * shape[1]
    spread = torch.fft.fft2(mean).abs() ** 2 / pixels + error
    if channels == 3:
        # Chrominances differ from basis to basis in their |X0|^2: take the module's.
        basis = spectra.basis(3, belief.mean)
        torch.testing.assert_close(basis @ basis.T, torch.eye(3, dtype=torch.float64))
        torch.testing.assert_close(basis[0], torch.full((3,), 3**-0.5, dtype=torch.float64))
        mean = torch.einsum("ij,jhw->ihw", basis, belief.mean[0])
        seen = torch.einsum("ij,jhw->ihw", basis, measured[0])
        spread = torch.fft.fft2(mean).abs() ** 2 / pixels + error
    blur, solved = _circulant(transfer), []
    for index in range(channels):
        weight = _circulant(1 / (NOISE**2 + spread[index] * 10.0 * remaining))
        inverse = _circulant(1 / error[index])
        right = blur.T @ weight @ seen[index].flatten() + inverse @ mean[index].flatten()
        solved.append(torch.linalg.solve(blur.T @ weight @ blur + inverse, right).reshape(shape))
    expected = torch.einsum("ji,jhw->ihw", basis, torch.stack(solved))
    torch.testing.assert_close(found[0], expected, rtol=0, atol=1e-9)
    plain = Blur(sides, "circular").image_step(measured, _ones(1, NOISE**2), belief, {"kernel": kernel}, {})
    assert (plain - found).abs().max() > 1e-3


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kernel_level", [0.05, math.inf])
@pytest.mark.parametrize(("shape", "sides"), [((8, 9), (1, 3)), ((9, 8), (3, 2)), ((8, 8), (1, 5)), ((7, 7), (3, 1))])
def test_the_kernel_step_solves_its_normal_equations(shape, sides, kernel_level, channels):
    """Few entries, so that the conjugate gradients end, none near zero, and a fine level, so that none drops."""
    image = _random(1, channels, *shape, seed=3)
    kernel = 1 + 0.3 * _random(1, 1, *sides)
    kernel = kernel / kernel.sum()
    prior = 1 + 0.3 * _random(1, 1, *sides, seed=4)
    measured, _ = _measured(image, kernel, "circular")
    picture = Gaussian(image + 0.01 * _normal(*image.shape), _ones(1, 1e-4), 0.01)
    belief = Gaussian(prior, _ones(1, 0.04), kernel_level)
    found = Blur(sides, "circular").parameter_step(measured, _ones(1, NOISE**2), picture, {"kernel": belief})["kernel"]
    matrix, right, *_ = _kernel_system(measured, NOISE**2, picture, belief)
    expected = torch.linalg.solve(matrix, right).reshape(sides)
    assert (expected > 0).all()
    # Scaled as the belief is, which before `constrain` has a sum of its own.
    torch.testing.assert_close(found[0, 0], expected / expected.sum() * prior.sum(), rtol=0, atol=2e-6)
    assert (found - prior).abs().max() > 0.01


@pytest.mark.parametrize("sides", [(9, 9), (6, 11)])
@pytest.mark.parametrize("level", [0.05, 1.0])
def test_the_kernel_step_lowers_its_objective(sides, level):
    picture, kernel = _picture(side=24), _kernels(1, sides)
    measured, _ = _measured(picture, kernel, "circular")
    image = Gaussian(picture + 0.02 * _normal(*picture.shape), _ones(1, 1e-3), level)
    belief = Gaussian(_kernels(1, sides, seed=8) * 7, _ones(1, 0.1), 0.5)
    found = Blur(sides, "circular").parameter_step(measured, _ones(1, NOISE**2), image, {"kernel": belief})["kernel"]
    assert (found >= 0).all() and found.sum().item() == pytest.approx(7)
    matrix, right, constant, *_ = _kernel_system(measured, NOISE**2, image, belief)

    def objective(one):
        entries = (one / one.sum()).flatten()
        return (entries @ matrix @ entries - 2 * right @ entries + constant).item()

    best = objective(torch.linalg.solve(matrix, right))
    # Eight iterations, what is cut off at zero and what is dropped leave some of the way.
    assert objective(found) - best < 0.2 * (objective(belief.mean) - best)


# ---- What must hold for every border.


def _problem(batch, shape, sides, border, channels=3):
    """A measurement, beliefs about picture and kernel that are both off, and the kernel."""
    image, kernel = _random(batch, channels, *shape, seed=3), _kernels(batch, sides)
    measured = Blur(sides, border).forward(image, kernel) + NOISE * _normal(*image.shape, seed=4)
    noise = torch.linspace(1, 9, batch, dtype=torch.float64).reshape(-1, 1, 1, 1) * NOISE**2
    belief = Gaussian(image + 0.1 * _normal(*image.shape, seed=7), _ones(batch, 0.01), 0.2)
    believed = Gaussian(3 * _kernels(batch, sides, seed=6), _ones(batch, 0.01), 0.3)
    return measured, noise, belief, kernel, believed


def _steps(border, measured, noise, belief, kernel, believed):
    """Kernel, image with the kernel's uncertainty, image with the kernel known."""
    operator = Blur((kernel.shape[-2], kernel.shape[-1]), border)
    found = operator.parameter_step(measured, noise, belief, {"kernel": believed})["kernel"]
    return (
        found,
        operator.image_step(measured, noise, belief, {"kernel": kernel}, {"kernel": believed}),
        operator.image_step(measured, noise, belief, {"kernel": kernel}, {}),
    )


def _each(function, *arguments):
    """A function of every tensor in nested arguments, levels kept."""
    return [
        Gaussian(function(one.mean), function(one.variance), one.level) if isinstance(one, Gaussian) else function(one)
        for one in arguments
    ]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-7)])
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
    problem = [problem[0], problem[1], Gaussian(0.4 + 0.4 * coarse, _ones(2, 0.1), 10.0), *problem[3:]]
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
        if isinstance(one, Gaussian):
            assert torch.equal(one.mean, copy.mean) and torch.equal(one.variance, copy.variance)
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
    blind = [one if not isinstance(one, Gaussian) else Gaussian(one.mean, one.variance) for one in problem]
    for given in (problem, blind):
        kernel, *images = _steps(border, *given)
        assert kernel.shape == (2, 1, *sides) and (kernel >= 0).all()
        torch.testing.assert_close(kernel.sum((1, 2, 3)), given[4].mean.sum((1, 2, 3)))
        for image in images:
            assert image.shape == (2, channels, 10, 9) and torch.isfinite(image).all()
            assert image.abs().max() < 3


@pytest.mark.parametrize("border", ["circular", "unknown"])
def test_a_belief_without_anything_positive_is_survived(border):
    measured, noise, belief, kernel, believed = _problem(2, (10, 9), (3, 3), border)
    nothing = Gaussian(-believed.mean, believed.variance, believed.level)
    for one in _steps(border, measured, noise, belief, kernel, nothing):
        assert torch.isfinite(one).all()


# ---- The truth.


def _case(border, seed, size=11):
    """A photograph's measurement by a motion kernel; for an unknown border it goes on outside."""
    kernel = MotionKernels((0.4, 0.8)).sample([seed], (1, size, size)).double()
    picture = _picture(side=48 + (size - 1 if border == "unknown" else 0), seed=seed)
    measured, frame = _measured(picture, kernel, border)
    return measured, frame, kernel


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("border", BORDERS)
def test_with_the_true_image_the_kernel_is_recovered(border, seed):
    measured, frame, kernel = _case(border, seed)
    flat = torch.full_like(kernel, 0.4)
    image = Gaussian(frame, _ones(1, 1e-6), 0.003)
    operator, found = Blur(11, border), flat
    # A step ends before it is exact; in a solve the next goes on from there.
    for _ in range(1 if border == "circular" else 4):
        belief = {"kernel": Gaussian(found, _ones(1, 1.0), math.inf)}
        found = operator.parameter_step(measured, _ones(1, NOISE**2), image, belief)["kernel"]
    assert kernel_mnc(flat[0], kernel[0]) < 0.7
    # Less is known where what lies outside takes part.
    least = 0.975 if border == "unknown" else 0.99
    assert kernel_mnc(operator.constrain({"kernel": found})["kernel"][0], kernel[0]) > least


@pytest.mark.parametrize("level", [0.05, 0.5, math.inf])
@pytest.mark.parametrize("border", BORDERS)
def test_with_the_true_kernel_the_image_is_sharper(border, level):
    """From the measurement itself as the estimate, whether or not the kernel counts as known."""
    measured, frame, kernel = _case(border, 4)
    image = Gaussian(measured, _ones(1, 0.01), level)
    sure = Gaussian(5 * kernel, _ones(1, 1e-6), 0.003)
    before = psnr(measured[0], frame[0])
    for beliefs in ({}, {"kernel": sure}):
        found = Blur(11, border).image_step(measured, _ones(1, NOISE**2), image, {"kernel": kernel}, beliefs)
        assert psnr(found[0], frame[0]) > before + 2


@pytest.mark.parametrize("sides", [(2, 7), (10, 9), (4, 4)])
@pytest.mark.parametrize("level", [0.05, 0.3, math.inf])
@pytest.mark.parametrize("border", ["zero", "reflect", "replicate"])
def test_a_continued_borders_image_minimises_its_objective(border, level, sides, monkeypatch):
    """||y - A(x)||^2 / noise + ||extend(x - mean)||^2 / E, with A and extend as dense matrices."""
    measured, noise, belief, kernel, _ = _problem(1, (10, 9), sides, border, channels=1)
    belief = Gaussian(belief.mean, belief.variance, level)
    canvas = Canvas.around((10, 9), sides, border)
    units = torch.eye(90, dtype=torch.float64).reshape(90, 1, 10, 9)
    blur = Blur(sides, border).forward(units, kernel.expand(90, 1, *sides)).reshape(90, 90).T
    extend = canvas.extend(units).reshape(90, -1).T
    inverse = extend.T @ _circulant(1 / _error(1, canvas.size, level)[0]) @ extend
    right = blur.T @ (measured - Blur(sides, border).forward(belief.mean, kernel)).flatten() / noise.item()
    change = torch.linalg.solve(blur.T @ blur / noise.item() + inverse, right).reshape(belief.mean.shape)
    given = (measured, noise, belief, {"kernel": kernel}, {})
    found = Blur(sides, border).image_step(*given) - belief.mean
    assert (found - change).norm() < 0.25 * change.norm()
    monkeypatch.setattr(blur_steps, "_IMAGE_ITERATIONS", 400)
    limit = Blur(sides, border).image_step(*given) - belief.mean
    torch.testing.assert_close(limit, change, rtol=0, atol=1e-6)


def test_small_entries_drop_while_the_image_is_coarse():
    """Below a twentieth of the largest; the share falls with the level, and none is lost where the image is fine."""
    kernel = torch.full((1, 1, 5, 5), 0.03, dtype=torch.float64)
    kernel[..., 2, 2] = 1.0
    kernel = kernel / kernel.sum()
    picture = _picture(side=24)
    measured, _ = _measured(picture, kernel, "circular", noise=0.0)
    sure = Gaussian(kernel, _ones(1, 1e-8), 1e-5)

    def left(level):
        image = Gaussian(picture, _ones(1, 0.01), level)
        found = Blur(5, "circular").parameter_step(measured, _ones(1, NOISE**2), image, {"kernel": sure})["kernel"]
        return (found > 0).sum().item()

    assert left(math.inf) == left(1.0) == 1 and left(0.05) == 25


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


def test_what_is_not_finite_stays_where_it_is():
    """A solve that diverges is reported by who runs it, in its own words."""
    kernel = _kernels(3, (5, 4))
    kernel[1, 0, 2, 2] = math.nan
    kernel[2, 0, 0, 0] = math.inf
    moved = recentred(kernel)
    assert torch.equal(moved[0], recentred(kernel[:1])[0])
    assert torch.equal(moved[1:].nan_to_num(-1, -2), kernel[1:].nan_to_num(-1, -2))
