"""What becomes of a list of checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from unittest import SkipTest

import pytest

from ipt.testing import Check


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


@pytest.fixture(scope="session")
def broken() -> Callable[[Iterable[Check]], set[str]]:
    """The names of the promises that are broken."""
    return _broken
