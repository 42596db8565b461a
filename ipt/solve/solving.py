"""One picture, solved: from a picture file's pixels to all that is written about it.

`prepare` makes a task of a picture, `ipt.solve.tasks` solves tasks, and `Prepared.result` makes of the solution what is
written. `solve_picture` is the three in one, and meant to be called from Python as well.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ipt.core.errors import IptError
from ipt.core.interfaces import IMAGE
from ipt.core.problem import rms
from ipt.core.randomness import image_seed
from ipt.core.solver import Solution, Solver
from ipt.images.exposures import combined
from ipt.images.files import Picture
from ipt.images.fit import Fitted, accepted_side, as_colour, as_it_came, fit
from ipt.images.outcomes import Progress
from ipt.images.records import versions
from ipt.operators.frames import Frames
from ipt.solve.assessment import against_truth, margins, verdict
from ipt.solve.known import given
from ipt.solve.memory import Room
from ipt.solve.noise import LEAST, estimate_noise
from ipt.solve.outputs import ImageResult
from ipt.solve.provenance import weight_hashes
from ipt.solve.tasks import Task, solve_tasks
from ipt.solve.truth import Truth

_DIVERGED = 100.0

Watcher = Callable[[Progress], None]


def solve_picture(
    solver: Solver,
    picture: Picture | Sequence[Picture],
    image_id: str = "image",
    *,
    noise: float | None = None,
    seed: int = 0,
    samples: int = 1,
    known: Mapping[str, Tensor] | None = None,
    truth: Truth | None = None,
    fit_choice: str = "error",
    device: str = "cpu",
    batch: int | None = None,
    watch: Watcher | None = None,
) -> ImageResult:
    """Recover the picture behind `picture`, and the unknown parameters.

    The arguments up to device are those of `prepare`. batch: how many samples are solved together (None: as the device
    has use for); the result does not depend on it. watch: called after every step. Raises IptError: what cannot be
    solved (the picture does not fit the prior, a kernel larger than the picture, a solve that diverges).
    """
    started = time.perf_counter()
    prepared = prepare(
        solver,
        picture,
        image_id,
        noise=noise,
        seed=seed,
        samples=samples,
        known=known,
        truth=truth,
        fit_choice=fit_choice,
        device=device,
    )
    (solution,) = solve_tasks([prepared.task], Room(batch, device), watch)
    return prepared.result(solution, time.perf_counter() - started)


def prepare(
    solver: Solver,
    picture: Picture | Sequence[Picture],
    image_id: str = "image",
    *,
    noise: float | None = None,
    seed: int = 0,
    samples: int = 1,
    known: Mapping[str, Tensor] | None = None,
    truth: Truth | None = None,
    fit_choice: str = "error",
    device: str = "cpu",
) -> Prepared:
    """What is to be solved for `picture`, as the prior takes it.

    solver: as `ipt.build` makes it. picture: or several exposures of one scene, of one size: one image, and parameters
    of its own for each. noise: standard deviation, in 0..1 of the picture as it is; None: estimated, and at least
    `ipt.solve.noise.LEAST`. seed: of the run; this picture's own seeds come from it and `image_id`. samples: how many
    draws; with more than one the result is their mean. known: parameters that are given, as `ipt.solve.known` takes
    them. truth: to compare with. fit_choice: error, resize, crop or tile (`ipt.images.fit`). Raises IptError: the
    picture does not fit the prior, the reference or what is known not the picture.
    """
    frames = (picture,) if isinstance(picture, Picture) else tuple(picture)
    first, count = frames[0], len(frames)
    levels = [noise if noise is not None else estimate_noise(frame.pixels) for frame in frames]
    level = math.sqrt(sum(each**2 for each in levels) / count)
    channels = _channels(solver, first.pixels)
    each = [_fitted(solver, as_colour(frame.pixels, channels), fit_choice) for frame in frames]
    fitted, operator = each[0], solver.operator
    # A grey picture in three equal channels is one measurement, not three: each counts a third.
    repeats = channels / len(first.pixels)
    used = max(level * fitted.noise_gain, LEAST if noise is None else 0.0)
    shape = operator.image_shape(tuple(fitted.pixels.shape))
    task = Task(
        solver=replace(
            solver,
            operator=operator if count == 1 else Frames(operator, count),
            priors={**solver.priors, IMAGE: fitted.prior},
        ),
        measurement=torch.cat([one.pixels for one in each])[None].to(device),
        noise=used * math.sqrt(repeats),
        known={name: value.to(device) for name, value in given(known or {}, operator, shape, count).items()},
        seeds=sample_seeds(seed, image_id, samples),
    )
    shape = operator.image_shape(first.shape)
    reference = None if truth is None else _like(truth.picture, shape)
    if reference is not None and shape == first.shape:
        reference = _window(reference, fitted)
    record = {
        "input": image_id,
        "source": first.source,
        "frames": count,
        "noise_from": "estimated" if noise is None else "given",
        "noise_of_input": level,
        "fit": {"choice": fit_choice, "window": list(fitted.window), "solved_at": list(fitted.pixels.shape)},
        "device": device,
    }
    simple = combined([_window(frame, fitted) for frame in frames]) if count > 1 else {}
    true = {} if truth is None else truth.parameters
    return Prepared(task, _window(first, fitted), simple, fitted, used, reference, true, record)


@dataclass(frozen=True)
class Prepared:
    """A picture on its way: task, to be solved; measured: the part of the picture (of several, the first) that the
    result shows; combined: of several, what `ipt.images.exposures.combined` makes of them; fitted; noise of the task's
    pixels; reference: the same part of the truth, and its parameters; record: what is known beforehand.
    """

    task: Task
    measured: Picture
    combined: Mapping[str, Picture]
    fitted: Fitted
    noise: float
    reference: Picture | None
    true_parameters: Mapping[str, Tensor]
    record: Mapping[str, Any]

    def result(self, solution: Solution, seconds: float) -> ImageResult:
        """All that is written of the picture. Raises IptError: the solve diverged."""
        task, fitted = self.task, self.fitted
        image, parameters = solution.image.mean(0, keepdim=True), _means(task.solver, solution)
        _check_finite(image, parameters)
        with torch.no_grad():
            residual = (task.measurement - task.solver.operator.forward(image, **parameters))[0].cpu()
        channels = len(self.measured.pixels)
        drawn = torch.stack([as_it_came(fitted.restore(one), channels) for one in solution.image.cpu()])
        result = self.measured.with_pixels(drawn.mean(0))
        found = {name: value[0].cpu() for name, value in parameters.items()}
        inside = _inside(residual, found, image[0])
        metrics, frames = {}, self.record["frames"]
        if self.reference is not None:
            unknown = {name: value for name, value in found.items() if name not in task.known and not fitted.side}
            compared = {"input": self.measured.pixels} | {name: one.pixels for name, one in self.combined.items()}
            metrics = against_truth(
                result.pixels, self.reference.pixels, compared, unknown, self.true_parameters, frames
            )
        record: dict[str, Any] = {
            **self.record,
            "seconds": seconds,
            "calls": dict(solution.calls),
            "solved_sizes": [list(size) for size in solution.sizes],
            "metrics": metrics,
            "parameters": self._numbers(found),
            "residual_inside": inside,
            "verdict": verdict(inside / self.noise, self.noise),
            "seed": task.seeds[0],
            "seeds": list(task.seeds),
            "versions": versions(),
            "weights": weight_hashes(task.solver.priors),
        }
        several = len(task.seeds) > 1
        return ImageResult(
            picture=result,
            measurement=self.measured,
            parameters=found,
            residual=residual,
            noise=self.noise,
            trace=solution.trace.cpu().square().mean(1).sqrt().tolist(),
            samples=drawn if several else None,
            spread=drawn.std(0) if several else None,
            frames=frames,
            combined=self.combined,
            reference=self.reference,
            record=record,
        )

    def _numbers(self, found: Mapping[str, Tensor]) -> dict[str, dict[str, Any]]:
        """Parameters that are numbers, or lines of them, with what they mean; by name."""
        operator = self.task.solver.operator
        specs = operator.parameters(operator.image_shape(tuple(self.task.measurement.shape[1:])))
        return {
            name: {"values": value.flatten().tolist(), "unit": specs[name].unit, "meaning": specs[name].meaning}
            for name, value in found.items()
            if min(value.shape[1:]) == 1
        }


def _check_finite(image: Tensor, parameters: Mapping[str, Tensor]) -> None:
    finite = all(torch.isfinite(value).all() for value in (image, *parameters.values()))
    # A picture lies in 0..1; so far outside, what would be written is only its clipping.
    if not finite or image.abs().max() > _DIVERGED:
        raise IptError("the solve diverged; try a smaller guidance.scale, another --noise or another --seed")


def _inside(residual: Tensor, parameters: Mapping[str, Tensor], image: Tensor) -> float:
    """Root mean square of the residual (C, H, W) where it does not depend on what lies outside the frame, of which the
    forward model may be wrong. image: (C, H, W); the residual may be of another size."""
    local = {name: value for name, value in parameters.items() if value.shape[1:] != image.shape[1:]}
    sides = zip(margins(local, image), residual.shape[1:], image.shape[1:], strict=True)
    top, left = (math.ceil(margin * measured / side) for margin, measured, side in sides)
    return float(rms(residual[None, :, top : residual.shape[1] - top, left : residual.shape[2] - left])[0])


def sample_seeds(run_seed: int, image_id: str, samples: int) -> tuple[int, ...]:
    """A seed a sample; the first is what a single sample has, so asking for more adds to what there was."""
    names = [image_id, *(f"{image_id} sample {number}" for number in range(2, samples + 1))]
    return tuple(image_seed(run_seed, name) for name in names)


def _channels(solver: Solver, pixels: Tensor) -> int:
    """How many channels to solve with: the picture's own, or three for a grey picture where the prior takes only
    colour.
    """
    prior, own = solver.priors[IMAGE], len(pixels)
    shape = solver.operator.image_shape(tuple(pixels.shape))
    try:
        prior.chart(shape)
        return own
    except ValueError:
        candidates = (own, 3 if own == 1 else 1)
    return next((count for count in candidates if accepted_side(prior, count, max(shape[1:])) is not None), own)


def _fitted(solver: Solver, pixels: Tensor, choice: str) -> Fitted:
    """What is measured as the image's prior takes the image; IptError where it does not."""
    prior, shape = solver.priors[IMAGE], solver.operator.image_shape(tuple(pixels.shape))
    if shape == pixels.shape:
        return fit(pixels, prior, choice)
    try:
        prior.chart(shape)
    except ValueError as error:
        if choice != "tile":
            raise IptError(
                f"what is measured is a picture of {shape[2]} x {shape[1]} px, which the prior does not take, and "
                f"resizing the measurement is not resizing the picture; choose --fit tile, or a measurement of another "
                f"size"
            ) from error
        prior = fit(pixels.new_zeros(shape), prior, choice).prior
    return Fitted(pixels, prior, (0, 0, *pixels.shape[1:]))


def _means(solver: Solver, solution: Solution) -> dict[str, Tensor]:
    """The samples' mean parameters, (1, C, H, W) each, made valid."""
    return solver.operator.constrain({name: value.mean(0, keepdim=True) for name, value in solution.parameters.items()})


def _window(picture: Picture, fitted: Fitted) -> Picture:
    """The part of a picture that the result shows."""
    top, left, height, width = fitted.window
    return picture.with_pixels(picture.pixels[:, top : top + height, left : left + width])


def _like(reference: Picture, shape: tuple[int, ...]) -> Picture:
    """The reference with the channels of an image (C, H, W); IptError where the two cannot be compared."""
    if reference.shape[1:] != shape[1:]:
        raise IptError(
            f"the reference is {reference.shape[2]} x {reference.shape[1]} px and the picture {shape[2]} x {shape[1]}; "
            f"give a reference of the same size"
        )
    if len(reference.pixels) == shape[0]:
        return reference
    if len(reference.pixels) == 1:
        return reference.with_pixels(as_colour(reference.pixels, shape[0]))
    raise IptError("the reference is in colour and the picture is grey; give a grey reference")
