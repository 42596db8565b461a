"""What a check is: a callable with a name, and a failure that explains itself."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from unittest import SkipTest

import pytest

from ipt.testing import Check, generators, guidance, operators, priors
from ipt.testing.promises import Promise, at_most, require, skip
from ipt.testing.running import BUILDS, PACKAGE

PAGE = Path(__file__).parents[2] / "docs" / "contract.md"


def check_of(trial) -> Check:
    return Check(Promise("soft", "it is soft", "soften it", trial), None, "Pillow")


def test_a_failure_names_the_promise_the_measurement_and_the_remedy():
    with pytest.raises(AssertionError) as caught:
        check_of(lambda bench: at_most(0.5, 0.01, "hardness"))()
    said = "Pillow breaks 'soft': it is soft.\nhardness: 0.5, at most 0.01 is allowed.\nTo fix it: soften it."
    assert str(caught.value) == said


def test_what_the_component_raises_is_a_broken_promise():
    def trial(bench):
        raise TypeError("no such thing")

    with pytest.raises(AssertionError, match=r"It raised: TypeError: no such thing \(.*test_promises.py, line"):
        check_of(trial)()


def test_not_a_number_is_within_no_limit():
    with pytest.raises(AssertionError, match="nan"):
        check_of(lambda bench: at_most(float("nan"), 1.0, "hardness"))()


def test_what_is_kept_says_nothing_and_what_does_not_apply_is_skipped():
    check_of(lambda bench: require(True, "never"))()
    with pytest.raises(SkipTest, match="no pillow here"):
        check_of(lambda bench: skip("no pillow here"))()
    assert check_of(skip).__name__ == "soft"


def test_pytest_shows_the_names_and_the_reasons(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "from ipt.testing import prior_checks\n"
        "from ipt.priors.analytic import GaussianPrior\n"
        "@pytest.mark.parametrize('check', prior_checks(GaussianPrior()))\n"
        "def test_contract(check):\n"
        "    check()\n"
    )
    command = [sys.executable, "-m", "pytest", "-rs", "-v", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "test_contract[identity] PASSED" in done.stdout
    assert re.search(r"SKIPPED .*no samples of what it describes were given", done.stdout)


def test_the_kit_needs_no_pytest():
    files = sorted(Path(operators.__file__).parent.glob("*.py"))
    assert len(files) > 5
    assert not [path.name for path in files if re.search(r"^\s*(import|from) pytest", path.read_text(), re.MULTILINE)]


@pytest.mark.parametrize(
    ("heading", "promises"),
    [
        ("Operators", operators.PROMISES),
        ("Priors", priors.PROMISES),
        ("Guidance rules", guidance.PROMISES),
        ("Generators", generators.PROMISES),
        ("Installed packages", (*PACKAGE, BUILDS)),
    ],
)
def test_the_page_has_every_promise(heading, promises):
    section = PAGE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    shared = PAGE.read_text(encoding="utf-8").partition("\n## All but generators\n")[2].partition("\n## ")[0]
    common = set() if heading in ("Generators", "Installed packages") else set(_names(shared))
    assert sorted({*_names(section), *common}) == sorted(promise.name for promise in promises)
    assert len({promise.name for promise in promises}) == len(promises)


def _names(section: str) -> list[str]:
    return re.findall(r"^\| `([\w-]+)` [A-Z`]", section, re.MULTILINE)
