"""The record of a solved picture: what is written into its json besides the numbers of its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from ipt.core.operator import ParametricOperator
from ipt.core.solver import Solution
from ipt.images.noise import Poisson
from ipt.images.records import versions, weight_hashes
from ipt.solve.choice import Chosen
from ipt.solve.halving import FromHalf
from ipt.solve.options import LINEAR
from ipt.solve.prepare import ImageTask, PreparedImage
from ipt.solve.task import SamplingTask
from ipt.solve.verdict import LIKELY, Verdict


@dataclass(frozen=True)
class Judgement:
    """How reliable a result is.

    Attributes:
        residual: root mean square of the residual that the verdict is about.
        share: share of the result in the picture that is written, 0..1; the rest is the input.
        verdict: in words.
    """

    residual: float
    share: float
    verdict: Verdict


def result_record(
    prepared: PreparedImage,
    solution: Solution,
    chosen: Chosen,
    judgement: Judgement,
    trusted: Tensor | None,
    metrics: Mapping[str, float],
    seconds: float,
) -> dict[str, Any]:
    """The record of a result, by entry.

    Args:
        prepared: what was solved.
        solution: all draws.
        chosen: what the result is made of.
        judgement: how reliable it is.
        trusted: 1 where the measurement was trusted, else 0, (C, H, W); None: everywhere.
        metrics: the result against the truth; empty without one.
        seconds: the time that the solve took.
    """
    sampling = prepared.sampling
    return {
        **_input_entries(prepared, solution),
        "device": str(sampling.measurement.device),
        "seconds": seconds,
        "calls": dict(solution.calls),
        "solved_sizes": [list(size) for size in solution.sizes],
        "metrics": metrics,
        "parameters": _numbers(sampling, sampling.operator_of(solution), chosen.parameters),
        "residual_inside": judgement.residual,
        "trusted": 1.0 if trusted is None else float(trusted.mean()),
        "exposures": _exposures(sampling, len(prepared.task.frames)),
        **_judgement_entries(sampling, solution, chosen, judgement),
        "seeds": list(sampling.seeds),
        "versions": versions(),
        "weights": weight_hashes(sampling.solver.priors),
    }


def _input_entries(prepared: PreparedImage, solution: Solution) -> dict[str, Any]:
    """What was solved: the file, its values and noise, and the part of it."""
    task, fitted, half = prepared.task, prepared.fitted, isinstance(solution, FromHalf)
    return {
        "input": task.name,
        "source": task.frames[0].source,
        "span": prepared.measured.span,
        "light": LINEAR if prepared.linear else "display",
        "frames": len(task.frames),
        "camera": [asdict(motion) for motion in task.motions],
        "noise_from": _noise_origin(task, prepared),
        "noise_of_input": prepared.noise_of_input,
        "noise_model": prepared.noise_model,
        "fit": {"choice": task.fit, "window": list(fitted.window), "solved_at": list(fitted.pixels.shape)},
        "region": None if half else _rectangle(prepared.sampling.region),
        "half": half,
        "enlarged": solution.scale if isinstance(solution, FromHalf) else 1,
        "streak": task.streak,
    }


def _judgement_entries(
    sampling: SamplingTask, solution: Solution, chosen: Chosen, judgement: Judgement
) -> dict[str, Any]:
    """How reliable the result and each draw are, and which draws are shown."""
    seeds = (*sampling.seeds, *sampling.reserve)
    return {
        "verdict": str(judgement.verdict),
        "findings": list(judgement.verdict.findings),
        "advice": list(judgement.verdict.advice),
        "probability": chosen.probability,
        "share": judgement.share,
        "likely": None if chosen.probability is None else chosen.probability >= LIKELY,
        "shown": [draw + 1 for draw in chosen.draws],
        "draws": [
            {"seed": seed, "probability": one.probability, "doubt": one.doubt, "evidence": dict(one.evidence)}
            for seed, one in zip(seeds, solution.assessments, strict=False)
        ],
        "seed": seeds[chosen.draws[0]],
    }


def _noise_origin(task: ImageTask, prepared: PreparedImage) -> str:
    """Where the noise level comes from: "given", "estimated" or "operator"."""
    if task.noise is not None:
        return "estimated" if isinstance(task.noise, Poisson) and task.noise.peak is None else "given"
    spec = prepared.spec
    return "estimated" if spec is None or (spec.noise is None and not spec.gain) else "operator"


def _rectangle(region: tuple[slice, slice] | None) -> list[int] | None:
    """Rows and columns as x, y, width, height."""
    if region is None:
        return None
    rows, columns = region
    return [columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start]


def _numbers(
    sampling: SamplingTask, operator: ParametricOperator, parameters: Mapping[str, Tensor]
) -> dict[str, dict[str, Any]]:
    """Parameters (1, C, H, W) that are a number or a line of numbers, with unit and meaning, by name."""
    specs = operator.parameters(operator.image_shape(sampling.shape))
    return {
        name: {"values": value.flatten().tolist(), "unit": specs[name].unit, "meaning": specs[name].meaning}
        for name, value in parameters.items()
        if min(value.shape[2:]) == 1
    }


def _exposures(sampling: SamplingTask, frames: int) -> list[dict[str, float]]:
    """For each of several exposures, the share of it that was trusted, and its noise."""
    if frames == 1:
        return []
    like = sampling.measurement[0]
    trusted = torch.ones_like(like) if sampling.mask is None else sampling.mask[0].expand_as(like)
    levels = torch.as_tensor(sampling.noise).to(like).expand(1, *like.shape)[0]
    by_frame = (values.unflatten(0, (frames, -1)).flatten(1) for values in (trusted, levels.square()))
    return [
        {"trusted": float(share.mean()), "noise": float(variance.mean().sqrt())}
        for share, variance in zip(*by_frame, strict=True)
    ]
