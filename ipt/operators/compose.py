"""Operators applied one after the other, y = last(... second(first(x))), as one operator with the unknowns of all."""

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

_NOMINAL_SHAPES = ((3, 256, 256), (3, 1024, 1024), (1, 256, 256), (2, 256, 256))
"""Shapes of measurements that are tried in turn; a large kernel may not fit into the first."""


def compose(first: ParametricOperator, *others: ParametricOperator) -> ParametricOperator:
    """The operator that applies `first` to the image, then each of the others to the result.

    A parameter keeps its name. Where an earlier part has that name, it gets a number: the kernels of two blurs are
    "kernel" and "kernel2".

    Raises:
        IptError: a part takes none of the usual images, so that the names of its parameters are unknown.
    """
    if not others:
        return first
    parts: list[ParametricOperator] = []
    for part in (first, *others):
        parts.extend(part.parts if isinstance(part, Composed) else (part,))
    own_names = [list(nominal_parameters(part)) for part in parts]
    unique = iter(numbered(name for names in own_names for name in names))
    return Composed(tuple(parts), tuple(tuple((own, next(unique)) for own in names) for names in own_names))


def numbered(names: Iterable[str]) -> list[str]:
    """The names, made unique: a repeated name gets the smallest number from 2 up that makes it new."""
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
    """Shapes and parameters of an operator for a usual size.

    Attributes:
        measurement: (C, H, W) of a measurement.
        image: (C, H, W) of the image behind it.
        parameters: of that image, by name.
    """

    measurement: tuple[int, ...]
    image: tuple[int, ...]
    parameters: Mapping[str, ParameterSpec]


def nominal_parameters(operator: ParametricOperator) -> Mapping[str, ParameterSpec]:
    """An operator's parameters for a usual image: for their names and usual priors, which do not depend on it."""
    return nominal(operator).parameters


def nominal(operator: ParametricOperator) -> Nominal:
    """Shapes and parameters for the first usual measurement that an operator takes; IptError where it takes none."""
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
        parts: the operators, in the order of their application.
        names: for each part, its parameters' names as pairs (in the part, in this operator).
    """

    parts: tuple[ParametricOperator, ...]
    names: tuple[tuple[tuple[str, str], ...], ...]

    def allows(self, kind: type) -> bool:
        able = [ability(part, kind) is not None for part in self.parts]
        if kind is Canonicalizable:
            # Solutions that are equivalent for the first part are equivalent for all of them.
            return able[0]
        if kind is PhysicalUnits:
            return able[-1]
        return any(able) if kind in (Framed, Resizable, Regional) else all(able)

    def frame(self, image_shape: tuple[int, ...]) -> tuple[slice, slice]:
        """The part of the image that the last operator's frame shows.

        Each framed part cuts the frame. A part that changes the size changes the scale from its pixels to the image's.
        """
        shape = tuple(image_shape)
        # For rows and for columns: first pixel and length of the frame, and image pixels per pixel of the part.
        starts, lengths, scales = [0.0, 0.0], [float(side) for side in shape[-2:]], [1.0, 1.0]
        for part in self.parts:
            framed = ability(part, Framed)
            if framed is not None:
                for axis, window in enumerate(framed.frame(shape)):
                    starts[axis] += window.start * scales[axis]
                    lengths[axis] = (window.stop - window.start) * scales[axis]
            measured = _measurement_shape(part, shape, part.parameters(shape))
            if framed is None:
                scales = [scales[0] * shape[-2] / measured[-2], scales[1] * shape[-1] / measured[-1]]
            shape = measured
        rows, columns = (
            slice(round(start), round(start + length)) for start, length in zip(starts, lengths, strict=True)
        )
        return rows, columns

    def parameters(self, image_shape: tuple[int, ...]) -> dict[str, ParameterSpec]:
        found: dict[str, ParameterSpec] = {}
        shape = tuple(image_shape)
        for number, (part, names) in enumerate(zip(self.parts, self.names, strict=True), 1):
            specs = part.parameters(shape)
            found |= {name: specs[own] for own, name in names}
            if number < len(self.parts):
                shape = _measurement_shape(part, shape, specs)
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
        return self._by_part(parameters, [part.constrain for part in self.parts])

    def measured(self) -> MeasurementSpec:
        return cast(PhysicalUnits, self.parts[-1]).measured()

    def resized(self, known: Mapping[str, Tensor]) -> Composed:
        parts = []
        for part, names in zip(self.parts, self.names, strict=True):
            able = ability(part, Resizable)
            parts.append(part if able is None else able.resized(_part_parameters(known, names)))
        return replace(self, parts=tuple(parts))

    def rescaled(self, known: Mapping[str, Tensor], scale: float) -> Unknowns:
        able = [ability(part, Resizable) for part in self.parts]
        return self._by_part(known, [dict if one is None else partial(one.rescaled, scale=scale) for one in able])

    def coarser(self, image_shape: tuple[int, ...]) -> Coarser | None:
        """The parts' operators for half of the sides, composed; None where one part has none."""
        coarser: list[Coarser] = []
        shape = tuple(image_shape)
        for part in self.parts:
            able = ability(part, Coarsenable)
            found = None if able is None else able.coarser(shape)
            if found is None:
                return None
            coarser.append(found)
            shape = _measurement_shape(part, shape, part.parameters(shape))
        smaller = replace(self, parts=tuple(found.operator for found in coarser))
        return Coarser(smaller, lambda parameters: self._by_part(parameters, [found.enlarged for found in coarser]))

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
        return self._by_part(parameters, changes)

    def canonicalize(self, image: Tensor, parameters: Mapping[str, Tensor]) -> tuple[Tensor, Unknowns]:
        """The first part's canonical form, which does not change its measurement, and so not that of the others."""
        first = cast(Canonicalizable, self.parts[0])
        image, found = first.canonicalize(image, _part_parameters(parameters, self.names[0]))
        return image, {**parameters, **{name: found[own] for own, name in self.names[0]}}

    def _by_part(self, parameters: Mapping[str, Tensor], changes: Sequence[Callable[[Unknowns], Unknowns]]) -> Unknowns:
        """Parameters, changed by one function for each part, which takes those of its part that are there."""
        changed = dict(parameters)
        for change, names in zip(changes, self.names, strict=True):
            found = change(_part_parameters(parameters, names))
            changed |= {name: found[own] for own, name in names if own in found}
        return changed


def _part_parameters(parameters: Mapping[str, Tensor], names: Sequence[tuple[str, str]]) -> Unknowns:
    """A part's parameters under the part's own names."""
    return {own: parameters[name] for own, name in names if name in parameters}


def _measurement_shape(
    part: ParametricOperator, shape: tuple[int, ...], specs: Mapping[str, ParameterSpec]
) -> tuple[int, ...]:
    """The shape (C, h, w) of a part's measurement of an image (C, H, W), found by a prediction where sizes change."""
    if ability(part, Framed) is not None:
        return framed_shape(part, shape)
    if part.image_shape(shape) == shape:
        return shape
    with torch.no_grad():
        flat = part.constrain({name: torch.ones(1, *spec.shape) for name, spec in specs.items()})
        return tuple(part.forward(torch.zeros(1, *shape), **flat).shape[1:])
