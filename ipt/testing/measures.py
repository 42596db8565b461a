"""Tools of the checks: reproducible values, differences, derivatives, and the state of global random generators."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ipt.linalg.random import stream
from ipt.testing.promises import Shortfall, at_most, require

BATCH = 3
"""Images in the batch of a check; the second one is much darker, so that a norm over the batch changes the results."""
Arrays = Mapping[str, Mapping[str, Tensor]]
"""Arguments of a component: groups of tensors (B, ...) by name."""
NUMBERS = "keep divisors, logarithms and roots away from 0 and from values below it: clamp(min=...)"
"""The remedy for values that are NaN or infinite."""
_UNUSUAL = 1_618_033_988
_LENGTHS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)


def uniform(shape: tuple[int, ...], name: str) -> Tensor:
    """Uniform numbers in 0..1, float64, which depend on the name only."""
    return torch.rand(shape, generator=stream(0, name), dtype=torch.float64)


def normal(shape: tuple[int, ...], name: str) -> Tensor:
    """Standard normal numbers, float64, which depend on the name only."""
    return torch.randn(shape, generator=stream(0, name), dtype=torch.float64)


def uneven(shape: tuple[int, ...]) -> Tensor:
    """Factors of the images, (BATCH, 1, ...) for shape (...): a tenth for the second one, else 1."""
    return torch.tensor([1.0, 0.1, 1.0], dtype=torch.float64).reshape(-1, *[1] * len(shape))


def picture(shape: tuple[int, ...]) -> Tensor:
    """Pictures with edges and texture, (BATCH, C, H, W) within .05...95."""
    channels, height, width = shape
    blocks = uniform((BATCH, channels, -(-height // 4), -(-width // 4)), "blocks")
    coarse = blocks.repeat_interleave(4, 2).repeat_interleave(4, 3)[..., :height, :width]
    return 0.05 + 0.9 * uneven(shape) * (0.7 * coarse + 0.3 * uniform((BATCH, *shape), "texture"))


def rms(tensor: Tensor) -> float:
    """Root mean square, over all images."""
    return float(tensor.detach().double().square().mean().sqrt()) if tensor.numel() else 0.0


def difference(first: Tensor, second: Tensor) -> float:
    """The largest difference of two tensors over the largest value of the second; Shortfall if they differ in shape."""
    require(first.shape == second.shape, f"Shapes {tuple(first.shape)} and {tuple(second.shape)}")
    if not first.numel():
        return 0.0
    one, other = first.detach().double(), second.detach().double()
    # The same NaN twice is no difference; `finite` reports it.
    alike = (one == other) | (one.isnan() & other.isnan())
    gap = float((one - other).abs().masked_fill(alike, 0).max())
    return gap / max(float(other.abs().masked_fill(~other.isfinite(), 0).max()), 1e-12) if gap else gap


def same(first: Mapping[str, Tensor], second: Mapping[str, Tensor], limit: float, what: str) -> None:
    """Shortfall unless the mappings agree, name by name."""
    require(first.keys() == second.keys(), f"{what}: it gives {_names(first)} and then {_names(second)}")
    for name, value in second.items():
        at_most(difference(first[name], value), limit, f"{name}: difference {what}, as a share of the largest value")


def finite(values: Mapping[str, Tensor], when: str = "", fix: str = NUMBERS) -> None:
    """Shortfall unless all entries are finite; fix: the remedy, "" for that of the promise."""
    for name, value in values.items():
        odd = int((~torch.isfinite(value)).sum())
        require(not odd, f"{name} has {odd} of {value.numel()} entries that are NaN or infinite{when}", fix)


def rows(arrays: Arrays, index: int) -> dict[str, dict[str, Tensor]]:
    """One image of a batch."""
    return {group: {name: x[index : index + 1] for name, x in some.items()} for group, some in arrays.items()}


def cast(arrays: Arrays, dtype: torch.dtype, device: str) -> dict[str, dict[str, Tensor]]:
    """The arrays with another dtype, on another device."""
    return {group: {name: x.to(device, dtype) for name, x in some.items()} for group, some in arrays.items()}


@contextmanager
def untouched(arrays: Arrays) -> Iterator[None]:
    """Shortfall if the block changes a mapping or a tensor in it."""
    before = {
        group: {name: (x, x.detach().clone(), _version(x)) for name, x in some.items()}
        for group, some in arrays.items()
    }
    yield
    for group, some in arrays.items():
        same_names = list(some) == list(before[group])
        require(same_names, f"The mapping of {group} had {_names(before[group])} and has {_names(some)} afterwards")
        for name, (tensor, values, version) in before[group].items():
            kept = some[name] is tensor and torch.equal(tensor.detach(), values)
            require(kept, f"{name} of {group} is not what it was: off by up to {difference(some[name], values):.3g}")
            # Torch refuses to differentiate through a tensor that was written to, whatever its values are.
            require(
                _version(tensor) == version, f"{name} of {group} was written to in place, with the values that it had"
            )


@contextmanager
def global_generators_untouched() -> Iterator[None]:
    """Shortfall if the block uses or seeds the global random generators of torch, numpy or Python.

    Their states are restored afterwards.
    """
    before = torch.get_rng_state(), np.random.get_state(), random.getstate()
    # An unusual seed, so that seeding within the block changes the state.
    torch.manual_seed(_UNUSUAL)
    np.random.seed(_UNUSUAL)
    random.seed(_UNUSUAL)
    start = _states()
    try:
        yield
        moved = [name for name, state in _states().items() if state != start[name]]
    finally:
        torch.set_rng_state(before[0])
        np.random.set_state(before[1])
        random.setstate(before[2])
    require(not moved, f"The global generator of {' and '.join(moved)} was used or seeded")


def _states() -> dict[str, Any]:
    """The state of each global generator, comparable with ==."""
    _, key, *place = np.random.get_state()
    return {"torch": torch.get_rng_state().tolist(), "numpy": (list(key), place), "random": random.getstate()}


def derivative_error(
    function: Callable[[Tensor], Tensor],
    point: Tensor,
    lengths: Sequence[float] = _LENGTHS,
    directions: int = 3,
    what: str = "It",
) -> float:
    """The relative error of autograd's derivative of a function (B, ...) -> (B, ...) against central differences.

    The values are weighted by random numbers, and the derivative is taken along random directions. The error is that of
    the best step length. It is relative to the slopes, or to what the gradient's norm lets expect of them, since a
    random direction may have next to no slope.

    Args:
        function: that is differentiated.
        point: where, (B, ...).
        lengths: step lengths, as shares of the point's root mean square.
        directions: number of random directions.
        what: the function's name, for a message.

    Raises:
        Shortfall: the function is constant near the point, but has another value at another point.
    """
    slopes = [_slope(function, point, number, lengths) for number in range(directions)]
    derivatives = [slope.derivative for slope in slopes]
    expected = [slope.expected for slope in slopes]
    rounding = max(slope.rounding for slope in slopes)
    errors = []
    for index, length in enumerate(lengths):
        differences = [slope.differences[index] for slope in slopes]
        size = max(math.hypot(*derivatives), math.hypot(*expected), math.hypot(*differences))
        # Differences that rounding alone explains are not compared.
        if size > 10 * rounding / length:
            errors.append(math.dist(derivatives, differences) / size)
    if errors:
        return min(errors)
    with torch.no_grad():
        gap = difference(function(point.roll(1, 0)), function(point))
    if gap:
        raise Shortfall(
            f"{what} is constant about a point (derivative 0), but {gap:.3g} of its largest value away at another: "
            f"something is rounded or compared."
        )
    return 0.0


@dataclass(frozen=True)
class _Slope:
    """The slope of a function along a random direction.

    Attributes:
        derivative: by autograd.
        expected: what the norm of the gradient lets expect of it.
        differences: central differences, one per step length.
        rounding: error of a difference by rounding, before the division by the step length.
    """

    derivative: float
    expected: float
    differences: Sequence[float]
    rounding: float


def _slope(function: Callable[[Tensor], Tensor], point: Tensor, number: int, lengths: Sequence[float]) -> _Slope:
    """The slope of a randomly weighted sum of the function's values along random direction `number`."""
    size = rms(point) or 1.0
    direction = normal(tuple(point.shape), f"direction {number}").to(point) * size
    leaf = point.detach().clone().requires_grad_()
    with torch.enable_grad():
        value = function(leaf)
        weight = normal(tuple(value.shape), f"weight {number}").to(value)
        total = (weight * value).sum()
    gradient = torch.autograd.grad(total, leaf, allow_unused=True)[0] if total.requires_grad else None
    differences = []
    with torch.no_grad():
        for length in lengths:
            change = function(point + length * direction) - function(point - length * direction)
            differences.append(float((weight * change).sum()) / (2 * length))
    return _Slope(
        derivative=0.0 if gradient is None else float((gradient * direction).sum()),
        expected=0.0 if gradient is None else float(gradient.norm()) * size,
        differences=differences,
        rounding=float(torch.finfo(value.dtype).eps * weight.norm() * value.detach().norm()),
    )


def _version(tensor: Tensor) -> int | None:
    """How often a tensor was written to; None: torch does not count it (`torch.inference_mode`)."""
    return None if tensor.is_inference() else tensor._version


def _names(mapping: Mapping[str, object]) -> str:
    return ", ".join(mapping) or "nothing"
