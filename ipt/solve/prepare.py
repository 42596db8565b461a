"""From a picture, as it was read, to a measurement that can be solved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from ipt.core.abilities import Framed, MeasurementSpec, ability, framed_shape
from ipt.core.errors import IptError
from ipt.core.operator import IMAGE, ParametricOperator
from ipt.core.prior import Prior
from ipt.core.solver import Solver
from ipt.images.exposures import combined
from ipt.images.files import Picture
from ipt.images.fit import Fitted, as_colour
from ipt.images.formats import suffix_for
from ipt.images.light import encoded
from ipt.images.measurements import measured
from ipt.images.noise import Noise
from ipt.images.ranges import check_picture
from ipt.images.steadying import Motion
from ipt.linalg.random import image_seed
from ipt.operators.frames import Frames
from ipt.sampling.initial import Initializable
from ipt.solve.fitting import fitted_to, prior_for, solved_values
from ipt.solve.held_still import held_still
from ipt.solve.known import checked, scaled
from ipt.solve.masks import unclipped
from ipt.solve.noise import assumed_noise
from ipt.solve.options import AUTO, LINEAR, NONE, SolveOptions
from ipt.solve.region import Region, with_region, with_streak
from ipt.solve.task import SamplingTask
from ipt.solve.truth import Truth, reference_of, window_of
from ipt.solve.weighing import weighed


@dataclass(frozen=True)
class ImageTask:
    """A picture to solve, and how.

    Attributes:
        picture: or several exposures of one scene, of one size: one image, and parameters of its own for each; where
            the operator measures no pictures (`ipt.PhysicalUnits`), numbers in its units.
        name: what the seeds depend on, besides `seed`.
        noise: standard deviation, of the picture in 0..1; a map of them, (1 or C, H, W); Poisson noise; None: what the
            operator says, else estimated (`ipt.solve.noise`).
        seed: of the run.
        samples: draws; with more than one the result is the likeliest of them or their mean.
        known: parameters that are given, by name: (C, H, W), or of several exposures (frames, C, H, W).
        truth: to compare with.
        mask: (1, H, W), 1 where the picture is to be trusted, 0 where it is not.
        clipped: as of `SolveOptions`.
        region: as of `SolveOptions`.
        streak: as of `SolveOptions`.
        fit: what happens to a picture that the prior does not take, one of `ipt.images.choices.FIT_CHOICES`.
        light: as of `SolveOptions`.
        doubtful: as of `SolveOptions`.
        format: of the result, as of `SolveOptions`.
        effort: draws at most, if one sample is asked for and the operator can tell that it is likely wrong.
        motions: of the camera, one of each exposure, where these were brought onto the first.
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
        """A picture to solve as options say; what they name by its file is given as it was read."""
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
        """A seed a sample; the first is what a single sample has, so asking for more adds to what there was."""
        return sample_seeds(self.seed, self.name, self.samples)

    @property
    def reserve(self) -> tuple[int, ...]:
        """Seeds of further draws, those that more samples would have."""
        return sample_seeds(self.seed, self.name, self.effort)[1:] if self.samples == 1 else ()


@dataclass(frozen=True)
class PreparedImage:
    """A picture as the prior takes it.

    Attributes:
        task: what it was prepared from.
        sampling: what is to be solved.
        exposures: the part of the pictures that the result shows.
        channels: of the result: those of the picture as it is stored, where the image has those of the measurement; the
            image's own where it has others (a mosaic, of an image in colour).
        combined: of several, what `ipt.images.exposures.combined` makes of that part, by name.
        fitted: the way back to the picture's own size.
        linear: whether what is solved is the light of the picture, and not its values.
        noise: standard deviation of the pixels that are solved; where they differ, of those that have the weight 1
            (`ipt.core.observation`).
        noise_of_input: standard deviation of the picture's own.
        noise_model: "gaussian", "poisson", or "map" of levels.
        reference: the part of the truth that the result shows.
        suffix: of the result's file.
        spec: what was measured; None: a picture.
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
    """What is to be solved for a picture, on the solver's device.

    Raises:
        IptError: the picture does not fit the prior; the reference, or what is known, does not fit the picture.
    """
    operator, spec = solver.operator, measured(solver.operator)
    frames = task.frames
    if spec is None:
        # Of exposures, the brightest says how many bits the camera has.
        bits = max(frame.used_bits for frame in frames)
        frames = tuple(frame.in_used_bits(bits) for frame in frames)
    task = replace(task, picture=frames[0] if isinstance(task.picture, Picture) else frames)
    if len(frames) > 1 and spec is None and not task.known and ability(operator, Initializable) is not None:
        frames, mask, truth, motions = held_still(frames, task.mask, task.truth)
        task = replace(task, picture=frames, mask=mask, truth=truth, motions=motions)
    first, count = frames[0], len(frames)
    linear = spec is None and (first.is_raw if task.light == AUTO else task.light == LINEAR)
    noise = assumed_noise(task.noise, [frame.pixels for frame in frames], spec, linear)
    if spec is None:
        for frame in frames:
            check_picture(task.name, frame.pixels.numpy(), 0.0 if task.noise is None else noise.largest)
    pixels = [solved_values(frame.pixels, spec is None, linear) for frame in frames]
    channels = max(len(one) for one in pixels)
    prior = prior_for(solver, (channels, *first.shape[1:]))
    each = [fitted_to(operator, prior, as_colour(one, channels), task.fit) for one in pixels]
    fitted, level = each[0], noise.level
    noise = noise.resized(fitted.noise_gain, fitted.side)
    operator, known = scaled(operator, task.known, fitted)
    shape = operator.image_shape(tuple(fitted.pixels.shape))
    mask, lamps = _mask(task, operator, prior, each, spec is None, linear)
    sampling = SamplingTask(
        solver=replace(
            solver,
            operator=operator if count == 1 else Frames(operator, count),
            priors={**solver.priors, IMAGE: fitted.prior},
        ),
        measurement=torch.cat([one.pixels for one in each])[None].to(device),
        noise=noise.given(len(each[0].pixels), count, device),
        gain=noise.gain,
        mask=mask,
        known={name: value.to(device) for name, value in checked(known, operator, shape, count).items()},
        seeds=task.seeds,
        reserve=task.reserve,
    )
    if count > 1:
        sampling = weighed(sampling)
    own, reference = len(first.pixels) if shape[0] == channels else shape[0], None
    if task.truth is not None:
        _, *sides = framed_shape(operator, operator.image_shape((channels, *first.shape[1:])))
        reference = reference_of(task.truth, first, (own, *sides), fitted)
    shown = tuple(window_of(frame, fitted) for frame in frames)
    return PreparedImage(
        task=task,
        sampling=_begun(task, sampling, fitted, spec is None),
        exposures=shown,
        channels=own,
        combined=combined(shown) if count > 1 else {},
        fitted=fitted,
        linear=linear,
        noise=sampling.level,
        noise_of_input=level if noise.model == "gaussian" else sampling.level,
        noise_model=noise.model,
        reference=reference,
        suffix=suffix_for(task.format, first, own),
        spec=spec,
        lamps=lamps,
    )


def _begun(task: ImageTask, sampling: SamplingTask, fitted: Fitted, pictures: bool) -> SamplingTask:
    """With where the parameters are found first."""
    if task.streak is not None:
        return with_streak(sampling, task.streak, task.region, fitted)
    return with_region(sampling, task.region if pictures or task.region != AUTO else NONE, fitted)


def sample_seeds(run_seed: int, image_id: str, samples: int) -> tuple[int, ...]:
    """The seeds of an image's samples; those of fewer samples are the first of them."""
    names = [image_id, *(f"{image_id} sample {number}" for number in range(2, samples + 1))]
    return tuple(image_seed(run_seed, name) for name in names)


def _mask(
    task: ImageTask,
    operator: ParametricOperator,
    prior: Prior,
    each: Sequence[Fitted],
    pictures: bool,
    linear: bool,
) -> tuple[Tensor | None, Tensor | None]:
    """What was measured of the pixels that are solved, (1, frames, H, W) or (1, 1, H, W); None: everything.

    And likewise what is left out because it is clipped; None: nothing.

    pictures: whether they may be clipped. linear: whether they are light.
    """
    framed = ability(operator, Framed)
    shape = operator.image_shape(tuple(each[0].pixels.shape))
    reach = 0 if framed is None else framed.frame(shape)[0].start // 2
    values = [encoded(one.pixels) if linear else one.pixels for one in each]
    masks = [unclipped(one, task.clipped if pictures else NONE, reach) for one in values]
    lamps = [1 - mask for mask in masks]
    if task.mask is not None:
        size = tuple(task.frames[0].shape[1:])
        if task.mask.shape != (1, *size) or not bool(((task.mask >= 0) & (task.mask <= 1)).all()):
            raise IptError(
                f"a mask is (1, {size[0]}, {size[1]}) for this picture, 1 where it is to be trusted and 0 elsewhere, "
                f"not {tuple(task.mask.shape)} of {float(task.mask.min()):g} to {float(task.mask.max()):g}"
            )
        given = task.mask.expand(len(each[0].pixels), *task.mask.shape[1:])
        trusted = (fitted_to(operator, prior, given, task.fit).pixels[:1] > 0.99).float()
        masks, lamps = ([one * trusted for one in both] for both in (masks, lamps))
    if all(bool(mask.all()) for mask in masks):
        return None, None
    if not all(bool(mask.any()) for mask in masks):
        raise IptError("nothing of the picture is left to be trusted: give another mask=, or clipped=none")
    # A frame's mask holds for all of its channels.
    channels = len(each[0].pixels) if len(masks) > 1 else 1
    whole, left_out = (
        torch.cat([one.expand(channels, *one.shape[1:]) for one in both])[None] for both in (masks, lamps)
    )
    return whole, left_out if left_out.any() else None
