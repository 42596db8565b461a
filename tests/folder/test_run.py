"""A run from Python."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ipt.core.errors import IptError
from ipt.folder.options import ExecutionOptions
from ipt.folder.run import solve_all
from ipt.folder.shards import Shard
from ipt.folder.status import read_status, shards_running


def test_every_picture_has_an_outcome_and_a_line_in_the_log(options, pictures, recorder, tmp_path, monkeypatch):
    for name in ("RANK", "SLURM_ARRAY_TASK_ID", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    (pictures / "d.png").write_bytes(b"")
    out = tmp_path / "out"
    outcomes = solve_all(options, ExecutionOptions(), out, recorder)
    assert sorted((outcome.name, outcome.status, shards_running(out)) for outcome in outcomes) == [
        ("a.png", "done", True), ("b.png", "done", True), ("c.png", "done", True), ("d.png", "failed", True)
    ]  # fmt: skip
    found = read_status(out)
    assert (found.done, found.failed, found.complete) == (3, 1, True) and not shards_running(out)
    # The report is the command line's business.
    assert (out / "run.yaml").exists() and not (out / "report.html").exists()
    again = {outcome.status for outcome in solve_all(options, ExecutionOptions(), out, recorder)}
    assert again == {"skipped", "failed"}


def test_a_shard_has_its_own(options, pictures, recorder, tmp_path):
    execution = ExecutionOptions(shard=Shard(2, 3, "as asked"))
    assert [outcome.name for outcome in solve_all(options, execution, tmp_path / "out", recorder)] == ["b.png"]
    assert recorder.notes == ["Shard 2/3 (as asked): 1 of 4 pictures."]
    single = replace(options, input=(pictures / "a.png",))
    with pytest.raises(IptError, match="shard=2/3 shares out a folder"):
        list(solve_all(single, execution, tmp_path / "single", recorder))
    assert not (tmp_path / "single").exists()
