"""What the options of a run have in common."""

from __future__ import annotations

from pathlib import Path

import pytest

from ipt.core.errors import Misuse
from ipt.solve.options import SolveOptions


def test_the_border_is_an_option_of_the_operator():
    assert SolveOptions(border="zero").settings() == {"operator.border": "zero"}
    assert SolveOptions(border="zero", set={"operator.border": "zero"}).settings() == {"operator.border": "zero"}
    both = SolveOptions(border="zero", set={"operator.border": "reflect"}, origins={"border": "command line"})
    with pytest.raises(Misuse, match=r"border is given twice: zero \(command line\).* reflect \(default\)"):
        both.settings()


def test_what_is_written_down():
    options = SolveOptions(
        (Path("a.png"),), known={"kernel": Path("k.npy")}, set={"a.b": {"c": 1}}, origins={"set.a.b": "x"}
    )
    assert list(options.plain())[:3] == ["input", "operator", "prior"] and "origins" not in options.plain()
    assert options.plain()["input"] == "a.png" and options.plain()["noise"] == "auto"
    record = options.record()
    assert record["set.a.b"] == {"value": {"c": 1}, "from": "x"}
    assert record["known.kernel"] == {"value": "k.npy", "from": "default"} and "prior" not in record
