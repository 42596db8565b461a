"""Metrics of a result against the truth: PSNR and SSIM of pictures, correlation and error of parameters.

Arrays are of numpy or torch: pictures (C, H, W) in 0..1, kernels (1, H, W) or (H, W).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from skimage.metrics import structural_similarity
from torch import Tensor

from ipt.solve.arrays import Array, Values, as_array, as_pair, convolved
from ipt.solve.drift import registered

SSIM_SIDE = 11
"""Pixels of the side of SSIM's windows; a smaller picture has no SSIM."""


def psnr(image: Values, reference: Values) -> float:
    """Peak signal-to-noise ratio in dB, -10 log10(mean squared difference); infinite for equal pictures."""
    first, second = as_pair(image, reference)
    error = float(np.square(first - second).mean())
    return math.inf if error == 0 else -10 * math.log10(error)


def ssim(image: Values, reference: Values) -> float:
    """Structural similarity, the mean over channels, with Gaussian weights of standard deviation 1.5 px.

    Raises:
        ValueError: the pictures differ in shape, or have less than `SSIM_SIDE` pixels on a side.

    References:
        Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to structural similarity",
        IEEE Transactions on Image Processing 13, 2004.
    """
    first, second = as_pair(image, reference)
    if min(first.shape[1:]) < SSIM_SIDE:
        raise ValueError(
            f"SSIM looks at windows of {SSIM_SIDE} px; the picture has {first.shape[2]} x {first.shape[1]}"
        )
    return float(
        structural_similarity(
            first, second, data_range=1.0, channel_axis=0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
    )


def kernel_mse(kernel: Values, reference: Values, register: bool = False) -> float:
    """Mean squared difference between two kernels, their centre pixels (H // 2, W // 2) together.

    The smaller one is padded with zeros. With `register`, it is the least over all whole-pixel shifts.
    """
    first, second = _together(kernel, reference)
    if register:
        squares = np.square(first).sum() + np.square(second).sum() - 2 * _correlation(first, second).max()
        return max(0.0, float(squares)) / first.size
    return float(np.square(first - second).mean())


def kernel_mnc(kernel: Values, reference: Values, register: bool = True) -> float:
    """Maximum of the normalised cross-correlation of two kernels: 1 for the same shape, 0 where one is all zero.

    Sizes may differ. A grid of n * n kernels counts as its mean. Without `register` the centre pixels lie together, and
    the correlation is that of shift 0.

    References:
        Hu, Yang, "Good Regions to Deblur" (ECCV 2012), section 5.
    """
    first, second = _together(kernel, reference)
    scale = float(np.linalg.norm(first) * np.linalg.norm(second))
    found = _correlation(first, second).max() if register else (first * second).sum()
    return float(found / scale) if scale else 0.0


def endpoint_error(field: Values, reference: Values, register: bool = False) -> float:
    """Mean end-point distance of two displacement fields (2, H, W), in their unit (pixels).

    With `register` the mean difference is subtracted, since a shift of the whole field cannot be told from one of the
    scene.

    Raises:
        ValueError: the fields differ in shape, or are not (2, H, W).
    """
    first, second = as_pair(field, reference)
    if len(first) != 2:
        raise ValueError(f"a field of displacements is (2, height, width), not {first.shape}")
    difference = first - second
    if register:
        difference = difference - difference.mean((1, 2), keepdims=True)
    return float(np.hypot(*difference).mean())


def against_reference(image: Values, reference: Values, max_shift: float = 8.0) -> dict[str, float]:
    """A picture against the true one: psnr (dB), ssim, psnr_registered (dB), drift (pixels) and drift_cost (dB).

    ssim is left out below `SSIM_SIDE` pixels, the last three where the picture is too small for `registered`.
    """
    numbers = {"psnr": psnr(image, reference)}
    side = min(as_array(reference).shape[1:])
    if side >= SSIM_SIDE:
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
    """Picture and parameters of a result against the true ones; pictures are clipped to 0..1, as in their files.

    Args:
        result: (C, H, W).
        clean: the true picture, (C, H, W).
        others: other pictures to compare with it, by name: "input" becomes "psnr_input". Skipped at another size.
        parameters: of the result, by name; (frames * C, H, W) of several frames.
        true_parameters: by name, those that are known; (frames, C, H, W) of several frames, or (C, H, W) of all.
        frames: number of exposures; a parameter's numbers are means over them.

    Returns:
        The numbers of `against_reference`. For each kernel NAME_mnc and NAME_mse; for every other parameter NAME_error,
        the root mean square difference in its unit, or the mean end-point distance of displacements; and for a map as
        large as the picture also NAME_correlation, Pearson's.
    """
    result, clean = result.clamp(0, 1), clean.clamp(0, 1)
    numbers = against_reference(result, clean)
    for name, other in others.items():
        if other.shape == clean.shape:
            numbers[f"psnr_{name}"] = psnr(other.clamp(0, 1), clean)
    for name, value in parameters.items():
        if name in true_parameters:
            by_frame = value.reshape(frames, -1, *value.shape[1:])
            found = _parameter_numbers(by_frame, true_parameters[name], result.shape[1:])
            numbers |= {f"{name}_{kind}": number for kind, number in found.items()}
    return numbers


def _parameter_numbers(values: Tensor, true: Tensor, sides: Sequence[int]) -> dict[str, float]:
    """The means over a parameter's frames (F, C, H, W); empty if the truth has another number of frames.

    sides: of the picture.
    """
    each = true if true.ndim == 4 else true[None].expand(len(values), *true.shape)
    if len(each) != len(values):
        return {}
    numbers = [_frame_numbers(value, one, sides) for value, one in zip(values, each, strict=True)]
    return {kind: sum(of[kind] for of in numbers) / len(numbers) for kind in numbers[0]}


def _frame_numbers(value: Tensor, true: Tensor, sides: Sequence[int]) -> dict[str, float]:
    """A parameter (C, H, W) against the true one; empty if the two cannot be compared."""
    is_plane = min(*value.shape[1:], *true.shape[1:]) > 1
    is_map = is_plane and all(own >= side for own, side in zip(value.shape[1:], sides, strict=True))
    one_or_kernels = len(true) == 1 or float((true.sum((-2, -1)) - 1).abs().max()) < 0.01
    is_grid = len(true) == 1 and math.isqrt(len(value)) ** 2 == len(value)
    if is_plane and (is_grid or len(value) == len(true)) and not is_map and one_or_kernels:
        pairs = [(value, true)] if is_grid else list(zip(value, true, strict=True))
        found = {"mnc": [kernel_mnc(*pair) for pair in pairs], "mse": [kernel_mse(*pair) for pair in pairs]}
        return {kind: sum(numbers) / len(pairs) for kind, numbers in found.items()}
    if value.shape != true.shape:
        return {}
    if is_plane and len(value) == 2:
        return {"error": endpoint_error(value, true)}
    error = {"error": float((value - true).square().mean().sqrt())}
    if not is_map:
        return error
    first, second = (one.double() - one.double().mean() for one in (value, true))
    size = float(first.norm() * second.norm())
    return error | {"correlation": float((first * second).sum()) / size if size else 0.0}


def _kernel(values: Values) -> Array:
    kernel = as_array(values)
    if kernel.ndim == 3 and math.isqrt(len(kernel)) ** 2 == len(kernel):
        kernel = kernel.mean(0)
    if kernel.ndim != 2:
        raise ValueError(f"a kernel is (1, height, width) or (height, width), not {kernel.shape}")
    return kernel


def _together(kernel: Values, reference: Values) -> tuple[Array, Array]:
    """Two kernels in a window that holds both, their centre pixels together."""
    first, second = _kernel(kernel), _kernel(reference)
    height, width = np.maximum(first.shape, second.shape)
    return _centred(first, height, width), _centred(second, height, width)


def _correlation(first: Array, second: Array) -> Array:
    """The cross-correlation of two kernels at every whole-pixel shift."""
    return convolved(first, second[::-1, ::-1])


def _centred(kernel: Array, height: int, width: int) -> Array:
    top, left = height // 2 - kernel.shape[0] // 2, width // 2 - kernel.shape[1] // 2
    window = np.zeros((height, width))
    window[top : top + kernel.shape[0], left : left + kernel.shape[1]] = kernel
    return window
