"""Blur by one kernel for each image: y = k * x, a true convolution with an explicit border.

    y[i] = sum_u k[u] x[i - (u - c)],   c = (H_k // 2, W_k // 2)

The border says what lies outside the frame. `circular`, `zero`, `reflect` and `replicate` are rules. With `unknown`
(the default) the image is larger than the frame by the kernel's reach, the measurement is the valid part of the
convolution, and the surroundings are solved for with the rest.

Beside it: `padded_frame` has the geometry, `steps` the exact steps, `evidence` the assessment of solutions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ipt.core.abilities import (
    Assessable,
    Assessment,
    Belief,
    Canonicalizable,
    Coarsenable,
    Coarser,
    ExactSteps,
    Framed,
    Linear,
    Resizable,
)
from ipt.core.errors import IptError
from ipt.core.observation import Observation
from ipt.core.operator import ParameterSpec, ParametricOperator, Unknowns
from ipt.operators.blur import windows
from ipt.operators.blur.assessment import assessments, compared
from ipt.operators.blur.centring import doubled, moved, moved_kernel, off_centre, rescaled
from ipt.operators.blur.continuations import at_twice_the_sides, extent, with_tiles
from ipt.operators.blur.evidence import evidence
from ipt.operators.blur.locality import LEAST, check_tiles, differs, locality, parts, sparser
from ipt.operators.blur.measured import SINGLE_KERNEL, Measured, arithmetic
from ipt.operators.blur.padded_frame import PaddedFrame
from ipt.operators.blur.steps import solve_image, solve_kernel
from ipt.operators.blur.windows import in_words
from ipt.sampling.comparable import Comparable
from ipt.sampling.continuing import Continuation
from ipt.sampling.halving import Halvable
from ipt.sampling.localizing import Localizable

KERNEL_NOISE_RATIO = 0.3
"""Noise level of kernels as a share of the image's, for `ParameterSpec`: docs/method.md."""
BORDERS = ("circular", "zero", "reflect", "replicate", "unknown")


@dataclass(frozen=True)
class Blur(
    ParametricOperator, Linear, ExactSteps, Framed, Resizable, Coarsenable, Canonicalizable, Assessable, Comparable,
    Localizable, Halvable,
):  # fmt: skip
    """Convolution of every channel with one kernel (1, h, w) that is non-negative and sums to 1.

    Args:
        kernel_size: side in pixels, or (height, width), odd or even; None: a quarter of the picture's smaller side,
            rounded up to a multiple of 8, at most `most`.
        border: circular, zero, reflect, replicate or unknown.
        margin: pixels by which an unknown border enlarges the image on each side; None: the kernel's reach.
        most: largest side in pixels where kernel_size is None.
        tiles: 2 to 8 tiles along each side of the frame, with which `ipt solve` continues (as `shake`) where one kernel
            does not explain a photograph; None: one for every 128 px of the shorter side, at least two; 1: never.
    """

    kernel_size: int | tuple[int, int] | None = None
    border: str = "unknown"
    margin: int | None = None
    most: int = 64
    tiles: int | None = None

    def __post_init__(self) -> None:
        if self.border not in BORDERS:
            raise IptError(f"operator.border is one of {', '.join(BORDERS)}, not {self.border!r}")
        if self.kernel_size is not None:
            sides = self.kernel_size if isinstance(self.kernel_size, (tuple, list)) else (self.kernel_size,) * 2
            if len(sides) != 2 or not all(isinstance(side, int) and side >= 1 for side in sides):
                raise IptError(
                    f"operator.kernel_size is a side in pixels or (height, width), from 1 up, not {self.kernel_size!r}"
                )
        check_tiles(self.tiles)

    def image_shape(self, measurement_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The measurement's shape, larger by the margin on each side with an `unknown` border."""
        channels, *frame = measurement_shape
        margin = self._margin((frame[0], frame[1]))
        return channels, frame[0] + 2 * margin, frame[1] + 2 * margin

    def frame(self, image_shape: tuple[int, ...]) -> tuple[slice, slice]:
        """Rows and columns of the measured frame in an image of this shape, (C, H, W)."""
        margin = self._margin_of(image_shape)
        return slice(margin, image_shape[-2] - margin), slice(margin, image_shape[-1] - margin)

    def parameters(self, image_shape: tuple[int, ...]) -> dict[str, ParameterSpec]:
        margin = self._margin_of(image_shape)
        height, width = image_shape[-2] - 2 * margin, image_shape[-1] - 2 * margin
        sides = self.sides((height, width))
        if sides[0] > height or sides[1] > width:
            raise IptError(
                f"a kernel of {in_words(sides)} is larger than the picture of {in_words((height, width))}; "
                f"give a smaller one with operator.kernel_size=N"
            )
        meaning = "point spread function, sums to 1"
        # docs/method.md, Priors, says why the border matters.
        prior = "kernel" if self.border == "circular" else "kernel-uncentred"
        spec = ParameterSpec(
            (1, *sides), meaning, "share of light", prior, generator="motion", noise_ratio=KERNEL_NOISE_RATIO
        )
        return {"kernel": spec}

    def sides(self, frame: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the kernel for a measured frame (height, width)."""
        if self.kernel_size is None:
            return windows.usual_sides(frame, self.most)
        if isinstance(self.kernel_size, int):
            return self.kernel_size, self.kernel_size
        return self.kernel_size[0], self.kernel_size[1]

    def _margin(self, frame: tuple[int, int]) -> int:
        """Pixels on each side of an `unknown` border."""
        if self.border != "unknown":
            return 0
        return windows.margin(frame, self.sides(frame)) if self.margin is None else self.margin

    def _margin_of(self, image_shape: tuple[int, ...]) -> int:
        """The margin of an image (C, H, W); IptError where no frame has such an image."""
        if self.border != "unknown":
            return 0
        height, width = image_shape[-2:]
        # The margin grows with the frame, so at most one frame fits, with a margin of at most that of the whole image.
        for margin in range(min(self._margin((height, width)), (min(height, width) - 1) // 2), -1, -1):
            if self._margin((height - 2 * margin, width - 2 * margin)) == margin:
                return margin
        raise IptError(
            f"no frame has an image of {in_words((height, width))} around it: the border is unknown, give image_shape's"
        )

    def padded(self, image: Tensor, kernel: Tensor) -> PaddedFrame:
        """The geometry for images (B, C, H, W) and kernels (B, 1, h, w); IptError where the kernel is too large."""
        shape, sides = (image.shape[-2], image.shape[-1]), (kernel.shape[-2], kernel.shape[-1])
        if sides[0] > shape[0] or sides[1] > shape[1]:
            raise IptError(f"a kernel of {in_words(sides)} is larger than the picture of {in_words(shape)}")
        margin = self._margin_of(shape)
        if self.border == "unknown" and max(sides) // 2 > margin:
            raise IptError(
                f"a kernel of {in_words(sides)} reaches further than the {margin} px around the frame: "
                f"give kernel_size={max(sides)}"
            )
        return PaddedFrame.around(shape, sides, self.border, margin)

    def forward(self, image: Tensor, kernel: Tensor) -> Tensor:  # type: ignore[override]  # it has one, by name
        padded = self.padded(image, kernel)
        return padded.observe(padded.filtered(padded.extend(image), padded.transfer(kernel)))

    def resized(self, known: Mapping[str, Tensor]) -> Blur:
        """This operator with a window that holds the known kernel."""
        if "kernel" not in known:
            return self
        height, width = known["kernel"].shape[-2:]
        if self.kernel_size is not None:
            own = self.sides((0, 0))
            height, width = max(height, own[0]), max(width, own[1])
        return replace(self, kernel_size=(height, width))

    def rescaled(self, known: Mapping[str, Tensor], scale: float) -> Unknowns:
        """The kernel scaled about its centre pixel (`ipt.operators.blur.centring.rescaled`)."""
        return {**known, "kernel": rescaled(known["kernel"], scale)} if "kernel" in known else dict(known)

    def constrain(self, parameters: Mapping[str, Tensor]) -> Unknowns:
        """Negative values set to 0, then divided by the sum, for each image; a kernel of zeros becomes constant."""
        positive = parameters["kernel"].clamp(min=0)
        total = positive.sum((-3, -2, -1), keepdim=True)
        flat = torch.full_like(positive, 1 / positive[0].numel())
        return {**parameters, "kernel": torch.where(total > 1e-8, positive / total.clamp(min=1e-8), flat)}

    def canonicalize(self, image: Tensor, parameters: Mapping[str, Tensor]) -> tuple[Tensor, Unknowns]:
        """The kernel shifted by at most a pixel to its centroid, and the image shifted the other way."""
        kernel = parameters["kernel"]
        shift = off_centre(kernel).clamp(-1, 1)
        centred = self.constrain({**parameters, "kernel": moved_kernel(kernel, -shift)})
        padded = self.padded(image, kernel)
        return padded.crop(moved(padded.extend(image), shift, wrap=True)), centred

    def coarser(self, image_shape: tuple[int, ...]) -> Coarser | None:
        """This operator with half of the window's sides, rounded up to a multiple of 8, and half of the margin.

        None where the window would be too narrow, or where a side of a circular picture is odd.
        """
        margin = self._margin_of(image_shape)
        frame = (image_shape[-2] - 2 * margin, image_shape[-1] - 2 * margin)
        sides = self.sides(frame)
        if min(sides) < 2 * windows.NARROWEST - 1 or (self.border == "circular" and any(side % 2 for side in frame)):
            return None
        small = windows.half_sides(sides, (math.ceil(frame[0] / 2), math.ceil(frame[1] / 2)))
        return Coarser(
            replace(self, kernel_size=small, margin=margin // 2 if self.border == "unknown" else None),
            lambda parameters: {**parameters, "kernel": doubled(parameters["kernel"], sides)},
        )

    def assess(
        self,
        observation: Observation,
        image: Tensor,
        parameters: Mapping[str, Tensor],
        rivals: Mapping[str, Tensor],
        denoise: Callable[[Tensor, float], Tensor],
    ) -> list[Assessment]:
        """By residual, image, kernel and rival kernels (`ipt.operators.blur.evidence`)."""
        if "kernel" not in rivals:
            return []
        kernel, frame = parameters["kernel"], self.frame(tuple(image.shape[1:]))
        residual = observation.residual(self.forward(image, kernel))
        found = self.evidence(observation, image, kernel, residual, rivals["kernel"], denoise)
        if min(residual.shape[-2:]) >= LEAST:
            found["locality"] = locality(observation, residual, image.clamp(0, 1), frame)
        return assessments(found)

    def compared(self, assessments: Sequence[Assessment], parameters: Mapping[str, Tensor]) -> list[Assessment]:
        """By how well the draws' kernels agree."""
        return compared(assessments, parameters["kernel"].mean(1, keepdim=True))

    def may_be_local(self, measurement: tuple[int, ...]) -> bool:
        return self.border == "unknown" and self.tiles != 1 and min(measurement[1:]) >= LEAST

    def local(
        self, assessment: Assessment, parameters: Mapping[str, Tensor], measurement: tuple[int, ...]
    ) -> Continuation | None:
        """By the share of the residual that differing kernels would explain (`ipt.operators.blur.locality`)."""
        if not differs(assessment, measurement):
            return None
        return with_tiles(parameters["kernel"], self.tiles or parts(measurement), self.margin)

    def is_better(self, local: Assessment, before: Assessment) -> bool:
        return sparser(local, before)

    def at_half(self) -> Blur:
        """This operator with half of its window and margin, rounded up, where they are given."""
        height, width = self.sides((0, 0))
        sides = None if self.kernel_size is None else (-(-height // 2), -(-width // 2))
        return replace(self, kernel_size=sides, margin=None if self.margin is None else -(-self.margin // 2))

    def enlarged(self, parameters: Mapping[str, Tensor], measurement: tuple[int, ...], solved: bool) -> Continuation:
        sides = None if self.kernel_size is None else self.sides((0, 0))
        most = windows.WIDEST if solved else min(measurement[1:])
        return at_twice_the_sides(parameters["kernel"], sides, self.margin, most)

    def hides_detail(self, parameters: Mapping[str, Tensor], scale: int) -> bool:
        return extent(parameters["kernel"].mean(1, keepdim=True)) >= windows.WIDE * scale

    def evidence(
        self,
        observation: Observation,
        image: Tensor,
        kernel: Tensor,
        residual: Tensor,
        rivals: Tensor,
        denoise: Callable[[Tensor, float], Tensor],
    ) -> dict[str, Tensor]:
        """The numbers of `ipt.operators.blur.evidence` for kernels (B, 1, h, w), whose rivals are of smaller images."""
        sides, scale, rival_sides = (kernel.shape[-2], kernel.shape[-1]), 1, tuple(rivals.shape[-2:])
        while sides != rival_sides and min(sides) > min(rival_sides):
            sides, scale = windows.half_sides(sides, sides), 2 * scale
        image, frame = image.clamp(0, 1), self.frame(tuple(image.shape[1:]))
        return evidence(observation, residual, image, frame, kernel, rivals, scale, denoise)

    def image_step(
        self, observation: Observation, image: Belief, parameters: Mapping[str, Tensor], beliefs: Mapping[str, Belief]
    ) -> Tensor | None:
        if without_whole_pixels(observation):
            return None
        padded = self.padded(image.mean, parameters["kernel"])
        measured = Measured.on(padded, observation, arithmetic(image))
        return solve_image(padded, measured, image, parameters["kernel"], beliefs.get("kernel"))

    def parameter_step(
        self, observation: Observation, image: Belief, parameters: Mapping[str, Belief], known: Mapping[str, Tensor]
    ) -> Unknowns | None:
        if without_whole_pixels(observation):
            return None
        padded = self.padded(image.mean, parameters["kernel"].mean)
        measured = Measured.on(padded, observation, arithmetic(image, SINGLE_KERNEL))
        return {"kernel": solve_kernel(padded, measured, image, parameters["kernel"])}


def without_whole_pixels(observation: Observation) -> bool:
    """Whether some image has no pixel with all channels measured (a colour filter); luminance needs all of them."""
    mask = observation.mask
    return mask is not None and not bool(mask.amin(1).flatten(1).any(1).all())
