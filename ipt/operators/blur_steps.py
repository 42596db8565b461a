"""The exact steps of `blur`: the kernel given the image's estimate, and the image given the kernel.

Both are least squares in which what is uncertain in the *other* unknown counts as noise, frequency by frequency:

    Y(f) = K(f) X(f) + N(f),    X = X0 + e,  E|e|^2 = E(f),    K = K0 + d,  E|d|^2 = V(f)
    kernel:  noise  sigma_n^2 + E (|K0|^2 + V)
    image:   noise  sigma_n^2 + (|X0|^2 + E) V',   V' what is left uncertain in the kernel once the data have spoken

A flat weight will not do: natural images have a spectrum S(f) that falls like f^-2.7 (Field, "Relations between the statistics of
natural images and the response properties of cortical cells", 1987, finds about f^-2 for scenes; faces fall faster), so
behind noise of level s a denoiser leaves about E = S s^2 / (S + s^2) uncertain (Wiener), nearly all of it at low frequencies. On 64
training faces the shipped network's error is .5 to 1.2 times that, from s = .05 to 20. Colour channels share most of their
variance, so they are weighed in a luminance-chrominance basis.

The kernel's own uncertainty has such a shape too: a path of mean radius r has |K|^2 of about 1 / (1 + 3 pi f r), times what
pixels leave of it (sinc^4), and none at frequency zero, because kernels sum to 1 and are centred.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.core.interfaces import Gaussian
from ipt.core.linear import conjugate_gradients
from ipt.operators.canvas import Canvas

SPECTRUM = (0.00025, 2.7)
"""S(f) = a f^-b of pictures in 0..1, f in cycles a pixel; read off the training faces."""
LUMINANCE, CHROMINANCE = 2.4, 0.3
"""Shares of the mean channel's spectrum after an orthonormal change of basis; read off the training faces."""
KERNEL_NOISE = 2.0
"""What a denoiser leaves of the noise on a kernel, as a share of its variance a frequency."""
LOCKED = 10.0
"""The kernel's error is this many times what least squares believe: image and kernel err together."""
DROP = 0.05
"""Kernel entries below this share of the largest are noise, while the image is coarse (level above `_FINE`)."""
_FINE = 0.15
_OUTSIDE = 0.02
"""Variance of what lies outside an unknown border, around its reflected continuation."""
_KERNEL_ITERATIONS = 8
_FILLS = 2


def kernel(canvas: Canvas, measurement: Tensor, noise_variance: Tensor, image: Gaussian, belief: Gaussian) -> Tensor:
    """The kernel (B, 1, h, w), scaled like the belief's mean: non-negative, centred on its centre pixel."""
    facts = _Facts.of(canvas, noise_variance, image, belief)
    sides = (belief.mean.shape[-2], belief.mean.shape[-1])
    pull = facts.entries / facts.kernel_variance
    weight = facts.weight
    power = facts.power + pull
    picture = facts.picture.clone()
    # The mean tells nothing of a kernel that sums to 1, and would dominate the system.
    picture[..., 0, 0] = 0

    def apply(k: Tensor) -> Tensor:
        return canvas.window(power * canvas.transfer(k), sides)

    def precondition(r: Tensor) -> Tensor:
        return canvas.window(canvas.transfer(r) / power, sides)

    solved = facts.prior_kernel
    known = canvas.border == "circular"
    for _ in range(1 if known else _FILLS):
        filled = measurement if known else _filled(canvas, measurement, facts, solved)
        seen = (weight * picture.conj() * torch.fft.rfft2(_turned(filled))).sum(1, keepdim=True)
        right = canvas.window(seen + pull * facts.prior_transfer, sides)
        iterations = _KERNEL_ITERATIONS if known else _KERNEL_ITERATIONS // 2
        solved = conjugate_gradients(apply, right, solved, iterations, precondition)
    solved = solved.clamp(min=0)
    threshold = DROP * min(1.0, image.level / _FINE)
    solved = torch.where(solved < threshold * solved.amax((-2, -1), keepdim=True), 0, solved)
    solved = recentred(solved)
    return solved / solved.sum((-3, -2, -1), keepdim=True).clamp(min=1e-8) * facts.total


def image(
    canvas: Canvas,
    measurement: Tensor,
    noise_variance: Tensor,
    belief: Gaussian,
    kernel: Tensor,
    kernel_belief: Gaussian | None,
) -> Tensor:
    """The image (B, C, H, W) given a valid kernel; kernel_belief: what was believed of it, None if it is known."""
    error = _picture_error(canvas, belief)
    mean = canvas.extend(belief.mean)
    transfer = canvas.transfer(kernel)
    noise = noise_variance
    if kernel_belief is not None:
        facts = _Facts.of(canvas, noise_variance, belief, kernel_belief)
        spread = facts.picture.abs().square() / math.prod(canvas.size) + error
        noise = noise_variance + spread * LOCKED * facts.remaining(kernel.shape[-1])
    data = transfer.conj() / noise
    solve = 1 / (transfer.abs().square() / noise + 1 / error)

    def solved(filled: Tensor, start: Tensor) -> Tensor:
        spectrum = data * torch.fft.rfft2(_turned(filled)) + torch.fft.rfft2(_turned(start)) / error
        return _turned_back(canvas.inverse(solve * spectrum))

    if canvas.border == "circular":
        return solved(measurement, mean)
    whole = mean
    for _ in range(_FILLS + 1):
        predicted = canvas.inverse(torch.fft.rfft2(whole) * transfer)
        # What lies outside explains itself: it is measured as predicted, and believed as it was found.
        start = mean if canvas.border != "unknown" else canvas.embed(belief.mean, whole)
        whole = solved(canvas.embed(measurement, predicted), start)
        if canvas.border != "unknown":
            whole = canvas.extend(canvas.crop(whole))
    return canvas.crop(whole)


@dataclass(frozen=True)
class _Facts:
    """What both steps need to know, as spectra on the canvas."""

    picture: Tensor
    prior_kernel: Tensor
    prior_transfer: Tensor
    total: Tensor
    kernel_variance: Tensor
    weight: Tensor
    power: Tensor
    entries: int

    @classmethod
    def of(cls, canvas: Canvas, noise_variance: Tensor, image: Gaussian, belief: Gaussian) -> _Facts:
        positive = belief.mean.clamp(min=0)
        total = positive.sum((-3, -2, -1), keepdim=True).clamp(min=1e-8)
        prior = positive / total
        transfer = canvas.transfer(prior)
        height, width = prior.shape[-2:]
        seen = transfer.abs().square()
        limit = torch.minimum((1 - seen).clamp(min=0).square(), _kernel_spectrum(canvas, prior)).clamp(min=1e-7)
        noise = KERNEL_NOISE * height * width * (belief.level / total).square()
        variance = limit * noise / (limit + noise) if math.isfinite(belief.level) else limit
        picture = torch.fft.rfft2(_turned(canvas.extend(image.mean)))
        weight = 1 / (noise_variance + _picture_error(canvas, image) * (seen + variance))
        power = weight * picture.abs().square()
        power[..., 0, 0] = 0
        power = power.sum(1, keepdim=True)
        return cls(picture, prior, transfer, total, variance, weight, power, height * width)

    def remaining(self, side: int) -> Tensor:
        """V': what is uncertain in the kernel's spectrum after the kernel step; neighbouring frequencies share what they know."""
        columns = self.power.shape[-1]
        smooth = _smoothed(self.power, side, columns)
        return self.entries / (smooth + self.entries / self.kernel_variance)


def _smoothed(power: Tensor, side: int, columns: int) -> Tensor:
    """A spectrum averaged over the bandwidth of a window of this many pixels."""
    correlation = torch.fft.irfft2(power)
    rows, width = correlation.shape[-2:]
    down = torch.fft.fftfreq(rows, 1 / rows, device=power.device).to(correlation)
    across = torch.fft.fftfreq(width, 1 / width, device=power.device).to(correlation)
    taper = (1 - down.abs() / side).clamp(min=0)[:, None] * (1 - across.abs() / side).clamp(min=0)
    return torch.fft.rfft2(correlation * taper).real.clamp(min=0)[..., :columns]


def _picture_error(canvas: Canvas, image: Gaussian) -> Tensor:
    """E(f): what a denoiser leaves uncertain in the picture, variance a frequency, (1, C, P, Q // 2 + 1)."""
    amplitude, exponent = SPECTRUM
    spectrum = amplitude * canvas.frequencies(image.mean) ** -exponent
    channels = image.mean.shape[1]
    shares = [LUMINANCE] + [CHROMINANCE] * (channels - 1) if channels > 1 else [1.0]
    spectrum = spectrum * torch.tensor(shares).to(spectrum)[:, None, None]
    if math.isinf(image.level):
        return spectrum[None]
    return (spectrum * image.level**2 / (spectrum + image.level**2))[None]


def _kernel_spectrum(canvas: Canvas, prior: Tensor) -> Tensor:
    """About E|K|^2 for a kernel as wide as the prior's mean."""
    height, width = prior.shape[-2:]
    rows = (torch.arange(height).to(prior) - height // 2)[:, None]
    columns = (torch.arange(width).to(prior) - width // 2)[None]
    radius = (prior * (rows.square() + columns.square())).sum((-3, -2, -1), keepdim=True).clamp(min=0.05).sqrt()
    frequency = canvas.frequencies(prior)
    return torch.sinc(frequency) ** 4 / (1 + 3 * math.pi * frequency * radius)


def _filled(canvas: Canvas, measurement: Tensor, facts: _Facts, kernel: Tensor) -> Tensor:
    """The measurement on the canvas: itself inside as far as it does not depend on what lies outside, else as predicted."""
    transfer = canvas.transfer(kernel)
    predicted = _turned_back(canvas.inverse(facts.picture * transfer))
    if canvas.border != "unknown":
        return canvas.embed(measurement, predicted)
    outside = 1 - canvas.zeros_outside(torch.ones_like(measurement[:, :1]))
    foreign = canvas.crop(canvas.inverse(torch.fft.rfft2(outside) * transfer)).clamp(0, 1)
    level = 1 / facts.weight.mean((-3, -2, -1), keepdim=True)
    trust = level / (level + _OUTSIDE * foreign.square())
    inside = canvas.crop(predicted)
    return canvas.embed(inside + trust * (measurement - inside), predicted)


def _basis(channels: int, like: Tensor) -> Tensor:
    """An orthonormal basis whose first vector is the mean of the channels (the discrete cosine transform's)."""
    place = (torch.arange(channels).to(like) + 0.5) * math.pi / channels
    rows = (torch.arange(channels).to(like)[:, None] * place).cos() * math.sqrt(2 / channels)
    rows[0] /= math.sqrt(2)
    return rows


def _turned(picture: Tensor) -> Tensor:
    """Channels -> luminance and chrominance."""
    if picture.shape[1] == 1:
        return picture
    return torch.einsum("ij,bjhw->bihw", _basis(picture.shape[1], picture), picture)


def _turned_back(picture: Tensor) -> Tensor:
    if picture.shape[1] == 1:
        return picture
    return torch.einsum("ji,bjhw->bihw", _basis(picture.shape[1], picture), picture)


def recentred(kernel: Tensor) -> Tensor:
    """Each kernel (B, 1, h, w) moved by whole pixels until its centroid is nearest the centre pixel; what would leave is lost."""
    height, width = kernel.shape[-2:]
    rows = torch.arange(height, device=kernel.device).to(kernel)
    columns = torch.arange(width, device=kernel.device).to(kernel)
    mass = kernel.sum((-3, -2, -1)).clamp(min=1e-8)
    down = (height // 2 - (kernel.sum((1, 3)) * rows).sum(1) / mass).round().long()
    right = (width // 2 - (kernel.sum((1, 2)) * columns).sum(1) / mass).round().long()
    moved = []
    for one, dy, dx in zip(kernel, down.tolist(), right.tolist(), strict=True):
        if dy or dx:
            one = F.pad(one, (max(dx, 0), max(-dx, 0), max(dy, 0), max(-dy, 0)))
            one = one[:, max(-dy, 0) :, max(-dx, 0) :][:, :height, :width]
        moved.append(one)
    return torch.stack(moved)
