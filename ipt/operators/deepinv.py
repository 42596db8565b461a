"""Physics of deepinv as operators, with the parameters that a call of theirs can change as unknowns.

deepinv's `physics.A(x, filter=...)` keeps the filter for later calls, and what is no parameter of the physics it
leaves out in silence. Here a call leaves the physics as it was, and a name that it does not have is an error.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ipt.core.errors import IptError
from ipt.core.operator import ParameterSpec, ParametricOperator, Unknowns
from ipt.extras import chosen
from ipt.operators.blur import KERNEL_NOISE_RATIO, Blur


@dataclass(frozen=True)
class DeepinvPhysics(ParametricOperator):
    """y = physics.A(x): the forward model without its noise and sensor; real images, one tensor of measurements.

    Args:
        physics: a deepinv.physics.Physics.
        unknown: parameters that its A takes by name, and their shapes (C, H, W): {"filter": (1, 9, 9)} for a blur of
            unknown kernel.
        kernels: those of them that are kernels: non-negative, sum 1, and their usual prior is `kernel`; the others have
            none, and any value is valid.
    """

    physics: Any
    unknown: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    kernels: Collection[str] = ("filter",)

    def __post_init__(self) -> None:
        for name, shape in self.unknown.items():
            if not any(hasattr(module, name) for module in self.physics.modules()):
                raise IptError(f"{self._name()} of deepinv has no parameter {name!r}: its documentation lists them")
            if len(shape) != 3 or not all(isinstance(side, int) and side >= 1 for side in shape):
                raise IptError(f"the shape of {name!r} is three numbers (channels, height, width), not {shape}")

    def parameters(self, image_shape: tuple[int, ...]) -> dict[str, ParameterSpec]:
        specs = {}
        for name, shape in self.unknown.items():
            meaning = f"`{name}` of deepinv's {self._name()}"
            specs[name] = ParameterSpec(tuple(shape), meaning)
            if name in self.kernels:
                specs[name] = replace(specs[name], prior="kernel", noise_ratio=KERNEL_NOISE_RATIO)
        return specs

    def forward(self, image: Tensor, **parameters: Tensor) -> Tensor:
        with self._as_it_was(image):
            measurement: Tensor = self.physics.A(image, **parameters)
        return measurement

    def constrain(self, parameters: Mapping[str, Tensor]) -> Unknowns:
        """Kernels onto those that are non-negative and sum to 1; the rest as given."""
        project = Blur().constrain
        return {
            name: project({"kernel": value})["kernel"] if name in self.kernels else value
            for name, value in parameters.items()
        }

    def image_shape(self, measurement_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The size that the physics was built for, else what its adjoint makes of such a measurement.

        For one that has neither, the same shape.
        """
        fixed = getattr(self.physics, "img_size", None)
        if fixed is not None and len(fixed) == 3:
            return tuple(fixed)
        if not hasattr(self.physics, "A_adjoint"):
            return measurement_shape
        flat = {name: torch.full((1, *shape), 1 / math.prod(shape)) for name, shape in self.unknown.items()}
        measurement = torch.zeros(1, *measurement_shape)
        try:
            with self._as_it_was(measurement):
                return tuple(self.physics.A_adjoint(measurement, **flat).shape[1:])
        # What a physics raises for a measurement that it cannot have made is its own affair.
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise IptError(
                f"{self._name()} of deepinv makes no measurement of {tuple(measurement_shape)} ({reason})\n"
                f"set its options (operator.NAME=VALUE), or say what is unknown: operator.unknown.filter=[1, 9, 9]"
            ) from error

    def _name(self) -> str:
        return type(self.physics).__name__

    @contextmanager
    def _as_it_was(self, like: Tensor) -> Iterator[None]:
        """With the physics' tensors of the device and precision of `like`; after it, as it was before."""
        # The attributes first: among them is the table of buffers, whose content comes back after it.
        tables = [table for module in self.physics.modules() for table in (vars(module), module._buffers)]
        before = [dict(table) for table in tables]
        try:
            for module in self.physics.modules():
                module._buffers.update({name: _as(value, like) for name, value in module._buffers.items()})
            yield
        finally:
            for table, content in zip(tables, before, strict=True):
                table.clear()
                table.update(content)


def load(
    model: str, unknown: Mapping[str, Sequence[int]] | None = None, kernels: Sequence[str] = ("filter",), **options: Any
) -> DeepinvPhysics:
    """An operator from a physics of deepinv.

    Args:
        model: a class of deepinv.physics (Blur, Downsampling, Inpainting, ...), or MODULE:ATTRIBUTE of a function of
            your own that returns a physics.
        unknown: its unknown parameters and their shapes, as unknown.filter=[1, 9, 9].
        kernels: those of them that are kernels, non-negative with sum 1.
        options: of the physics.

    Raises:
        IptError: there is no such physics, or it does not have these options.
    """
    factory = chosen(model, "deepinv.physics")
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        # A random mask is the same one every time.
        torch.manual_seed(0)
        # deepinv's way to say that it does not have an option.
        warnings.filterwarnings("error", r"Arguments .* are passed to")
        try:
            physics = factory(**options)
        except UserWarning as error:
            raise IptError(f"{model} of deepinv does not have all these options: {error}") from None
    shapes = {name: tuple(shape) for name, shape in (unknown or {}).items()}
    return DeepinvPhysics(physics, shapes, (kernels,) if isinstance(kernels, str) else tuple(kernels))


def _as(value: Tensor | None, like: Tensor) -> Tensor | None:
    if value is None or not (value.is_floating_point() or value.is_complex()):
        return value if value is None else value.to(like.device)
    return value.to(like.device, like.dtype.to_complex() if value.is_complex() else like.dtype)
