"""Whether a result is to be believed: by its residual, and by the truth where that is known."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ipt.runs import metrics

_SSIM_SIDE = 11
"""SSIM looks at windows of this side."""


def verdict(ratio: float) -> str:
    """What the residual over the noise level says, in words; begins with "fits" when all is well."""
    said = f"the residual is {ratio:.2f} times the noise level"
    if ratio > 1.5:
        return f"does not fit: {said}; the operator, its border (--border) or the noise level (--noise) may be wrong"
    if ratio < 0.5:
        return f"fits too closely: {said}; a smaller --noise may bring out more"
    return f"fits: {said}"


def margins(parameters: Mapping[str, Tensor], residual: Tensor, part: float = 1e-3) -> tuple[int, int]:
    """How far from the edge (rows, columns) a measurement depends on what lies outside the frame.

    parameters: those that act locally, (C, H, W) about their centre pixel; entries above `part` of the largest count.
    At most a quarter of the residual (C, H, W), so that something is left.
    """
    height, width = residual.shape[-2:]
    down = across = 0
    for value in parameters.values():
        rows, columns = (value.abs() > part * value.abs().max()).any(0).nonzero(as_tuple=True)
        if len(rows):
            down = max(down, int((rows - value.shape[-2] // 2).abs().max()))
            across = max(across, int((columns - value.shape[-1] // 2).abs().max()))
    return min(down, height // 4), min(across, width // 4)


def against_truth(
    result: Tensor,
    clean: Tensor,
    measured: Tensor,
    parameters: Mapping[str, Tensor],
    true_parameters: Mapping[str, Tensor],
) -> dict[str, float]:
    """Numbers of a result (C, H, W) against the clean picture, as written: clipped to 0..1.

    psnr, ssim, the same after registering the free shift, and psnr_input of the measurement; for each single-channel
    parameter whose truth is known, its mnc and mse.
    """
    result, clean, measured = result.clamp(0, 1), clean.clamp(0, 1), measured.clamp(0, 1)
    if min(clean.shape[1:]) < _SSIM_SIDE:
        numbers = {"psnr": metrics.psnr(result, clean)}
    else:
        numbers = metrics.against_reference(result, clean)
    numbers["psnr_input"] = metrics.psnr(measured, clean)
    for name, value in parameters.items():
        if name in true_parameters and len(value) == 1 and len(true_parameters[name]) == 1:
            numbers[f"{name}_mnc"] = metrics.kernel_mnc(value, true_parameters[name])
            numbers[f"{name}_mse"] = metrics.kernel_mse(value, true_parameters[name])
    return numbers
