"""Templates escape what is put into them, and nothing may be missing."""

from __future__ import annotations

import pytest
from jinja2 import UndefinedError

from ipt.report.curve import Curve, Mark
from ipt.report.templating import template


def test_values_are_escaped():
    curve = Curve('<b>&"', [], [Mark(0.5, "<i>")], None, [], [[(0.0, 1.0)]])
    text = template("curve.svg.jinja").render(curve=curve)
    assert "<b>" not in text and "<i>" not in text and "&lt;b&gt;&amp;&#34;" in text and 'cx="58.0"' in text


def test_a_value_that_is_missing_is_an_error():
    with pytest.raises(UndefinedError):
        template("report.html.jinja").render()
