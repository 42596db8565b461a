"""Where results go if nobody says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from ipt.core.errors import IptError, Misuse
from ipt.folder import checkpoints
from ipt.folder.options import ExecutionOptions
from ipt.folder.run import Run, solve_all
from ipt.folder.shards import Shard


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty working folder, and one process."""
    for name in ("RANK", "WORLD_SIZE", "SLURM_ARRAY_TASK_ID", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def started(options, recorder, **execution) -> Run:
    return solve_all(options, ExecutionOptions(save_every=0, **execution), None, recorder)


def statuses(options, recorder, **execution) -> tuple[str, list[str]]:
    run = started(options, recorder, **execution)
    return str(run.out), [outcome.status for outcome in run]


@pytest.fixture
def single(options, pictures):
    return replace(options, input=(pictures / "a.png",))


def test_the_same_run_goes_on_where_it_was_and_another_has_a_folder_of_its_own(single, pictures, recorder):
    assert started(single, recorder).out == Path("ipt-out") and not Path("ipt-out").exists()
    assert statuses(single, recorder) == ("ipt-out", ["done"])
    assert recorder.notes == ["Results go to ipt-out (out= names another folder)."] * 2
    before = {path: path.read_bytes() for path in Path("ipt-out").iterdir()}
    assert statuses(single, recorder) == ("ipt-out", ["skipped"])
    assert recorder.notes[-1] == "This run goes on in ipt-out (out= names another folder)."
    other = replace(single, seed=1)
    assert statuses(other, recorder) == ("ipt-out-2", ["done"])
    assert "go to ipt-out-2, since ipt-out holds something else" in recorder.notes[-1]
    # Another input with the same options, which a folder that is named would take, too.
    assert statuses(replace(single, input=(pictures / "c.png",)), recorder) == ("ipt-out-3", ["done"])
    assert statuses(other, recorder) == ("ipt-out-2", ["skipped"])
    # To solve again is no reason to take somebody's folder.
    assert statuses(replace(single, seed=2), recorder, force=True) == ("ipt-out-4", ["done"])
    assert before == {path: path.read_bytes() for path in Path("ipt-out").iterdir()}
    assert statuses(single, recorder, force=True) == ("ipt-out", ["done"])


def test_nobody_s_files_are_in_the_way(single, recorder):
    Path("ipt-out").mkdir()
    Path("ipt-out", "notes.txt").write_text("mine")
    Path("ipt-out-2").write_text("mine")
    Path("ipt-out-3").symlink_to("nowhere")
    Path("ipt-out-4").mkdir()
    Path("ipt-out-4", ".0a1b2c3d.partial").touch()
    assert statuses(single, recorder) == ("ipt-out-4", ["done"])
    assert [path.name for path in Path("ipt-out").iterdir()] == ["notes.txt"] and Path("ipt-out-2").is_file()


@pytest.mark.parametrize(("part", "name"), [("versions", "torch"), ("weights", "image")])
def test_other_versions_and_weights_are_another_run(single, recorder, part, name):
    assert statuses(single, recorder) == ("ipt-out", ["done"])
    path = Path("ipt-out", "run.yaml")
    there = yaml.safe_load(path.read_text())
    there["pinned"]["versions"]["python"], there["device"] = "3.0", "cuda"
    path.write_text(yaml.safe_dump(there))
    assert started(single, recorder).out == Path("ipt-out")
    there["pinned"][part][name] = "1.1"
    path.write_text(yaml.safe_dump(there))
    assert started(single, recorder).out == Path("ipt-out-2")
    path.write_text("- nothing of ours\n")
    assert started(single, recorder).out == Path("ipt-out-2")


def test_a_picture_that_was_being_solved_goes_on(single, recorder, monkeypatch):
    reference = started(single, recorder)
    with monkeypatch.context() as patch:
        patch.setattr(recorder, "step", lambda progress: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            list(reference)
    assert len(checkpoints.paths(Path("ipt-out"))) == 1 and not Path("ipt-out", "run.yaml").exists()
    assert started(replace(single, seed=1), recorder).out == Path("ipt-out-2")
    assert statuses(single, recorder) == ("ipt-out", ["done"])
    assert any("Going on from ipt-out/.state" in note and "step 1 of 3" in note for note in recorder.notes)
    # Killed between the result and run.yaml.
    Path("ipt-out", "run.yaml").unlink()
    assert statuses(single, recorder) == ("ipt-out", ["skipped"])


def test_a_folder_of_pictures(options, recorder):
    assert statuses(options, recorder) == ("ipt-out", ["done"] * 4)
    assert statuses(options, recorder) == ("ipt-out", ["skipped"] * 4)
    assert statuses(replace(options, noise=0.03), recorder)[0] == "ipt-out-2"
    # Results without options are somebody's.
    Path("ipt-out", "run.yaml").unlink()
    assert started(options, recorder).out == Path("ipt-out-3")


def test_shards_do_not_guess(options, recorder, tmp_path):
    with pytest.raises(Misuse, match=r"shard 2/3 \(as asked\): all shards must write into the same folder; name it"):
        started(options, recorder, shard=Shard(2, 3, "as asked"))
    assert not list(Path().iterdir())


def test_nothing_is_written_where_nothing_can_be_solved(options, recorder):
    unknown = replace(options, input=(), operator="nonsense", prior={})
    with pytest.raises(IptError, match="nonsense"):
        started(unknown, recorder)
    with pytest.raises(Misuse, match="drop reference="):
        started(replace(options, input=(), reference=Path("truth")), recorder)
    with pytest.raises(Misuse, match="as in frames=8; give one, or give an INPUT"):
        started(replace(options, input=(), frames=True), recorder)
    assert not list(Path().iterdir())
