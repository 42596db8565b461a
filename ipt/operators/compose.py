"""An operator made of operators: y = last(... second(first(x))), the unknowns of all of them together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import torch
from torch import Tensor

from ipt.core.abilities import (
    Canonicalizable,
    Coarsenable,
    Coarser,
    Framed,
    Linear,
    MeasurementSpec,
    PhysicalUnits,
    Resizable,
    Wrapper,
    ability,
    framed_shape,
)
from ipt.core.errors import IptError
from ipt.core.operator import ParameterSpec, ParametricOperator, Unknowns
from ipt.sampling.regional import Regional

# Measurements, for whose images parameters are asked; a large kernel may not fit in the first.
_NOMINAL_SHAPES = ((3, 256, 256), (3, 1024, 1024), (1, 256, 256), (2, 256, 256))


def compose(first: ParametricOperator, *others: ParametricOperator) -> ParametricOperator:
    """The operator that applies `first` to the image, then each of the others to what came before.

    A parameter keeps its name; where an earlier part has that name, it gets a number: of two blurs, the kernels are
    "kernel" and "kernel2".

    Raises:
        IptError: a part takes none of the usual images, so that its parameters have no names.
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


@dataclass(frozen=True)
class Nominal:
    """An operator's measurement (C, H, W) of some size, the image behind it, and the parameters."""

    measurement: tuple[int, ...]
    image: tuple[int, ...]
    parameters: Mapping[str, ParameterSpec]


def nominal_parameters(operator: ParametricOperator) -> Mapping[str, ParameterSpec]:
    """An operator's parameters for some image, for what does not depend on it: their names and usual priors."""
    return nominal(operator).parameters


def nominal(operator: ParametricOperator) -> Nominal:
    """The first of the usual measurements that an operator takes; IptError: none."""
    refusals = []
    for shape in _NOMINAL_SHAPES:
        try:
            image = tuple(operator.image_shape(shape))
            return Nominal(shape, image, operator.parameters(image))
        except (TypeError, ValueError) as error:
            refusals.append(str(error))
    raise IptError(
        f"the operator {type(operator).__name__} takes no image behind a measurement of "
        f"{', '.join(map(str, _NOMINAL_SHAPES))}: {refusals[0]}"
    )


@dataclass(frozen=True)
class Composed(
    ParametricOperator, Linear, Framed, Resizable, Coarsenable, Canonicalizable, PhysicalUnits, Regional, Wrapper
):
    """Operators one after the other; made by `compose`.

    Attributes:
        parts: in the order of their application.
        names: of the parameters of each part, (the part's own, this operator's).
    """

    parts: tuple[ParametricOperator, ...]
    names: tuple[tuple[tuple[str, str], ...], ...]

    def allows(self, kind: type) -> bool:
        able = [ability(part, kind) is not None for part in self.parts]
        if kind is Canonicalizable:
            # What the first part measures alike, all of them do.
            return able[0]
        if kind is PhysicalUnits:
            return able[-1]
        return any(able) if kind in (Framed, Resizable, Regional) else all(able)

    def frame(self, image_shape: tuple[int, ...]) -> tuple[slice, slice]:
        """What the last part measures, followed back to the image.

        A part that changes the size changes that of the frame in proportion.
        """
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
        return self._each(parameters, [part.constrain for part in self.parts])

    def measured(self) -> MeasurementSpec:
        return cast(PhysicalUnits, self.parts[-1]).measured()

    def resized(self, known: Mapping[str, Tensor]) -> Composed:
        parts = []
        for part, names in zip(self.parts, self.names, strict=True):
            able = ability(part, Resizable)
            parts.append(part if able is None else able.resized(_own(known, names)))
        return replace(self, parts=tuple(parts))

    def rescaled(self, known: Mapping[str, Tensor], scale: float) -> Unknowns:
        able = [ability(part, Resizable) for part in self.parts]
        return self._each(known, [dict if one is None else partial(one.rescaled, scale=scale) for one in able])

    def coarser(self, image_shape: tuple[int, ...]) -> Coarser | None:
        """Its parts for half the sides, one after the other; None where one of them has nothing to gain."""
        coarser: list[Coarser] = []
        shape = tuple(image_shape)
        for part in self.parts:
            able = ability(part, Coarsenable)
            found = None if able is None else able.coarser(shape)
            if found is None:
                return None
            coarser.append(found)
            shape = _measured(part, shape, part.parameters(shape))
        smaller = replace(self, parts=tuple(found.operator for found in coarser))
        return Coarser(smaller, lambda parameters: self._each(parameters, [found.enlarged for found in coarser]))

    def of_region(self) -> Composed:
        able = [ability(part, Regional) for part in self.parts]
        parts = [part if one is None else one.of_region() for part, one in zip(self.parts, able, strict=True)]
        return replace(self, parts=tuple(parts))

    def spread(self, parameters: Mapping[str, Tensor], measurement: tuple[int, ...]) -> Unknowns:
        changes: list[Callable[[Unknowns], Unknowns]] = []
        for part in reversed(self.parts):
            able = ability(part, Regional)
            changes.insert(0, dict if able is None else partial(able.spread, measurement=measurement))
            measurement = part.image_shape(measurement)
        return self._each(parameters, changes)

    def canonicalize(self, image: Tensor, parameters: Mapping[str, Tensor]) -> tuple[Tensor, Unknowns]:
        """As the first part has it, whose measurement stays what it was."""
        first = cast(Canonicalizable, self.parts[0])
        image, found = first.canonicalize(image, _own(parameters, self.names[0]))
        return image, {**parameters, **{name: found[own] for own, name in self.names[0]}}

    def _each(self, parameters: Mapping[str, Tensor], change: Sequence[Callable[[Unknowns], Unknowns]]) -> Unknowns:
        """Each part's parameters, of those that are there, changed by a function of that part's."""
        changed = dict(parameters)
        for make, names in zip(change, self.names, strict=True):
            found = make(_own(parameters, names))
            changed |= {name: found[own] for own, name in names if own in found}
        return changed


def _own(parameters: Mapping[str, Tensor], names: Sequence[tuple[str, str]]) -> Unknowns:
    """A part's parameters, under its own names."""
    return {own: parameters[name] for own, name in names if name in parameters}


def _measured(part: ParametricOperator, shape: tuple[int, ...], specs: Mapping[str, ParameterSpec]) -> tuple[int, ...]:
    """The shape of a part's measurement of an image (C, H, W); where the part does not keep it, by measuring one."""
    if ability(part, Framed) is not None:
        return framed_shape(part, shape)
    if part.image_shape(shape) == shape:
        return shape
    with torch.no_grad():
        flat = part.constrain({name: torch.ones(1, *spec.shape) for name, spec in specs.items()})
        return tuple(part.forward(torch.zeros(1, *shape), **flat).shape[1:])
