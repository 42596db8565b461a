"""Whether a blind solution is right, from what can be known without the truth.

Numbers are taken from the residual, the image and the kernel, and weighed by two logistic regressions: one says how
likely the kernel is right, the other how likely the image is about as good as its right kernel would make it. They err
apart (a kernel that the draws agree on may leave more than noise unexplained), so a solution is right as likely as both
together. They were fitted by scikit-learn to solves of photographs whose truth was known (`benchmarks/verdict.py`);
their weights are in evidence.json.

Draws that went astray did so each in its way, so that where two agree both are most likely right: a third regression
weighs what is thought of a draw for itself and how far its kernel is like that of another.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.core.abilities import Assessment
from ipt.core.observation import Observation
from ipt.operators.blur.locality import DIFFERS

_LOW_PASS = 2.0
"""Pixels: standard deviation of the Gaussian that leaves a residual's low frequencies."""
_LEVEL = 0.05
"""Noise level, of 0..1, that a denoiser takes off image and measurement."""
_NEAR = 3
"""Pixels: nearer entries of an autocorrelation are the picture's own."""
_FAR = 24
_UNEXPLAINED = 1.2
"""Logarithm of the residual over the noise above which draws were never right that agreed: docs/verdict.md."""
_ALIKE = 0.005
"""Short of 1: kernels that correlate better are alike."""
_NARROW = 0.05
"""Radius, as a share of the window's side, below which kernels agree the less, since all narrow ones are alike."""


def assessments(numbers: Mapping[str, Tensor]) -> list[Assessment]:
    """One of each solution; numbers: their evidence, (B,) each, by name (`locality` where one kernel is assumed)."""
    found = []
    for values in zip(*(each.tolist() for each in numbers.values()), strict=True):
        one = dict(zip(numbers, values, strict=True))
        right = probability(one)
        found.append(Assessment(right, _doubt(one, right), one))
    return found


def compared(assessments: Sequence[Assessment], kernels: Tensor) -> list[Assessment]:
    """Assessments of independent draws, two or more, beside each other; kernels: (draws, 1, h, w).

    The evidence gets `draws_agreement`: the normalized cross-correlation with the kernel that is most like it.
    """
    found, count = [], len(kernels)
    for number, one in enumerate(assessments):
        others = kernels[[other for other in range(count) if other != number]][:, 0]
        agreement = float(_likeness(kernels[number].expand_as(others), others).amax().clamp(max=1))
        numbers = {**one.evidence, "draws_agreement": agreement}
        right = together(one.probability, one.evidence, agreement)
        found.append(Assessment(right, _doubt(numbers, right), numbers))
    return found


def together(probability: float, numbers: Mapping[str, float], agreement: float) -> float:
    """That a draw is right which was thought so likely alone, with this evidence, beside another.

    Args:
        probability: what is thought of it alone.
        numbers: its evidence.
        agreement: of its kernel with the other's, at most 1.
    """
    model = _models()["draws"]
    seen = beside(probability, agreement, numbers["kernel_radius"])
    right = 1 / (1 + math.exp(-model["intercept"] - sum(model[name] * value for name, value in seen.items())))
    return min(right, probability) if numbers["residual"] > _UNEXPLAINED else right


def beside(probability: float, agreement: float, radius: float) -> dict[str, float]:
    """What the regression for draws beside each other sees of one.

    Args:
        probability: what is thought of it alone.
        agreement: of its kernel with another, at most 1.
        radius: of its kernel, as a share of the window's side.
    """
    alone = min(max(probability, 1e-3), 1 - 1e-3)
    likeness = -math.log(1 + _ALIKE - agreement) * min(1.0, radius / _NARROW)
    return {"alone": math.log(alone / (1 - alone)), "agreement": likeness}


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
        observation: what was measured, (B, C, P, Q).
        residual: measurement - prediction, 0 where nothing was measured, (B, C, P, Q).
        image: what was found, (B, C, H, W) in 0..1.
        frame: rows and columns of the image that were measured.
        kernel: what was found, (B, 1, h, w).
        rivals: kernels of draws of smaller images, R of each solution in a row, (B * R, 1, h', w').
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
        agreement: mean correlation of the kernel, made as small as its rivals, with these, whatever their shift.
        best_agreement: the largest of these correlations.
        rivals_agreement: that of its rivals with each other.
    """
    mask = torch.ones_like(residual[:, :1])
    if observation.mask is not None:
        mask = (observation.mask > 0).all(1, keepdim=True).to(residual)
    noise = observation.noise.reshape(-1) / math.sqrt(image.shape[1])
    measured = image.clone()
    measured[(..., *frame)] = observation.measurement
    left = (mask * residual).mean(1, keepdim=True)
    shown, seen = (one[(..., *frame)].mean(1, keepdim=True) for one in (image, measured))
    power = left.square().sum((1, 2, 3)) / mask.sum((1, 2, 3))
    low = _low_passed(left).square().mean((1, 2, 3)).sqrt()
    apart = [(left[..., 2:, :] * left[..., :-2, :]).mean((1, 2, 3)), (left[..., 2:] * left[..., :-2]).mean((1, 2, 3))]
    contrast, before = _contrast(shown), _contrast(seen)
    local = [_low_passed(one).clamp(min=0).sqrt() for one in (contrast, left[..., :-1, :-1].square())]
    moved = [_rms((denoise(one + _LEVEL * _noise_like(one), _LEVEL) - one)[(..., *frame)]) for one in (image, measured)]
    radius, density, border = _shape(kernel)
    others = rivals.unflatten(0, (len(kernel), -1))[:, :, 0]
    count = others.shape[1]
    pairs = [(one, two) for one in range(count) for two in range(one)]
    small = _reduced(kernel, scale)
    agreement = torch.stack(
        [torch.stack([_likeness(one, others[:, rival]) for one in small]).amax(0) for rival in range(count)]
    )
    return {
        "residual": (power.sqrt() / noise).log(),
        "residual_low": (low / (noise / (2 * math.sqrt(math.pi) * _LOW_PASS)) + 1e-6).log(),
        "residual_correlation": 0.5 * (apart[0] + apart[1]) / left.square().mean((1, 2, 3)).clamp(min=1e-12),
        "residual_structure": _correlation(*local),
        "sharpening": 0.5 * (contrast.mean((1, 2, 3)) / before.mean((1, 2, 3)).clamp(min=1e-12)).log(),
        "sparsity": (_contrast(shown).sqrt().mean((1, 2, 3)) / contrast.mean((1, 2, 3)).sqrt().clamp(min=1e-6)).log(),
        "unlikeliness": (moved[0] / moved[1].clamp(min=1e-6)).log(),
        "ringing": _ringing(shown),
        "kernel_radius": radius / max(kernel.shape[-2:]),
        "kernel_density": density,
        "kernel_border": border,
        "agreement": agreement.mean(0),
        "best_agreement": agreement.amax(0),
        "rivals_agreement": torch.stack([_likeness(others[:, one], others[:, two]) for one, two in pairs]).mean(0)
        if pairs
        else torch.ones_like(radius),
    }


def probability(numbers: Mapping[str, float]) -> float:
    """That a solution with this evidence has the right kernel, and an image that is as good as that allows, 0..1."""
    found = 1.0
    for model in (_models()[told] for told in ("kernel", "image")):
        total = float(model["intercept"])
        for name, (mean, scale, weight) in model["weights"].items():
            # What lies far outside of what the model was fitted to says no more in favour than what lies at its edge.
            total += min(3 * abs(weight), weight * (numbers[name] - mean) / scale)
        found /= 1 + math.exp(-max(-30.0, total))
    return found


def _doubt(numbers: Mapping[str, float], right: float) -> str:
    """What is likely wrong with a solution, in words; right: the probability that nothing is."""
    if numbers.get("locality", 0.0) > DIFFERS:
        return "the blur seems to differ from place to place, as of a camera that turned: try operator=shake"
    if right >= 0.5:
        return ""
    if numbers["kernel_border"] > 0.03:
        return "the kernel reaches the edge of its window, so it may be wider: give a larger operator.kernel_size"
    if numbers["sharpening"] < 0.1:
        return "the picture has hardly changed, so it may not be blurred, or too little of it is sharp enough to tell"
    if numbers["residual"] > 0.7 and numbers["residual_structure"] > 0.5:
        return (
            "what is left unexplained follows the picture's edges, as with something that moved, or clipped lights: "
            "leave these out with mask="
        )
    if numbers["ringing"] > 0.6:
        return "the picture repeats itself as ringing does, so the kernel was not found"
    return "the kernel was not found; if it may be wider than its window, give a larger operator.kernel_size"


def _shape(kernel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Radius in pixels, density and share at the window's border of kernels that sum to 1, (B,) each."""
    height, width = kernel.shape[-2:]
    share = kernel[:, 0] / kernel[:, 0].sum((-2, -1), keepdim=True).clamp(min=1e-8)
    rows, columns = torch.arange(height).to(share)[:, None], torch.arange(width).to(share)
    down, across = ((share * place).sum((-2, -1), keepdim=True) for place in (rows, columns))
    radius = (share * ((rows - down).square() + (columns - across).square())).sum((-2, -1)).sqrt()
    entropy = -(share * (share + 1e-12).log()).sum((-2, -1))
    inner = share[:, 2:-2, 2:-2].sum((-2, -1)) if min(height, width) > 4 else torch.ones_like(radius)
    return radius, entropy - 2 * (radius + 0.5).log(), 1 - inner


def _reduced(kernel: Tensor, scale: int) -> list[Tensor]:
    """Kernels (B, 1, h, w) of an image so many times smaller, (B, h', w') each, at every place on its pixels."""
    if scale == 1:
        return [kernel[:, 0]]
    places = [(down, across) for down in range(scale) for across in range(scale)]
    padded = [F.pad(kernel, (across, 2 * scale - across, down, 2 * scale - down)) for down, across in places]
    return [F.avg_pool2d(one, scale)[:, 0] for one in padded]


def _likeness(first: Tensor, second: Tensor) -> Tensor:
    """Largest normalized cross-correlation of kernels (B, h, w) over all shifts, (B,)."""
    size = (first.shape[-2] + second.shape[-2], first.shape[-1] + second.shape[-1])
    product = torch.fft.rfft2(first, s=size) * torch.fft.rfft2(second, s=size).conj()
    largest = torch.fft.irfft2(product, s=size).amax((-2, -1))
    likeness: Tensor = largest / (first.square().sum((-2, -1)) * second.square().sum((-2, -1))).sqrt().clamp(min=1e-12)
    return likeness


def _ringing(picture: Tensor) -> Tensor:
    """Largest autocorrelation of fine detail from `_NEAR` to `_FAR` pixels apart, (B,)."""
    detail = (picture - _low_passed(picture))[:, 0]
    detail = detail - detail.mean((-2, -1), keepdim=True)
    height, width = detail.shape[-2:]
    size = (2 * height, 2 * width)
    spectrum = torch.fft.rfft2(detail, s=size)
    found = torch.fft.irfft2(spectrum.real.square() + spectrum.imag.square(), s=size)
    found = found / found[:, :1, :1].clamp(min=1e-12)
    far = min(_FAR, height // 4, width // 4)
    found = found.roll((far, far), (-2, -1))[:, : 2 * far + 1, : 2 * far + 1]
    place = torch.arange(-far, far + 1).to(found)
    beyond = torch.hypot(place[:, None], place) >= _NEAR
    largest: Tensor = found[:, beyond].abs().amax(1)
    return largest


def _contrast(picture: Tensor) -> Tensor:
    """Squared length of the gradient, (B, 1, H - 1, W - 1)."""
    down = picture[..., 1:, :-1] - picture[..., :-1, :-1]
    across = picture[..., :-1, 1:] - picture[..., :-1, :-1]
    return down.square() + across.square()


def _low_passed(picture: Tensor) -> Tensor:
    reach = int(3 * _LOW_PASS) + 1
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1).to(picture) / _LOW_PASS).square())
    taps = taps / taps.sum()
    wide = F.pad(picture, (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(F.conv2d(wide, taps.view(1, 1, -1, 1)), taps.view(1, 1, 1, -1))


def _correlation(first: Tensor, second: Tensor) -> Tensor:
    first, second = (one.flatten(1) - one.flatten(1).mean(1, keepdim=True) for one in (first, second))
    return (first * second).mean(1) / (first.square().mean(1) * second.square().mean(1)).sqrt().clamp(min=1e-12)


def _rms(picture: Tensor) -> Tensor:
    return picture.flatten(1).square().mean(1).sqrt()


def _noise_like(picture: Tensor) -> Tensor:
    """The same noise for every picture of a size, so that an assessment depends on nothing but the solution."""
    drawn = torch.randn(picture.shape[1:], generator=torch.Generator().manual_seed(0))
    return drawn.to(picture)


@cache
def _models() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(resources.files(__package__).joinpath("evidence.json").read_text("utf-8"))
    return found
