"""Blur by one kernel an image: y = k * x, a true convolution, with the border explicit.

    y[i] = sum_u k[u] x[i - (u - c)],   c = (H_k // 2, W_k // 2)

What lies outside the frame is part of the model. `circular`, `zero`, `reflect` and `replicate` say how the picture goes on
there; `unknown` says nothing: a user's photograph goes on behind its frame, so the exact image step solves for a canvas
larger than the frame of which only the frame was measured. (The forward model, which must assume something, reflects.)

The closed forms: with a circular border both steps are diagonal in frequency; for other borders the image step is solved by
conjugate gradients, preconditioned with the circular solution.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.core.interfaces import Gaussian, ParameterSpec, ParametricOperator, Unknowns
from ipt.core.linear import conjugate_gradients

BORDERS = ("circular", "zero", "reflect", "replicate", "unknown")
_PADDING = {"zero": "constant", "reflect": "reflect", "replicate": "replicate", "unknown": "reflect"}


@dataclass(frozen=True)
class Blur(ParametricOperator):
    """Convolution of every channel with one kernel (1, h, w) that is non-negative and sums to 1.

    kernel_size: side in pixels, or (height, width), odd or even; None: 64, or for smaller pictures a quarter of the smaller
        side rounded up to a multiple of 8.
    border: circular, zero, reflect, replicate or unknown (see the module).
    """

    kernel_size: int | tuple[int, int] | None = None
    border: str = "unknown"
    error_weight: float | None = None
    drop: float = 0.05
    kernel_iterations: int = 8
    image_iterations: int = 6
    outside: float = 0.05

    def __post_init__(self):
        if self.border not in BORDERS:
            raise ValueError(f"border is one of {', '.join(BORDERS)}, not {self.border!r}")

    def parameters(self, image_shape: tuple[int, ...]) -> dict[str, ParameterSpec]:
        height, width = image_shape[-2:]
        sides = self._sides(height, width)
        if sides[0] > height or sides[1] > width:
            raise ValueError(
                f"a kernel of {sides[0]}x{sides[1]} does not fit a picture of {height}x{width}; set operator.kernel_size"
            )
        return {"kernel": ParameterSpec((1, *sides), "point spread function, sums to 1", "share of light", "kernel")}

    def _sides(self, height: int, width: int) -> tuple[int, int]:
        if self.kernel_size is None:
            quarter = min(height, width) / 4
            side = min(64, -(-int(quarter) // 8) * 8 or 8)
            side = min(side, height, width)
            return side, side
        if isinstance(self.kernel_size, int):
            return self.kernel_size, self.kernel_size
        return tuple(self.kernel_size)

    def forward(self, image: Tensor, kernel: Tensor) -> Tensor:
        canvas = _Canvas.of(image.shape, kernel.shape, self.border)
        return canvas.crop(_convolve(canvas.extend(image, self.border), canvas.spectrum(kernel)))

    def constrain(self, parameters: Mapping[str, Tensor]) -> Unknowns:
        """Negative values to 0, then divided by the sum, an image at a time."""
        positive = parameters["kernel"].clamp(min=0)
        total = positive.sum((-3, -2, -1), keepdim=True)
        flat = torch.full_like(positive, 1 / positive[0].numel())
        return {**parameters, "kernel": torch.where(total > 1e-8, positive / total.clamp(min=1e-8), flat)}

    def image_step(
        self, measurement: Tensor, noise_variance: Tensor, image: Gaussian, parameters: Mapping[str, Tensor]
    ) -> Tensor:
        kernel = parameters["kernel"]
        canvas = _Canvas.of(image.mean.shape, kernel.shape, self.border)
        transfer = canvas.spectrum(kernel)
        if self.border == "circular":
            data, prior = 1 / noise_variance, 1 / image.variance
            numerator = data * transfer.conj() * torch.fft.rfft2(measurement) + prior * torch.fft.rfft2(image.mean)
            solved = numerator / (data * transfer.abs().square() + prior)
            return torch.fft.irfft2(solved, s=measurement.shape[-2:])
        if self.border == "unknown":
            return self._canvas_step(canvas, transfer, measurement, noise_variance, image)

        def forward(x: Tensor) -> Tensor:
            return canvas.crop(_convolve(canvas.extend(x, self.border), transfer))

        def adjoint(y: Tensor) -> Tensor:
            return canvas.fold(_convolve(canvas.zeros_outside(y), transfer.conj()), self.border)

        data, prior = 1 / noise_variance, 1 / image.variance
        start = image.mean
        circular = torch.fft.rfft2(canvas.kernel_at_origin(kernel, measurement.shape[-2:])).abs().square()

        def precondition(x: Tensor) -> Tensor:
            return torch.fft.irfft2(torch.fft.rfft2(x) / (data * circular + prior), s=x.shape[-2:])

        return conjugate_gradients(
            lambda x: data * adjoint(forward(x)) + prior * x,
            data * adjoint(measurement) + prior * image.mean,
            start,
            self.image_iterations,
            precondition,
        )

    def _canvas_step(
        self, canvas: _Canvas, transfer: Tensor, measurement: Tensor, noise_variance: Tensor, image: Gaussian
    ) -> Tensor:
        """The unknown border: every pixel of the canvas is unknown, those outside the frame with a wide prior."""
        data, prior = 1 / noise_variance, 1 / image.variance
        inside = canvas.zeros_outside(torch.ones_like(measurement[:, :1]))
        precision = inside * prior + (1 - inside) / torch.clamp(image.variance, min=self.outside**2)
        mean = canvas.extend(image.mean, "unknown")
        power = data * transfer.abs().square() + prior

        def apply(x: Tensor) -> Tensor:
            seen = inside * _convolve(x, transfer)
            return data * _convolve(seen, transfer.conj()) + precision * x

        def precondition(x: Tensor) -> Tensor:
            return torch.fft.irfft2(torch.fft.rfft2(x) / power, s=x.shape[-2:])

        right = data * _convolve(canvas.zeros_outside(measurement), transfer.conj()) + precision * mean
        return canvas.crop(conjugate_gradients(apply, right, mean, self.image_iterations, precondition))

    def parameter_step(
        self, measurement: Tensor, noise_variance: Tensor, image: Gaussian, parameters: Mapping[str, Gaussian]
    ) -> Unknowns:
        """The kernel given the image's estimate, whose own error counts as noise: what is uncertain in the image arrives in
        the measurement through the kernel, so the noise's variance is that of the measurement plus e v sum(k^2)."""
        belief = parameters["kernel"]
        total = belief.mean.clamp(min=0).sum((-3, -2, -1), keepdim=True).clamp(min=1e-8)
        prior = belief.mean.clamp(min=0) / total
        canvas = _Canvas.of(image.mean.shape, prior.shape, self.border)
        weight = self.error_weight or (1.0 if self.border == "circular" else 10.0)
        spread = prior.square().sum((-3, -2, -1), keepdim=True)
        data = 1 / (noise_variance + weight * image.variance * spread)
        pull = total.square() / belief.variance
        picture = torch.fft.rfft2(canvas.extend(image.mean, self.border))
        window = prior.shape[-2:]

        if self.border == "circular":
            gram = data * picture.abs().square().sum(1, keepdim=True)
            target = data * (picture.conj() * torch.fft.rfft2(measurement)).sum(1, keepdim=True)

            def apply(k: Tensor) -> Tensor:
                return canvas.window(torch.fft.irfft2(gram * canvas.spectrum(k), s=canvas.size), window) + pull * k

            right = canvas.window(torch.fft.irfft2(target, s=canvas.size), window) + pull * prior
        else:
            inside = canvas.zeros_outside(torch.ones_like(measurement[:, :1]))

            def back(seen: Tensor) -> Tensor:
                product = (picture.conj() * torch.fft.rfft2(seen)).sum(1, keepdim=True)
                return data * canvas.window(torch.fft.irfft2(product, s=canvas.size), window)

            def apply(k: Tensor) -> Tensor:
                predicted = torch.fft.irfft2(picture * canvas.spectrum(k), s=canvas.size)
                return back(inside * predicted) + pull * k

            right = back(canvas.zeros_outside(measurement)) + pull * prior
        kernel = conjugate_gradients(apply, right, prior, self.kernel_iterations).clamp(min=0)
        kernel = torch.where(kernel < self.drop * kernel.amax((-2, -1), keepdim=True), 0, kernel)
        kernel = recentred(kernel)
        return {"kernel": kernel / kernel.sum((-3, -2, -1), keepdim=True).clamp(min=1e-8) * total}


def recentred(kernel: Tensor) -> Tensor:
    """Each kernel (B, 1, h, w) moved by whole pixels until its centroid is nearest the centre pixel; what would leave is lost."""
    height, width = kernel.shape[-2:]
    rows = torch.arange(height, device=kernel.device, dtype=kernel.dtype)
    columns = torch.arange(width, device=kernel.device, dtype=kernel.dtype)
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


@dataclass(frozen=True)
class _Canvas:
    """A frame (height, width), and around it what a kernel reaches: `above` and `left` pixels, then more to a fast FFT size."""

    height: int
    width: int
    above: int
    left: int
    below: int
    right: int
    size: tuple[int, int]

    @classmethod
    def of(cls, image: torch.Size, kernel: torch.Size, border: str) -> _Canvas:
        height, width = image[-2:]
        if border == "circular":
            return cls(height, width, 0, 0, 0, 0, (height, width))
        down, across = kernel[-2:]
        above, left = down - 1 - down // 2, across - 1 - across // 2
        below, right = down // 2, across // 2
        return cls(height, width, above, left, below, right, (_fast(height + down - 1), _fast(width + across - 1)))

    def extend(self, image: Tensor, border: str) -> Tensor:
        """The image on the canvas, continued as the border says; zero in what only fills up the FFT size."""
        if border == "circular":
            return image
        sides = (self.left, self.right, self.above, self.below)
        return self._fill(F.pad(image, sides, mode=_PADDING[border]))

    def fold(self, canvas: Tensor, border: str) -> Tensor:
        """The adjoint of `extend`."""
        with torch.enable_grad():
            probe = canvas.new_zeros(*canvas.shape[:-2], self.height, self.width).requires_grad_()
            (folded,) = torch.autograd.grad(self.extend(probe, border), probe, canvas)
        return folded

    def crop(self, canvas: Tensor) -> Tensor:
        """The frame."""
        return canvas[..., self.above : self.above + self.height, self.left : self.left + self.width]

    def zeros_outside(self, frame: Tensor) -> Tensor:
        """The adjoint of `crop`."""
        return self._fill(F.pad(frame, (self.left, 0, self.above, 0)))

    def _fill(self, canvas: Tensor) -> Tensor:
        return F.pad(canvas, (0, self.size[1] - canvas.shape[-1], 0, self.size[0] - canvas.shape[-2]))

    def kernel_at_origin(self, kernel: Tensor, size: tuple[int, int]) -> Tensor:
        height, width = kernel.shape[-2:]
        padded = F.pad(kernel, (0, size[1] - width, 0, size[0] - height))
        return padded.roll((-(height // 2), -(width // 2)), dims=(-2, -1))

    def spectrum(self, kernel: Tensor) -> Tensor:
        return torch.fft.rfft2(self.kernel_at_origin(kernel, self.size))

    def window(self, canvas: Tensor, sides: torch.Size) -> Tensor:
        """The adjoint of `kernel_at_origin`."""
        height, width = sides
        return canvas.roll((height // 2, width // 2), dims=(-2, -1))[..., :height, :width]


def _convolve(image: Tensor, transfer: Tensor) -> Tensor:
    return torch.fft.irfft2(torch.fft.rfft2(image) * transfer, s=image.shape[-2:])


def _fast(length: int) -> int:
    """The next length whose prime factors are 2, 3 and 5."""
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 1
