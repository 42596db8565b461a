"""The numbers of one attempt."""

from __future__ import annotations

from typing import Any

from ipt.bench.attempts import Attempt
from ipt.bench.cases import Case
from ipt.bench.statistics import calibration
from ipt.core.interfaces import IMAGE
from ipt.solve import metrics

_SSIM_SIDE = 11
"""Pixels; SSIM looks at windows of this side."""


def scores(attempt: Attempt, case: Case) -> dict[str, Any]:
    """Numbers by the keys of `ipt.bench.columns`; what does not apply is left out.

    The picture is compared as it is written, clipped to 0..1. "histograms": of the truth's ranks by unknown, where
    there are samples.
    """
    image = attempt.image.clamp(0, 1)
    if min(case.clean.shape[1:]) < _SSIM_SIDE:
        found: dict[str, Any] = {"psnr": metrics.psnr(image, case.clean)}
    else:
        found = dict(metrics.against_reference(image, case.clean))
    for name, value in attempt.parameters.items():
        true = case.parameters.get(name)
        if true is None:
            # The solver has another operator.
            continue
        if name == "tilt":
            found["tilt_error"] = metrics.endpoint_error(value, true)
            found["tilt_error_registered"] = metrics.endpoint_error(value, true, register=True)
        elif len(value) == 1:
            found[f"{name}_mse"] = metrics.kernel_mse(value, true)
            found[f"{name}_mse_registered"] = metrics.kernel_mse(value, true, register=True)
            found[f"{name}_mnc"] = metrics.kernel_mnc(value, true)
            found[f"{name}_mnc_unregistered"] = metrics.kernel_mnc(value, true, register=False)
    found |= _calibrated(attempt, case)
    if attempt.residual is not None:
        found |= {"residual": attempt.residual, "calls": attempt.calls}
    found["seconds"] = attempt.seconds
    return found if attempt.memory is None else {**found, "memory": attempt.memory}


def _calibrated(attempt: Attempt, case: Case) -> dict[str, Any]:
    found: dict[str, Any] = {}
    histograms: dict[str, list[float]] = {}
    truths = {**case.parameters, IMAGE: case.clean}
    for name, samples in attempt.samples.items():
        result = calibration(samples, truths[name]) if len(samples) > 1 and name in truths else None
        if result is not None:
            found |= {f"{name}_coverage_{round(100 * level)}": share for level, share in result.coverage.items()}
            histograms[name] = list(result.histogram)
    return {**found, "histograms": histograms} if histograms else found
