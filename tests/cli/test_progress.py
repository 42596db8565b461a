"""What a terminal shows while a folder is solved."""

from __future__ import annotations

import sys

import pytest

from ipt.cli.progress import Reporter
from ipt.images.outcomes import Outcome, Progress


@pytest.fixture
def reporter(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with Reporter() as made:
        yield made


def shown(reporter: Reporter) -> list[tuple[str, float, float | None, str]]:
    return [(task.description, task.completed, task.total, task.fields["status"]) for task in reporter._bars.tasks]


def test_the_batch_and_the_folder(reporter):
    reporter.end(Outcome("0.png", "skipped"))
    reporter.begin("a.png and 3 more", 2, 10, 4)
    assert shown(reporter) == [("all pictures", 1, 10, ""), ("a.png and 3 more", 0, None, "")]
    reporter.step(Progress(50, 100, 1.5))
    # Half of four pictures' steps are two pictures' worth: the time left is told while a batch is solved.
    assert shown(reporter) == [("all pictures", 3, 10, ""), ("a.png and 3 more", 0.5, 1, "residual 1.50 x noise")]
    for name, status in (("a.png", "done"), ("b.png", "failed"), ("c.png", "done")):
        reporter.end(Outcome(name, status))
    assert shown(reporter)[0] == ("all pictures", 5, 10, "1 failed") and len(shown(reporter)) == 2
    reporter.end(Outcome("d.png", "done"))
    assert shown(reporter) == [("all pictures", 5, 10, "1 failed")]


def test_what_was_done_before_is_said_in_a_line(capsys):
    with Reporter() as reporter:
        for name in ("a.png", "b.png", "c.png"):
            reporter.end(Outcome(name, "skipped"))
        reporter.begin("d.png", 4, 5)
        reporter.end(Outcome("d.png", "done"))
        reporter.end(Outcome("e.png", "skipped"))
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in said] == ["a.png and 2 more", "d.png", "e.png"]


def test_a_single_picture_has_no_total(reporter):
    reporter.begin("a.png", 1, 1)
    reporter.step(Progress(1, 4, 2.0))
    assert shown(reporter) == [("a.png", 0.25, 1, "residual 2.00 x noise")]
    # Steps of a small picture: half of them, and a tenth of the work.
    reporter.step(Progress(2, 4, 2.0, 0.1))
    assert shown(reporter) == [("a.png", 0.1, 1, "residual 2.00 x noise")]
    assert reporter._bars.tasks[0].fields["count"] == "2/4"
    reporter.end(Outcome("a.png", "done"))
    assert shown(reporter) == []


def test_a_name_gives_the_terminal_no_orders(capsys):
    with Reporter() as reporter:
        reporter.end(Outcome("\x1b[31ma\x07.png", "failed", reason="two\nlines"))
    assert capsys.readouterr().err == "\\x1b[31ma\\x07.png: failed: two\nlines\n"
