"""Physics of deepinv as operators. The unknowns are parameters that a call of the physics can change.

deepinv's `physics.A(x, filter=...)` keeps the filter for later calls, and silently ignores arguments that it does not
know. Here a call does not change the physics, and an unknown name is an error.
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
    """y = physics.A(x), the forward model without noise and sensor, for real images and one tensor of measurements.

    Args:
        physics: a deepinv.physics.Physics.
        unknown: names of parameters of its method A, and their shapes (C, H, W): {"filter": (1, 9, 9)} for a blur of
            unknown kernel.
        kernels: names of those that are kernels, non-negative with sum 1, with the usual prior `kernel`. The others
            have no usual prior, and every value is valid.

    Raises:
        IptError: the physics has no such parameter, or a shape is none.
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
        with self._unchanged(image):
            measurement: Tensor = self.physics.A(image, **parameters)
        return measurement

    def constrain(self, parameters: Mapping[str, Tensor]) -> Unknowns:
        """Kernels made non-negative with sum 1, as in `blur`; other parameters unchanged."""
        valid = dict(parameters)
        for name in valid.keys() & set(self.kernels):
            valid[name] = Blur().constrain({"kernel": valid[name]})["kernel"]
        return valid

    def image_shape(self, measurement_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape for which the physics was built, else that of its adjoint's result, else the measurement's."""
        fixed = getattr(self.physics, "img_size", None)
        if fixed is not None and len(fixed) == 3:
            return tuple(fixed)
        if not hasattr(self.physics, "A_adjoint"):
            return measurement_shape
        flat = {name: torch.full((1, *shape), 1 / math.prod(shape)) for name, shape in self.unknown.items()}
        measurement = torch.zeros(1, *measurement_shape)
        try:
            with self._unchanged(measurement):
                return tuple(self.physics.A_adjoint(measurement, **flat).shape[1:])
        # A physics may raise anything for a measurement that it cannot have made.
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise IptError(
                f"{self._name()} of deepinv makes no measurement of {tuple(measurement_shape)} ({reason})\n"
                f"set its options (operator.NAME=VALUE), or say what is unknown: operator.unknown.filter=[1, 9, 9]"
            ) from error

    def _name(self) -> str:
        return type(self.physics).__name__

    @contextmanager
    def _unchanged(self, like: Tensor) -> Iterator[None]:
        """Within the context the physics has the device and precision of `like`; afterwards it is as before."""
        # Attributes come first, because the table of buffers is one of them, and its content is restored after it.
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
        kernels: names of those that are kernels, non-negative with sum 1.
        options: options of the physics.

    Raises:
        IptError: there is no such physics, or it does not have these options.
    """
    factory = chosen(model, "deepinv.physics")
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        # So that a random mask is the same every time.
        torch.manual_seed(0)
        # The warning with which deepinv ignores an option that it does not have.
        warnings.filterwarnings("error", r"Arguments .* are passed to")
        try:
            physics = factory(**options)
        except UserWarning as error:
            raise IptError(f"{model} of deepinv does not have all these options: {error}") from None
    shapes = {name: tuple(shape) for name, shape in (unknown or {}).items()}
    return DeepinvPhysics(physics, shapes, (kernels,) if isinstance(kernels, str) else tuple(kernels))


def _as(value: Tensor | None, like: Tensor) -> Tensor | None:
    """A buffer on the device and in the precision of `like`; integers keep their type."""
    if value is None or not (value.is_floating_point() or value.is_complex()):
        return value if value is None else value.to(like.device)
    return value.to(like.device, like.dtype.to_complex() if value.is_complex() else like.dtype)
