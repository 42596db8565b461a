"""The blur's own steps against dense solves of the problems that the module states, built here from its formulas with
full spectra and explicit matrices."""

from __future__ import annotations

import itertools
import math

import numpy
import pytest
import torch

from ipt.core.abilities import Belief
from ipt.core.observation import Observation
from ipt.linalg import spectra
from ipt.linalg.covariances import Isotropic
from ipt.operators import blur_steps
from ipt.operators.blur import Blur
from ipt.operators.canvas import Canvas

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


def _surprise(ratio):
    """Of what is found to what is expected, by frequency (H, W): in the band that surprises most, beyond the usual."""
    frequency, edges = _frequency(ratio.shape), (0.0, 0.04, 0.08, 0.16, 0.32, 1.0)
    bands = [(frequency >= low) & (frequency < high) for low, high in itertools.pairwise(edges)]
    return max(1.0, *(ratio[band].mean().item() / 1.4 for band in bands if band.any()))


def _kernel_system(measured, noise, image, belief):
    """Matrix, right side and constant of the kernel's quadratic objective, for one picture (C, H, W), and the spectra
    power(f) and V(f)."""
    channels, *shape = image.mean.shape[1:]
    total = belief.mean.sum().item()
    prior = belief.mean[0, 0] / total
    variance, transfer = _uncertain(prior, shape, belief.sigma, total)
    basis = _luminance(channels)
    turned = torch.fft.fft2(torch.einsum("ij,jhw->ihw", basis, image.mean[0]))
    seen = torch.fft.fft2(torch.einsum("ij,jhw->ihw", basis, measured[0]))
    weight = 1 / (noise + _error(channels, shape, image.sigma) * (transfer + variance))
    unexplained = (seen[0] - turned[0] * torch.fft.fft2(_shifted(prior, shape))).abs() ** 2 / seen[0].numel()
    expected = 1 / weight[0] + turned[0].abs() ** 2 / seen[0].numel() * variance
    weight = weight / _surprise(unexplained / expected)
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
def test_the_image_step_with_a_known_kernel_solves_the_normal_equations(sides, level, channels, photographed):
    shape = (6, 7)
    image, kernel = _random(1, channels, *shape, seed=3), _kernels(1, sides)
    measured, _ = photographed(image, kernel, "circular")
    belief = gaussian(_random(1, channels, *shape, seed=7), _ones(1, 0.01), level)
    found = Blur(sides, "circular").image_step(observed(measured, _ones(1, NOISE**2)), belief, {"kernel": kernel}, {})
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
def test_the_image_step_counts_what_is_uncertain_in_the_kernel_as_noise(shape, sides, channels, level, photographed):
    image, kernel, prior = _random(1, channels, *shape, seed=3), _kernels(1, sides), _kernels(1, sides, seed=2)
    measured, _ = photographed(image, kernel, "circular")
    belief = gaussian(_random(1, channels, *shape, seed=7), _ones(1, 0.01), 0.3)
    believed = gaussian(2.5 * prior, _ones(1, 0.01), level)
    found = Blur(sides, "circular").image_step(
        observed(measured, _ones(1, NOISE**2)), belief, {"kernel": kernel}, {"kernel": believed}
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
    plain = Blur(sides, "circular").image_step(observed(measured, _ones(1, NOISE**2)), belief, {"kernel": kernel}, {})
    assert (plain - found).abs().max() > 1e-3


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kernel_level", [0.05, math.inf])
@pytest.mark.parametrize(("shape", "sides"), [((8, 9), (1, 3)), ((9, 8), (3, 2)), ((8, 8), (1, 5)), ((7, 7), (3, 1))])
def test_the_kernel_step_solves_its_normal_equations(shape, sides, kernel_level, channels, photographed):
    """Few entries, so that the conjugate gradients end, none near zero, and a fine level, so that none drops."""
    image = _random(1, channels, *shape, seed=3)
    kernel = 1 + 0.3 * _random(1, 1, *sides)
    kernel = kernel / kernel.sum()
    prior = 1 + 0.3 * _random(1, 1, *sides, seed=4)
    measured, _ = photographed(image, kernel, "circular")
    picture = gaussian(image + 0.01 * _normal(*image.shape), _ones(1, 1e-4), 0.01)
    belief = gaussian(prior, _ones(1, 0.04), kernel_level)
    found = Blur(sides, "circular").parameter_step(
        observed(measured, _ones(1, NOISE**2)), picture, {"kernel": belief}, {}
    )["kernel"]
    matrix, right, *_ = _kernel_system(measured, NOISE**2, picture, belief)
    expected = torch.linalg.solve(matrix, right).reshape(sides)
    assert (expected > 0).all()
    # Scaled to its peak, as priors of kernels know them.
    torch.testing.assert_close(found[0, 0], expected / expected.max(), rtol=0, atol=2e-6)
    assert (found - prior / prior.max()).abs().max() > 0.01


@pytest.mark.parametrize("sides", [(9, 9), (6, 11)])
@pytest.mark.parametrize("level", [0.05, 1.0])
def test_the_kernel_step_lowers_its_objective(sides, level, rectangles, photographed):
    picture, kernel = rectangles(side=24), _kernels(1, sides)
    measured, _ = photographed(picture, kernel, "circular")
    image = gaussian(picture + 0.02 * _normal(*picture.shape), _ones(1, 1e-3), level)
    belief = gaussian(_kernels(1, sides, seed=8) * 7, _ones(1, 0.1), 0.5)
    found = Blur(sides, "circular").parameter_step(
        observed(measured, _ones(1, NOISE**2)), image, {"kernel": belief}, {}
    )["kernel"]
    assert (found >= 0).all() and found.max().item() == pytest.approx(1)
    matrix, right, constant, *_ = _kernel_system(measured, NOISE**2, image, belief)

    def objective(one):
        entries = (one / one.sum()).flatten()
        return (entries @ matrix @ entries - 2 * right @ entries + constant).item()

    best = objective(torch.linalg.solve(matrix, right))
    # Eight iterations, what is cut off at zero and what is dropped leave some of the way.
    assert objective(found) - best < 0.2 * (objective(belief.mean) - best)


@pytest.mark.parametrize("sides", [(2, 7), (10, 9), (4, 4)])
@pytest.mark.parametrize("level", [0.05, 0.3, math.inf])
@pytest.mark.parametrize("border", ["zero", "reflect", "replicate"])
def test_a_continued_borders_image_minimises_its_objective(border, level, sides, monkeypatch):
    """||y - A(x)||^2 / noise + ||extend(x - mean)||^2 / E, with A and extend as dense matrices."""
    image, kernel, noise = _random(1, 1, 10, 9, seed=3), _kernels(1, sides), _ones(1, NOISE**2)
    measured = Blur(sides, border).forward(image, kernel) + NOISE * _normal(*image.shape, seed=4)
    belief = gaussian(image + 0.1 * _normal(*image.shape, seed=7), _ones(1, 0.01), level)
    canvas = Canvas.around((10, 9), sides, border)
    units = torch.eye(90, dtype=torch.float64).reshape(90, 1, 10, 9)
    blur = Blur(sides, border).forward(units, kernel.expand(90, 1, *sides)).reshape(90, 90).T
    extend = canvas.extend(units).reshape(90, -1).T
    inverse = extend.T @ _circulant(1 / _error(1, canvas.size, level)[0]) @ extend
    right = blur.T @ (measured - Blur(sides, border).forward(belief.mean, kernel)).flatten() / noise.item()
    change = torch.linalg.solve(blur.T @ blur / noise.item() + inverse, right).reshape(belief.mean.shape)
    given = (observed(measured, noise), belief, {"kernel": kernel}, {})
    found = Blur(sides, border).image_step(*given) - belief.mean
    assert (found - change).norm() < 0.25 * change.norm()
    monkeypatch.setattr(blur_steps, "_IMAGE_ITERATIONS", 400)
    limit = Blur(sides, border).image_step(*given) - belief.mean
    torch.testing.assert_close(limit, change, rtol=0, atol=1e-6)


@pytest.mark.parametrize("border", ["circular", "reflect", "unknown"])
def test_what_the_beliefs_do_not_explain_counts_as_noise(border, rectangles):
    """A measurement as the beliefs expect it surprises nobody; one that is further away, by the ratio of variances."""
    shape, sides, level = (32, 30), (5, 5), 0.3
    frame, kernel, noise = rectangles(side=64)[..., : shape[0], : shape[1]], _kernels(1, sides), _ones(1, NOISE**2)
    canvas = Canvas.around(shape, sides, border)
    image, belief = gaussian(frame, _ones(1, 0.01), level), gaussian(kernel / kernel.max(), _ones(1, 0.01), 0.02)
    usual = blur_steps.Facts.of(canvas, noise, image, belief)
    told = Blur(sides, border).forward(frame, kernel)
    root = (1 / usual.weight[:, :1]).sqrt()

    def surprise(size):
        white = torch.fft.rfft2(_normal(1, 1, *canvas.size, seed=5))
        rest = canvas.crop(torch.fft.irfft2(size * root * white, s=canvas.size))
        measured = spectra.turned(told + rest.expand(-1, frame.shape[1], -1, -1) / frame.shape[1] ** 0.5)
        facts = blur_steps.Facts.of(canvas, noise, image, belief, measured)
        ratio = usual.weight / facts.weight
        torch.testing.assert_close(ratio, ratio.mean().expand_as(ratio))
        torch.testing.assert_close(facts.power, usual.power / ratio.mean())
        return ratio.mean().item()

    assert surprise(0.0) == 1 and surprise(0.5) == 1
    assert surprise(10.0) == pytest.approx(100 * surprise(1.0) if surprise(1.0) > 1 else 100 / blur_steps.USUAL, rel=1)
    assert surprise(20.0) == pytest.approx(4 * surprise(10.0), rel=0.05)
