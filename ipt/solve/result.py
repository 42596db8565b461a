"""From the solution of a picture to its result.

    solution --`chosen`--> draws that are shown --> picture, residual, verdict, record --> `ImageResult`

`ipt.solve.outputs` writes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ipt.core.abilities import MeasurementSpec
from ipt.core.errors import IptError
from ipt.core.guidance import GuidanceRule
from ipt.core.solver import Solution
from ipt.images.files import Picture
from ipt.images.fit import as_it_came
from ipt.images.light import encoded
from ipt.operators.frames import Frames
from ipt.solve.choice import Chosen, chosen, mean_of
from ipt.solve.halving import FromHalf
from ipt.solve.lamps import with_lamps
from ipt.solve.local import differing_parameters
from ipt.solve.metrics import against_truth
from ipt.solve.options import MIX
from ipt.solve.prepare import PreparedImage
from ipt.solve.region import Region, suggested_streak
from ipt.solve.remedies import remedies_of, smaller_steps
from ipt.solve.result_record import Judgement, result_record
from ipt.solve.streaks import likeness
from ipt.solve.verdict import LIKELY, residual_rms, verdict

_UNLIKE = 0.4
"""Correlation with the streaks of light in a picture below which they contradict a kernel."""
_CONTRADICTED = 0.3
"""The most that the probability of a contradicted kernel can be."""
_DIVERGED = 100.0
"""Absolute value from which a solve has diverged; pictures lie in 0..1."""


@dataclass(frozen=True)
class ImageResult:
    """A solved picture.

    Attributes:
        picture: the result, with the input's depth, alpha and metadata.
        measurement: what was solved.
        parameters: by name, (C, H, W) in physical units; of several frames (frames * C, H, W), except shared ones.
        residual: measurement - prediction, (C, H, W); of several frames (frames * C, H, W). Where the noise
            varies, the residual is weighted so that noise would have the standard deviation `noise` everywhere.
        noise: standard deviation of the noise, in the measurement's units.
        trace: root mean square of the residual after every step.
        samples: the draws, (K, C, H, W), if several were asked for.
        drawn: their parameters, by name, (K, C, H, W).
        spread: their standard deviation, (C, H, W).
        reference: the true picture.
        mask: (frames, H, W), 0 where the measurement was not trusted; None: all of it was.
        exposures: the measurements, if there are several.
        frames: number of exposures.
        shared: names of the parameters that all exposures have in common.
        combined: mean and median of several exposures, by name.
        suffix: of the file of `picture`.
        spec: what was measured; None: a picture.
        record: what else is written in json (`ipt.solve.result_record`). The report shows "input", "seconds", "calls"
            {unknown: count, of all samples}, "solved_sizes" [[height, width, steps], ...], "metrics" {name: number},
            "options" {name: {"value": ..., "from": ...}}, "exposures" [{"trusted": share, "noise": deviation}, ...],
            "seed", "versions" and "weights".
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
    """The result that a solution of `prepared.sampling` amounts to.

    Args:
        prepared: what was solved.
        solution: all of its draws.
        seconds: the time that the solve took, for the record.

    Raises:
        IptError: the solve diverged.
    """
    sampling, frames = prepared.sampling, len(prepared.task.frames)
    operator = sampling.operator_of(solution)
    solution = with_lamps(prepared, solution)
    shown, streak = _compared_with_streaks(prepared, chosen(sampling, solution))
    _check_finite(shown.whole, shown.parameters, sampling.solver.rule)
    residual = sampling.residual(operator, shown.whole, shown.parameters).cpu()
    trusted = None if sampling.mask is None else sampling.mask[0].cpu().expand_as(residual)
    parameters = {name: value[0].cpu() for name, value in shown.parameters.items()}
    shared = operator.shared if isinstance(operator, Frames) else frozenset()

    samples = _pictures_of_draws(prepared, solution)
    mean = mean_of(samples, shown.draws)
    share = _share(prepared, shown.probability, mean)
    picture = _mixed_with_input(prepared, mean, share)

    inside = residual_rms(operator, residual, trusted, parameters, shown.whole.shape[1:])
    places = differing_parameters(sampling.solver.operator, operator, parameters)
    words = verdict(
        inside / prepared.noise,
        remedies_of(prepared),
        shown.probability,
        shown.doubt,
        share,
        streak,
        places,
        from_region=sampling.region is not None and not sampling.half,
        scale=solution.scale if isinstance(solution, FromHalf) else 1,
    )
    metrics = _metrics(prepared, picture, parameters, shared)
    several = len(sampling.seeds) > 1
    return ImageResult(
        picture=picture,
        measurement=prepared.measured,
        parameters=parameters,
        residual=residual,
        noise=prepared.noise,
        trace=solution.trace.cpu().square().mean(1).sqrt().tolist(),
        samples=samples if several else None,
        drawn={name: value.cpu() for name, value in solution.parameters.items()} if several else {},
        spread=samples.std(0) if several else None,
        frames=frames,
        shared=shared,
        combined=prepared.combined,
        suffix=prepared.suffix,
        spec=prepared.spec,
        reference=prepared.reference,
        mask=None if trusted is None or prepared.fitted.side else trusted.unflatten(0, (frames, -1))[:, 0],
        exposures=prepared.exposures if frames > 1 else (),
        record=result_record(prepared, solution, shown, Judgement(inside, share, words), trusted, metrics, seconds),
    )


def _compared_with_streaks(prepared: PreparedImage, shown: Chosen) -> tuple[Chosen, Region | None]:
    """What is shown, less likely if its kernel is unlike the streaks of light in the picture; and a streak's place."""
    if shown.probability is None or prepared.spec is not None:
        return shown, None
    if (suggestion := suggested_streak(prepared.sampling, prepared.fitted)) is None:
        return shown, None
    streak, kernel = suggestion
    if float(likeness(kernel, shown.parameters["kernel"].mean(1, keepdim=True).to(kernel))) < _UNLIKE:
        doubt = "small lights are drawn to streaks, and the kernel is not like them"
        shown = replace(shown, probability=min(shown.probability, _CONTRADICTED), doubt=doubt)
    return shown, streak


def _pictures_of_draws(prepared: PreparedImage, solution: Solution) -> Tensor:
    """The draws at the picture's own size and channels, as sRGB values or in the measurement's unit, (K, C, H, W)."""
    restored = [as_it_came(prepared.fitted.restore(one), prepared.channels) for one in solution.image.cpu()]
    draws = torch.stack(restored) if len(restored) > 1 else restored[0][None]
    return encoded(draws) if prepared.linear else draws


def _share(prepared: PreparedImage, probability: float | None, pixels: Tensor) -> float:
    """The share of the result in the picture that is written; the rest is the input.

    Where the result is likely wrong, it is its probability p: the picture is x if the kernel is right, and no more than
    the input y is known if it is wrong, so the mean is p x + (1 - p) y.

    Args:
        prepared: what was solved.
        probability: that the result is right, where the operator can tell.
        pixels: the result, (C, H, W). It is not mixed with an input of another shape.
    """
    task = prepared.task
    if probability is None or probability >= LIKELY or task.doubtful != MIX:
        return 1.0
    if pixels.shape != prepared.measured.pixels.shape or prepared.spec is not None or len(task.frames) > 1:
        return 1.0
    return probability


def _mixed_with_input(prepared: PreparedImage, pixels: Tensor, share: float) -> Picture:
    """The picture that is written, of a result (C, H, W) and its share in it."""
    measured = prepared.measured
    return measured.with_pixels(pixels if share >= 1 else share * pixels + (1 - share) * measured.pixels)


def _metrics(
    prepared: PreparedImage, picture: Picture, parameters: Mapping[str, Tensor], shared: frozenset[str]
) -> dict[str, float]:
    """The result against the truth; empty without one.

    Args:
        prepared: what was solved, with the truth.
        picture: the result.
        parameters: of the result, (C, H, W) by name.
        shared: names of those that all exposures have in common.
    """
    truth, frames = prepared.task.truth, len(prepared.task.frames)
    if truth is None or prepared.reference is None:
        return {}
    others = {name: one.pixels for name, one in prepared.combined.items()}
    if prepared.spec is None:
        others = {"input": prepared.measured.pixels, **others}
    # Parameters of a picture that was resized are in other pixels than the true ones.
    own = {} if prepared.fitted.side else parameters
    unknown = {
        name: value.repeat(frames if name in shared else 1, 1, 1)
        for name, value in own.items()
        if name not in prepared.sampling.known
    }
    return against_truth(picture.pixels, prepared.reference.pixels, others, unknown, truth.parameters, frames)


def _check_finite(image: Tensor, parameters: Mapping[str, Tensor], rule: GuidanceRule) -> None:
    """Raise an IptError where an image or its parameters are not finite, or the image is far outside of 0..1."""
    finite = all(torch.isfinite(value).all() for value in (image, *parameters.values()))
    if not finite or image.abs().max() > _DIVERGED:
        scale = smaller_steps(rule)
        steps = f"a smaller {scale}, " if scale else ""
        raise IptError(f"the solve diverged; try {steps}another noise= or another seed=")
