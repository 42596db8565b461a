"""Numbers by which a blind solution is judged without the truth.

    observation, residual, image, kernel, rivals --evidence--> numbers --`ipt.operators.blur.assessment`--> probability

They look at four things: whether the residual is noise, whether the image looks like a picture, whether the kernel is
compact, and whether it agrees with the kernels of other draws (rivals) of a smaller image.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.core.observation import Observation
from ipt.linalg.norms import rms
from ipt.operators.blur.measured import fully_measured

_LOW_PASS = 2.0
"""Pixels: standard deviation of the Gaussian that leaves a residual's low frequencies."""
_LEVEL = 0.05
"""Standard deviation, in units of 0..1, of the noise that is added to image and measurement and removed by a
denoiser."""
_NEAR, _FAR = 3, 24
"""Pixels: ringing is looked for at these distances. At smaller ones, any picture is correlated with itself."""


def evidence(
    observation: Observation,
    residual: Tensor,
    image: Tensor,
    frame: tuple[slice, slice],
    kernel: Tensor,
    rivals: Tensor,
    scale: int,
    denoise: Callable[[Tensor, float], Tensor],
) -> dict[str, Tensor]:
    """The numbers, (B,) each, by name.

    Args:
        observation: the measurement, (B, C, P, Q).
        residual: measurement - prediction, 0 where nothing was measured, (B, C, P, Q).
        image: the estimate, (B, C, H, W) in 0..1.
        frame: rows and columns of the image that were measured.
        kernel: the estimate, (B, 1, h, w).
        rivals: kernels of draws of smaller images, R for each solution in a row, (B * R, 1, h', w').
        scale: how many times smaller these images were.
        denoise: the image prior's denoiser, of images and noise levels in 0..1.

    Returns:
        residual: logarithm of the luminance's residual over its noise.
        residual_low: the same of its low frequencies.
        residual_correlation: of luminance residuals two pixels apart.
        residual_structure: correlation of the residual's and the image's local contrast.
        sharpening: logarithm of the image's gradients over the measurement's.
        sparsity: logarithm of the gradients' mean over their root mean square.
        unlikeliness: logarithm of how far a denoiser moves the image, over how far the measurement.
        ringing: largest autocorrelation of fine detail, some pixels apart.
        kernel_radius: root mean square, as a share of the window's side.
        kernel_density: logarithm of how many entries the kernel has, over the square of its radius.
        kernel_border: share of the kernel in the outer two lines of its window.
        agreement: mean correlation of the kernel, reduced to the size of its rivals, with each of them, at the best
            shift.
        best_agreement: the largest of these correlations.
        rivals_agreement: mean correlation of the rivals with each other.
    """
    measured = image.clone()
    measured[(..., *frame)] = observation.measurement
    mask = fully_measured(observation, residual)
    luminance_noise = observation.noise.reshape(-1) / math.sqrt(image.shape[1])
    luminance = image[(..., *frame)].mean(1, keepdim=True)
    return {
        **_of_residual((mask * residual).mean(1, keepdim=True), mask, luminance_noise, luminance),
        **_of_image(image, measured, frame, denoise),
        **_of_kernel(kernel),
        **_of_rivals(kernel, rivals, scale),
    }


def _of_residual(residual: Tensor, mask: Tensor, noise: Tensor, image: Tensor) -> dict[str, Tensor]:
    """Whether the residual is white noise of the right level.

    Args:
        residual: of the luminance, 0 where nothing was measured, (B, 1, P, Q).
        mask: 1 where something was measured, else 0, (B, 1, P, Q).
        noise: standard deviation of the luminance's noise, (B,).
        image: the image's luminance in the frame, (B, 1, P, Q).
    """
    power = residual.square().sum((1, 2, 3)) / mask.sum((1, 2, 3))
    low = _low_passed(residual).square().mean((1, 2, 3)).sqrt()
    low_noise = noise / (2 * math.sqrt(math.pi) * _LOW_PASS)
    down = (residual[..., 2:, :] * residual[..., :-2, :]).mean((1, 2, 3))
    across = (residual[..., 2:] * residual[..., :-2]).mean((1, 2, 3))
    image_contrast = _low_passed(_squared_gradient(image)).clamp(min=0).sqrt()
    residual_contrast = _low_passed(residual[..., :-1, :-1].square()).clamp(min=0).sqrt()
    return {
        "residual": (power.sqrt() / noise).log(),
        "residual_low": (low / low_noise + 1e-6).log(),
        "residual_correlation": 0.5 * (down + across) / residual.square().mean((1, 2, 3)).clamp(min=1e-12),
        "residual_structure": _correlation(image_contrast, residual_contrast),
    }


def _of_image(
    image: Tensor, measured: Tensor, frame: tuple[slice, slice], denoise: Callable[[Tensor, float], Tensor]
) -> dict[str, Tensor]:
    """Whether the image is a sharp picture without artefacts.

    Args:
        image: the estimate, (B, C, H, W) in 0..1.
        measured: the same with the measurement in the frame.
        frame: rows and columns of the frame.
        denoise: as of `evidence`.
    """
    luminance, measured_luminance = (picture[(..., *frame)].mean(1, keepdim=True) for picture in (image, measured))
    gradient = _squared_gradient(luminance)
    energy, measured_energy = gradient.mean((1, 2, 3)), _squared_gradient(measured_luminance).mean((1, 2, 3))
    moved, measured_moved = (_moved(picture, frame, denoise) for picture in (image, measured))
    return {
        "sharpening": 0.5 * (energy / measured_energy.clamp(min=1e-12)).log(),
        "sparsity": (gradient.sqrt().mean((1, 2, 3)) / energy.sqrt().clamp(min=1e-6)).log(),
        "unlikeliness": (moved / measured_moved.clamp(min=1e-6)).log(),
        "ringing": _ringing(luminance),
    }


def _of_kernel(kernel: Tensor) -> dict[str, Tensor]:
    """Whether a kernel (B, 1, h, w) is compact and fits into its window."""
    radius, density, border = _shape(kernel)
    return {"kernel_radius": radius / max(kernel.shape[-2:]), "kernel_density": density, "kernel_border": border}


def _of_rivals(kernel: Tensor, rivals: Tensor, scale: int) -> dict[str, Tensor]:
    """Whether the kernel agrees with its rivals, and these with each other; arguments as of `evidence`."""
    others = rivals.unflatten(0, (len(kernel), -1))[:, :, 0].unbind(1)
    reduced = _reduced(kernel, scale)
    agreement = torch.stack([torch.stack([likeness(one, other) for one in reduced]).amax(0) for other in others])
    pairs = [(first, second) for number, first in enumerate(others) for second in others[:number]]
    among_rivals = [likeness(first, second) for first, second in pairs]
    return {
        "agreement": agreement.mean(0),
        "best_agreement": agreement.amax(0),
        "rivals_agreement": torch.stack(among_rivals).mean(0) if pairs else torch.ones_like(agreement[0]),
    }


def _shape(kernel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Radius in pixels, density and share at the window's border of kernels (B, 1, h, w), (B,) each."""
    height, width = kernel.shape[-2:]
    share = kernel[:, 0] / kernel[:, 0].sum((-2, -1), keepdim=True).clamp(min=1e-8)
    rows, columns = torch.arange(height).to(share)[:, None], torch.arange(width).to(share)
    down, across = ((share * place).sum((-2, -1), keepdim=True) for place in (rows, columns))
    radius = (share * ((rows - down).square() + (columns - across).square())).sum((-2, -1)).sqrt()
    entropy = -(share * (share + 1e-12).log()).sum((-2, -1))
    inner = share[:, 2:-2, 2:-2].sum((-2, -1)) if min(height, width) > 4 else torch.ones_like(radius)
    return radius, entropy - 2 * (radius + 0.5).log(), 1 - inner


def _reduced(kernel: Tensor, scale: int) -> list[Tensor]:
    """Kernels (B, 1, h, w) for an image `scale` times smaller, (B, h', w') each, at every shift within its pixels."""
    if scale == 1:
        return [kernel[:, 0]]
    shifts = [(down, across) for down in range(scale) for across in range(scale)]
    padded = [F.pad(kernel, (across, 2 * scale - across, down, 2 * scale - down)) for down, across in shifts]
    return [F.avg_pool2d(each, scale)[:, 0] for each in padded]


def likeness(first: Tensor, second: Tensor) -> Tensor:
    """Largest normalized cross-correlation of kernels (B, h, w) over all shifts, (B,)."""
    size = (first.shape[-2] + second.shape[-2], first.shape[-1] + second.shape[-1])
    product = torch.fft.rfft2(first, s=size) * torch.fft.rfft2(second, s=size).conj()
    largest = torch.fft.irfft2(product, s=size).amax((-2, -1))
    norms = (first.square().sum((-2, -1)) * second.square().sum((-2, -1))).sqrt()
    found: Tensor = largest / norms.clamp(min=1e-12)
    return found


def _moved(picture: Tensor, frame: tuple[slice, slice], denoise: Callable[[Tensor, float], Tensor]) -> Tensor:
    """How far a denoiser moves a noisy picture from the clean one in the frame: root mean square, (B,).

    The noise is the same for every picture of a size, so that an assessment depends on nothing but the solution.
    """
    noise = torch.randn(picture.shape[1:], generator=torch.Generator().manual_seed(0)).to(picture)
    return rms((denoise(picture + _LEVEL * noise, _LEVEL) - picture)[(..., *frame)])


def _ringing(picture: Tensor) -> Tensor:
    """Largest autocorrelation of the fine detail of (B, 1, H, W) from `_NEAR` to `_FAR` pixels apart, (B,)."""
    detail = (picture - _low_passed(picture))[:, 0]
    detail = detail - detail.mean((-2, -1), keepdim=True)
    height, width = detail.shape[-2:]
    size = (2 * height, 2 * width)
    spectrum = torch.fft.rfft2(detail, s=size)
    correlation = torch.fft.irfft2(spectrum.real.square() + spectrum.imag.square(), s=size)
    correlation = correlation / correlation[:, :1, :1].clamp(min=1e-12)
    far = min(_FAR, height // 4, width // 4)
    correlation = correlation.roll((far, far), (-2, -1))[:, : 2 * far + 1, : 2 * far + 1]
    lag = torch.arange(-far, far + 1).to(correlation)
    largest: Tensor = correlation[:, torch.hypot(lag[:, None], lag) >= _NEAR].abs().amax(1)
    return largest


def _squared_gradient(picture: Tensor) -> Tensor:
    """Squared length of the gradient of (B, 1, H, W), (B, 1, H - 1, W - 1)."""
    down = picture[..., 1:, :-1] - picture[..., :-1, :-1]
    across = picture[..., :-1, 1:] - picture[..., :-1, :-1]
    return down.square() + across.square()


def _low_passed(picture: Tensor) -> Tensor:
    """A picture (B, 1, H, W) blurred by a Gaussian of `_LOW_PASS` pixels; its border pixels are repeated outside."""
    reach = int(3 * _LOW_PASS) + 1
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1).to(picture) / _LOW_PASS).square())
    taps = taps / taps.sum()
    wide = F.pad(picture, (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(F.conv2d(wide, taps.view(1, 1, -1, 1)), taps.view(1, 1, 1, -1))


def _correlation(first: Tensor, second: Tensor) -> Tensor:
    """Pearson's correlation of two pictures, (B,)."""
    first, second = (each.flatten(1) - each.flatten(1).mean(1, keepdim=True) for each in (first, second))
    return (first * second).mean(1) / (first.square().mean(1) * second.square().mean(1)).sqrt().clamp(min=1e-12)
