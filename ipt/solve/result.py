"""All that is known of a solved picture: made of a solution, and handed to `ipt.solve.outputs` to be written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ipt.core.abilities import MeasurementSpec
from ipt.core.errors import IptError
from ipt.core.operator import ParametricOperator
from ipt.core.solver import Solution
from ipt.images.files import Picture
from ipt.images.fit import as_it_came
from ipt.images.light import encoded
from ipt.images.noise import Poisson
from ipt.images.records import versions, weight_hashes
from ipt.operators.frames import Frames
from ipt.solve.choice import Chosen, chosen, mean_of
from ipt.solve.lamps import with_lamps
from ipt.solve.local import places
from ipt.solve.metrics import against_truth
from ipt.solve.options import LINEAR, MIX
from ipt.solve.prepare import ImageTask, PreparedImage
from ipt.solve.region import Region, suggested_streak
from ipt.solve.streaks import likeness
from ipt.solve.task import SamplingTask
from ipt.solve.verdict import LIKELY, residual_rms, verdict

_UNLIKE, _CONTRADICTED = 0.4, 0.3
"""Correlation of a kernel and the streaks in a picture below which they contradict it, and how likely it then is."""
_DIVERGED = 100.0
"""A picture lies in 0..1; so far outside, what would be written is only its clipping."""


@dataclass(frozen=True)
class ImageResult:
    """A solved picture.

    Attributes:
        picture: the result, with the input's depth, alpha and metadata.
        measurement: what was solved.
        parameters: by name, (C, H, W) in physical units; of several frames (frames * C, H, W), but for what they share.
        residual: measurement - prediction, (C, H, W); of several frames (frames * C, H, W). Where the noise
            differs it is weighed, so that all of it would have the deviation `noise`.
        noise: its standard deviation, in the measurement's units.
        trace: root mean square of the residual after every step.
        samples: (K, C, H, W), where there are several.
        drawn: their parameters, by name, (K, C, H, W).
        spread: their standard deviation, (C, H, W).
        reference: the true picture.
        mask: (frames, H, W), 0 where the measurement was not trusted; None: all of it was.
        exposures: what was solved, where there are several.
        frames: how many exposures there were.
        shared: names of the parameters that all of them have in common.
        combined: what is made of several exposures without solving, by name.
        suffix: of the file of `picture`.
        spec: what was measured; None: a picture.
        record: what else is written in json; the report shows "input", "seconds", "calls" {unknown: count, of all
            samples}, "solved_sizes" [[height, width, steps], ...], "metrics" {name: number}, "options" {name: {"value":
            ..., "from": ...}}, "exposures" [{"trusted": share, "noise": deviation}, ...], "seed", "versions" and
            "weights".
    """

    picture: Picture
    measurement: Picture
    parameters: Mapping[str, Tensor]
    residual: Tensor
    noise: float
    trace: Sequence[float]
    samples: Tensor | None = None
    drawn: Mapping[str, Tensor] = field(default_factory=dict)
    spread: Tensor | None = None
    reference: Picture | None = None
    mask: Tensor | None = None
    exposures: Sequence[Picture] = ()
    frames: int = 1
    shared: frozenset[str] = frozenset()
    combined: Mapping[str, Picture] = field(default_factory=dict)
    suffix: str = ".png"
    spec: MeasurementSpec | None = None
    record: Mapping[str, Any] = field(default_factory=dict)


def image_result(prepared: PreparedImage, solution: Solution, seconds: float) -> ImageResult:
    """What the solution of `prepared.sampling` amounts to; IptError: the solve diverged."""
    task, sampling, fitted = prepared.task, prepared.sampling, prepared.fitted
    operator = solution.operator or sampling.solver.operator
    solution = with_lamps(prepared, solution)
    shown, streak = _beside_streaks(prepared, chosen(sampling, solution))
    _check_finite(shown.whole, shown.parameters)
    with torch.no_grad():
        residual = sampling.observation.residual(operator.forward(shown.whole, **shown.parameters))[0].cpu()
    trusted = None if sampling.mask is None else sampling.mask[0].cpu().expand_as(residual)
    frames = len(task.frames)
    shared = operator.shared if isinstance(operator, Frames) else frozenset()
    each = [as_it_came(fitted.restore(one), prepared.channels) for one in solution.image.cpu()]
    drawn = torch.stack(each) if len(each) > 1 else each[0][None]
    if prepared.linear:
        drawn = encoded(drawn)
    pixels, measured = mean_of(drawn, shown.draws), prepared.measured.pixels
    share = _share(prepared, shown.probability) if pixels.shape == measured.shape else 1.0
    if share < 1:
        pixels = share * pixels + (1 - share) * measured
    result = prepared.measured.with_pixels(pixels)
    parameters = {name: value[0].cpu() for name, value in shown.parameters.items()}
    inside = residual_rms(operator, residual, trusted, parameters, shown.whole.shape[1:])
    metrics: dict[str, float] = {}
    if task.truth is not None and prepared.reference is not None:
        unknown = {name: value for name, value in parameters.items() if name not in sampling.known and not fitted.side}
        input_picture = {} if prepared.spec is not None else {"input": prepared.measured.pixels}
        others = {**input_picture, **{name: one.pixels for name, one in prepared.combined.items()}}
        truth = prepared.reference.pixels
        unknown = {name: value.repeat(frames if name in shared else 1, 1, 1) for name, value in unknown.items()}
        metrics = against_truth(result.pixels, truth, others, unknown, task.truth.parameters, frames)
    differ = places(sampling.solver.operator, operator, parameters)
    judged = verdict(inside / prepared.noise, prepared.noise, shown.probability, shown.doubt, share, streak, differ)
    record = {
        "input": task.name,
        "source": task.frames[0].source,
        "span": prepared.measured.span,
        "light": LINEAR if prepared.linear else "display",
        "frames": frames,
        "camera": [asdict(motion) for motion in task.motions],
        "noise_from": _origin(task, prepared),
        "noise_of_input": prepared.noise_of_input,
        "noise_model": prepared.noise_model,
        "fit": {"choice": task.fit, "window": list(fitted.window), "solved_at": list(fitted.pixels.shape)},
        "region": _corners(sampling.region),
        "streak": task.streak,
        "device": str(sampling.measurement.device),
        "seconds": seconds,
        "calls": dict(solution.calls),
        "solved_sizes": [list(size) for size in solution.sizes],
        "metrics": metrics,
        "parameters": _numbers(prepared, operator, parameters),
        "residual_inside": inside,
        "trusted": 1.0 if trusted is None else float(trusted.mean()),
        "exposures": _exposures(sampling, frames),
        "verdict": str(judged),
        "advice": list(judged.advice),
        "probability": shown.probability,
        "share": share,
        "likely": None if shown.probability is None else shown.probability >= LIKELY,
        "shown": [draw + 1 for draw in shown.draws],
        "draws": [
            {"seed": seed, "probability": one.probability, "doubt": one.doubt, "evidence": dict(one.evidence)}
            for seed, one in zip((*sampling.seeds, *sampling.reserve), solution.assessments, strict=False)
        ],
        "seed": (*sampling.seeds, *sampling.reserve)[shown.draws[0]],
        "seeds": list(sampling.seeds),
        "versions": versions(),
        "weights": weight_hashes(sampling.solver.priors),
    }
    several = len(sampling.seeds) > 1
    return ImageResult(
        picture=result,
        measurement=prepared.measured,
        parameters=parameters,
        residual=residual,
        noise=prepared.noise,
        trace=solution.trace.cpu().square().mean(1).sqrt().tolist(),
        samples=drawn if several else None,
        drawn={name: value.cpu() for name, value in solution.parameters.items()} if several else {},
        spread=drawn.std(0) if several else None,
        frames=frames,
        shared=shared,
        combined=prepared.combined,
        suffix=prepared.suffix,
        spec=prepared.spec,
        reference=prepared.reference,
        mask=None if trusted is None or fitted.side else trusted.unflatten(0, (frames, -1))[:, 0],
        exposures=prepared.exposures if frames > 1 else (),
        record=record,
    )


def _exposures(sampling: SamplingTask, frames: int) -> list[dict[str, float]]:
    """How much of each of several was trusted, and its noise."""
    if frames == 1:
        return []
    like = sampling.measurement[0]
    trusted = torch.ones_like(like) if sampling.mask is None else sampling.mask[0].expand_as(like)
    levels = torch.as_tensor(sampling.noise).to(like).expand(1, *like.shape)[0]
    each = (one.unflatten(0, (frames, -1)).flatten(1) for one in (trusted, levels.square()))
    return [{"trusted": float(a.mean()), "noise": float(b.mean().sqrt())} for a, b in zip(*each, strict=True)]


def _beside_streaks(prepared: PreparedImage, shown: Chosen) -> tuple[Chosen, Region | None]:
    """What is shown, held against streaks of light in the picture that are alike, and where one is."""
    if shown.probability is None or prepared.spec is not None:
        return shown, None
    if (found := suggested_streak(prepared.sampling, prepared.fitted)) is None:
        return shown, None
    streak, kernel = found
    if float(likeness(kernel, shown.parameters["kernel"].mean(1, keepdim=True).to(kernel))) < _UNLIKE:
        doubt = "small lights are drawn to streaks, and the kernel is not like them"
        shown = replace(shown, probability=min(shown.probability, _CONTRADICTED), doubt=doubt)
    return shown, streak


def _share(prepared: PreparedImage, probability: float | None) -> float:
    """Of a result in the picture that shows it; the rest is the input.

    Where it is likely wrong it is its probability: of a picture that is x if the kernel is right, and of which no more
    than the input y is known if it is wrong, p x + (1 - p) y is the mean.
    """
    if probability is None or probability >= LIKELY or prepared.task.doubtful != MIX:
        return 1.0
    return probability if prepared.spec is None and len(prepared.task.frames) == 1 else 1.0


def _corners(region: tuple[slice, slice] | None) -> list[int] | None:
    """x, y, width, height."""
    if region is None:
        return None
    rows, columns = region
    return [columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start]


def _origin(task: ImageTask, prepared: PreparedImage) -> str:
    """Who said how noisy the measurement is."""
    if task.noise is not None:
        return "estimated" if isinstance(task.noise, Poisson) and task.noise.peak is None else "given"
    spec = prepared.spec
    return "estimated" if spec is None or (spec.noise is None and not spec.gain) else "operator"


def _numbers(
    prepared: PreparedImage, operator: ParametricOperator, parameters: Mapping[str, Tensor]
) -> dict[str, dict[str, Any]]:
    """Parameters that are numbers, or lines of them, with what they mean; by name."""
    specs = operator.parameters(operator.image_shape(prepared.sampling.shape))
    return {
        name: {"values": value.flatten().tolist(), "unit": specs[name].unit, "meaning": specs[name].meaning}
        for name, value in parameters.items()
        if min(value.shape[1:]) == 1
    }


def _check_finite(image: Tensor, parameters: Mapping[str, Tensor]) -> None:
    finite = all(torch.isfinite(value).all() for value in (image, *parameters.values()))
    if not finite or image.abs().max() > _DIVERGED:
        raise IptError("the solve diverged; try a smaller guidance.scale, another noise= or another seed=")
