"""Numbers for how good a result is. Pictures are (C, H, W) in 0..1, kernels (1, H, W) or (H, W); numpy or torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft, optimize
from skimage.metrics import structural_similarity
from torch import Tensor

Values = Tensor | ArrayLike
Array = NDArray[np.float64]
_SSIM_SIDE = 11
"""SSIM looks at windows of this side."""


def psnr(image: Values, reference: Values) -> float:
    """Peak signal-to-noise ratio in dB, -10 log10(mean squared difference); infinite for equal pictures."""
    first, second = _pair(image, reference)
    error = float(np.square(first - second).mean())
    return math.inf if error == 0 else -10 * math.log10(error)


def ssim(image: Values, reference: Values) -> float:
    """Structural similarity (Wang et al., 2004), the mean over channels; Gaussian weights of standard deviation 1.5."""
    first, second = _pair(image, reference)
    if min(first.shape[1:]) < _SSIM_SIDE:
        raise ValueError(
            f"SSIM looks at windows of {_SSIM_SIDE} px; the picture has {first.shape[2]} x {first.shape[1]}"
        )
    return float(
        structural_similarity(
            first, second, data_range=1.0, channel_axis=0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
    )


@dataclass(frozen=True)
class Registered:
    """A picture that was moved to lie on another; psnr(image, reference) - psnr(before, reference) is what drift costs.

    Attributes:
        image: moved by `shift`, cropped.
        before: not moved, cropped alike.
        reference: cropped alike.
        shift: rows and columns, in pixels.
    """

    image: Array
    before: Array
    reference: Array
    shift: tuple[float, float]


def registered(image: Values, reference: Values, max_shift: float = 8.0) -> Registered:
    """Blind deblurring cannot tell a moved kernel from a moved picture: the result moved to where the reference is.

    The shift with the smallest squared difference, within +-max_shift pixels on each axis: every whole pixel is tried,
    then the best is refined below a pixel by phase ramps on the mirrored picture. (Splines would smooth it, and a
    noisy picture would seem to have drifted because that is rewarded.) A border of max_shift + 2 pixels is cropped, so
    that only pixels that were there are compared; pictures beyond 256 pixels are refined on their middle. ValueError:
    the picture is too small for that.
    """
    moving, fixed = _pair(image, reference)
    reach = math.ceil(max_shift)
    border = reach + 2
    if min(fixed.shape[1:]) <= 2 * border + 1:
        raise ValueError(
            f"a picture of {fixed.shape[2]} x {fixed.shape[1]} px is too small to search {max_shift} px of shift"
        )
    inner = fixed[:, border:-border, border:-border]
    around = moving[:, 2:-2, 2:-2]
    flipped = inner[:, ::-1, ::-1]
    # ||window - inner||^2 for every window of `around`, up to the constant ||inner||^2.
    rows, columns = (slice(inner.shape[axis] - 1, around.shape[axis]) for axis in (1, 2))
    energy = sum(_convolved(channel**2, np.ones(inner.shape[1:]))[rows, columns] for channel in around)
    product = sum(_convolved(a, b)[rows, columns] for a, b in zip(around, flipped, strict=True))
    best = np.unravel_index(np.argmin(energy - 2 * product), (2 * reach + 1, 2 * reach + 1))
    start = np.array([reach - best[0], reach - best[1]], dtype=float)
    side = max(256, 4 * border)
    middle = tuple(slice(max(0, (length - side) // 2), (length + side) // 2) for length in moving.shape[1:])
    sample, target = moving[:, *middle], fixed[:, *middle]
    spectrum = _spectrum(sample)

    def cropped(values: Array) -> Array:
        return values[:, border:-border, border:-border]

    def difference(shift: Array) -> float:
        return float(np.square(cropped(_moved(spectrum, sample.shape, shift) - target)).mean())

    bounds = [(max(-max_shift, value - 1), min(max_shift, value + 1)) for value in start]
    simplex = start + np.array([[0, 0], [0.4, 0], [0, 0.4]]) * np.where(start > 0, -1, 1)
    options = {"xatol": 0.005, "fatol": 1e-10, "maxfev": 80, "initial_simplex": simplex}
    found = optimize.minimize(difference, start, method="Nelder-Mead", bounds=bounds, options=options).x
    before = cropped(moving)
    after = cropped(_moved(_spectrum(moving), moving.shape, found))
    # Not moving at all is always allowed.
    if np.square(before - inner).mean() <= np.square(after - inner).mean():
        return Registered(before, before, inner, (0.0, 0.0))
    return Registered(after, before, inner, (float(found[0]), float(found[1])))


def _spectrum(values: Array) -> Array:
    """The Fourier transform of (C, H, W) mirrored at its lower and right edges, where it would else jump."""
    height, width = values.shape[1:]
    spectrum: Array = fft.rfft2(np.pad(values, ((0, 0), (0, height), (0, width)), mode="symmetric"))
    return spectrum


def _moved(spectrum: Array, shape: tuple[int, ...], shift: Array) -> Array:
    """The picture behind a `_spectrum`, moved by (rows, columns)."""
    height, width = shape[1:]
    rows = np.exp(-2j * np.pi * shift[0] * fft.fftfreq(2 * height))[:, None]
    columns = np.exp(-2j * np.pi * shift[1] * fft.rfftfreq(2 * width))
    moved: Array = fft.irfft2(spectrum * rows * columns, s=(2 * height, 2 * width))
    return moved[:, :height, :width]


def kernel_mse(kernel: Values, reference: Values, register: bool = False) -> float:
    """Mean squared difference between two kernels, their centre pixels (H // 2, W // 2) together.

    The smaller one is padded with zeros; with `register`, it is the smallest over all shifts by whole pixels.
    """
    first, second = _together(kernel, reference)
    if register:
        squares = np.square(first).sum() + np.square(second).sum() - 2 * _correlation(first, second).max()
        return max(0.0, float(squares)) / first.size
    return float(np.square(first - second).mean())


def kernel_mnc(kernel: Values, reference: Values, register: bool = True) -> float:
    """Maximum of the normalised cross-correlation of two kernels: 1 for the same shape, 0 where one is all zero.

    Sizes may differ; n * n kernels in their places count as their mean. Without `register`, centre pixels together.

    References:
        Hu, Yang, "Good Regions to Deblur" (ECCV 2012), section 5.
    """
    first, second = _together(kernel, reference)
    scale = float(np.linalg.norm(first) * np.linalg.norm(second))
    found = _correlation(first, second).max() if register else (first * second).sum()
    return float(found / scale) if scale else 0.0


def endpoint_error(field: Values, reference: Values, register: bool = False) -> float:
    """Mean distance between the ends of two fields of displacements (2, H, W), in their unit (pixels).

    register: with their mean difference taken off, since a shift of the whole picture cannot be told from one of the
    scene.
    """
    first, second = _pair(field, reference)
    if len(first) != 2:
        raise ValueError(f"a field of displacements is (2, height, width), not {first.shape}")
    difference = first - second
    if register:
        difference = difference - difference.mean((1, 2), keepdims=True)
    return float(np.hypot(*difference).mean())


def against_reference(image: Values, reference: Values, max_shift: float = 8.0) -> dict[str, float]:
    """A result against the truth: psnr, ssim, psnr_registered, drift (pixels) and drift_cost (dB).

    The last three only where the picture is large enough to search `max_shift` pixels, ssim only from 11 pixels on.
    """
    numbers = {"psnr": psnr(image, reference)}
    side = min(_array(reference).shape[1:])
    if side >= _SSIM_SIDE:
        numbers["ssim"] = ssim(image, reference)
    if side > 2 * (math.ceil(max_shift) + 2) + 1:
        match = registered(image, reference, max_shift)
        numbers["psnr_registered"] = psnr(match.image, match.reference)
        numbers["drift"] = math.hypot(*match.shift)
        numbers["drift_cost"] = numbers["psnr_registered"] - psnr(match.before, match.reference)
    return numbers


def against_truth(
    result: Tensor,
    clean: Tensor,
    others: Mapping[str, Tensor],
    parameters: Mapping[str, Tensor],
    true_parameters: Mapping[str, Tensor],
    frames: int = 1,
) -> dict[str, float]:
    """A result against all of the truth, as written: clipped to 0..1.

    Args:
        result: (C, H, W).
        clean: the true picture, (C, H, W).
        others: what else is compared with it where it has its size, by name: "input" becomes "psnr_input".
        parameters: that were found, by name; of several frames (frames * C, H, W).
        true_parameters: by name, as far as they are known; of several frames (frames, C, H, W).
        frames: of which the numbers of parameters are the mean.

    Returns:
        The numbers of `against_reference`, and of each parameter its mnc and mse where it is a kernel (of several the
        means), else its error: the root mean square difference, in its unit (of displacements: the mean distance). Of a
        map as large as the picture also the correlation, about the means.
    """
    result, clean = result.clamp(0, 1), clean.clamp(0, 1)
    numbers = against_reference(result, clean)
    for name, other in others.items():
        if other.shape == clean.shape:
            numbers[f"psnr_{name}"] = psnr(other.clamp(0, 1), clean)
    for name, value in parameters.items():
        if name in true_parameters:
            each, true = value.reshape(frames, -1, *value.shape[1:]), true_parameters[name]
            numbers |= {
                f"{name}_{kind}": number for kind, number in _mean_numbers(each, true, result.shape[1:]).items()
            }
    return numbers


def _mean_numbers(values: Tensor, true: Tensor, sides: Sequence[int]) -> dict[str, float]:
    """Of a parameter's frames (F, C, H, W) against the true ones; none where there are not as many.

    sides: of the picture.
    """
    each = true if true.ndim == 4 else true[None]
    if len(each) != len(values):
        return {}
    numbers = [_numbers(value, one, sides) for value, one in zip(values, each, strict=True)]
    return {kind: sum(of[kind] for of in numbers) / len(numbers) for kind in numbers[0]}


def _numbers(value: Tensor, true: Tensor, sides: Sequence[int]) -> dict[str, float]:
    """Of a parameter (C, H, W) against the true one; none where the two cannot be compared."""
    plane = min(*value.shape[1:], *true.shape[1:]) > 1
    is_map = plane and all(own >= side for own, side in zip(value.shape[1:], sides, strict=True))
    one_or_kernels = len(true) == 1 or float((true.sum((-2, -1)) - 1).abs().max()) < 0.01
    places = len(true) == 1 and math.isqrt(len(value)) ** 2 == len(value)
    if plane and (places or len(value) == len(true)) and not is_map and one_or_kernels:
        pairs = [(value, true)] if places else list(zip(value, true, strict=True))
        found = {"mnc": [kernel_mnc(*pair) for pair in pairs], "mse": [kernel_mse(*pair) for pair in pairs]}
        return {kind: sum(numbers) / len(pairs) for kind, numbers in found.items()}
    if value.shape != true.shape:
        return {}
    if plane and len(value) == 2:
        return {"error": endpoint_error(value, true)}
    error = {"error": float((value - true).square().mean().sqrt())}
    if not is_map:
        return error
    first, second = (one.double() - one.double().mean() for one in (value, true))
    size = float(first.norm() * second.norm())
    return error | {"correlation": float((first * second).sum()) / size if size else 0.0}


def _array(values: Values) -> Array:
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    return np.asarray(values, dtype=np.float64)


def _pair(image: Values, reference: Values) -> tuple[Array, Array]:
    first, second = _array(image), _array(reference)
    if first.shape != second.shape or first.ndim != 3:
        raise ValueError(
            f"two pictures (channels, height, width) of one shape are compared, not {first.shape} and {second.shape}"
        )
    return first, second


def _kernel(values: Values) -> Array:
    kernel = _array(values)
    if kernel.ndim == 3 and math.isqrt(len(kernel)) ** 2 == len(kernel):
        kernel = kernel.mean(0)
    if kernel.ndim != 2:
        raise ValueError(f"a kernel is (1, height, width) or (height, width), not {kernel.shape}")
    return kernel


def _together(kernel: Values, reference: Values) -> tuple[Array, Array]:
    """Two kernels in one window, their centre pixels together."""
    first, second = _kernel(kernel), _kernel(reference)
    height, width = np.maximum(first.shape, second.shape)
    return _centred(first, height, width), _centred(second, height, width)


def _correlation(first: Array, second: Array) -> Array:
    """Of two kernels, at every shift by whole pixels."""
    return _convolved(first, second[::-1, ::-1])


def _convolved(first: Array, second: Array) -> Array:
    """The convolution in full, which scipy.signal has too, but takes long to load."""
    shape = [a + b - 1 for a, b in zip(first.shape, second.shape, strict=True)]
    convolved: Array = fft.irfft2(fft.rfft2(first, shape) * fft.rfft2(second, shape), shape)
    return convolved


def _centred(kernel: Array, height: int, width: int) -> Array:
    top, left = height // 2 - kernel.shape[0] // 2, width // 2 - kernel.shape[1] // 2
    window = np.zeros((height, width))
    window[top : top + kernel.shape[0], left : left + kernel.shape[1]] = kernel
    return window
