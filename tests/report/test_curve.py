"""The curve of convergence, as it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

import numpy as np
import pytest

from ipt.report.curve import convergence_curve
from ipt.report.templating import template


def drawn(
    trace: Sequence[float | None], noise: float | None, sizes: Sequence[Sequence[int]] = ()
) -> ElementTree.Element:
    curve = convergence_curve(trace, noise, sizes)
    return ElementTree.fromstring(template("curve.svg.jinja").render(curve=curve))


def test_the_curve() -> None:
    trace = [1.0, None, 0.1, 0.01, float("nan")]
    root = drawn(trace, 0.02)
    lines = [
        [tuple(map(float, p.split(","))) for p in line.get("points", "").split()] for line in root.iter("polyline")
    ]
    assert [len(line) for line in lines] == [1, 2]
    (first,), (second, third) = lines
    assert first[0] < second[0] < third[0]
    # Logarithmic: a tenth is as far each time.
    assert third[1] - second[1] == pytest.approx(second[1] - first[1], abs=0.2)
    (level,) = [line for line in root.iter("line") if line.get("class") == "noise"]
    share = (float(level.get("y1", "nan")) - second[1]) / (third[1] - second[1])
    assert share == pytest.approx(np.log10(5), abs=0.01)
    assert convergence_curve([], 0.01) is None and convergence_curve([0.0, None], 0.01) is None
    assert drawn([0.3], None).tag == "svg"


def test_the_curve_tells_the_sizes_of_a_solve_from_coarse_to_fine() -> None:
    trace, sizes = [1.0, 0.5, 0.2, 0.1], [[16, 20, 3], [32, 40, 1]]
    root = drawn(trace, None, sizes)
    (points,) = [line.get("points", "").split() for line in root.iter("polyline")]
    marks = [line.get("x1") for line in root.iter("line") if line.get("x1") == line.get("x2")]
    assert marks == [points[0].split(",")[0], points[3].split(",")[0]]
    said = [text.text for text in root.iter("text") if "px" in (text.text or "")]
    assert said == ["20 \u00d7 16 px", "40 \u00d7 32 px"]
    alone = drawn(trace, None, [[32, 40, 4]])
    assert not [text for text in alone.iter("text") if "px" in (text.text or "")]
