"""What a run does to an input."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ipt.core.errors import IptError
from ipt.folder import checkpoints
from ipt.folder.finding import find_inputs
from ipt.folder.inputs import InputImage
from ipt.folder.options import ExecutionOptions
from ipt.folder.pipeline import BatchMember, Pipeline
from ipt.images.outcomes import Outcome
from ipt.solve.sizer import BatchSizer


def pipeline(options, out: Path) -> Pipeline:
    return Pipeline.build(options, ExecutionOptions(save_every=0), out)


def prepared(run: Pipeline, *images: InputImage) -> list[BatchMember]:
    found = [run.prepare(image) for image in images]
    assert all(isinstance(member, BatchMember) for member in found)
    return found  # type: ignore[return-value]


def test_from_an_input_to_its_result(options, recorder, tmp_path):
    run = pipeline(options, tmp_path)
    a, b, c, _ = find_inputs(options)
    batch = prepared(run, a, c)
    outcomes = list(run.solve(batch, BatchSizer(), recorder))
    assert [(outcome.name, outcome.status) for outcome in outcomes] == [("a.png", "done"), ("c.png", "done")]
    record = json.loads((tmp_path / "a.json").read_text())
    assert outcomes[0].record == record and record["identity"] == batch[0].identity == run.identity(a)
    assert record["input_sha256"] == a.content and record["options"]["noise"]["value"] == 0.02
    assert [progress.done for progress in recorder.steps] == [1, 2, 3] and not checkpoints.paths(tmp_path)
    # What is done is passed over, as long as its files are there.
    assert run.prepare(a) == Outcome("a.png", "skipped", record) and run.finished(b) == {}
    (tmp_path / "a.png").unlink()
    assert isinstance(run.prepare(a), BatchMember)


def test_an_identity_is_of_all_that_matters(options, pictures, tmp_path):
    run = pipeline(options, tmp_path)
    a, b, *_ = find_inputs(options)
    names = {run.identity(a), run.identity(b)}
    for change in ({"seed": 1}, {"noise": 0.03}, {"border": "zero"}, {"reference": pictures}):
        names.add(pipeline(replace(options, **change), tmp_path).identity(a))
    assert len(names) == 6
    moved = replace(options, input=(pictures.parent,), device="cpu")
    assert pipeline(moved, tmp_path).identity(a) == run.identity(a)
    (pictures / "a.png").write_bytes((pictures / "b.png").read_bytes())
    assert run.identity(a) == run.identity(b)


def test_a_failure_is_written_down_in_a_folder_and_raised_alone(options, pictures, tmp_path):
    (pictures / "a.png").write_bytes(b"no picture")
    a, *_ = find_inputs(options)
    outcome = pipeline(options, tmp_path).prepare(a)
    assert isinstance(outcome, Outcome) and outcome.status == "failed" and "not a picture" in outcome.reason
    assert json.loads((tmp_path / "a.failed.json").read_text())["reason"] == outcome.reason
    with pytest.raises(IptError, match="not a picture"):
        pipeline(replace(options, input=(pictures / "a.png",)), tmp_path).prepare(a)


def test_the_batch_of_a_checkpoint(options, pictures, recorder, tmp_path, monkeypatch):
    run = pipeline(options, tmp_path)
    a, b, c, _ = find_inputs(options)
    by_name = {image.name: image for image in (a, b, c)}
    monkeypatch.setattr(recorder, "step", lambda progress: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        list(run.solve(prepared(run, a, c), BatchSizer(), recorder))
    (path,) = checkpoints.paths(tmp_path)
    found = run.resumed(by_name, path)
    assert found is not None and [member.input for member in found[0]] == [a, c]
    assert found[1].batches[-1].state.index == 1 and not any(member.finished for member in found[0])
    assert run.resumed({"a.png": a}, path) is None
    assert pipeline(replace(options, seed=1), tmp_path).resumed(by_name, path) is None
    path.write_bytes(b"")
    with pytest.raises(IptError, match="is damaged"):
        run.resumed(by_name, path)


def test_the_example_has_its_truth_and_as_many_exposures_as_are_asked_for(options, tmp_path):
    example = replace(options, input=())
    (member,) = prepared(pipeline(example, tmp_path), *find_inputs(example))
    assert member.prepared.task.noise == 0.02 and len(member.prepared.task.frames) == 1
    assert member.prepared.reference is not None and member.prepared.reference.shape == (3, 128, 128)
    several = replace(example, frames=3, noise=None)
    (member,) = prepared(pipeline(several, tmp_path), *find_inputs(several))
    assert member.prepared.task.noise == 0.01 and len(member.prepared.task.frames) == 3
    assert member.prepared.sampling.measurement.shape == (1, 9, 128, 128)
