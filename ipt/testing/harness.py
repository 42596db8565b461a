"""A component on the bench: what it is called with, what it answers, and the promises that every kind makes."""

from __future__ import annotations

import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ipt.core.errors import first_line
from ipt.testing.measures import BATCH, Arrays, cast, difference, global_generators_untouched, rows, same, untouched
from ipt.testing.promises import Check, Promise, Shortfall, at_most, require, skip

ALONE = 1e-4
"""Share of the largest value by which an image alone may differ from the same image in a batch: networks compute in
single precision, in an order that depends on the batch."""


class Bench(ABC):
    """A component, arguments for it and a way of calling all that it does.

    Attributes:
        component: what is tried.
        device: where `device` tries it; None: this machine's accelerator, if it has one.
    """

    component: Any
    device: str | None

    @property
    def home(self) -> str:
        """Where the other checks run."""
        return "cpu"

    def place(self) -> str:
        """Where `device` runs; SkipTest if there is no such place."""
        found = self.device or ("cuda" if torch.cuda.is_available() else None)
        if found is None:
            skip("this machine has no accelerator")
        return str(found)

    @abstractmethod
    def arguments(self) -> Arrays:
        """A batch of BATCH images, float64, at home."""

    @abstractmethod
    def answers(self, component: Any, arguments: Arrays) -> dict[str, Tensor]:
        """What a component makes of the arguments, by name, (B, ...) each."""

    @cached_property
    def usual(self) -> dict[str, Tensor]:
        """The component's answers to the arguments."""
        return self.answers(self.component, self.arguments())

    def checks(self, promises: tuple[Promise, ...]) -> list[Check]:
        return [Check(promise, self, type(self.component).__name__) for promise in promises]


def first_taken(
    judge: Callable[[tuple[int, ...]], Any], shapes: Sequence[tuple[int, ...]], option: str
) -> tuple[int, ...]:
    """The first shape that `judge` does not refuse with a ValueError."""
    refusal = None
    for shape in shapes:
        try:
            judge(shape)
            return shape
        except ValueError as error:
            refusal = error
    tried = ", ".join(map(str, shapes))
    raise Shortfall(f"It takes none of {tried} ({refusal}). Give the checks a shape that it takes: {option}=(C, H, W).")


def batch(bench: Bench) -> None:
    """Each image alone, and in the batch."""
    arguments = bench.arguments()
    for index in range(BATCH):
        for name, alone in bench.answers(bench.component, rows(arguments, index)).items():
            require(name in bench.usual, f"{name} is answered for an image alone, but not in a batch")
            what = f"{name}: difference between image {index} alone and in a batch of {BATCH}, of its largest value"
            at_most(difference(bench.usual[name][index : index + 1], alone), ALONE, what)


def inputs(bench: Bench) -> None:
    """Arguments before and after."""
    arguments = bench.arguments()
    with untouched(arguments):
        bench.answers(bench.component, arguments)


def dtype(bench: Bench) -> None:
    """In single and in double precision."""
    for kind in (torch.float32, torch.float64):
        for name, answer in bench.answers(bench.component, cast(bench.arguments(), kind, bench.home)).items():
            require(answer.dtype == kind, f"{name} is {answer.dtype} for arguments of {kind}")


def device(bench: Bench) -> None:
    """On another device."""
    place = bench.place()
    where = torch.device(place).type
    for name, answer in bench.answers(bench.component, cast(bench.arguments(), torch.float32, place)).items():
        require(answer.device.type == where, f"{name} is on {answer.device.type} for arguments on {where}")


def picklable(bench: Bench) -> None:
    """Against its pickled copy."""
    copy = pickled(bench.component)
    same(bench.answers(copy, bench.arguments()), bench.usual, 1e-6, "between a component and its pickled copy")


def pickled(component: Any) -> Any:
    """A component's pickled copy."""
    try:
        return pickle.loads(pickle.dumps(component))
    except Exception as error:
        raise Shortfall(f"It cannot be pickled: {first_line(error)}.") from error


def random_state(bench: Bench) -> None:
    """Twice, and the global generators before and after."""
    arguments = bench.arguments()
    with global_generators_untouched():
        again = bench.answers(bench.component, arguments)
    same(again, bench.usual, 1e-6, "between two calls with the same arguments")


COMMON = (
    Promise(
        "batch",
        "an image alone and the same image in a batch give the same answer",
        "take every norm, sum, maximum and normalisation over the dimensions of one image (1, 2, 3), never over the "
        "batch (0)",
        batch,
    ),
    Promise(
        "inputs",
        "no argument is changed: neither a tensor nor a mapping",
        "write x = x + ... instead of x += ... and copy a mapping before changing it: dict(parameters)",
        inputs,
        root=True,
    ),
    Promise(
        "dtype",
        "float32 in, float32 out, and float64 in, float64 out",
        "make constants with .to(argument) or argument.new_tensor(...), and undo a cast with .to(argument.dtype)",
        dtype,
        root=True,
    ),
    Promise(
        "device",
        "the answer is on the device of the arguments",
        "move constants with .to(argument), and make new tensors with torch.zeros_like or device=argument.device",
        device,
    ),
    Promise(
        "picklable",
        "it can be pickled, and its copy answers the same, so that runs can be spread over processes",
        "define classes and functions at the top of a module, keep no lambda, open file or generator in an attribute",
        picklable,
    ),
    Promise(
        "random-state",
        "the global random generators are neither used nor seeded, and the same call gives the same answer",
        "draw from a torch.Generator of your own: torch.Generator().manual_seed(seed), as ipt.linalg.random does",
        random_state,
        root=True,
    ),
)
"""What every kind promises but generators of parameters, which take seeds instead of tensors."""
