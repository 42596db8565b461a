"""What becomes of a list of checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from unittest import SkipTest

import pytest

from ipt.testing import Check
from ipt.testing.running import Finding, findings


def _broken(checks: Iterable[Check]) -> set[str]:
    names = set()
    for check in checks:
        try:
            check()
        except AssertionError:
            names.add(check.__name__)
        except SkipTest:
            pass
    return names


def _found(checks: Iterable[Check]) -> list[Finding]:
    return [finding for finding in findings(list(checks), "it") if finding.status == "broken"]


@pytest.fixture(scope="session")
def found() -> Callable[[Iterable[Check]], list[Finding]]:
    """The findings of `ipt check`, broken promises alone."""
    return _found


def _is_the_only_finding(said: tuple[str, ...], checks: Iterable[Check]) -> None:
    (finding,) = _found(checks)
    promise, reason, *remedy = said
    assert finding.promise == promise and finding.reason.startswith(reason)
    assert all(words in finding.fix for words in remedy)


@pytest.fixture(scope="session")
def is_the_only_finding() -> Callable[[tuple[str, ...], Iterable[Check]], None]:
    """Asserts the only finding of `ipt check`: its promise, the beginning of its reason, and words of its remedy."""
    return _is_the_only_finding


@pytest.fixture(scope="session")
def broken() -> Callable[[Iterable[Check]], set[str]]:
    """The names of the promises that are broken."""
    return _broken
