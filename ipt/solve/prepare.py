"""From a picture as read from its file to a `SamplingTask`: bit depth, registration, noise, fit, masks, start.

`ImageTask` -> `prepare` -> `PreparedImage`, whose `sampling` is drawn from by `ipt.solve.batches`; the rest of it is
what `ipt.solve.result` needs to make a picture of the draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from ipt.core.abilities import MeasurementSpec, ability, framed_shape
from ipt.core.operator import IMAGE, ParametricOperator
from ipt.core.prior import Prior
from ipt.core.solver import Solver
from ipt.images.exposures import combined
from ipt.images.files import Picture
from ipt.images.fit import Fitted, as_colour
from ipt.images.formats import suffix_for
from ipt.images.measurements import check_complex, measured
from ipt.images.noise import Noise
from ipt.images.ranges import check_picture
from ipt.images.registration import Motion
from ipt.linalg.random import image_seed
from ipt.operators.frames import Frames
from ipt.sampling.initial import Initializable
from ipt.solve.fitting import fitted_to, prior_for, solved_values
from ipt.solve.known import checked, scaled
from ipt.solve.masks import check_mask, solved_masks
from ipt.solve.noise import AssumedNoise, assumed_noise
from ipt.solve.options import AUTO, LINEAR, NONE, SolveOptions
from ipt.solve.region import Region, with_region, with_streak
from ipt.solve.registration import registered_exposures
from ipt.solve.task import SamplingTask
from ipt.solve.truth import Truth, reference_of, window_of
from ipt.solve.weighing import weighed


@dataclass(frozen=True)
class ImageTask:
    """A picture to solve, and how.

    Attributes:
        picture: one picture, or several exposures of one scene and of one size, which share one image and have
            parameters of their own. Where the operator has physical units (`ipt.PhysicalUnits`), numbers in them.
        name: the seeds depend on it and on `seed`.
        noise: standard deviation for values in 0..1; a map of them, (1 or C, H, W); Poisson noise; None: the operator's
            own, else estimated (`ipt.solve.noise`).
        seed: of the run.
        samples: number of draws; of several, the result is the likeliest or the mean of the likely ones.
        known: known parameters by name, (C, H, W), or (frames, C, H, W) of several exposures.
        truth: the clean picture and the true parameters, to compare with.
        mask: (1, H, W), 1 where the picture is to be trusted, 0 where it is not.
        clipped: as of `SolveOptions`.
        region: as of `SolveOptions`.
        streak: as of `SolveOptions`.
        fit: what happens to a picture that the prior does not take, one of `ipt.images.choices.FIT_CHOICES`.
        light: as of `SolveOptions`.
        doubtful: as of `SolveOptions`.
        format: of the result, as of `SolveOptions`.
        effort: the most draws, if one sample is asked for and the operator judges it likely wrong.
        motions: the camera's motion for each exposure, if they were registered; else empty.
    """

    picture: Picture | Sequence[Picture]
    name: str = "image"
    noise: Noise = None
    seed: int = SolveOptions.seed
    samples: int = SolveOptions.samples
    known: Mapping[str, Tensor] = field(default_factory=dict)
    truth: Truth | None = None
    mask: Tensor | None = None
    clipped: float | str = SolveOptions.clipped
    region: Region | str = SolveOptions.region
    streak: Region | None = None
    fit: str = SolveOptions.fit
    light: str = SolveOptions.light
    doubtful: str = SolveOptions.doubtful
    effort: int = SolveOptions.effort
    format: str = SolveOptions.format
    motions: tuple[Motion, ...] = ()

    @classmethod
    def of(
        cls,
        options: SolveOptions,
        picture: Picture | Sequence[Picture],
        name: str,
        known: Mapping[str, Tensor],
        truth: Truth | None = None,
        mask: Tensor | None = None,
        levels: Tensor | None = None,
    ) -> ImageTask:
        """The task that the options describe; what they name by a file (known, mask, noise map) is passed as read."""
        return cls(
            picture=picture,
            name=name,
            noise=levels if isinstance(options.noise, Path) else options.noise,
            seed=options.seed,
            samples=options.samples,
            known=known,
            truth=truth,
            mask=mask,
            clipped=options.clipped,
            region=options.region,
            streak=options.streak,
            fit=options.fit,
            light=options.light,
            doubtful=options.doubtful,
            effort=options.effort,
            format=options.format,
        )

    @property
    def frames(self) -> tuple[Picture, ...]:
        """The exposures."""
        return (self.picture,) if isinstance(self.picture, Picture) else tuple(self.picture)

    @property
    def seeds(self) -> tuple[int, ...]:
        """One seed per sample; the first is that of a single sample, so asking for more appends to it."""
        return sample_seeds(self.seed, self.name, self.samples)

    @property
    def reserve(self) -> tuple[int, ...]:
        """Seeds of further draws within `effort`, the same that more samples would have."""
        return sample_seeds(self.seed, self.name, self.effort)[1:] if self.samples == 1 else ()


@dataclass(frozen=True)
class PreparedImage:
    """A picture that is ready to be solved.

    Attributes:
        task: what it was prepared from.
        sampling: what is drawn from.
        exposures: the pictures, cropped to the part that the result shows.
        channels: of the result: the stored picture's, unless the image has another number than the measurement (a
            mosaic of a colour image).
        combined: mean and median of several exposures (`ipt.images.exposures.combined`), by name.
        fitted: maps the result back to the picture's own size.
        linear: whether light is solved, and not sRGB values.
        noise: standard deviation of the solved pixels; where it varies, of those with weight 1
            (`ipt.core.observation`).
        noise_of_input: standard deviation of the input's noise.
        noise_model: "gaussian", "poisson" or "map".
        reference: the part of the truth that the result shows.
        suffix: of the result's file.
        spec: what the operator measures; None: pictures.
        lamps: 1 where clipping alone left the measurement out, (1, frames or 1, H, W); None: nowhere.
    """

    task: ImageTask
    sampling: SamplingTask
    exposures: tuple[Picture, ...]
    channels: int
    combined: Mapping[str, Picture]
    fitted: Fitted
    linear: bool
    noise: float
    noise_of_input: float
    noise_model: str
    reference: Picture | None
    suffix: str
    spec: MeasurementSpec | None
    lamps: Tensor | None = None

    @property
    def measured(self) -> Picture:
        """The first of the exposures."""
        return self.exposures[0]


def prepare(solver: Solver, task: ImageTask, device: str = "cpu") -> PreparedImage:
    """Turn a picture into a measurement that the solver takes.

    Args:
        solver: its operator is of a single exposure; its image prior decides how the picture is fitted.
        task: the picture and how it is solved.
        device: a torch device, the solver's.

    Raises:
        IptError: the picture does not fit the prior; the reference or a known parameter does not fit the picture.
    """
    operator, spec = solver.operator, measured(solver.operator)
    if spec is None:
        task = _registered(_in_common_bits(task), operator)
    first, count = task.frames[0], len(task.frames)
    linear = spec is None and (first.is_raw if task.light == AUTO else task.light == LINEAR)
    noise = assumed_noise(task.noise, [frame.pixels for frame in task.frames], spec, linear)
    if spec is None:
        for frame in task.frames:
            check_picture(task.name, frame.pixels.numpy(), 0.0 if task.noise is None else noise.largest)
    else:
        check_complex(spec, first.pixels, task.name)

    pixels = [solved_values(frame.pixels, spec is None, linear) for frame in task.frames]
    channels = max(len(one) for one in pixels)
    prior = prior_for(solver, (channels, *first.shape[1:]))
    each = [fitted_to(operator, prior, as_colour(one, channels), task.fit) for one in pixels]
    fitted, level = each[0], noise.level
    noise = noise.resized(fitted.noise_gain, fitted.side)
    operator, known = scaled(operator, task.known, fitted)
    sampling, lamps = _sampling_task(solver, replace(task, known=known), operator, prior, each, noise, linear, device)

    image_channels, *_ = operator.image_shape(tuple(fitted.pixels.shape))
    stored_channels = len(first.pixels) if image_channels == channels else image_channels
    reference = None
    if task.truth is not None:
        _, *sides = framed_shape(operator, operator.image_shape((channels, *first.shape[1:])))
        reference = reference_of(task.truth, first, (stored_channels, *sides), fitted)
    shown = tuple(window_of(frame, fitted) for frame in task.frames)
    return PreparedImage(
        task=task,
        sampling=_with_start(task, sampling, fitted, spec is None),
        exposures=shown,
        channels=stored_channels,
        combined=combined(shown) if count > 1 else {},
        fitted=fitted,
        linear=linear,
        noise=sampling.level,
        noise_of_input=level if noise.model == "gaussian" else sampling.level,
        noise_model=noise.model,
        reference=reference,
        suffix=suffix_for(task.format, first, stored_channels),
        spec=spec,
        lamps=lamps,
    )


def _in_common_bits(task: ImageTask) -> ImageTask:
    """The same with 1 for the largest number of as many bits as the camera has, which the brightest exposure shows."""
    bits = max(frame.used_bits for frame in task.frames)
    frames = tuple(frame.in_used_bits(bits) for frame in task.frames)
    return replace(task, picture=frames[0] if isinstance(task.picture, Picture) else frames)


def _registered(task: ImageTask, operator: ParametricOperator) -> ImageTask:
    """The same with its exposures aligned, for operators that are made for moving air (`Initializable`)."""
    if len(task.frames) == 1 or task.known or ability(operator, Initializable) is None:
        return task
    frames, mask, truth, motions = registered_exposures(task.frames, task.mask, task.truth)
    return replace(task, picture=frames, mask=mask, truth=truth, motions=motions)


def _sampling_task(
    solver: Solver,
    task: ImageTask,
    operator: ParametricOperator,
    prior: Prior,
    each: Sequence[Fitted],
    noise: AssumedNoise,
    linear: bool,
    device: str,
) -> tuple[SamplingTask, Tensor | None]:
    """What is sampled, and where clipping alone left the measurement out.

    The task's known parameters, the operator, the noise and `each` are those of the fitted exposures; `prior` is the
    one that they were fitted to.
    """
    fitted, count = each[0], len(each)
    channels, *_ = fitted.pixels.shape
    shape = operator.image_shape(tuple(fitted.pixels.shape))
    if task.mask is not None:
        check_mask(task.mask, task.frames[0].shape[1:])
    clipped = task.clipped if measured(operator) is None else NONE
    mask, lamps = solved_masks(operator, prior, each, task.mask, clipped, task.fit, linear)
    known = checked(task.known, operator, shape, count)
    sampling = SamplingTask(
        solver=replace(
            solver,
            operator=operator if count == 1 else Frames(operator, count),
            priors={**solver.priors, IMAGE: fitted.prior},
        ),
        measurement=torch.cat([one.pixels for one in each])[None].to(device),
        noise=noise.for_solver(channels, count, device),
        gain=noise.gain,
        mask=mask,
        known={name: value.to(device) for name, value in known.items()},
        seeds=task.seeds,
        reserve=task.reserve,
    )
    return weighed(sampling) if count > 1 else sampling, lamps


def _with_start(task: ImageTask, sampling: SamplingTask, fitted: Fitted, is_picture: bool) -> SamplingTask:
    """The same with the region or the streak in which the parameters are found first."""
    if task.streak is not None:
        return with_streak(sampling, task.streak, task.region, fitted)
    return with_region(sampling, task.region if is_picture or task.region != AUTO else NONE, fitted)


def sample_seeds(run_seed: int, image_id: str, samples: int) -> tuple[int, ...]:
    """One seed per sample of an image; asking for more samples appends to the seeds of fewer."""
    names = [image_id, *(f"{image_id} sample {number}" for number in range(2, samples + 1))]
    return tuple(image_seed(run_seed, name) for name in names)
