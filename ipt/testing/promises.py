"""A promise of a component's contract, and its check: `Promise`, `Check`, and the exceptions of a broken promise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn
from unittest import SkipTest

from ipt.core.errors import IptError
from ipt.plugins.faults import located, place

RAISED = "correct what the message says; `ipt.testing` calls it as a solve does"
"""The remedy for an unexpected exception, in place of the promise's own."""

TORCH = "compute with torch throughout: numpy has no derivatives, and .detach() would lose them"
"""The remedy where a tensor that is differentiated is taken to numpy."""


class Shortfall(Exception):
    """A promise is broken.

    Args:
        found: the measured number and its limit, or what is wrong.
        fix: the remedy; "": that of the promise.
    """

    def __init__(self, found: str, fix: str = ""):
        super().__init__(found)
        self.fix = fix


@dataclass(frozen=True)
class Promise:
    """One promise.

    Attributes:
        name: for lists.
        says: the promise in words.
        fix: the remedy if it is broken.
        trial: called with a harness; raises Shortfall if the promise is broken, and SkipTest, with the reason, if it
            does not apply.
        root: whether all others rely on it, so that they are skipped if it is broken.
        after: names of promises that this one relies on.
    """

    name: str
    says: str
    fix: str
    trial: Callable[[Any], None]
    root: bool = False
    after: tuple[str, ...] = ()


class BrokenPromise(AssertionError):
    """The message of a broken promise: which one, what was found, and how to fix it.

    Attributes:
        found: what was found.
        fix: how to fix it.
    """

    def __init__(self, component: str, promise: Promise, found: str, fix: str):
        super().__init__(f"{component} breaks {promise.name!r}: {promise.says}.\n{found}\nTo fix it: {fix}.")
        self.found, self.fix = found, fix


@dataclass(frozen=True, eq=False)
class Check:
    """A promise of one component, to be called without arguments; pytest uses its name as the test's id."""

    promise: Promise
    harness: Any
    component: str

    @property
    def __name__(self) -> str:
        return self.promise.name

    def __call__(self) -> None:
        """Raise AssertionError, with the remedy, if the promise is broken, and SkipTest if it does not apply."""
        try:
            self.promise.trial(self.harness)
        except Shortfall as found:
            raise BrokenPromise(self.component, self.promise, str(found), found.fix or self.promise.fix) from None
        except (SkipTest, MemoryError):
            raise
        except Exception as error:
            if "Can't call numpy()" in str(error):
                # Torch advises .detach(), which would lose the derivative without a word.
                reason = f"It takes a tensor to numpy{place(error)}."
                raise BrokenPromise(self.component, self.promise, reason, TORCH) from error
            message = str(error) if isinstance(error, IptError) else located(error)
            raise BrokenPromise(self.component, self.promise, f"It raised: {message}", RAISED) from error


def at_most(measured: float, limit: float, what: str) -> None:
    """Raise Shortfall unless measured <= limit; NaN is above every limit."""
    if not measured <= limit:
        raise Shortfall(f"{what}: {measured:.3g}, at most {limit:.3g} is allowed.")


def require(kept: bool, found: str, fix: str = "") -> None:
    """Raise Shortfall with what was found, unless the promise is kept."""
    if not kept:
        raise Shortfall(f"{found}.", fix)


def skip(reason: str) -> NoReturn:
    """Raise SkipTest: the promise does not apply, or cannot be checked here."""
    raise SkipTest(reason)
