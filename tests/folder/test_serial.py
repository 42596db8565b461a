"""Batches of one shape in one process."""

from __future__ import annotations

import pytest

from ipt.folder.finding import find_inputs
from ipt.folder.options import ExecutionOptions
from ipt.folder.pipeline import Pipeline
from ipt.folder.serial import SerialBackend, summary


@pytest.mark.parametrize(
    ("batch", "batches"),
    [(None, [["a.png", "c.png"], ["b.png", "d.png"]]), (1, [["a.png"], ["b.png"], ["c.png"], ["d.png"]])],
)
def test_pictures_of_one_shape_go_together(batch, batches, options, recorder, tmp_path):
    run = Pipeline.build(options, ExecutionOptions(batch=batch), tmp_path)
    started: list[list[str]] = []
    backend = SerialBackend(run, recorder, lambda names: started.append(list(names)))
    outcomes = list(backend.outcomes(find_inputs(options)))
    assert started == batches and [outcome.name for outcome in outcomes] == [
        name for names in batches for name in names
    ]
    assert [(number, total) for _, number, total, _ in recorder.batches] == [
        (1 + sum(map(len, batches[:index])), 4) for index in range(len(batches))
    ]
    assert {outcome.status for outcome in backend.outcomes(find_inputs(options))} == {"skipped"}


def test_a_batch_that_holds_enough_pixels_is_solved(options, recorder, tmp_path, monkeypatch):
    monkeypatch.setattr("ipt.folder.serial._WAITING_PIXELS", 24 * 24)
    run = Pipeline.build(options, ExecutionOptions(), tmp_path)
    list(SerialBackend(run, recorder, lambda names: None).outcomes(find_inputs(options)))
    assert [name for name, *_ in recorder.batches] == ["a.png", "c.png", "b.png and 1 more"]


def test_a_summary_is_short():
    assert summary(["a"]) == "a" and summary(["a", "b", "c"]) == "a and 2 more"
