"""From a picture, as it was read, to a measurement that can be solved."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ipt.core.errors import IptError
from ipt.core.operator import IMAGE
from ipt.core.solver import Solver
from ipt.images.exposures import combined
from ipt.images.files import Picture
from ipt.images.fit import Fitted, accepted_side, as_colour, fit
from ipt.linalg.random import image_seed
from ipt.operators.frames import Frames
from ipt.solve.batches import SamplingTask
from ipt.solve.known import checked
from ipt.solve.noise import LEAST, estimate_noise
from ipt.solve.options import SolveOptions
from ipt.solve.truth import Truth


@dataclass(frozen=True)
class ImageTask:
    """A picture to solve, and how.

    Attributes:
        picture: or several exposures of one scene, of one size: one image, and parameters of its own for each.
        name: what the seeds depend on, besides `seed`.
        noise: standard deviation, of the picture in 0..1; None: estimated, and at least `ipt.solve.noise.LEAST`.
        seed: of the run.
        samples: draws; with more than one the result is their mean.
        known: parameters that are given, by name: (C, H, W), or of several exposures (frames, C, H, W).
        truth: to compare with.
        fit: what happens to a picture that the prior does not take, one of `ipt.images.choices.FIT_CHOICES`.
    """

    picture: Picture | Sequence[Picture]
    name: str = "image"
    noise: float | None = SolveOptions.noise
    seed: int = SolveOptions.seed
    samples: int = SolveOptions.samples
    known: Mapping[str, Tensor] = field(default_factory=dict)
    truth: Truth | None = None
    fit: str = SolveOptions.fit

    @property
    def frames(self) -> tuple[Picture, ...]:
        """The exposures."""
        return (self.picture,) if isinstance(self.picture, Picture) else tuple(self.picture)

    @property
    def seeds(self) -> tuple[int, ...]:
        """A seed a sample; the first is what a single sample has, so asking for more adds to what there was."""
        return sample_seeds(self.seed, self.name, self.samples)


@dataclass(frozen=True)
class PreparedImage:
    """A picture as the prior takes it.

    Attributes:
        task: what it was prepared from.
        sampling: what is to be solved.
        measured: the part of the picture (of several, of the first) that the result shows.
        combined: of several, what `ipt.images.exposures.combined` makes of that part, by name.
        fitted: the way back to the picture's own size.
        noise: standard deviation of the pixels that are solved.
        noise_of_input: standard deviation of the picture's own.
        reference: the part of the truth that the result shows.
    """

    task: ImageTask
    sampling: SamplingTask
    measured: Picture
    combined: Mapping[str, Picture]
    fitted: Fitted
    noise: float
    noise_of_input: float
    reference: Picture | None


def prepare(solver: Solver, task: ImageTask, device: str = "cpu") -> PreparedImage:
    """What is to be solved for a picture, on the solver's device.

    Raises:
        IptError: the picture does not fit the prior; the reference, or what is known, does not fit the picture.
    """
    frames, operator = task.frames, solver.operator
    first, count = frames[0], len(frames)
    levels = [estimate_noise(frame.pixels) if task.noise is None else task.noise for frame in frames]
    level = math.sqrt(sum(each**2 for each in levels) / count)
    channels = _channels(solver, first.pixels)
    each = [_fitted(solver, as_colour(frame.pixels, channels), task.fit) for frame in frames]
    fitted = each[0]
    noise = max(level * fitted.noise_gain, LEAST if task.noise is None else 0.0)
    shape = operator.image_shape(tuple(fitted.pixels.shape))
    sampling = SamplingTask(
        solver=replace(
            solver,
            operator=operator if count == 1 else Frames(operator, count),
            priors={**solver.priors, IMAGE: fitted.prior},
        ),
        measurement=torch.cat([one.pixels for one in each])[None].to(device),
        # A grey picture in three equal channels is one measurement, not three: each counts a third.
        noise=noise * math.sqrt(channels / len(first.pixels)),
        known={name: value.to(device) for name, value in checked(task.known, operator, shape, count).items()},
        seeds=task.seeds,
    )
    reference = None
    if task.truth is not None:
        reference = _reference(task.truth, first, operator.image_shape(first.shape), fitted)
    return PreparedImage(
        task=task,
        sampling=sampling,
        measured=_window(first, fitted),
        combined=combined([_window(frame, fitted) for frame in frames]) if count > 1 else {},
        fitted=fitted,
        noise=noise,
        noise_of_input=level,
        reference=reference,
    )


def sample_seeds(run_seed: int, image_id: str, samples: int) -> tuple[int, ...]:
    """The seeds of an image's samples; those of fewer samples are the first of them."""
    names = [image_id, *(f"{image_id} sample {number}" for number in range(2, samples + 1))]
    return tuple(image_seed(run_seed, name) for name in names)


def _channels(solver: Solver, pixels: Tensor) -> int:
    """The picture's own number of channels, or three for a grey picture where the prior takes only colour."""
    prior, own = solver.priors[IMAGE], len(pixels)
    shape = solver.operator.image_shape(tuple(pixels.shape))
    try:
        prior.normalization(shape)
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
        prior.normalization(shape)
    except ValueError as error:
        if choice != "tile":
            raise IptError(
                f"what is measured is a picture of {shape[2]} x {shape[1]} px, which the prior does not take, and "
                f"resizing the measurement is not resizing the picture; choose fit=tile, or a measurement of another "
                f"size"
            ) from error
        prior = fit(pixels.new_zeros(shape), prior, choice).prior
    return Fitted(pixels, prior, (0, 0, *pixels.shape[1:]))


def _window(picture: Picture, fitted: Fitted) -> Picture:
    """The part of a picture that the result shows."""
    top, left, height, width = fitted.window
    return picture.with_pixels(picture.pixels[:, top : top + height, left : left + width])


def _reference(truth: Truth, measured: Picture, shape: tuple[int, ...], fitted: Fitted) -> Picture:
    """The part of the true picture that the result shows, with the image's channels; IptError: it does not fit."""
    picture = truth.picture
    if picture.shape[1:] != shape[1:]:
        raise IptError(
            f"the reference is {picture.shape[2]} x {picture.shape[1]} px and the picture {shape[2]} x {shape[1]}; "
            f"give a reference of the same size"
        )
    if len(picture.pixels) != shape[0]:
        if len(picture.pixels) != 1:
            raise IptError("the reference is in colour and the picture is grey; give a grey reference")
        picture = picture.with_pixels(as_colour(picture.pixels, shape[0]))
    return _window(picture, fitted) if shape == measured.shape else picture
