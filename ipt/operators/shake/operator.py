"""Blur that differs from place to place, as when a camera rolls while it shakes.

    y = sum_r  w_r (k_r * x)

The kernels k_r hold at the nodes of a grid over the frame, and windows w_r interpolate between them
(`ipt.operators.shake.tiles`). Borders and the convention for kernels are those of `blur`, which is the case of one
tile. Coarse to fine, the smaller images are solved with one kernel, with which every tile then begins.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

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
from ipt.operators.blur.assessment import assessments
from ipt.operators.blur.centring import moved, moved_kernel, off_centre
from ipt.operators.blur.locality import MOST_TILES, check_tiles
from ipt.operators.blur.measured import SINGLE_KERNEL, Measured, arithmetic
from ipt.operators.blur.operator import Blur, without_whole_pixels
from ipt.operators.blur.windows import in_words
from ipt.operators.draws import check_positive
from ipt.operators.shake.steps import APART, common, solve_image, solve_kernels
from ipt.operators.shake.tiles import Tiles
from ipt.sampling.regional import Regional

_SPACING = 64
"""Usual distance between nodes in pixels: docs/method.md, Shake."""


@dataclass(frozen=True)
class Shake(
    ParametricOperator, Linear, ExactSteps, Framed, Resizable, Coarsenable, Canonicalizable, Assessable, Regional
):
    """A kernel for each of tiles x tiles parts of the frame, (tiles * tiles, h, w), row after row; each sums to 1.

    Args:
        tiles: along each side of the frame, 1 to 8; 1 is `blur`. None: one for every 64 px of the frame's shorter side,
            and at least two.
        kernel_size: as in `blur`.
        border: as in `blur`.
        margin: as in `blur`.
        prior_weight: how many times the kernels' prior counts for all tiles together, above 0. At 1 it counts as in
            `blur`; a larger weight falls back to 1 where the picture shows that the kernels are wider.
    """

    tiles: int | None = None
    kernel_size: int | tuple[int, int] | None = None
    border: str = "unknown"
    margin: int | None = None
    prior_weight: float = 3.3

    def __post_init__(self) -> None:
        check_tiles(self.tiles)
        check_positive("operator.prior_weight", self.prior_weight)
        self.blur  # noqa: B018  # raises where one of the others is wrong

    @property
    def blur(self) -> Blur:
        """The operator `blur` with the same options: one kernel for the whole frame."""
        return Blur(self.kernel_size, self.border, self.margin)

    def image_shape(self, measurement_shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.blur.image_shape(measurement_shape)

    def frame(self, image_shape: tuple[int, ...]) -> tuple[slice, slice]:
        return self.blur.frame(image_shape)

    def parameters(self, image_shape: tuple[int, ...]) -> dict[str, ParameterSpec]:
        spec, tiles = self.blur.parameters(image_shape)["kernel"], self._tiles_along(image_shape)
        if tiles == 1:
            return {"kernel": spec}
        count = tiles**2
        meaning = "point spread functions, tile after tile, each sums to 1"
        shape = (count, *spec.shape[1:])
        return {"kernel": replace(spec, shape=shape, meaning=meaning, copies=count, generator="camera-shake")}

    def _tiles_along(self, image_shape: tuple[int, ...]) -> int:
        """Number of tiles along each side of the frame of an image (C, H, W); IptError where they are too small."""
        rows, columns = self.frame(image_shape)
        height, width = rows.stop - rows.start, columns.stop - columns.start
        side = min(height, width)
        tiles = max(2, min(MOST_TILES, round(side / _SPACING))) if self.tiles is None else self.tiles
        if side < 4 * tiles:
            raise IptError(
                f"a picture of {in_words((height, width))} is too small for {tiles} x {tiles} tiles of 4 px and more; "
                f"give fewer with operator.tiles=N"
            )
        return tiles

    def grid(self, image: Tensor, kernel: Tensor) -> Tiles:
        """The tiles of images (B, C, H, W) blurred by kernels (B, tiles * tiles, h, w)."""
        sides, tiles = (kernel.shape[-2], kernel.shape[-1]), math.isqrt(kernel.shape[1])
        return Tiles(self.blur.padded(image, kernel), sides, tiles)

    def forward(self, image: Tensor, kernel: Tensor) -> Tensor:  # type: ignore[override]  # it has one, by name
        if kernel.shape[1] == 1:
            return self.blur.forward(image, kernel)
        tiles = self.grid(image, kernel)
        return tiles.forward(tiles.padded.extend(image), kernel)

    def resized(self, known: Mapping[str, Tensor]) -> Shake:
        """This operator with one tile for each given kernel, and a window that holds them."""
        if "kernel" not in known:
            return self
        given = known["kernel"].shape[1]
        tiles = math.isqrt(given)
        if tiles**2 != given:
            raise IptError(
                f"{given} known kernels are no square grid over the picture: give one for each of 1, 4, 9, 16 ... tiles"
            )
        return replace(self, tiles=tiles, kernel_size=self.blur.resized(known).kernel_size)

    def rescaled(self, known: Mapping[str, Tensor], scale: float) -> Unknowns:
        return self.blur.rescaled(known, scale)

    def constrain(self, parameters: Mapping[str, Tensor]) -> Unknowns:
        """Each kernel as in `blur`."""
        kernel = parameters["kernel"]
        each = self.blur.constrain({"kernel": kernel.flatten(0, 1)[:, None]})["kernel"]
        return {**parameters, "kernel": each[:, 0].unflatten(0, kernel.shape[:2])}

    def canonicalize(self, image: Tensor, parameters: Mapping[str, Tensor]) -> tuple[Tensor, Unknowns]:
        """The mean kernel's centroid moved to the centre pixel, by less than a pixel, and the image the other way."""
        kernel = parameters["kernel"]
        shift = off_centre(kernel).clamp(-1, 1)
        each = shift.repeat_interleave(kernel.shape[1], 0)
        centred = moved_kernel(kernel.flatten(0, 1)[:, None], -each)[:, 0].unflatten(0, kernel.shape[:2])
        padded = self.blur.padded(image, kernel)
        found = padded.crop(moved(padded.extend(image), shift, wrap=True))
        return found, self.constrain({**parameters, "kernel": centred})

    def coarser(self, image_shape: tuple[int, ...]) -> Coarser | None:
        """`blur`, for an image of half the sides; every tile then begins with its kernel."""
        coarser, count = self.blur.coarser(image_shape), self._tiles_along(image_shape) ** 2
        if coarser is None:
            return None
        return Coarser(coarser.operator, lambda parameters: _for_tiles(coarser.enlarged(parameters), count))

    def of_region(self) -> Shake:
        """One kernel: how kernels differ from place to place is best seen in the whole picture."""
        return replace(self, tiles=1)

    def spread(self, parameters: Mapping[str, Tensor], measurement: tuple[int, ...]) -> Unknowns:
        height, width = parameters["kernel"].shape[-2:]
        own = replace(self, kernel_size=(height, width))
        return _for_tiles(parameters, own._tiles_along(own.image_shape(measurement)) ** 2)

    def assess(
        self,
        observation: Observation,
        image: Tensor,
        parameters: Mapping[str, Tensor],
        rivals: Mapping[str, Tensor],
        denoise: Callable[[Tensor, float], Tensor],
    ) -> list[Assessment]:
        """As in `blur`, by the mean of the kernels and the residual of all of them (docs/verdict.md)."""
        kernel = parameters["kernel"]
        if "kernel" not in rivals:
            return []
        residual, mean = observation.residual(self.forward(image, kernel)), kernel.mean(1, keepdim=True)
        return assessments(self.blur.evidence(observation, image, mean, residual, rivals["kernel"], denoise))

    def image_step(
        self, observation: Observation, image: Belief, parameters: Mapping[str, Tensor], beliefs: Mapping[str, Belief]
    ) -> Tensor | None:
        if parameters["kernel"].shape[1] == 1:
            return self.blur.image_step(observation, image, parameters, beliefs)
        if without_whole_pixels(observation):
            return None
        kernels = parameters["kernel"]
        if image.sigma > APART and (kernels == kernels[:, :1]).all():
            one = {name: common(belief) for name, belief in beliefs.items()}
            return self.blur.image_step(observation, image, {"kernel": kernels[:, :1]}, one)
        tiles = self.grid(image.mean, kernels)
        measured = Measured.on(tiles.padded, observation, arithmetic(image))
        return solve_image(tiles, measured, image, kernels, beliefs.get("kernel"))

    def parameter_step(
        self, observation: Observation, image: Belief, parameters: Mapping[str, Belief], known: Mapping[str, Tensor]
    ) -> Unknowns | None:
        if parameters["kernel"].mean.shape[1] == 1:
            return self.blur.parameter_step(observation, image, parameters, known)
        if without_whole_pixels(observation):
            return None
        tiles = self.grid(image.mean, parameters["kernel"].mean)
        measured = Measured.on(tiles.padded, observation, arithmetic(image, SINGLE_KERNEL))
        return {"kernel": solve_kernels(tiles, measured, image, parameters["kernel"], self.prior_weight)}


def _for_tiles(parameters: Mapping[str, Tensor], count: int) -> Unknowns:
    """One kernel (B, 1, h, w) repeated for `count` tiles."""
    return {**parameters, "kernel": parameters["kernel"].repeat(1, count, 1, 1)}
