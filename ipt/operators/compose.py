"""An operator made of operators: y = last(... second(first(x))), the unknowns of all of them together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ipt.core.abilities import Framed, Linear, Wrapper, ability, framed_shape
from ipt.core.errors import IptError
from ipt.core.operator import ParameterSpec, ParametricOperator, Unknowns

# Measurements, for whose images parameters are asked; a large kernel may not fit in the first.
_NOMINAL_SHAPES = ((3, 256, 256), (3, 1024, 1024), (1, 256, 256), (2, 256, 256))


def compose(first: ParametricOperator, *others: ParametricOperator) -> ParametricOperator:
    """The operator that applies `first` to the image, then each of the others to what came before.

    A parameter keeps its name; where an earlier part has that name, it gets a number: of two blurs, the kernels are
    "kernel" and "kernel2". Raises IptError: a part that takes none of the usual images, so that its parameters have no
    names.
    """
    if not others:
        return first
    nested = [part.parts if isinstance(part, Composed) else (part,) for part in (first, *others)]
    parts = tuple(part for several in nested for part in several)
    own = [list(nominal_parameters(part)) for part in parts]
    names = iter(numbered(name for part in own for name in part))
    return Composed(parts, tuple(tuple((name, next(names)) for name in part) for part in own))


def numbered(names: Iterable[str]) -> list[str]:
    """The names, made unique: what was there before gets the smallest number from 2 up that makes it new."""
    unique: list[str] = []
    for name in names:
        count, wanted = 1, name
        while wanted in unique:
            count += 1
            wanted = f"{name}{count}"
        unique.append(wanted)
    return unique


def nominal_parameters(operator: ParametricOperator) -> dict[str, ParameterSpec]:
    """An operator's parameters for some image, for what does not depend on it: their names and usual priors."""
    refusals = []
    for shape in _NOMINAL_SHAPES:
        try:
            return operator.parameters(operator.image_shape(shape))
        except (TypeError, ValueError) as error:
            refusals.append(str(error))
    raise IptError(
        f"the operator {type(operator).__name__} takes no image behind a measurement of "
        f"{', '.join(map(str, _NOMINAL_SHAPES))}: {refusals[0]}"
    )


@dataclass(frozen=True)
class Composed(ParametricOperator, Linear, Framed, Wrapper):
    """Operators one after the other; made by `compose`.

    parts: in the order of their application. names: of the parameters of each part, (the part's own, this operator's).
    """

    parts: tuple[ParametricOperator, ...]
    names: tuple[tuple[tuple[str, str], ...], ...]

    def allows(self, kind: type) -> bool:
        able = [ability(part, kind) is not None for part in self.parts]
        return any(able) if kind is Framed else all(able)

    def frame(self, image_shape: tuple[int, ...]) -> tuple[slice, slice]:
        """What the last part measures, followed back to the image; a part that changes the size changes that of the
        frame in proportion."""
        shape = tuple(image_shape)
        scale, sides = (1.0, 1.0), [(0.0, float(shape[-2])), (0.0, float(shape[-1]))]
        for part in self.parts:
            framed = ability(part, Framed)
            if framed is not None:
                windows = framed.frame(shape)
                sides = [
                    (first + window.start * unit, (window.stop - window.start) * unit)
                    for (first, _), window, unit in zip(sides, windows, scale, strict=True)
                ]
            measured = _measured(part, shape, part.parameters(shape))
            if framed is None:
                scale = (scale[0] * shape[-2] / measured[-2], scale[1] * shape[-1] / measured[-1])
            shape = measured
        rows, columns = (slice(round(first), round(first + length)) for first, length in sides)
        return rows, columns

    def parameters(self, image_shape: tuple[int, ...]) -> dict[str, ParameterSpec]:
        found: dict[str, ParameterSpec] = {}
        shape = tuple(image_shape)
        for number, (part, names) in enumerate(zip(self.parts, self.names, strict=True), 1):
            specs = part.parameters(shape)
            found |= {name: specs[own] for own, name in names}
            if number < len(self.parts):
                shape = _measured(part, shape, specs)
        return found

    def image_shape(self, measurement_shape: tuple[int, ...]) -> tuple[int, ...]:
        shape = measurement_shape
        for part in reversed(self.parts):
            shape = part.image_shape(shape)
        return shape

    def forward(self, image: Tensor, **parameters: Tensor) -> Tensor:
        for part, names in zip(self.parts, self.names, strict=True):
            image = part.forward(image, **{own: parameters[name] for own, name in names})
        return image

    def constrain(self, parameters: Mapping[str, Tensor]) -> Unknowns:
        valid = dict(parameters)
        for part, names in zip(self.parts, self.names, strict=True):
            found = part.constrain({own: parameters[name] for own, name in names})
            valid |= {name: found[own] for own, name in names}
        return valid


def _measured(part: ParametricOperator, shape: tuple[int, ...], specs: Mapping[str, ParameterSpec]) -> tuple[int, ...]:
    """The shape of a part's measurement of an image (C, H, W); where the part does not keep it, by measuring one."""
    if ability(part, Framed) is not None:
        return framed_shape(part, shape)
    if part.image_shape(shape) == shape:
        return shape
    with torch.no_grad():
        flat = part.constrain({name: torch.ones(1, *spec.shape) for name, spec in specs.items()})
        return tuple(part.forward(torch.zeros(1, *shape), **flat).shape[1:])
