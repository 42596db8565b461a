"""The exact steps of `blur`: the kernel given the image's estimate, and the image given the kernel.

Both are least squares in which what is uncertain in the *other* unknown counts as noise, frequency by frequency:

    Y(f) = K(f) X(f) + N(f),    X = X0 + e,  E|e|^2 = E(f),    K = K0 + d,  E|d|^2 = V(f)
    kernel:  noise  sigma_n^2 + E (|K0|^2 + V)
    image:   noise  sigma_n^2 + (|X0|^2 + E) V',   V' what is left uncertain in the kernel once the data have spoken

A flat weight will not do: E falls with frequency, and colour channels share most of it (ipt/linalg/spectra.py). E is
that of the usual picture. Where the measurement is further from what the beliefs predict than all this noise explains,
the picture is not so usual, or the kernel wrong: all of the noise is taken to be as much larger (`_surprise`).

The kernel's own uncertainty has such a shape too: a path of mean radius r has |K|^2 of about 1 / (1 + 3 pi f r), times
what pixels leave of it (sinc^4), and none at frequency zero, because kernels sum to 1 and are centred.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from ipt.core.abilities import Belief
from ipt.core.observation import Observation
from ipt.linalg.conjugate_gradients import conjugate_gradients
from ipt.linalg.spectra import left_uncertain, turned, turned_back
from ipt.operators.canvas import Canvas
from ipt.operators.centring import recentred

KERNEL_NOISE = 2.0
"""Variance a frequency that is believed of a denoised kernel, over that of the noise it was seen through. This and the
four below were chosen by the results of whole solves on training faces and on 24 validation faces."""
LOCKED = 10.0
"""The kernel's error is this many times what least squares believe: image and kernel err together."""
DROP = 0.05
"""Kernel entries below this share of the largest are noise, while the image is coarse (level above `_FINE`)."""
_FINE = 0.15
OUTSIDE = 0.005
"""Variance of what lies outside an unknown border, around its reflected continuation."""
_KERNEL_ITERATIONS = 8
_FILLS = {"circular": 1, "unknown": 3, "zero": 5, "reflect": 5, "replicate": 5}
"""How often what lies outside the frame is predicted anew, by border."""
_INSIDE = 0.4
"""The least share of what tells of a kernel that is expected inside the frame."""
_BANDS = (0.0, 0.04, 0.08, 0.16, 0.32, 1.0)
"""Cycles a pixel: between them the measurement is compared with what is expected of it."""
USUAL = 1.4
"""Further than expected by this ratio is nothing to wonder at. With 1 photographs come out a little better, with 2
faces (24 validation faces, ten crops of photographs)."""
_IMAGE_ITERATIONS = 12
"""Conjugate gradients for the image where the border continues it."""


def kernel(canvas: Canvas, observation: Observation, image: Belief, belief: Belief) -> Tensor:
    """The kernel (B, 1, h, w): non-negative, its largest entry 1, centred on its centre pixel.

    Priors of kernels know them by their peak (`ipt.training.sources`). With any other scale the level of noise would
    not mean to them what it says: a kernel that came out narrow would stand far above it, and stay.
    """
    # From what is certain to what is free, the variances of a kernel span seven decades: too many for single precision,
    # in which an image would depend on its batch.
    measurement = turned(_double(observation.measurement))
    facts = Facts.of(canvas, _double(observation.noise_variance), _doubled(image), _doubled(belief), measurement)
    sides = (belief.mean.shape[-2], belief.mean.shape[-1])
    pull = facts.entries / facts.kernel_variance
    weight = facts.weight
    power = facts.power + pull
    picture = facts.picture.clone()
    # The mean tells nothing of a kernel that sums to 1, and would dominate the system.
    picture[..., 0, 0] = 0

    apply, precondition = canvas.within(power, sides), canvas.within(1 / power, sides)
    # Solved for the change of the kernel: the pull towards the prior, enormous where nothing is uncertain, would drown
    # the rest of the right side in rounding.
    change = torch.zeros_like(facts.prior_kernel)
    known = canvas.border == "circular"
    trust = facts.trust
    # Relaxed where it was measured to help; the other borders have fills enough without.
    fills = _FILLS[canvas.border]
    for relaxation in _relaxations(fills) if canvas.border == "unknown" else [1.0] * fills:
        filled = measurement if known or trust is None else _filled(canvas, measurement, facts, trust, change)
        unexplained = torch.fft.rfft2(filled) - picture * facts.prior_transfer
        right = canvas.window((weight * picture.conj() * unexplained).sum(1, keepdim=True), sides)
        iterations = _KERNEL_ITERATIONS if known else _KERNEL_ITERATIONS // 2
        found = conjugate_gradients(apply, right, change, iterations, precondition)
        change = change + relaxation * (found - change)
    solved = (facts.prior_kernel + change).clamp(min=0)
    threshold = DROP * min(1.0, image.sigma / _FINE)
    solved = torch.where(solved < threshold * solved.amax((-2, -1), keepdim=True), 0, solved)
    solved = recentred(solved)
    return (solved / solved.amax((-3, -2, -1), keepdim=True).clamp(min=1e-8)).to(belief.mean)


def _double(tensor: Tensor) -> Tensor:
    """In double precision, but on Apple's GPUs, which have none."""
    return tensor if tensor.device.type == "mps" else tensor.double()


def _doubled(belief: Belief) -> Belief:
    return replace(belief, mean=_double(belief.mean))


def image(
    canvas: Canvas,
    observation: Observation,
    belief: Belief,
    kernel: Tensor,
    kernel_belief: Belief | None,
) -> Tensor:
    """The image (B, C, H, W) given a valid kernel; kernel_belief: what was believed of it, None if it is known."""
    kind = belief.mean
    measurement, noise_variance = observation.measurement, observation.noise_variance
    if canvas.border not in ("circular", "unknown"):
        # Conjugate gradients again.
        measurement, noise_variance, kernel = _double(measurement), _double(noise_variance), _double(kernel)
        belief, kernel_belief = _doubled(belief), kernel_belief and _doubled(kernel_belief)
    error = picture_error(canvas, belief)
    measurement, mean = turned(measurement), turned(belief.mean)
    transfer = canvas.transfer(kernel)
    noise = noise_variance
    if kernel_belief is None:
        picture = torch.fft.rfft2(canvas.extend(mean))
    else:
        facts = Facts.of(canvas, noise_variance, belief, kernel_belief, measurement)
        picture = facts.picture
        spread = squared(picture) / math.prod(canvas.size) + error
        noise = noise_variance + spread * LOCKED * facts.remaining(canvas)
    data = transfer.conj() / noise
    solve = 1 / (squared(transfer) / noise + 1 / error)

    def solved(filled: Tensor, start: Tensor) -> Tensor:
        return solve * (data * torch.fft.rfft2(filled) + start / error)

    if canvas.border == "circular":
        return turned_back(canvas.inverse(solved(measurement, picture)))
    if canvas.border != "unknown":
        rest = measurement - canvas.crop(canvas.inverse(picture * transfer))
        return (belief.mean + turned_back(_continued(canvas, rest, transfer, noise, error, solve))).to(kind)
    for _ in range(_FILLS[canvas.border]):
        predicted, whole = canvas.inverse(picture * transfer), canvas.inverse(picture)
        # What lies outside explains itself: it is measured as predicted, and believed as it was found.
        picture = solved(canvas.embed(measurement, predicted), torch.fft.rfft2(canvas.embed(mean, whole)))
    return turned_back(canvas.crop(canvas.inverse(picture)))


def _continued(canvas: Canvas, rest: Tensor, transfer: Tensor, noise: Tensor, error: Tensor, solve: Tensor) -> Tensor:
    """The change of the picture, continued as the border says, that best explains `rest` (B, C, H, W): the minimiser of
    ||rest - crop(K extend(d))||^2 / noise + ||extend(d)||^2 / error, by conjugate gradients."""

    def filtered(picture: Tensor, spectrum: Tensor) -> Tensor:
        return canvas.inverse(torch.fft.rfft2(picture) * spectrum)

    def told(residual: Tensor) -> Tensor:
        weighed = filtered(canvas.zeros_outside(residual), 1 / noise)
        return filtered(canvas.zeros_outside(canvas.crop(weighed)), transfer.conj())

    def apply(change: Tensor) -> Tensor:
        whole = canvas.extend(change)
        return canvas.fold(told(canvas.crop(filtered(whole, transfer))) + filtered(whole, 1 / error))

    def precondition(residual: Tensor) -> Tensor:
        return canvas.crop(filtered(canvas.zeros_outside(residual), solve))

    return conjugate_gradients(apply, canvas.fold(told(rest)), torch.zeros_like(rest), _IMAGE_ITERATIONS, precondition)


@dataclass(frozen=True)
class Facts:
    """What both steps need to know, as spectra on the canvas.

    weight: 1 / noise of the kernel step, (B, C, P, Q // 2 + 1); power: what the picture tells of the kernel with it.
    trust: how far each pixel of the measurement is believed, where there is one, (B, 1, H, W).
    """

    picture: Tensor
    prior_kernel: Tensor
    prior_transfer: Tensor
    kernel_variance: Tensor
    weight: Tensor
    power: Tensor
    entries: int
    trust: Tensor | None = None

    @classmethod
    def of(
        cls,
        canvas: Canvas,
        noise_variance: Tensor,
        image: Belief,
        belief: Belief,
        measurement: Tensor | None = None,
    ) -> Facts:
        """measurement: (turned), where the beliefs are to be held against it."""
        positive = belief.mean.clamp(min=0)
        total = positive.sum((-3, -2, -1), keepdim=True).clamp(min=1e-8)
        prior = positive / total
        transfer = canvas.transfer(prior)
        height, width = prior.shape[-2:]
        seen = squared(transfer)
        limit = torch.minimum((1 - seen).clamp(min=0).square(), _kernel_spectrum(canvas, prior)).clamp(min=1e-7)
        noise = KERNEL_NOISE * height * width * (belief.sigma / total).square()
        variance = limit * noise / (limit + noise) if math.isfinite(belief.sigma) else limit
        picture = torch.fft.rfft2(turned(canvas.extend(image.mean)))
        weight = 1 / (noise_variance + picture_error(canvas, image) * (seen + variance))
        trust = None
        if measurement is not None:
            trust = _trust(canvas, measurement, transfer, weight)
            weight = weight / _surprise(canvas, measurement, trust, picture, transfer, variance, weight)
        power = weight * squared(picture)
        power[..., 0, 0] = 0
        power = power.sum(1, keepdim=True)
        return cls(picture, prior, transfer, variance, weight, power, height * width, trust)

    def remaining(self, canvas: Canvas) -> Tensor:
        """V': what is uncertain in the kernel's spectrum after the kernel step; neighbouring frequencies share what
        they know."""
        smooth = _smoothed(canvas, self.power, self.prior_kernel.shape[-2:])
        return self.entries / (smooth + self.entries / self.kernel_variance)


def _smoothed(canvas: Canvas, power: Tensor, sides: tuple[int, ...]) -> Tensor:
    """A spectrum averaged over the bandwidth of a window of (height, width) pixels."""
    tapers = []
    for length, side in zip(canvas.size, sides, strict=True):
        away = torch.fft.fftfreq(length, 1 / length, dtype=power.dtype, device=power.device).abs()
        tapers.append((1 - away / side).clamp(min=0))
    down, across = tapers
    return torch.fft.rfft2(canvas.inverse(power) * (down[:, None] * across)).real.clamp(min=0)


def picture_error(canvas: Canvas, image: Belief) -> Tensor:
    """E(f): what a denoiser leaves uncertain in the picture, variance a frequency, (1, C, P, Q // 2 + 1)."""
    return left_uncertain(canvas.frequencies(image.mean), image.mean.shape[1], image.sigma)[None]


def _kernel_spectrum(canvas: Canvas, prior: Tensor) -> Tensor:
    """About E|K|^2 for a kernel as wide as the prior's mean."""
    height, width = prior.shape[-2:]
    rows = (torch.arange(height).to(prior) - height // 2)[:, None]
    columns = (torch.arange(width).to(prior) - width // 2)[None]
    radius = (prior * (rows.square() + columns.square())).sum((-3, -2, -1), keepdim=True).clamp(min=0.05).sqrt()
    frequency = canvas.frequencies(prior)
    return torch.sinc(frequency) ** 4 / (1 + 3 * math.pi * frequency * radius)


def _relaxations(count: int) -> list[float]:
    """How far to go towards what each of `count` fills finds. A fill finds that share of what is still missing which
    tells inside the frame, `_INSIDE` to 1: Chebyshev's steps for that interval leave least after all of them (Golub,
    Varga, "Chebyshev semi-iterative methods", Numerische Mathematik 3, 1961)."""
    middle, reach = (1 + _INSIDE) / 2, (1 - _INSIDE) / 2
    return [1 / (middle + reach * math.cos(math.pi * (2 * step + 1) / (2 * count))) for step in range(count)]


def _surprise(
    canvas: Canvas,
    measurement: Tensor,
    trust: Tensor,
    picture: Tensor,
    transfer: Tensor,
    variance: Tensor,
    weight: Tensor,
) -> Tensor:
    """How much further the luminance of the measurement is from what the beliefs predict than noise (1 / weight) and
    the kernel's uncertainty (variance) explain, as a ratio of variances, over `USUAL`, of the band of frequencies that
    surprises most; at least 1, (B, 1, 1, 1)."""
    measurement, picture, weight = measurement[:, :1], picture[:, :1], weight[:, :1]
    rest = trust * (measurement - canvas.crop(canvas.inverse(picture * transfer)))
    found = squared(torch.fft.rfft2(canvas.zeros_outside(rest))) / trust.square().sum((-3, -2, -1), keepdim=True)
    expected = 1 / weight + squared(picture) / math.prod(canvas.size) * variance
    ratio, frequency = found / expected, canvas.frequencies(measurement)
    # Half of the spectrum stands for the whole: the columns between the first and the last are there for two.
    columns = torch.full_like(ratio[0, 0, 0], 2.0)
    columns[0] = 1
    if canvas.size[1] % 2 == 0:
        columns[-1] = 1
    surprise = torch.ones_like(ratio[..., :1, :1])
    for low, high in pairwise(_BANDS):
        band = ((frequency >= low) & (frequency < high)) * columns
        surprise = torch.maximum(surprise, (ratio * band).sum((-2, -1), keepdim=True) / band.sum().clamp(min=1) / USUAL)
    return surprise


def _trust(canvas: Canvas, measurement: Tensor, transfer: Tensor, weight: Tensor) -> Tensor:
    """How far each pixel of the frame is believed rather than predicted: with a border `unknown`, the less the more it
    depends on what lies outside, as the prior's kernel has it."""
    if canvas.border != "unknown":
        return torch.ones_like(measurement[:, :1])
    outside = 1 - canvas.zeros_outside(torch.ones_like(measurement[:, :1]))
    foreign = canvas.crop(canvas.inverse(torch.fft.rfft2(outside) * transfer)).clamp(0, 1)
    level = 1 / weight.mean((-3, -2, -1), keepdim=True)
    return level / (level + OUTSIDE * foreign.square())


def _filled(canvas: Canvas, measurement: Tensor, facts: Facts, trust: Tensor, change: Tensor) -> Tensor:
    """The (turned) measurement on the canvas: itself as far as it is trusted, else as the changed kernel predicts."""
    predicted = canvas.inverse(facts.picture * (facts.prior_transfer + canvas.transfer(change)))
    inside = canvas.crop(predicted)
    return canvas.embed(inside + trust * (measurement - inside), predicted)


def squared(spectrum: Tensor) -> Tensor:
    """|spectrum|^2; `abs` would take the root of it first."""
    return spectrum.real.square() + spectrum.imag.square()
