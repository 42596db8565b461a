"""`Harness`, which calls a component with test arguments, and the promises that all kinds of components share."""

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
"""Largest difference between an image alone and in a batch, as a share of the largest value: networks compute in single
precision, in an order that depends on the batch."""


class Harness(ABC):
    """A component with test arguments, and a function that calls all of its methods.

    Attributes:
        component: that is checked.
        device: where the check `device` runs; None: on this machine's accelerator, if it has one.
    """

    component: Any
    device: str | None

    @property
    def home(self) -> str:
        """The device of the other checks."""
        return "cpu"

    def place(self) -> str:
        """The device of the check `device`; SkipTest if there is none."""
        found = self.device or ("cuda" if torch.cuda.is_available() else None)
        if found is None:
            skip("this machine has no accelerator")
        return str(found)

    @abstractmethod
    def arguments(self) -> Arrays:
        """Arguments for a batch of BATCH images, float64, on the device `home`."""

    @abstractmethod
    def answers(self, component: Any, arguments: Arrays) -> dict[str, Tensor]:
        """The results of all of a component's methods, by name, (B, ...) each."""

    def unusual_call(self) -> None:
        """A call with values that lie outside their usual ranges; Shortfall if it changes them."""
        return

    @cached_property
    def untried(self) -> bytes | None:
        """The component pickled before it was called, for `random-state`; None: not compared."""
        return None

    @cached_property
    def usual(self) -> dict[str, Tensor]:
        """The component's answers to `arguments`."""
        return self.answers(self.component, self.arguments())

    def checks(self, promises: tuple[Promise, ...]) -> list[Check]:
        """A check of the component for each promise."""
        # Before anything is called.
        _ = self.untried
        return [Check(promise, self, type(self.component).__name__) for promise in promises]


def first_taken(
    judge: Callable[[tuple[int, ...]], Any], shapes: Sequence[tuple[int, ...]], option: str
) -> tuple[int, ...]:
    """The first shape that `judge` does not refuse with a ValueError; Shortfall, naming `option`, if there is none."""
    refusal = None
    for shape in shapes:
        try:
            judge(shape)
            return shape
        except ValueError as error:
            refusal = error
    tried = ", ".join(map(str, shapes))
    fix = f"give the checks a shape that it takes: {option}=(C, H, W), or --shape C,H,W of `ipt check`"
    raise Shortfall(f"It takes none of {tried} ({refusal}).", fix)


def batch(harness: Harness) -> None:
    """The promise `batch`: compares each image alone with the batch."""
    arguments = harness.arguments()
    for index in range(BATCH):
        for name, alone in harness.answers(harness.component, rows(arguments, index)).items():
            require(name in harness.usual, f"{name} is answered for an image alone, but not in a batch")
            what = f"{name}: difference between image {index} alone and in a batch of {BATCH}, of its largest value"
            at_most(difference(harness.usual[name][index : index + 1], alone), ALONE, what)


def inputs(harness: Harness) -> None:
    """The promise `inputs`: compares the arguments before and after a call."""
    arguments = harness.arguments()
    with untouched(arguments):
        harness.answers(harness.component, arguments)
    harness.unusual_call()


def dtype(harness: Harness) -> None:
    """The promise `dtype`: calls with single and double precision."""
    for kind in (torch.float32, torch.float64):
        for name, answer in harness.answers(harness.component, cast(harness.arguments(), kind, harness.home)).items():
            require(answer.dtype == kind, f"{name} is {answer.dtype} for arguments of {kind}")


def device(harness: Harness) -> None:
    """The promise `device`: calls with arguments on another device."""
    place = harness.place()
    where = torch.device(place).type
    for name, answer in harness.answers(harness.component, cast(harness.arguments(), torch.float32, place)).items():
        require(answer.device.type == where, f"{name} is on {answer.device.type} for arguments on {where}")


def picklable(harness: Harness) -> None:
    """The promise `picklable`: compares the component with its pickled copy."""
    copy = pickled(harness.component)
    same(harness.answers(copy, harness.arguments()), harness.usual, 1e-6, "between a component and its pickled copy")


def pickled(component: Any) -> Any:
    """A component's pickled copy."""
    try:
        return pickle.loads(pickle.dumps(component))
    except Exception as error:
        raise Shortfall(f"It cannot be pickled: {first_line(error)}.") from error


def random_state(harness: Harness) -> None:
    """The promise `random-state`: calls twice, and watches the global random generators."""
    arguments = harness.arguments()
    with global_generators_untouched():
        again = harness.answers(harness.component, arguments)
    same(again, harness.usual, 1e-6, "between two calls with the same arguments")
    _keeps_nothing(harness, arguments)


def _keeps_nothing(harness: Harness, arguments: Arrays) -> None:
    """Shortfall if the answers depend on the arguments of earlier calls."""
    if harness.untried is None:
        return
    try:
        same(harness.answers(pickle.loads(harness.untried), arguments), harness.usual, 1e-6, "")
    except Exception:
        return  # The check `picklable` finds this.
    rolled = {group: {name: x.roll(1, 0) for name, x in some.items()} for group, some in arguments.items()}
    # An image alone shows a number that was taken of the first batch, which the same images in another order share.
    for others in (rolled, rows(arguments, 1)):
        fresh = harness.answers(pickle.loads(harness.untried), others)
        try:
            same(harness.answers(harness.component, others), fresh, 1e-6, "between a used component and a new one")
        except Shortfall as found:
            fix = "keep nothing of a call in an attribute; compute it from the arguments of each call"
            raise Shortfall(str(found), fix) from None


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
        "write x = x + ... instead of x += ... and x.clamp(...) instead of x.clamp_(...), and copy a mapping before "
        "changing it: dict(parameters)",
        inputs,
        root=True,
    ),
    Promise(
        "random-state",
        "the global random generators are neither used nor seeded, and the same call gives the same answer",
        "draw from a torch.Generator of your own: torch.Generator().manual_seed(seed), as ipt.linalg.random does",
        random_state,
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
)
"""The promises of operators, priors and guidance rules. (Generators take seeds instead of tensors.)"""
