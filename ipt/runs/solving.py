"""One picture, solved: from a picture file's pixels to all that is written about it.

`ipt solve` is a thin layer over `solve_picture`, which is meant to be called from Python as well.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ipt.core.errors import IptError
from ipt.core.interfaces import IMAGE, Prior
from ipt.core.problem import rms
from ipt.core.randomness import image_seed
from ipt.core.solver import Solution, Solver, State
from ipt.images.files import Picture
from ipt.images.fit import Fitted, accepted_side, as_colour, as_it_came, fit
from ipt.runs.assessment import against_truth, margins, verdict
from ipt.runs.noise import FLOOR, JPEG_FLOOR, estimate_noise
from ipt.runs.outputs import ImageResult
from ipt.runs.provenance import versions, weight_hashes
from ipt.runs.truth import Truth

_BATCH_PIXELS = 2**20
"""Samples are solved together up to so many pixels; the result does not depend on it."""
_DIVERGED = 100.0


@dataclass(frozen=True)
class Progress:
    """done of total steps; residual: root mean square, over the noise level."""

    done: int
    total: int
    residual: float


Watcher = Callable[[Progress], None]


def solve_picture(
    solver: Solver,
    picture: Picture,
    image_id: str = "image",
    *,
    noise: float | None = None,
    seed: int = 0,
    samples: int = 1,
    known: Mapping[str, Tensor] | None = None,
    truth: Truth | None = None,
    fit_choice: str = "error",
    device: str = "cpu",
    watch: Watcher | None = None,
) -> ImageResult:
    """Recover the picture behind `picture`, and the unknown parameters.

    solver: as `ipt.build` makes it. noise: standard deviation, in 0..1 of the picture as it is; None: estimated. seed:
    of the run; this picture's own seeds come from it and `image_id`. samples: how many draws; with more than one the
    result is their mean. known: parameters (C, H, W) that are given. truth: to compare with. fit_choice: error, resize,
    crop or tile (`ipt.images.fit`). watch: called after every step.

    Raises IptError: what cannot be solved (the picture does not fit the prior, a kernel larger than the picture, a
    solve that diverges).
    """
    started = time.perf_counter()
    level = _noise_level(picture, noise)
    channels = _channels(solver.priors[IMAGE], picture.pixels)
    fitted = fit(as_colour(picture.pixels, channels), solver.priors[IMAGE], fit_choice)
    solver = replace(solver, priors={**solver.priors, IMAGE: fitted.prior})
    # A grey picture in three equal channels is one measurement, not three: each counts a third.
    repeats = channels / len(picture.pixels)
    used = max(level * fitted.noise_gain, FLOOR if noise is None else 0.0)
    seeds = sample_seeds(seed, image_id, samples)
    measurement = fitted.pixels[None].to(device)
    task = _Task(solver, measurement, used * math.sqrt(repeats), _batched(known, fitted, device), seeds)
    solution = task.run(watch)
    image, parameters = solution.image.mean(0, keepdim=True), _means(solver, solution)
    _check_finite(image, parameters)
    with torch.no_grad():
        residual = (measurement - solver.operator.forward(image, **parameters))[0].cpu()
    drawn = torch.stack([as_it_came(fitted.restore(one), len(picture.pixels)) for one in solution.image.cpu()])
    measured = _window(picture, fitted)
    result = measured.with_pixels(drawn.mean(0))
    found = {name: value[0].cpu() for name, value in parameters.items()}
    inside = _inside(residual, found)
    metrics = {}
    if truth is not None:
        clean = _window(_like(truth.picture, picture), fitted)
        unknown = {name: value for name, value in found.items() if name not in (known or {}) and not fitted.side}
        metrics = against_truth(result.pixels, clean.pixels, measured.pixels, unknown, truth.parameters)
    record: dict[str, Any] = {
        "input": image_id,
        "source": picture.source,
        "seconds": time.perf_counter() - started,
        "calls": dict(solution.calls),
        "metrics": metrics,
        "residual_inside": inside,
        "verdict": verdict(inside / used),
        "noise_from": "estimated" if noise is None else "given",
        "noise_of_input": level,
        "seed": seeds[0],
        "seeds": list(seeds),
        "fit": {"choice": fit_choice, "window": list(fitted.window), "solved_at": list(fitted.pixels.shape)},
        "device": device,
        "versions": versions(),
        "weights": weight_hashes(solver.priors),
    }
    return ImageResult(
        picture=result,
        measurement=measured,
        parameters=found,
        residual=residual,
        noise=used,
        trace=solution.trace.cpu().square().mean(1).sqrt().tolist(),
        samples=drawn if samples > 1 else None,
        spread=drawn.std(0) if samples > 1 else None,
        reference=None if truth is None else clean,
        record=record,
    )


def _check_finite(image: Tensor, parameters: Mapping[str, Tensor]) -> None:
    finite = all(torch.isfinite(value).all() for value in (image, *parameters.values()))
    # A picture lies in 0..1; so far outside, what would be written is only its clipping.
    if not finite or image.abs().max() > _DIVERGED:
        raise IptError("the solve diverged; try a smaller guidance.scale, another --noise or another --seed")


def _inside(residual: Tensor, parameters: Mapping[str, Tensor]) -> float:
    """Root mean square of the residual (C, H, W) where it does not depend on what lies outside the frame, of which the
    forward model may be wrong."""
    local = {name: value for name, value in parameters.items() if value.shape[1:] != residual.shape[1:]}
    top, left = margins(local, residual)
    return float(rms(residual[None, :, top : residual.shape[1] - top, left : residual.shape[2] - left])[0])


def sample_seeds(run_seed: int, image_id: str, samples: int) -> tuple[int, ...]:
    """A seed a sample; the first is what a single sample has, so asking for more adds to what there was."""
    names = [image_id, *(f"{image_id} sample {number}" for number in range(2, samples + 1))]
    return tuple(image_seed(run_seed, name) for name in names)


@dataclass(frozen=True)
class _Task:
    """A measurement (1, C, H, W) to be solved with every seed, as many at a time as memory allows."""

    solver: Solver
    measurement: Tensor
    noise: float
    known: Mapping[str, Tensor]
    seeds: Sequence[int]

    def run(self, watch: Watcher | None) -> Solution:
        size = max(1, _BATCH_PIXELS // self.measurement[0, 0].numel())
        chunks = [self.seeds[start : start + size] for start in range(0, len(self.seeds), size)]
        parts = [self._chunk(chunk, number, len(chunks), watch) for number, chunk in enumerate(chunks)]
        return Solution(
            image=torch.cat([part.image for part in parts]),
            parameters={name: torch.cat([part.parameters[name] for part in parts]) for name in parts[0].parameters},
            residual=torch.cat([part.residual for part in parts]),
            trace=torch.cat([part.trace for part in parts], dim=1),
            calls={name: sum(part.calls[name] for part in parts) for name in parts[0].calls},
        )

    def _chunk(self, seeds: Sequence[int], number: int, count: int, watch: Watcher | None) -> Solution:
        measurement = self.measurement.expand(len(seeds), *self.measurement.shape[1:])
        trace: list[Tensor] = []
        last: State | None = None
        try:
            problem = self.solver.problem(measurement, self.noise, self.known)
            for last in self._steps(measurement, seeds):
                trace.append(last.residual)
                if watch is not None:
                    residual = float(last.residual.square().mean().sqrt()) / self.noise
                    watch(Progress(number * last.total + last.index, count * last.total, residual))
        except ValueError as error:
            raise error if isinstance(error, IptError) else IptError(str(error)) from error
        if last is None:
            raise IptError("the schedule has no steps; set --steps")
        return self.solver.solution(last, problem, trace)

    def _steps(self, measurement: Tensor, seeds: Sequence[int]) -> Iterator[State]:
        return self.solver.steps(measurement, self.noise, self.known, seeds)


def _noise_level(picture: Picture, noise: float | None) -> float:
    if noise is not None:
        return noise
    return estimate_noise(picture.pixels, JPEG_FLOOR if picture.source.startswith(("JPEG", "MPO")) else FLOOR)


def _channels(prior: Prior, pixels: Tensor) -> int:
    """How many channels to solve with: the picture's own, or three for a grey picture where the prior takes only
    colour.
    """
    own, height, width = pixels.shape
    try:
        prior.chart((own, height, width))
        return own
    except ValueError:
        candidates = (own, 3 if own == 1 else 1)
    return next((count for count in candidates if accepted_side(prior, count, max(height, width)) is not None), own)


def _batched(known: Mapping[str, Tensor] | None, fitted: Fitted, device: str) -> dict[str, Tensor]:
    """Known parameters with a batch of one; IptError where one is larger than the picture."""
    height, width = fitted.pixels.shape[1:]
    for name, value in (known or {}).items():
        if value.shape[-2] > height or value.shape[-1] > width:
            raise IptError(
                f"the known {name} is {value.shape[-1]} x {value.shape[-2]} px, larger than the picture "
                f"({width} x {height}); crop it, or give a larger picture"
            )
    return {name: value[None].to(device) for name, value in (known or {}).items()}


def _means(solver: Solver, solution: Solution) -> dict[str, Tensor]:
    """The samples' mean parameters, (1, C, H, W) each, made valid."""
    return solver.operator.constrain({name: value.mean(0, keepdim=True) for name, value in solution.parameters.items()})


def _window(picture: Picture, fitted: Fitted) -> Picture:
    """The part of a picture that the result shows."""
    top, left, height, width = fitted.window
    return picture.with_pixels(picture.pixels[:, top : top + height, left : left + width])


def _like(reference: Picture, picture: Picture) -> Picture:
    """The reference with the picture's channels; IptError where the two cannot be compared."""
    if reference.shape[1:] != picture.shape[1:]:
        raise IptError(
            f"the reference is {reference.shape[2]} x {reference.shape[1]} px and the picture {picture.shape[2]} x "
            f"{picture.shape[1]}; give a reference of the same size"
        )
    if len(reference.pixels) == len(picture.pixels):
        return reference
    if len(reference.pixels) == 1:
        return reference.with_pixels(as_colour(reference.pixels, len(picture.pixels)))
    raise IptError("the reference is in colour and the picture is grey; give a grey reference")
