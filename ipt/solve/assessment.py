"""Whether a result is to be believed: by its residual, and by the truth where that is known."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ipt.solve import metrics

_SSIM_SIDE = 11
"""SSIM looks at windows of this side."""


def verdict(ratio: float, noise: float) -> str:
    """What the residual over the noise level says, in words; begins with "fits" when all is well. noise: that level, in
    0..1."""
    said = f"the residual is {ratio:.2f} times the noise level"
    if ratio > 1.5:
        # What a camera does besides is no noise, but is better taken for it than for detail: told so much, a real
        # photograph of a building came out without its grain (half as much again made it too smooth).
        return (
            f"does not fit: {said}; the operator or its border (--border) may be wrong, this draw may have gone astray "
            f"(another --seed), or there is more than noise: "
            f"try --noise {ratio * noise:.2g}"
        )
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
        if min(value.shape[1:]) == 1:
            # A number, or one a line, is no neighbourhood.
            continue
        rows, columns = (value.abs() > part * value.abs().max()).any(0).nonzero(as_tuple=True)
        if len(rows):
            down = max(down, int((rows - value.shape[-2] // 2).abs().max()))
            across = max(across, int((columns - value.shape[-1] // 2).abs().max()))
    return min(down, height // 4), min(across, width // 4)


def against_truth(
    result: Tensor,
    clean: Tensor,
    others: Mapping[str, Tensor],
    parameters: Mapping[str, Tensor],
    true_parameters: Mapping[str, Tensor],
    frames: int = 1,
) -> dict[str, float]:
    """Numbers of a result (C, H, W) against the clean picture, as written: clipped to 0..1.

    psnr, ssim, the same after registering the free shift, and of `others` (the measurement as "input", say) of the same
    size the psnr ("psnr_input"); for each parameter whose truth is known, its mnc and mse where it is a kernel, else
    its error: the root mean square difference, in its unit (of a field: the mean distance). parameters of several
    `frames` are (frames * C, H, W), their truth (frames, C, H, W): the numbers' mean over the frames.
    """
    result, clean = result.clamp(0, 1), clean.clamp(0, 1)
    if min(clean.shape[1:]) < _SSIM_SIDE:
        numbers = {"psnr": metrics.psnr(result, clean)}
    else:
        numbers = metrics.against_reference(result, clean)
    for name, other in others.items():
        if other.shape == clean.shape:
            numbers[f"psnr_{name}"] = metrics.psnr(other.clamp(0, 1), clean)
    for name, value in parameters.items():
        if name in true_parameters:
            compared = _averaged(value.unflatten(0, (frames, -1)), true_parameters[name])
            numbers |= {f"{name}_{kind}": number for kind, number in compared.items()}
    return numbers


def _averaged(values: Tensor, true: Tensor) -> dict[str, float]:
    """The mean numbers of a parameter's frames (F, C, H, W) against the true ones; none where there are not as many."""
    each = true if true.ndim == 4 else true[None]
    if len(each) != len(values):
        return {}
    numbers = [_compared(value, one) for value, one in zip(values, each, strict=True)]
    return {kind: sum(of[kind] for of in numbers) / len(numbers) for kind in numbers[0]}


def _compared(value: Tensor, true: Tensor) -> dict[str, float]:
    """Numbers of a parameter (C, H, W) against the true one; none where the two cannot be compared."""
    plane = min(*value.shape[1:], *true.shape[1:]) > 1
    if plane and len(value) == len(true) == 1:
        return {"mnc": metrics.kernel_mnc(value, true), "mse": metrics.kernel_mse(value, true)}
    if value.shape != true.shape:
        return {}
    if plane and len(value) == 2:
        return {"error": metrics.endpoint_error(value, true)}
    return {"error": float((value - true).square().mean().sqrt())}
