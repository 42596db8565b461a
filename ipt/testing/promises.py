"""A promise that a component makes, and the check of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn
from unittest import SkipTest

from ipt.core.errors import IptError
from ipt.plugins.faults import located

RAISED = "correct what the message says; `ipt.testing` calls it as a solve does"
"""Where an exception came up, what a promise's own remedy is about does not matter yet."""


class Shortfall(Exception):
    """What was found of a promise that is not kept: the measured number and its limit.

    mend: what to do about it, where the promise's own remedy does not say.
    """

    def __init__(self, found: str, mend: str = ""):
        super().__init__(found)
        self.mend = mend


@dataclass(frozen=True)
class Promise:
    """One promise: a name for lists, what it says, how to mend what breaks it, and the trial of it on a bench.

    The trial raises Shortfall where the promise is broken and SkipTest, with the reason, where it does not apply.

    Attributes:
        root: the others rely on it: where it is broken, they say nothing.
        after: names of promises that this one relies on.
    """

    name: str
    says: str
    mend: str
    trial: Callable[[Any], None]
    root: bool = False
    after: tuple[str, ...] = ()


class BrokenPromise(AssertionError):
    """Which promise is broken, what was found, and how to mend it. found, mend: these alone."""

    def __init__(self, component: str, promise: Promise, found: str, mend: str):
        super().__init__(f"{component} breaks {promise.name!r}: {promise.says}.\n{found}\nTo mend it: {mend}.")
        self.found, self.mend = found, mend


@dataclass(frozen=True, eq=False)
class Check:
    """A promise of one component, to be called; pytest takes its name for the test's id."""

    promise: Promise
    bench: Any
    component: str

    @property
    def __name__(self) -> str:
        return self.promise.name

    def __call__(self) -> None:
        """AssertionError: which promise is broken, what was measured, how to mend it. SkipTest: it does not apply."""
        try:
            self.promise.trial(self.bench)
        except Shortfall as found:
            raise BrokenPromise(self.component, self.promise, str(found), found.mend or self.promise.mend) from None
        except (SkipTest, MemoryError):
            raise
        except Exception as error:
            message = str(error) if isinstance(error, IptError) else located(error)
            raise BrokenPromise(self.component, self.promise, f"It raised: {message}", RAISED) from error


def at_most(measured: float, limit: float, what: str) -> None:
    """Shortfall unless measured <= limit (NaN is not)."""
    if not measured <= limit:
        raise Shortfall(f"{what}: {measured:.3g}, at most {limit:.3g} is allowed.")


def require(kept: bool, found: str, mend: str = "") -> None:
    """Shortfall, saying what was found, unless kept."""
    if not kept:
        raise Shortfall(f"{found}.", mend)


def skip(reason: str) -> NoReturn:
    """The promise does not apply, or cannot be tried here."""
    raise SkipTest(reason)
