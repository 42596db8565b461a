"""`ipt.restore`: one picture, a file or an array, restored in one call as `ipt solve` does it.

Arguments -> `SolveOptions` and `ImageTask` -> `solve_picture` -> `ImageResult` -> `Restored`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ipt.core.errors import Misuse
from ipt.core.operator import IMAGE
from ipt.images.choices import DOUBTFUL_CHOICES, FIT_CHOICES, LIGHT_CHOICES
from ipt.images.measurements import measured
from ipt.images.noise import Poisson
from ipt.images.outcomes import Progress
from ipt.plugins.plans import DEFAULT_GUIDANCE
from ipt.priors.precision import PRECISIONS
from ipt.sampling.multiscale import Multiscale
from ipt.solve.cost import Cost
from ipt.solve.devices import choose_device
from ipt.solve.given import (
    Source,
    as_given,
    exposures_of,
    mask_from,
    noise_of,
    noise_option,
    parameter_of,
    values_like,
)
from ipt.solve.known import check_values
from ipt.solve.options import AUTO, SolveOptions
from ipt.solve.outputs import read_record, write_result
from ipt.solve.picture import solve_picture
from ipt.solve.prepare import ImageTask
from ipt.solve.region import Region
from ipt.solve.result import ImageResult
from ipt.solve.solvers import Solvers


@dataclass(frozen=True, eq=False)
class Draw:
    """One of several draws.

    Attributes:
        picture: as in `Restored`.
        parameters: as in `Restored`.
        probability: as in `Restored`.
    """

    picture: Any
    parameters: Mapping[str, Any]
    probability: float | None


@dataclass(frozen=True, eq=False)
class Restored:
    """A restored picture.

    Attributes:
        picture: an array of the kind (numpy or torch), layout and number type of the input, floats in 0..1; for a file
            a numpy array (H, W) or (H, W, C), uint8 or uint16. With fit="crop" it is the central square. If the
            operator has physical units: (C, H, W), float32.
        parameters: the operator's parameters by name, (C, H, W) in physical units, float32, of numpy or torch as the
            picture; (frames * C, H, W) of several exposures.
        probability: that the parameters are right, 0..1; None: the operator cannot assess them.
        verdict: whether the result can be relied on, in words.
        residual: measurement - prediction, (C, H, W), at the size that was solved.
        noise: assumed standard deviation of the solved pixels, for values in 0..1.
        draws: the samples, if several were asked for.
        details: everything else, such as the record.
    """

    picture: Any
    parameters: Mapping[str, Any]
    probability: float | None
    verdict: str
    residual: Any
    noise: float
    draws: Sequence[Draw]
    details: ImageResult

    def save(self, folder: str | os.PathLike[str], name: str) -> dict[str, Path]:
        """Write the files that `ipt solve` writes for a picture of this name, whole or not at all.

        Returns:
            The files by role: "result", "measurement", "residual", "kernel" (a picture of it), "kernel values",
            "sample 1", "sample 1-kernel", ...

        Raises:
            IptError: they cannot be written.
        """
        path = write_result(Path(folder), name, self.details)
        return {role: path.parent / file for role, file in read_record(path.parent, name)["files"].items()}


def restore(
    picture: Source | Sequence[Source],
    operator: str = SolveOptions.operator,
    prior: str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]] | None = None,
    *,
    guidance: str = DEFAULT_GUIDANCE,
    frames: bool = False,
    noise: float | Poisson | Source | None = None,
    steps: int | None = None,
    seed: int = SolveOptions.seed,
    samples: int = SolveOptions.samples,
    effort: int = SolveOptions.effort,
    border: str | None = None,
    known: Mapping[str, Source] | None = None,
    settings: Mapping[str, Any] | None = None,
    mask: Source | None = None,
    clipped: float | str = AUTO,
    region: Region | str = SolveOptions.region,
    streak: Region | None = None,
    fit: str = SolveOptions.fit,
    light: str = SolveOptions.light,
    doubtful: str = SolveOptions.doubtful,
    device: str = AUTO,
    precision: str = AUTO,
    name: str | None = None,
    progress: Callable[[Progress], None] | None = None,
    cost: Callable[[Cost], None] | None = None,
) -> Restored:
    """Recover the picture behind a degraded one, and what degraded it, as `ipt solve` does.

    Args:
        picture: a file, or an array: of numpy (H, W) or (H, W, C), of torch (H, W) or (C, H, W), with uint8, uint16, or
            floats in 0..1. Two channels are grey with alpha, four colour with alpha. If the operator has physical units
            (`ipt.PhysicalUnits`), numbers in these units, real or complex, (C, H, W), (H, W) or (N,). A list or tuple
            of several: exposures of one scene, which make one picture.
        operator: what degraded it: a registered name, as `ipt.build` takes it.
        prior: of the picture: a name, "name:argument" or the path of weights; or a mapping with one for each unknown
            that is not to have its default. None: `faces` if it takes the picture's size, else `natural`.
        guidance: name of the guidance rule.
        frames: whether the file (a TIFF of several pages, an animated GIF) or folder holds exposures of one scene.
        noise: standard deviation for values in 0..1; `ipt.Poisson(peak, read)`; a file or an array with a map of
            standard deviations, (H, W) or (C, H, W); None: the operator's own, else estimated.
        steps: number of steps, each with one call of each network; None: the rule's default.
        seed: of the random numbers; another seed gives another draw.
        samples: number of draws; of several, the result is the mean of those that are likely right.
        effort: the most draws, if one sample is asked for and it is likely wrong.
        border: the operator's option `border`, what lies outside the frame; None: the operator's default.
        known: known parameters by name: files (.npy, or a picture), or arrays (H, W) or (C, H, W).
        settings: any option by dotted name, as `ipt.build` takes them.
        mask: a file or an array (H, W) of the picture's size, light (or True) where the picture is trusted.
        clipped: value from which highlights are clipped, and so masked; "auto": chosen; "none": nothing is masked.
        light: what is solved: "linear" (linear light, of which the picture is the sRGB encoding), "display" (the
            picture's values), or "auto" (linear for cameras' raw files, else display).
        doubtful: what is returned if the result is likely wrong: "mix", its mean with the input, weighted by its
            probability, or "show", the result. The draws are never mixed.
        region: (x, y, width, height) in pixels: the parameters are found there first; then the whole picture is solved
            from them, and corrects them. "half": they are found in the picture at half its sides. "auto": the likelier
            of both, in a large picture; "none": neither.
        streak: (x, y, width, height) in pixels: a rectangle around a point of light, or a dark spot, that is blurred to
            a streak, which is the kernel's initial value.
        fit: what to do with a picture of a size that the prior does not take: "error", "resize", "crop" or "tile".
        device: a torch device, or "auto".
        precision: of the networks: "auto", "fp32", "bf16" or "fp16".
        name: the random numbers depend on it and on the seed; None: the file's name, or "image" for an array.
        progress: called after every step with the share that is done, and a function for the current estimate. An
            exception that it raises ends the solve and reaches the caller.
        cost: called before the first step with an estimate of the time and memory that the solve takes.

    Raises:
        IptError: an argument has no valid value, a file cannot be read, or the picture cannot be solved.
    """
    _check(noise, seed, samples, effort, fit, light, precision, doubtful)
    priors = prior if isinstance(prior, Mapping) else {} if prior is None else {IMAGE: prior}
    parameters = {unknown: parameter_of(unknown, value) for unknown, value in (known or {}).items()}
    options = SolveOptions(
        input=(Path(picture),) if isinstance(picture, str | os.PathLike) else (),
        operator=operator,
        prior={unknown: os.fspath(spec) for unknown, spec in priors.items()},
        guidance=guidance,
        noise=noise_option(noise),
        steps=steps,
        seed=seed,
        samples=samples,
        effort=effort,
        border=border,
        set=settings or {},
        device=choose_device(device),
        precision=precision,
        frames=frames or isinstance(picture, list | tuple),
        clipped=clipped,
        region=region,
        streak=streak,
        fit=fit,
        light=light,
        doubtful=doubtful,
    )
    if name is None:
        name = options.input[0].name if options.input else "image"
    solvers = Solvers(options, parameters, options.device)
    check_values(parameters, known or {}, solvers.usual.operator)
    read, given = exposures_of(picture, frames, measured(solvers.usual.operator) is not None)
    first, single = read[0], len(read) == 1
    size = (first.shape[1], first.shape[2])
    solver = Multiscale(solvers.solver_for(name, first.shape))
    masked = None if mask is None else mask_from(mask, size)
    task = ImageTask.of(options, first if single else read, name, parameters, mask=masked)
    task = replace(task, noise=noise_of(noise))
    result = solve_picture(solver, task, options.device, progress=progress, cost=cost)
    record = {**result.record, "options": solvers.usual.options_for(name, first.shape).record()}
    return Restored(
        picture=as_given(result.picture, given),
        parameters={unknown: values_like(value, given) for unknown, value in result.parameters.items()},
        probability=record["probability"],
        verdict=record["verdict"],
        residual=values_like(result.residual, given),
        noise=result.noise,
        draws=_draws(result, given),
        details=replace(result, record=record),
    )


def _check(
    noise: object, seed: int, samples: int, effort: int, fit: str, light: str, precision: str, doubtful: str
) -> None:
    """Misuse where an argument is out of its range, or not one of its words."""
    if isinstance(noise, float | int) and not noise > 0:
        raise Misuse(f"noise= is a standard deviation above 0 of pictures in 0..1, or None, not {noise!r}")
    for name, number, least in (("seed", seed, 0), ("samples", samples, 1), ("effort", effort, 1)):
        if not isinstance(number, int) or number < least:
            raise Misuse(f"{name}= is a whole number from {least} up, not {number!r}")
    for name, word, words in (
        ("fit", fit, FIT_CHOICES),
        ("light", light, LIGHT_CHOICES),
        ("doubtful", doubtful, DOUBTFUL_CHOICES),
        ("precision", precision, PRECISIONS),
    ):
        if word not in words:
            raise Misuse(f"{name}= is {', '.join(words[:-1])} or {words[-1]}, not {word!r}")


def _draws(result: ImageResult, given: np.ndarray | Tensor) -> tuple[Draw, ...]:
    """The samples of a result; empty where there is one only."""
    probabilities = [draw["probability"] for draw in result.record["draws"]]
    draws = []
    for number, pixels in enumerate(() if result.samples is None else result.samples):
        picture = as_given(result.picture.with_pixels(pixels), given)
        parameters = {name: values_like(value[number], given) for name, value in result.drawn.items()}
        draws.append(Draw(picture, parameters, probabilities[number] if probabilities else None))
    return tuple(draws)
