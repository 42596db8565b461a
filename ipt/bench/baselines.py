"""Baselines: the measurement itself, and classical deconvolution with the true kernel.

Each deconvolution has one setting (the balance of the Wiener filter, the iterations of Richardson-Lucy). It is tuned
for each picture to the best PSNR against the truth, which a user could not do: the baselines are shown at their best.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from skimage import restoration
from torch import Tensor

from ipt.bench.cases import Case
from ipt.core.errors import IptError
from ipt.core.operator import ParametricOperator
from ipt.solve.metrics import psnr

Array = NDArray[np.float64]

BALANCES = tuple(float(value) for value in np.logspace(-4, 0, 9))
ITERATIONS = (5, 10, 20, 40)


def baseline(name: str, case: Case, operator: ParametricOperator) -> tuple[Tensor, dict[str, Tensor]]:
    """Run a baseline on a case.

    Args:
        name: One of `ipt.bench.protocol.BASELINES`.
        case: The case.
        operator: That made the measurement.

    Returns:
        The picture (C, H, W), and the parameters that the baseline assumes.

    Raises:
        IptError: The baseline is a deconvolution and the case has no kernel.
    """
    if name == "measurement":
        return case.measurement, {key: torch.zeros_like(v) for key, v in case.parameters.items() if key == "tilt"}
    kernel = case.parameters.get("kernel")
    if kernel is None:
        raise IptError(f"baseline {name} needs a parameter called kernel, which the operator does not have; drop it")
    point_spread = kernel[0].double().numpy()
    padded, (down, right) = _padded(case.measurement.double().numpy(), kernel, getattr(operator, "border", ""))
    tried: tuple[float, ...] = BALANCES if name == "wiener" else ITERATIONS
    filtered = _wiener if name == "wiener" else _richardson_lucy
    results = []
    for value in tried:
        planes = np.stack([filtered(plane, point_spread, value) for plane in padded])
        inside = np.ascontiguousarray(planes[:, down:-down, right:-right])
        results.append(torch.from_numpy(inside).to(case.measurement))
    return max(results, key=lambda result: psnr(result.clamp(0, 1), case.clean)), {}


def _padded(measurement: Array, kernel: Tensor, border: str) -> tuple[Array, tuple[int, int]]:
    """The measurement (C, H, W), padded by the operator's border, and the padding in rows and columns.

    Periodic for a circular border; falling to black over half a kernel where black lies outside (better there than
    mirroring); else mirrored.
    """
    height, width = kernel.shape[1:]
    reach = (height // 2 + 1, width // 2 + 1) if border == "zero" else (height, width)
    around = ((0, 0), *((side, side) for side in reach))
    if border == "zero":
        return np.pad(measurement, around, mode="linear_ramp"), reach
    return np.pad(measurement, around, mode="wrap" if border == "circular" else "symmetric"), reach


def _wiener(plane: Array, point_spread: Array, balance: float) -> Array:
    filtered: Array = restoration.wiener(plane, point_spread, balance, clip=False)
    return filtered


def _richardson_lucy(plane: Array, point_spread: Array, iterations: float) -> Array:
    # The iteration is for counts, which are not negative. scikit-image centres kernels of odd sides only.
    odd = np.pad(point_spread, [(0, 1 - side % 2) for side in point_spread.shape])
    light = np.clip(plane, 0, None)
    sharp: Array = restoration.richardson_lucy(light, odd, int(iterations), clip=False, filter_epsilon=1e-6)
    return sharp
