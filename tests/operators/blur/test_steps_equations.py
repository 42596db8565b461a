"""The blur's own steps against dense solves of the problems that the module states, built here from its formulas with
full spectra and explicit matrices, on what was measured alone."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy
import pytest
import torch

from ipt.core.abilities import Belief
from ipt.core.observation import Observation
from ipt.linalg import spectra
from ipt.linalg.covariances import Isotropic
from ipt.operators.blur import Blur, kernel_error
from ipt.operators.blur import steps as blur_steps
from ipt.operators.blur.measured import Measured
from ipt.operators.blur.uncertainty import USUAL, Innovation

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


def observed(measurement, variance, mask=None):
    return Observation(measurement, variance.sqrt(), mask)


def _frequency(shape):
    rows, columns = numpy.fft.fftfreq(shape[0]), numpy.fft.fftfreq(shape[1])
    return torch.from_numpy(numpy.maximum(numpy.hypot(rows[:, None], columns), 0.5 / max(shape)))


def _error(channels, shape, level):
    """E(f), (C, H, W): the first of the channels is luminance."""
    natural = 0.00025 * _frequency(shape) ** -2.7
    shares = [1.0] if channels == 1 else [2.4] + [0.3] * (channels - 1)
    spectrum = torch.stack([share * natural for share in shares])
    return spectrum if math.isinf(level) else spectrum * level**2 / (spectrum + level**2)


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


def _deviation(prior, level, channels):
    """s, (h, w), by the largest entries around each, averaged over 3x3, 0 outside; and the level that it is times."""
    height, width = prior.shape
    if math.isinf(level) or channels > 1 or max(height, width) < kernel_error._NARROW:
        return torch.ones_like(prior), math.sqrt(2) * level

    def largest(row, column):
        if not (0 <= row < height and 0 <= column < width):
            return 0.0
        return prior[max(0, row - 3) : row + 4, max(0, column - 3) : column + 4].max().item() / prior.max().item()

    near = torch.zeros_like(prior)
    for row, column in itertools.product(range(height), range(width)):
        around = itertools.product(range(row - 1, row + 2), range(column - 1, column + 2))
        near[row, column] = sum(largest(*place) for place in around) / 9
    return (0.1 + 0.9 * near / (near + level**2)).sqrt(), level


def _uncertain(prior, shape, level, total, channels):
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
    deviation, level = _deviation(prior, level, channels)
    seen = deviation.square().sum() * (level / total) ** 2
    return limit * seen / (limit + seen), transfer


def _inflation(found, expected):
    """By how much what is found exceeds what is expected, by frequency (H, W): in the band where it does most, beyond
    the usual."""
    ratio = found / expected
    bands = [band for band in _bands(ratio.shape) if band.any()]
    return max(1.0, *(ratio[band].mean().item() / 1.4 for band in bands))


def _bands(size):
    frequency, edges = _frequency(size), (0.0, 0.04, 0.08, 0.16, 0.32, 1.0)
    return [(frequency >= low) & (frequency < high) for low, high in itertools.pairwise(edges)]


def _holes(frame, seed=11):
    """A mask with single pixels, a block, and a corner missing."""
    mask = (_random(1, 1, *frame, seed=seed) > 0.15).double()
    mask[..., frame[0] // 2 : frame[0] // 2 + 2, 1:4] = 0
    mask[..., :2, -3:] = 0
    return mask


@dataclass
class World:
    """A picture's frame, the image behind it, and the grid on which both are blurred, as dense matrices.

    extend: from the image to the grid. inside: 1 where something was measured, (P, Q).
    """

    border: str
    sides: tuple[int, int]
    frame: tuple[int, int]
    mask: torch.Tensor | None = None

    def __post_init__(self):
        self.operator = Blur(self.sides, self.border)
        self.image = self.operator.image_shape((1, *self.frame))[1:]
        empty = torch.zeros(1, 1, *self.image, dtype=torch.float64)
        self.padded = self.operator.padded(empty, _kernels(1, self.sides))
        self.size = self.padded.size
        pixels = self.image[0] * self.image[1]
        units = torch.eye(pixels, dtype=torch.float64).reshape(pixels, 1, *self.image)
        self.extend = self.padded.extend(units).reshape(pixels, -1).T
        inside = torch.ones(1, 1, *self.frame, dtype=torch.float64) if self.mask is None else self.mask
        rows, columns = self.operator.frame((1, *self.image))
        self.inside = torch.zeros(self.size, dtype=torch.float64)
        self.inside[rows, columns] = inside[0, 0]

    @property
    def whole(self):
        return bool(self.inside.all())

    def on_grid(self, measured):
        """What was measured (C, H, W) in its place, in luminance and chrominance."""
        rows, columns = self.operator.frame((1, *self.image))
        grid = torch.zeros(len(measured), *self.size, dtype=torch.float64)
        grid[:, rows, columns] = torch.einsum("ij,jhw->ihw", _basis(len(measured)), measured)
        return grid * self.inside

    def extended(self, image):
        """An image (C, H, W) on the grid, in luminance and chrominance."""
        turned = torch.einsum("ij,jhw->ihw", _basis(len(image)), image)
        return (turned.flatten(1) @ self.extend.T).reshape(len(image), *self.size)

    def transfer(self, kernel):
        return torch.fft.fft2(_shifted(kernel, self.size))

    def seen(self, noise, inside=None):
        """The weight of a residual on the grid: M F^-1 (1 / noise) F M."""
        inside = (self.inside if inside is None else inside).flatten()
        return inside[:, None] * _circulant(1 / noise) * inside

    def discounted(self, prior, weight):
        """M, less where much of the kernel sees what was not measured: the usual picture changes over its radius."""
        rows, columns = self.operator.frame((1, *self.image))
        unmeasured = torch.ones(self.image, dtype=torch.float64)
        top, left = self.padded.origin
        unmeasured[rows, columns] = 1 - self.inside[top : top + self.frame[0], left : left + self.frame[1]]
        near = torch.zeros_like(unmeasured)
        for row in range(self.image[0]):
            for column in range(self.image[1]):
                near[row, column] = unmeasured[max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3].mean()
        unseen = _circulant(self.transfer(prior)) @ self.extend @ (unmeasured * near).flatten()
        down, across = (torch.arange(side) - side // 2 for side in prior.shape)
        radius = (prior * (down[:, None] ** 2 + across**2)).sum().clamp(min=0.05).sqrt()
        changes = 2 * _error(weight.shape[0], self.size, math.inf)[0]
        change = 16 * (changes * (1 - torch.cos(2 * math.pi * _frequency(self.size) * radius))).mean()
        usual = (1 / weight[0]).mean()
        return self.inside * (usual / (usual + change * unseen.clamp(0, 1).reshape(self.size) ** 2)).sqrt()

    def taper(self):
        """Over what was measured, falling towards its edges: half of what is near of the usual was measured, or all."""
        if self.whole:
            return torch.ones(self.size, dtype=torch.float64)
        near = torch.zeros(self.size, dtype=torch.float64)
        for row in range(self.size[0]):
            for column in range(self.size[1]):
                there = self.inside[max(row - 8, 0) : row + 9, max(column - 8, 0) : column + 9]
                near[row, column] = there.sum() / 17**2 * self.inside[row, column]
        return (2 * near / near.max() - 1).clamp(0, 1).sqrt()

    def measure(self, image, kernel, noise, seed=4):
        sharp = self.operator.forward(image, kernel)
        return sharp + noise * _normal(*sharp.shape, seed=seed)


def _basis(channels):
    """The module's, that it is orthonormal and begins with the luminance being checked."""
    if channels == 1:
        return torch.ones(1, 1, dtype=torch.float64)
    basis = spectra.basis(channels, torch.zeros(1, dtype=torch.float64))
    torch.testing.assert_close(basis @ basis.T, torch.eye(channels, dtype=torch.float64))
    torch.testing.assert_close(basis[0], torch.full((channels,), channels**-0.5, dtype=torch.float64))
    return basis


def _lowered(world, measured, mean, kernel, error):
    """The noise's variance of each channel, (C, P, Q), at most NOISE^2: as the mean energy of the noise would have it
    that is likely behind each frequency, given the level; four times. No less in the finest band than in the one
    before it, and in other channels than in the first."""
    transfer, taper = world.transfer(kernel), world.taper()
    rest = world.on_grid(measured) - torch.fft.ifft2(torch.fft.fft2(world.extended(mean)) * transfer).real
    found = torch.fft.fft2(taper * rest).abs() ** 2 / (taper**2).sum()
    others = error * transfer.abs() ** 2
    noise = torch.full_like(found, NOISE**2)
    bands = [band for band in _bands(world.size) if band.any()]
    finest_is_there = bool(_bands(world.size)[-1].any())
    for index in range(len(noise)):
        before = 0.0
        for band in bands:
            level = NOISE**2
            for _ in range(4):
                share = level / (level + others[index, band])
                level = (share**2 * found[index, band] + share * others[index, band]).mean().item()
                level = min(max(level, 0.0012**2), NOISE**2)
            if finest_is_there and band is bands[-1]:
                level = max(level, before)
            before = level
            noise[index, band] = max(level, noise[0, band].min().item()) if index else level
    return noise


def _solved(world, measured, mean, kernel, noise, error):
    """The minimiser of ||M (y - k * x)||^2 / noise + ||x - mean||^2 / error, (C, H, W), and the objective of a change
    (C, H, W) of the mean beyond its least value."""
    blur = _circulant(world.transfer(kernel)) @ world.extend
    rest = world.on_grid(measured).flatten(1) - world.extended(mean).flatten(1) @ _circulant(world.transfer(kernel)).T
    basis, changes, normals = _basis(len(mean)), [], []
    for index in range(len(mean)):
        seen = world.seen(noise[index])
        normals.append(blur.T @ seen @ blur + world.extend.T @ _circulant(1 / error[index]) @ world.extend)
        changes.append(torch.linalg.solve(normals[-1], blur.T @ seen @ rest[index]))
    change = torch.einsum("ji,jhw->ihw", basis, torch.stack(changes).reshape(mean.shape))

    def beyond(other):
        turned = torch.einsum("ij,jhw->ihw", basis, other).flatten(1)
        return sum(
            ((one - least) @ normal @ (one - least)).item()
            for one, least, normal in zip(turned, changes, normals, strict=True)
        )

    return mean + change, beyond


WORLDS = [
    (border, frame, sides, holes)
    for border, frame in (("circular", (10, 9)), ("reflect", (9, 10)), ("zero", (10, 9)), ("unknown", (9, 8)))
    for sides in ((3, 4), (6, 7))
    for holes in (False, True)
]
each_world = pytest.mark.parametrize(
    ("border", "frame", "sides", "holes"), WORLDS, ids=lambda value: str(value).replace(" ", "")
)


def _world(border, frame, sides, holes):
    return World(border, sides, frame, _holes(frame) if holes else None)


# ---- The image.


@pytest.mark.parametrize(
    ("channels", "level", "actual"),
    [(1, 0.05, 5.0), (3, 0.05, 5.0), (1, 0.05, 0.1), (3, 0.05, 0.1), (2, 2.0, 0.1), (1, math.inf, 5.0)],
)
@each_world
def test_the_image_step_with_a_known_kernel_solves_the_normal_equations(
    border, frame, sides, holes, level, channels, actual, monkeypatch
):
    """With the noise that was given, and where there is less of it, with less."""
    world, kernel = _world(border, frame, sides, holes), _kernels(1, sides)
    image = _random(1, channels, *world.image, seed=3)
    measured = world.measure(image, kernel, actual * NOISE)
    mean = image + min(level, 0.3) * _normal(*image.shape, seed=7)
    if actual < 1:
        mean = image
    error = _error(channels, world.size, level)
    noise = _lowered(world, measured[0], mean[0], kernel[0, 0], error)
    if level == 0.05:
        assert (noise[0].min() < 0.8 * NOISE**2) == (actual < 1)
        assert actual < 1 or (noise[0] == NOISE**2).double().mean() > 0.8
    expected, _ = _solved(world, measured[0], mean[0], kernel[0, 0], noise, error)
    monkeypatch.setattr(blur_steps, "_IMAGE_ITERATIONS", (300, 300))
    monkeypatch.setattr(blur_steps, "_TOLERANCE", 0.0)
    belief = gaussian(mean, _ones(1, 0.01), level)
    found = world.operator.image_step(
        observed(measured, _ones(1, NOISE**2), world.mask), belief, {"kernel": kernel}, {}
    )
    torch.testing.assert_close(found[0], expected, rtol=0, atol=1e-9 if world.whole else 1e-6)


@pytest.mark.parametrize("level", [0.05, 0.3, 2.0, math.inf])
@each_world
def test_in_its_few_iterations_the_image_step_comes_near(border, frame, sides, holes, level):
    world, kernel = _world(border, frame, sides, holes), _kernels(1, sides)
    image = _random(1, 1, *world.image, seed=3)
    measured = world.measure(image, kernel, NOISE)
    mean = image + min(level, 0.3) * _normal(*image.shape, seed=7)
    error = _error(1, world.size, level)
    noise = _lowered(world, measured[0], mean[0], kernel[0, 0], error)
    _, beyond = _solved(world, measured[0], mean[0], kernel[0, 0], noise, error)
    observation = observed(measured, _ones(1, NOISE**2), world.mask)
    found = world.operator.image_step(observation, gaussian(mean, _ones(1, 0.01), level), {"kernel": kernel}, {})
    assert beyond(found[0] - mean[0]) < 0.02 * beyond(0 * mean[0])


# ---- The kernel.


def _innovation(world, measured, image, belief):
    """The picture's spectrum (C, P, Q), the mean and V(f) of the kernel before its step, the weight a frequency of each
    channel, and what pixels count."""
    total = belief.mean.sum().item()
    prior = belief.mean[0, 0] / total
    variance, seen = _uncertain(prior, world.size, belief.sigma, total, len(image.mean[0]))
    picture = torch.fft.fft2(world.extended(image.mean[0]))
    error = _error(len(picture), world.size, image.sigma)
    weight = 1 / (NOISE**2 + error * (seen + variance))
    inside = world.discounted(prior, weight) if not world.whole else world.inside
    rest = _unexplained(world, measured, picture, prior, inside)[0]
    found = torch.fft.fft2(rest).abs() ** 2 / (inside**2).sum()
    expected = 1 / weight[0] + picture[0].abs() ** 2 / picture[0].numel() * variance
    return picture, prior, variance, weight / _inflation(found, expected), inside


def _unexplained(world, measured, picture, prior, inside):
    return inside * (world.on_grid(measured[0]) - torch.fft.ifft2(picture * world.transfer(prior)).real)


def _kernel_system(world, measured, image, belief):
    """The kernel's mean (h w,), and matrix and right side of the change of it that minimises
    ||M (y - k * x)||^2 weight + ||(k - mean) / s||^2 (sum of s^2) / V, the picture's mean telling nothing."""
    picture, prior, variance, weight, inside = _innovation(world, measured, image, belief)
    rest = _unexplained(world, measured, picture, prior, world.inside)
    units = torch.eye(prior.numel(), dtype=torch.float64).reshape(-1, *prior.shape)
    spectra_of = torch.stack([world.transfer(unit) for unit in units])
    window = torch.fft.ifft2(spectra_of).real.flatten(1).T
    deviation, _ = _deviation(prior, belief.sigma, len(picture))
    matrix = window.T @ _circulant(deviation.square().sum() / variance) @ window
    matrix = matrix / deviation.flatten()[:, None] / deviation.flatten()
    right = torch.zeros(prior.numel(), dtype=torch.float64)
    told = picture.clone()
    told[:, 0, 0] = 0
    for index in range(len(picture)):
        blurred = torch.fft.ifft2(told[index] * spectra_of).real.flatten(1).T
        seen = world.seen(1 / weight[index], inside)
        matrix += blurred.T @ seen @ blurred
        right += blurred.T @ seen @ rest[index].flatten()
    return prior.flatten(), matrix, right


def _photograph(world, channels, kernel, wrong=0.01):
    """A measurement, and an image that is wrong by so much."""
    image = _random(1, channels, *world.image, seed=3)
    return world.measure(image, kernel, NOISE), image + wrong * _normal(*image.shape)


@pytest.mark.parametrize(
    ("channels", "kernel_level", "sides"),
    [(1, 0.05, (3, 3)), (3, 0.05, (1, 5)), (1, math.inf, (1, 3)), (2, math.inf, (3, 1)), (2, 0.05, (3, 2))],
)
@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("border", ["circular", "zero", "reflect", "unknown"])
def test_the_kernel_step_solves_its_normal_equations(border, holes, narrow, sides, kernel_level, channels, monkeypatch):
    """No entry near zero, and a fine level, so that none drops."""
    monkeypatch.setattr(kernel_error, "_NARROW", 24 if narrow else 0)
    world = _world(border, (9, 10), sides, holes)
    kernel = 1 + 0.3 * _random(1, 1, *sides)
    kernel = kernel / kernel.sum()
    mean = 1 + 0.3 * _random(1, 1, *sides, seed=4)
    measured, picture = _photograph(world, channels, kernel)
    image, belief = gaussian(picture, _ones(1, 1e-4), 0.01), gaussian(mean, _ones(1, 0.04), kernel_level)
    for name in ("_KERNEL_ITERATIONS", "_MASKED_KERNEL_ITERATIONS", "_INNER_ITERATIONS"):
        monkeypatch.setattr(blur_steps, name, 20)
    observation = observed(measured, _ones(1, NOISE**2), world.mask)
    found = world.operator.parameter_step(observation, image, {"kernel": belief}, {})["kernel"]
    prior, matrix, right = _kernel_system(world, measured, image, belief)
    expected = (prior + torch.linalg.solve(matrix, right)).reshape(sides)
    assert (expected > 0).all()
    # Scaled to its peak, as priors of kernels know them.
    torch.testing.assert_close(found[0, 0], expected / expected.max(), rtol=0, atol=2e-6)
    assert (found - mean / mean.max()).abs().max() > 0.01


@pytest.mark.parametrize("sides", [(9, 9), (6, 11)])
@pytest.mark.parametrize("level", [0.05, 1.0])
@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("border", ["circular", "unknown"])
def test_the_kernel_step_lowers_its_objective(border, holes, sides, level, rectangles, monkeypatch):
    monkeypatch.setattr(blur_steps, "DROP", 0.0)
    world, kernel = _world(border, (32, 34), sides, holes), _kernels(1, sides)
    picture = rectangles(side=48)[..., : world.image[0], : world.image[1]]
    measured = world.measure(picture, kernel, NOISE)
    image = gaussian(picture + 0.02 * _normal(*picture.shape), _ones(1, 1e-3), level)
    belief = gaussian(_kernels(1, sides, seed=8) * 7, _ones(1, 0.1), 0.5)
    observation = observed(measured, _ones(1, NOISE**2), world.mask)
    found = world.operator.parameter_step(observation, image, {"kernel": belief}, {})["kernel"]
    assert (found >= 0).all() and found.max().item() == pytest.approx(1)
    prior, matrix, right = _kernel_system(world, measured, image, belief)
    best = prior + torch.linalg.solve(matrix, right)

    def beyond(one):
        rest = (one / one.sum()).flatten() - best
        return (rest @ matrix @ rest).item()

    # A few iterations, what is cut off at zero and what is dropped leave some of the way.
    # In a small frame with an unknown border and holes hardly a pixel counts.
    assert beyond(found) < (1.2 if holes else 0.2) * beyond(belief.mean)


@pytest.mark.parametrize(("channels", "level"), [(1, 0.2), (3, 0.2), (2, math.inf), (1, math.inf)])
@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("border", ["circular", "reflect", "unknown"])
@pytest.mark.parametrize(("sides", "narrow"), [((3, 4), True), ((5, 5), False)])
def test_the_image_step_counts_what_is_uncertain_in_the_kernel_as_noise(
    sides, narrow, border, holes, channels, level, monkeypatch
):
    monkeypatch.setattr(kernel_error, "_NARROW", 24 if narrow else 0)
    world, kernel, prior = _world(border, (9, 8), sides, holes), _kernels(1, sides), _kernels(1, sides, seed=2)
    measured, _ = _photograph(world, channels, kernel)
    belief = gaussian(_random(1, channels, *world.image, seed=7), _ones(1, 0.01), 0.3)
    believed = gaussian(2.5 * prior, _ones(1, 0.01), level)
    picture, _, variance, weight, _ = _innovation(world, measured, belief, believed)
    power = (weight * picture.abs() ** 2).sum(0)
    power[0, 0] = 0
    # A window of h x w pixels tapers what the picture's correlation says beyond it: neighbouring frequencies share.
    tapers = [
        (1 - numpy.abs(numpy.fft.fftfreq(n, 1 / n)) / side).clip(min=0)
        for n, side in zip(world.size, sides, strict=True)
    ]
    taper = torch.from_numpy(tapers[0][:, None] * tapers[1])
    smooth = torch.fft.fft2(torch.fft.ifft2(power) * taper).real.clamp(min=0)
    entries = _deviation(prior[0, 0], level, channels)[0].square().sum()
    remaining = entries / (smooth + entries / variance)
    error = _error(channels, world.size, 0.3)
    noise = NOISE**2 + (picture.abs() ** 2 / picture[0].numel() + error) * 10.0 * remaining
    expected, _ = _solved(world, measured[0], belief.mean[0], kernel[0, 0], noise, error)
    monkeypatch.setattr(blur_steps, "_IMAGE_ITERATIONS", (150, 150))
    monkeypatch.setattr(blur_steps, "_TOLERANCE", 0.0)
    monkeypatch.setattr(blur_steps, "_ENOUGH", 0.0)
    observation = observed(measured, _ones(1, NOISE**2), world.mask)
    found = world.operator.image_step(observation, belief, {"kernel": kernel}, {"kernel": believed})
    torch.testing.assert_close(found[0], expected, rtol=0, atol=1e-9 if world.whole else 1e-6)
    plain = world.operator.image_step(observation, belief, {"kernel": kernel}, {})
    assert (plain - found).abs().max() > 1e-3


@pytest.mark.parametrize("border", ["circular", "reflect", "unknown"])
def test_what_the_beliefs_do_not_explain_counts_as_noise(border, rectangles):
    """A measurement as the beliefs expect it changes nothing; one that is further away does, by the ratio of
    variances."""
    frame, sides = (32, 30), (5, 5)
    world, kernel = World(border, sides, frame), _kernels(1, sides)
    picture = rectangles(side=64)[..., : world.image[0], : world.image[1]]
    image = gaussian(picture, _ones(1, 0.01), 0.3)
    belief = gaussian(kernel / kernel.max(), _ones(1, 0.01), 0.02)
    predicted = world.operator.forward(picture, kernel)

    def innovation(measured):
        on_grid = Measured.on(world.padded, observed(measured, _ones(1, NOISE**2)), torch.float64)
        return Innovation.of(world.padded, on_grid, image, belief)

    usual = innovation(predicted)
    root = (1 / usual.weight[:, :1]).sqrt()
    white = torch.fft.rfft2(_normal(1, 1, *world.size, seed=5))
    rest = world.padded.observe(world.padded.inverse(root * white)) / 3**0.5

    def inflation(size):
        found = innovation(predicted + size * rest)
        ratio = usual.weight / found.weight
        torch.testing.assert_close(ratio, ratio.mean().expand_as(ratio))
        torch.testing.assert_close(found.power, usual.power / ratio.mean())
        return ratio.mean().item()

    assert inflation(0.0) == 1 and inflation(0.5) == 1
    assert inflation(10.0) == pytest.approx(100 * max(inflation(1.0), 1 / USUAL), rel=1)
    assert inflation(20.0) == pytest.approx(4 * inflation(10.0), rel=0.05)
