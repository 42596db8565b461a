"""Imaging through turbulence, one short exposure: the picture is warped by a tilt field, and blurred by a kernel.

    y = k * W_u x     ("tilt-then-blur")      y = W_u (k * x)     ("blur-then-tilt")

W_u and the sign of a tilt: `ipt.operators.turbulence.warp`; k and the borders: `ipt.operators.blur`. The first order
is the physical one (Chan, "Tilt-Then-Blur or Blur-Then-Tilt? Clarifying the Atmospheric Turbulence Model", IEEE Signal
Processing Letters 29, 2022) and that of BlindDPS (arXiv 2211.10656); the second is there for comparison.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from ipt.core.abilities import Belief, Framed, Linear, MultiFrame, Resizable
from ipt.core.errors import IptError
from ipt.core.observation import Observation
from ipt.core.operator import ParameterSpec, ParametricOperator, Unknowns
from ipt.operators.blur.measured import Measured, double
from ipt.operators.blur.operator import Blur
from ipt.operators.blur.steps import solve_kernel
from ipt.operators.turbulence.optics import Optics
from ipt.operators.turbulence.steps import solve_image, solve_tilt
from ipt.operators.turbulence.warp import INTERPOLATIONS, warp

ORDERS = ("tilt-then-blur", "blur-then-tilt")


@dataclass(frozen=True)
class Turbulence(ParametricOperator, Linear, MultiFrame, Framed, Resizable):
    """A tilt field (2, H, W) in pixels, vertical then horizontal, and a kernel (1, h, w) that sums to 1.

    Args:
        kernel_size: as of `blur`.
        border: as of `blur`; it holds for the warp too. With an `unknown` one the image is larger than its frame, and
            so is the tilt field.
        order: tilt-then-blur or blur-then-tilt.
        interpolation: of the warp: bicubic (smooth in the tilt) or bilinear.
    """

    kernel_size: int | tuple[int, int] | None = None
    border: str = "unknown"
    order: str = "tilt-then-blur"
    interpolation: str = "bicubic"

    def __post_init__(self) -> None:
        for name, value, choices in (
            ("order", self.order, ORDERS),
            ("interpolation", self.interpolation, INTERPOLATIONS),
        ):
            if value not in choices:
                raise IptError(f"operator.{name} is one of {', '.join(choices)}, not {value!r}")
        self.blur  # noqa: B018  # says what is wrong with the other two

    @property
    def blur(self) -> Blur:
        """The blur alone."""
        return Blur(self.kernel_size, self.border)

    def image_shape(self, measurement_shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.blur.image_shape(measurement_shape)

    def frame(self, image_shape: tuple[int, ...]) -> tuple[slice, slice]:
        return self.blur.frame(image_shape)

    def resized(self, known: Mapping[str, Tensor]) -> Turbulence:
        return replace(self, kernel_size=self.blur.resized(known).kernel_size)

    def rescaled(self, known: Mapping[str, Tensor], scale: float) -> Unknowns:
        """The kernel as `blur` has it; a tilt is a field of the image, which only an image of its size can have."""
        if "tilt" in known:
            raise IptError("a known tilt cannot be scaled with the picture; give a picture that needs no fit=")
        return self.blur.rescaled(known, scale)

    def parameters(self, image_shape: tuple[int, ...]) -> dict[str, ParameterSpec]:
        kernel = replace(self.blur.parameters(image_shape)["kernel"], generator="atmosphere")
        meaning = "displacement, vertical then horizontal"
        tilt = ParameterSpec((2, *image_shape[-2:]), meaning, "px", "tilt", generator="tilt-kolmogorov")
        return {"kernel": kernel, "tilt": tilt}

    def warp(self, image: Tensor, tilt: Tensor) -> Tensor:
        """The tilt alone."""
        return warp(image, tilt, self.interpolation, self.border)

    def forward(self, image: Tensor, kernel: Tensor, tilt: Tensor) -> Tensor:  # type: ignore[override]  # by name
        optics = self._optics(image, kernel, tilt)
        return optics.padded.observe(optics.forward(image))

    def constrain(self, parameters: Mapping[str, Tensor]) -> Unknowns:
        """The kernel as `blur` has it; any tilt is valid."""
        return self.blur.constrain(parameters)

    def parameter_step(
        self, observation: Observation, image: Belief, parameters: Mapping[str, Belief], known: Mapping[str, Tensor]
    ) -> Unknowns | None:
        """The kernel with the tilt at its belief's mean, then the tilt with that kernel."""
        given = dict(known)
        tilt = parameters["tilt"].mean if "tilt" in parameters else given["tilt"]
        each = image.mean.repeat_interleave(len(observation) // len(image.mean), 0)
        found: Unknowns = {}
        if "kernel" in parameters:
            seen = replace(image, mean=self.warp(each, tilt))
            padded = self.blur.padded(each, parameters["kernel"].mean)
            measured = Measured.on(padded, observation, double(each))
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

    def _optics(self, image: Tensor, kernel: Tensor, tilt: Tensor) -> Optics:
        padded = self.blur.padded(image, kernel)
        first = self.order == ORDERS[0]
        return Optics(padded, padded.transfer(kernel), tilt, first, self.interpolation)
