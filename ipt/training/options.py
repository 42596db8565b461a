"""`TrainingOptions`, checked when they are made, and which of them may change when a training is continued."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar, get_type_hints

from ipt.core.errors import Misuse

T = TypeVar("T")
PRECISIONS = ("fp32", "bf16")
"""Those of `ipt.priors.precision` without fp16, whose gradients would need loss scaling."""
FREE = ("images", "compile", "save_every", "validate_every", "validation_images", "device", "workers")
"""Options that may differ when a training is continued: they change no update of the weights."""


@dataclass(frozen=True)
class TrainingOptions:
    """Options of a training.

    Attributes:
        images: length of the training, in examples; it can be raised later to continue a finished training.
        batch: examples per step.
        rate: Adam's peak learning rate, reached after `warmup` examples; it falls linearly to 0 at `images`.
        warmup: length of the warm-up, in examples.
        sigma_mean: mean of the natural logarithm of the noise level.
        sigma_std: standard deviation of the natural logarithm of the noise level.
        sigma_data: standard deviation of the examples, in normalised units.
        ema: half-life of the averaged weights, as a share of the examples seen.
        seed: of the initial weights, the order of examples and their noise.
        precision: of the network's arithmetic, "fp32" or "bf16"; weights stay in float32.
        compile: whether to use torch.compile.
        save_every: examples between two saved states.
        validate_every: examples between two validations.
        validation_images: the most examples of a validation.
        device: "cpu", "cuda", "cuda:1", ...
        workers: number of processes that draw the examples, if one thread is too slow; 0: one thread.

    Raises:
        Misuse: A value is out of its range.
    """

    images: int = 200_000
    batch: int = 32
    rate: float = 1e-3
    warmup: int = 5_000
    sigma_mean: float = -0.8
    sigma_std: float = 1.4
    sigma_data: float = 0.5
    ema: float = 0.05
    seed: int = 0
    precision: str = "fp32"
    compile: bool = False
    save_every: int = 10_000
    validate_every: int = 40_000
    validation_images: int = 500
    device: str = "cpu"
    workers: int = 0

    def __post_init__(self) -> None:
        for name in ("images", "batch", "save_every", "validate_every", "validation_images"):
            if getattr(self, name) < 1:
                raise Misuse(f"training.{name} is a number of examples, at least 1, not {getattr(self, name)}")
        for name in ("rate", "sigma_std", "sigma_data", "ema"):
            if not 0 < getattr(self, name) < math.inf:
                raise Misuse(f"training.{name} is a number above 0, not {getattr(self, name)}")
        for name in ("warmup", "seed", "workers"):
            if getattr(self, name) < 0:
                raise Misuse(f"training.{name} is a whole number from 0 up, not {getattr(self, name)}")
        if not math.isfinite(self.sigma_mean):
            raise Misuse(f"training.sigma_mean is a finite number, not {self.sigma_mean}")
        if self.precision not in PRECISIONS:
            raise Misuse(f"training.precision is {' or '.join(PRECISIONS)}, not {self.precision!r}")


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The texts "name: old before, new now" of all entries that differ."""
    names = dict.fromkeys([*before, *now])
    return [f"{n}: {before.get(n)} before, {now.get(n)} now" for n in names if before.get(n) != now.get(n)]


def changed(before: TrainingOptions, now: TrainingOptions) -> list[str]:
    """`differences` of the options that a continued training must keep."""
    old, new = ({n: v for n, v in asdict(options).items() if n not in FREE} for options in (before, now))
    return differences(old, new)


def checked(kind: type[T], section: str, values: Mapping[str, Any]) -> T:
    """Make a dataclass from values by name, and check their types.

    Args:
        kind: The dataclass.
        section: Prefix of the names, for messages.
        values: By name of the field.

    Raises:
        Misuse: A name is unknown, or a value has another type.
    """
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    for name in values:
        if name not in names:
            raise Misuse(f"{section} has no option {name!r}; it has {', '.join(names)}")
    return kind(**{name: _typed(hints[name], f"{section}.{name}", value) for name, value in values.items()})


def _typed(hint: Any, name: str, value: Any) -> Any:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int and number and float(value).is_integer():
        return int(value)
    if hint is float and number:
        return float(value)
    if hint in (bool, str) and isinstance(value, hint):
        return value
    if hint == tuple[int, ...] and isinstance(value, (list, tuple)) and value:
        return tuple(_typed(int, name, item) for item in value)
    wanted = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}.get(
        hint, "a list of whole numbers"
    )
    raise Misuse(f"{name} is {wanted}, not {value!r}")
