from __future__ import annotations

from typing import Any

import pytest

from ipt.bench.comparisons import compared
from ipt.bench.protocol import Protocol, load, parsed

from .conftest import VALUES


def row(solver: str, psnr: float, case: str = "0", **more: Any) -> dict[str, Any]:
    return {"solver": solver, "case": case, "status": "done", "psnr": psnr, **more}


@pytest.fixture
def protocol() -> Protocol:
    solvers = {
        "measurement": {"baseline": "measurement"},
        "wiener": {"baseline": "wiener"},
        "blind": {"steps": 2, "priors": {"kernel": "box"}},
        "known": {"steps": 2, "known": ["kernel"]},
        "longer": {"steps": 3},
    }
    return parsed({**VALUES, "solvers": solvers}, "x", "x")


def test_errors_are_compared_within_a_case(protocol):
    rows = [
        row("measurement", 25.0),
        row("wiener", 24.7),
        row("blind", 20.0, psnr_registered=27.0),
        row("known", 30.0),
        row("longer", 24.9),
        row("measurement", 10.0, "1"),
        row("blind", 29.0, "1"),
        row("known", 30.0, "1"),
    ]
    found = compared(protocol, rows)
    assert [one.get("worse") for one in found] == [None, 1, 0, 0, 0, None, 0, 0]
    ratios = [one.get("error_ratio") for one in found]
    assert ratios == [None, None, pytest.approx(10**0.3), None, None, None, pytest.approx(10**0.1), None]
    assert (
        found[2]["within_twice"] == 1
        and compared(protocol, [row("blind", 26.9), row("known", 30.0)])[0]["within_twice"] == 0
    )
    assert "worse" not in rows[1], "the rows that are stored stay as they are"


def test_what_failed_or_is_not_there_is_compared_with_nothing(protocol):
    failed = {"solver": "known", "case": "0", "status": "failed", "reason": "diverged"}
    assert compared(protocol, [row("blind", 26.0), failed]) == [row("blind", 26.0), failed]


def test_of_several_the_one_that_knows_most_is_the_measure():
    turbulence = load("paper-turbulence")
    rows = [row("proximal", 20.0), row("proximal-blur-alone", 19.0), row("proximal-all-known", 23.0)]
    ratios = [one.get("error_ratio") for one in compared(turbulence, rows)]
    assert ratios == [pytest.approx(10**0.3), None, None]
