"""Words of messages."""

from __future__ import annotations

import pytest

from ipt.core.errors import IptError, Lacking, Misuse, first_line, plural


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("\n one \n two"), "one "),
        (ValueError(""), "ValueError"),
        (KeyError("name"), "'name'"),
        (OSError(2, "No such file", "a.png"), "[Errno 2] No such file: 'a.png'"),
        (RuntimeError("x" * 500), "x" * 160),
    ],
)
def test_the_first_line_of_an_error(error, line):
    assert first_line(error) == line


def test_one_and_several():
    assert [plural(count, "channel") for count in (0, 1, 3)] == ["0 channels", "1 channel", "3 channels"]


def test_what_a_user_can_mend_is_a_value_error():
    assert issubclass(Misuse, IptError) and issubclass(Lacking, IptError) and issubclass(IptError, ValueError)
