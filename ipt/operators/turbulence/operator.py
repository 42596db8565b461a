"""A short exposure through turbulence: the image is warped by a tilt field and blurred by a kernel.

    y = k * W_u x     ("tilt-then-blur")      y = W_u (k * x)     ("blur-then-tilt")

W_u and the sign of a tilt are defined in `ipt.operators.turbulence.warp`, k and the borders in `ipt.operators.blur`.
The first order is the physical one (Chan, "Tilt-Then-Blur or Blur-Then-Tilt? Clarifying the Atmospheric Turbulence
Model", IEEE Signal Processing Letters 29, 2022) and that of BlindDPS (arXiv 2211.10656); the second is there for
comparison.

A solve begins with an estimate from the measurement alone (`initial`): the kernel from the power spectrum
(`ipt.operators.turbulence.spectrum`), and from several frames the image and the tilts by registration
(`ipt.operators.turbulence.registration`). Then the steps of `ipt.operators.turbulence.steps` alternate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.core.abilities import Belief, Framed, Linear, MultiFrame, Resizable
from ipt.core.errors import IptError
from ipt.core.observation import Observation
from ipt.core.operator import IMAGE, Known, ParameterSpec, ParametricOperator, Unknowns
from ipt.linalg.gradients import squared_gradient
from ipt.operators.blur.measured import SINGLE_KERNEL, Measured, arithmetic
from ipt.operators.blur.operator import Blur
from ipt.operators.blur.steps import solve_kernel
from ipt.operators.turbulence.optics import Optics
from ipt.operators.turbulence.registration import Registration, register
from ipt.operators.turbulence.spectrum import estimate_kernel
from ipt.operators.turbulence.steps import solve_image, solve_tilt
from ipt.operators.turbulence.warp import INTERPOLATIONS, warp
from ipt.sampling.initial import Initializable

ORDERS = ("tilt-then-blur", "blur-then-tilt")
KERNELS = ("shared", "each")
KERNEL_NOISE_RATIO = 0.03
"""Noise level of the kernel as a share of the image's. It is below that of `blur`, so that the estimate from the
spectrum that a solve begins with is kept."""
_MOST = 17
"""Largest side of a kernel in pixels where no size is given."""
_KEPT = 0.6
"""Noise level of the image, in units of 0..1, below which a kernel that frames share keeps the estimate from their
spectrum. A denoised image is smoother than the true one, and with many frames as evidence each step would make the
kernel narrower. docs/method.md, Constants."""
_SIDE = 256
"""Side in pixels of the part of a large frame in which its kernel is found."""


@dataclass(frozen=True)
class Turbulence(ParametricOperator, Linear, MultiFrame, Framed, Resizable, Initializable):
    """A tilt field (2, H, W) in pixels, vertical then horizontal, and a kernel (1, h, w) that sums to 1.

    Args:
        kernel_size: as in `blur`, but at most 17 px where it is None: a window of 17 px holds nine tenths of the light
            of a short exposure with D/r0 = 4, sampled as coarsely as its aperture allows.
        border: as in `blur`, for the warp too. With `unknown` the image is larger than its frame, and so is the tilt
            field.
        order: tilt-then-blur or blur-then-tilt.
        kernels: shared, one kernel for all frames of a series; or each, one kernel for each frame.
        interpolation: interpolation of the warp, bicubic (smooth in the tilt) or bilinear.
    """

    kernel_size: int | tuple[int, int] | None = None
    border: str = "unknown"
    order: str = "tilt-then-blur"
    interpolation: str = "bicubic"
    kernels: str = "shared"

    def __post_init__(self) -> None:
        for name, value, choices in (
            ("order", self.order, ORDERS),
            ("interpolation", self.interpolation, INTERPOLATIONS),
            ("kernels", self.kernels, KERNELS),
        ):
            if value not in choices:
                raise IptError(f"operator.{name} is one of {', '.join(choices)}, not {value!r}")
        self.blur  # noqa: B018  # raises where one of the others is wrong

    @property
    def blur(self) -> Blur:
        """The operator `blur` with the same kernel and border."""
        return Blur(self.kernel_size, self.border, most=_MOST)

    def image_shape(self, measurement_shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.blur.image_shape(measurement_shape)

    def frame(self, image_shape: tuple[int, ...]) -> tuple[slice, slice]:
        return self.blur.frame(image_shape)

    def resized(self, known: Mapping[str, Tensor]) -> Turbulence:
        return replace(self, kernel_size=self.blur.resized(known).kernel_size)

    def rescaled(self, known: Mapping[str, Tensor], scale: float) -> Unknowns:
        """The kernel as in `blur`. IptError for a tilt, which belongs to images of one size."""
        if "tilt" in known:
            raise IptError("a known tilt cannot be scaled with the picture; give a picture that needs no fit=")
        return self.blur.rescaled(known, scale)

    def parameters(self, image_shape: tuple[int, ...]) -> dict[str, ParameterSpec]:
        blur = self.blur.parameters(image_shape)["kernel"]
        shared = self.kernels == KERNELS[0]
        kernel = replace(
            blur,
            prior="atmosphere",
            generator="atmosphere",
            shared=shared,
            noise_ratio=KERNEL_NOISE_RATIO,
        )
        meaning = "displacement, vertical then horizontal"
        tilt = ParameterSpec((2, *image_shape[-2:]), meaning, "px", "tilt", generator="tilt-kolmogorov")
        return {"kernel": kernel, "tilt": tilt}

    def warp(self, image: Tensor, tilt: Tensor) -> Tensor:
        """The image warped by the tilt, not blurred, (B, C, H, W)."""
        return warp(image, tilt, self.interpolation, self.border)

    def forward(self, image: Tensor, kernel: Tensor, tilt: Tensor) -> Tensor:  # type: ignore[override]  # by name
        optics = self._optics(image, kernel, tilt)
        return optics.padded.observe(optics.forward(image))

    def constrain(self, parameters: Mapping[str, Tensor]) -> Unknowns:
        """The kernel as in `blur`; every tilt is valid."""
        return self.blur.constrain(parameters)

    def initial(self, observation: Observation, known: Known = None, frames: int = 1) -> Unknowns | None:
        """The kernel from the spectrum, image and tilts by registration; a single frame is the image itself."""
        rows, columns = self.frame(self.image_shape(tuple(observation.measurement.shape[1:])))
        given = (known or {}).get("tilt")
        registered = _registered(observation, frames, None if given is None else given[..., rows, columns])
        height, width = observation.measurement.shape[-2:]
        levels = observation.noise.flatten().unflatten(0, (-1, frames)).square().mean(1).sqrt().tolist()
        sides = self.blur.sides((height, width))
        kernels = [
            estimate_kernel(one.exposures, level, sides, one.weights.mean((1, 2, 3)).square())
            for one, level in zip(registered, levels, strict=True)
        ]
        # Priors of kernels are trained on kernels whose largest entry is 1.
        kernel = _repeated_to(torch.stack([one / one.max() for one in kernels]), len(observation))
        pads = (columns.start, columns.start, rows.start, rows.start)
        fields = {
            IMAGE: torch.stack([one.scene for one in registered]),
            "tilt": torch.cat([one.tilts for one in registered]),
        }
        return {name: F.pad(value, pads, mode="replicate") for name, value in fields.items()} | {"kernel": kernel}

    def reliability(self, observation: Observation, frames: int = 1) -> Tensor:
        """How well the frames agree once they are registered (`ipt.operators.turbulence.agreement`)."""
        return torch.cat([one.weights for one in _registered(observation, frames)])

    def parameter_step(
        self, observation: Observation, image: Belief, parameters: Mapping[str, Belief], known: Mapping[str, Tensor]
    ) -> Unknowns | None:
        """The kernel with the tilt at its belief's mean, then the tilt with that kernel.

        At low noise levels a kernel that several frames share stays at its belief's mean (`_KEPT`).
        """
        given = dict(known)
        tilt = parameters["tilt"].mean if "tilt" in parameters else given["tilt"]
        each = _repeated_to(image.mean, len(observation))
        found: Unknowns = {}
        is_shared = len(observation) > len(image.mean) and self.kernels == KERNELS[0]
        if "kernel" in parameters and is_shared and image.sigma <= _KEPT:
            found["kernel"] = parameters["kernel"].mean
        elif "kernel" in parameters:
            part, mean = self._most_detailed_part(observation, self.warp(each, tilt))
            blur = replace(self.blur, margin=self.frame(tuple(each.shape[1:]))[0].start)
            seen, padded = replace(image, mean=mean), blur.padded(mean, parameters["kernel"].mean)
            measured = Measured.on(padded, part, arithmetic(seen, SINGLE_KERNEL))
            found["kernel"] = solve_kernel(padded, measured, seen, parameters["kernel"])
        if "tilt" in parameters:
            kernel = self.constrain({**given, **found})["kernel"]
            optics = self._optics(each, kernel, tilt)
            found["tilt"] = solve_tilt(optics, observation, image, parameters["tilt"])
        return found

    def image_step(
        self, observation: Observation, image: Belief, parameters: Mapping[str, Tensor], beliefs: Mapping[str, Belief]
    ) -> Tensor | None:
        optics = self._optics(image.mean, parameters["kernel"], parameters["tilt"])
        return solve_image(optics, observation, image, beliefs.get("kernel"), beliefs.get("tilt"))

    def _most_detailed_part(self, observation: Observation, seen: Tensor) -> tuple[Observation, Tensor]:
        """The square of `_SIDE` px with the most edges in each large frame, and the image behind it.

        Args:
            observation: all frames, (B, C, H, W).
            seen: the warped image of each frame.
        """
        size = (observation.measurement.shape[-2], observation.measurement.shape[-1])
        sides = (min(size[0], _SIDE), min(size[1], _SIDE))
        if sides == size or self.border != "unknown":
            return observation, seen
        rows, columns = self.frame(tuple(seen.shape[1:]))
        slope = squared_gradient(seen[..., rows, columns].mean(1, keepdim=True))
        if observation.mask is not None:
            slope = slope * observation.mask.amin(1, keepdim=True)
        detail = F.avg_pool2d(slope, sides, _SIDE // 8)
        places = [divmod(int(place), detail.shape[-1]) for place in detail.flatten(1).argmax(1)]

        def cut(values: Tensor, around: tuple[int, int]) -> Tensor:
            height, width = (side + 2 * margin for side, margin in zip(sides, around, strict=True))
            starts = [(_SIDE // 8 * down, _SIDE // 8 * right) for down, right in places]
            each = zip(values, starts, strict=True)
            return torch.stack([one[..., top : top + height, left : left + width] for one, (top, left) in each])

        mask = None if observation.mask is None else cut(observation.mask, (0, 0))
        part = replace(observation, measurement=cut(observation.measurement, (0, 0)), mask=mask)
        return part, cut(seen, (rows.start, columns.start))

    def _optics(self, image: Tensor, kernel: Tensor, tilt: Tensor) -> Optics:
        padded = self.blur.padded(image, kernel)
        transfer = padded.transfer(_repeated_to(kernel, len(tilt)))
        return Optics(padded, transfer, tilt, self.order == ORDERS[0], self.interpolation)


def _registered(observation: Observation, frames: int, tilts: Tensor | None = None) -> list[Registration]:
    """The registered exposures of each image.

    Args:
        observation: of F frames of each image, (B F, C, H, W).
        frames: F.
        tilts: of all frames, cut to the frame, (B F, 2, H, W), where they are known.
    """
    mask = torch.ones_like(observation.measurement) if observation.mask is None else observation.mask
    seen = (mask > 0).all(1, keepdim=True)
    levels = observation.noise.flatten().unflatten(0, (-1, frames))
    exposures, seen = (one.unflatten(0, (-1, frames)) for one in (observation.measurement, seen))
    known = [None] * len(levels) if tilts is None else tilts.unflatten(0, (-1, frames))
    # The median noise level of a series stands for all of its exposures.
    return [
        register(one, float(level.median()), inside, tilt)
        for one, inside, level, tilt in zip(exposures, seen, levels, known, strict=True)
    ]


def _repeated_to(values: Tensor, count: int) -> Tensor:
    """Rows repeated to `count` rows, the copies of a row one after the other."""
    return values.repeat_interleave(count // len(values), 0)
