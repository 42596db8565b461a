"""One picture restored in one call: what `ipt solve` does, from Python, for a file or an array."""

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
from ipt.solve.options import AUTO, SolveOptions
from ipt.solve.outputs import read_record, write_result
from ipt.solve.picture import solve_picture
from ipt.solve.prepare import ImageTask
from ipt.solve.region import Region
from ipt.solve.result import ImageResult
from ipt.solve.solvers import Solvers


@dataclass(frozen=True, eq=False)
class Draw:
    """One draw of several.

    Attributes:
        picture: as of `Restored`.
        parameters: likewise.
        probability: likewise.
    """

    picture: Any
    parameters: Mapping[str, Any]
    probability: float | None


@dataclass(frozen=True, eq=False)
class Restored:
    """A restored picture.

    Attributes:
        picture: of the kind, the layout and the numbers of what was given, floats in 0..1; of a file an array of numpy,
            (H, W) or (H, W, C), uint8 or uint16. With fit="crop" it is the central square. Of a measurement that is no
            picture (C, H, W), float32, as it was found.
        parameters: what degraded it, by name, (C, H, W) in physical units, float32, of numpy or torch as the picture;
            of several exposures (frames * C, H, W).
        probability: that the parameters are right; None: the operator cannot tell.
        verdict: what is to be thought of the result, in words.
        residual: measurement - prediction, (C, H, W) at the size that was solved.
        noise: standard deviation that was assumed of the pixels that were solved, in 0..1.
        draws: each of the samples, where several were asked for.
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
            The files by what they are: "result", "measurement", "residual", "kernel" (a picture of it), "kernel
            values", "sample 1", "sample 1-kernel", ...

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
        picture: a file of any format, or an array: of numpy (H, W) or (H, W, C), of torch (H, W) or (C, H,
            W), with uint8, uint16, or floats in 0..1. Two and four channels are grey and colour with alpha. Where the
            operator measures no pictures (`ipt.PhysicalUnits`), numbers in its units, real or complex, (C, H, W), (H,
            W) or (N,), of either. Several, in a list or tuple, are exposures of one scene, which make one picture.
        operator: what degraded it: a registered name, as `ipt.build` takes it.
        prior: of the picture: a name, "name:argument" or the path of weights; or a mapping with one for each unknown
            that is not to have its usual one. None: `faces`, for pictures of another size `natural`.
        guidance: how the measurement steers the priors.
        frames: the file (a TIFF of several pages, an animated GIF) or folder holds exposures of one scene.
        noise: standard deviation, of the picture in 0..1; `ipt.Poisson(peak, read)`; a file or an array with a map of
            standard deviations, (H, W) or (C, H, W); None: what the operator says, else estimated.
        steps: each one call of each network; None: the guidance's own.
        seed: another seed, another draw.
        samples: draws; with several the result is the mean of those that are likely right.
        effort: draws at most while one sample is asked for and it is likely wrong.
        border: what lies outside the frame, the operator's option `border`; None: its own.
        known: parameters that are given, by name: files (.npy, or a picture), or arrays (H, W) or (C, H, W).
        settings: any option by dotted name, as `ipt.build` takes them.
        mask: a file or an array (H, W) of the picture's size, light (or True) where it is to be trusted.
        clipped: highlights from this value on are not trusted; "auto" finds it, "none" trusts all.
        light: what is solved: "linear" (the light whose sRGB encoding the picture is), "display" (its values),
            or "auto" (light of cameras' raw files, else values).
        doubtful: what is returned where it is likely wrong: "mix", as much of it as is likely to be right, and of the
            input the rest, or "show", all of it. The draws are never mixed.
        region: (x, y, width, height) in pixels: the parameters are found there, and all of the picture is solved with
            them, which corrects them; "auto": a region is chosen in a large picture; "none": all is solved together.
        streak: (x, y, width, height) in pixels, a rectangle about a small light, or dark spot, that is blurred to a
            streak: the kernel begins as that, and is corrected by all of the picture.
        fit: what happens to a picture of a size that the prior does not take: "error", "resize", "crop" or "tile".
        device: a torch device, or "auto".
        precision: of the networks: "auto", "fp32", "bf16" or "fp16".
        name: what the random numbers depend on besides the seed; None: the file's name, of an array "image".
        progress: called after every step with how far the solve is, and a way to see what is believed by then. What it
            raises ends the solve, and reaches the caller.
        cost: called before the first step with about how many seconds and bytes the solve takes.

    Raises:
        IptError: an argument that cannot be, a file that cannot be read, a picture that cannot be solved.
    """
    _check(noise, samples, effort, fit, light, precision, doubtful)
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


def _check(noise: object, samples: int, effort: int, fit: str, light: str, precision: str, doubtful: str) -> None:
    if isinstance(noise, float | int) and not noise > 0:
        raise Misuse(f"noise= is a standard deviation above 0 of pictures in 0..1, or None, not {noise!r}")
    for name, number in (("samples", samples), ("effort", effort)):
        if not isinstance(number, int) or number < 1:
            raise Misuse(f"{name}= is a whole number from 1 up, not {number!r}")
    for name, word, words in (
        ("fit", fit, FIT_CHOICES),
        ("light", light, LIGHT_CHOICES),
        ("doubtful", doubtful, DOUBTFUL_CHOICES),
        ("precision", precision, PRECISIONS),
    ):
        if word not in words:
            raise Misuse(f"{name}= is {', '.join(words[:-1])} or {words[-1]}, not {word!r}")


def _draws(result: ImageResult, given: np.ndarray | Tensor) -> tuple[Draw, ...]:
    """Each sample of a result, where there are several."""
    chances = [draw["probability"] for draw in result.record["draws"]]
    return tuple(
        Draw(
            as_given(result.picture.with_pixels(pixels), given),
            {name: values_like(value[number], given) for name, value in result.drawn.items()},
            chances[number] if chances else None,
        )
        for number, pixels in enumerate(() if result.samples is None else result.samples)
    )
