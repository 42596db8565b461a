"""Signals that end a training after its present step."""

from __future__ import annotations

import os
import signal

import pytest

from ipt.training.interrupts import caught

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals differ there")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_calls_stop_and_gives_the_exit_code(number, code):
    stopped = []
    usual = signal.getsignal(number)
    with caught(lambda: stopped.append(True)) as found:
        os.kill(os.getpid(), number)
    assert stopped == [True] and (found.number, found.exit_code) == (number, code)
    assert signal.getsignal(number) is usual


def test_a_second_signal_has_its_usual_effect():
    with caught(lambda: None):
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_without_a_signal_the_exit_code_is_0():
    with caught(lambda: None) as found:
        pass
    assert (found.number, found.exit_code) == (None, 0)
