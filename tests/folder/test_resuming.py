"""Folders of pictures: killed, shared out, in batches, with damaged files; always the same results."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from skimage import data

from ipt.cli.main import cli
from ipt.folder.checkpoints import write as checkpoints_write
from ipt.solve.batches import solve_tasks

QUICK = ("--prior", "gaussian", "--prior", "kernel=gaussian", "--set", "operator.kernel_size=7", "--steps", "3")
RESULTS = ("*.png", "*.npy")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("SLURM_", "RANK", "WORLD_SIZE", "TORCHELASTIC"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Seven pictures, of two sizes by turns."""
    place = tmp_path / "in"
    place.mkdir()
    for number in range(7):
        crop = data.astronaut()[60 + 9 * number :, 163:][:124, :124]
        Image.fromarray(crop).resize((24, 24 - 4 * (number % 2))).save(place / f"{number}.png")
    return place


def results(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for ending in RESULTS for path in out.glob(ending)}


def near(first: Path, second: Path) -> None:
    """The same files, and the same numbers in them to rounding."""
    assert results(first).keys() == results(second).keys()
    for path in first.glob("*.npy"):
        np.testing.assert_allclose(np.load(path), np.load(second / path.name), atol=1e-4)
    for path in first.glob("?.png"):
        ours, theirs = (np.asarray(Image.open(place), float) for place in (path, second / path.name))
        assert np.abs(ours - theirs).max() <= 1, path.name


def tidy(out: Path) -> bool:
    return not [path for path in out.iterdir() if path.name.startswith(".")]


def log(out: Path, shard: str = "1-of-1") -> list[dict]:
    return [json.loads(line) for line in (out / "log" / f"{shard}.jsonl").read_text().splitlines()]


def test_batches_shards_and_order_change_nothing(folder, tmp_path):
    alone = tmp_path / "alone"
    assert run("solve", folder, "-o", alone, *QUICK, "--batch", 1).exit_code == 0
    assert len(results(alone)) == 7 * 5
    for batch in ("2", "3", "auto"):
        assert run("solve", folder, "-o", tmp_path / batch, *QUICK, "--batch", batch).exit_code == 0
        near(alone, tmp_path / batch)
        assert tidy(tmp_path / batch)
    sizes = [len(event["names"]) for event in log(tmp_path / "2") if event["event"] == "batch"]
    assert sorted(sizes) == [1, 1, 1, 2, 2] or sorted(sizes) == [1, 2, 2, 2]
    shared = tmp_path / "shared"
    for number in (3, 1, 2):
        result = run("solve", folder, "-o", shared, *QUICK, "--batch", 1, "--shard", f"{number}/3", "--json")
        assert result.exit_code == 0 and f"Shard {number}/3" in result.stderr
        names = [image["input"] for image in json.loads(result.stdout)["images"]]
        assert names == [f"{index}.png" for index in range(number - 1, 7, 3)]
    assert results(shared) == results(alone)
    assert {path.name for path in (shared / "log").iterdir()} == {f"{number}-of-3.jsonl" for number in (1, 2, 3)}
    assert (shared / "report.html").read_text().count("<section") >= 7
    record, other = (json.loads((place / "3.json").read_text()) for place in (alone, tmp_path / "3"))
    assert {name: record[name] for name in ("options", "calls", "seed", "identity")} == {
        name: other[name] for name in ("options", "calls", "seed", "identity")
    }


def test_a_rank_of_torchrun_takes_its_share_and_does_not_fail(folder, tmp_path, monkeypatch):
    (folder / "1.png").write_bytes(b"no picture")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    ranked = run("solve", folder, "-o", tmp_path / "out", *QUICK, "--json")
    images = json.loads(ranked.stdout)["images"]
    assert ranked.exit_code == 0 and [(image["input"], image["status"]) for image in images] == [
        ("1.png", "failed"), ("3.png", "done"), ("5.png", "done")
    ]  # fmt: skip
    monkeypatch.delenv("RANK")
    assert run("solve", folder, "-o", tmp_path / "out", *QUICK, "--shard", "2/2").exit_code == 3
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "7")
    monkeypatch.setenv("SLURM_ARRAY_TASK_MIN", "1")
    third = run("solve", folder, "-o", tmp_path / "out", *QUICK, "--json")
    assert [image["input"] for image in json.loads(third.stdout)["images"]] == ["2.png"]
    # One picture is not shared out, so that each task of an array may have one of its own.
    assert run("solve", folder / "0.png", "-o", tmp_path / "one", *QUICK).exit_code == 0
    whole = run("solve", folder, "-o", tmp_path / "out", *QUICK, "--shard", "none", "--json")
    assert whole.exit_code == 3 and len(json.loads(whole.stdout)["images"]) == 7
    empty = run("solve", folder, "-o", tmp_path / "more", *QUICK, "--shard", "8/9")
    assert empty.exit_code == 0 and "0 of 7 pictures" in empty.stderr


def test_no_two_processes_are_the_same_shard(folder, tmp_path):
    from ipt.folder.log import Log
    from ipt.folder.shards import Shard

    out = tmp_path / "out"
    out.mkdir()
    with Log(out, Shard(), 7, 7):
        refused = run("solve", folder, "-o", out, *QUICK)
        assert refused.exit_code == 1 and "another process is solving shard 1/1" in refused.stderr
        assert run("solve", folder, "-o", out, *QUICK, "--shard", "1/2").exit_code == 0
    assert run("solve", folder, "-o", out, *QUICK).exit_code == 0


def killed(script: str, *arguments: object) -> None:
    """Run ipt in a process that kills itself, as `kill -9` does, where the script says."""
    source = f"import os, signal, sys\nfrom ipt.cli.main import cli\n{script}\ncli({[str(a) for a in arguments]!r})"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr


DIE = "os.kill(os.getpid(), signal.SIGKILL)"
AT_A_STEP = f"""
import ipt.folder.checkpoints as c
write = c.write
def stopping(path, checkpoint):
    write(path, checkpoint)
    if sum(batch.state.index for batch in checkpoint.batches) == %d:
        {DIE}
c.write = stopping
"""
AT_A_FILE = f"""
replace = os.replace
def stopping(source, target):
    if os.path.basename(target) == %r and '.partial' not in os.path.basename(source):
        {DIE}
    replace(source, target)
os.replace = stopping
"""


@pytest.mark.parametrize(
    ("script", "resumed"),
    [
        (AT_A_STEP % 2, "step 2 of 3"),
        (AT_A_FILE % "2.kernel.npy", "step 3 of 3"),
    ],
    ids=["in the middle of a solve", "while results are written"],
)
def test_killed_and_continued_the_results_are_the_very_same(script, resumed, folder, tmp_path):
    common = (*QUICK, "--batch", 3, "--save-every", 0)
    undisturbed, out = tmp_path / "undisturbed", tmp_path / "out"
    assert run("solve", folder, "-o", undisturbed, *common).exit_code == 0
    killed(script, "solve", folder, "-o", out, *common)
    assert list((out / ".state").glob("*.pt")) and len(results(out)) < len(results(undisturbed))
    again = run("solve", folder, "-o", out, *common, "--json")
    assert again.exit_code == 0 and resumed in again.stderr, again.stderr
    assert results(out) == results(undisturbed)
    assert tidy(out) and len(json.loads(again.stdout)["images"]) == 7


def test_a_single_picture_killed_from_outside_goes_on(folder, tmp_path):
    common = (*QUICK[:-1], "100", "--save-every", "0")
    command = [sys.executable, "-m", "ipt", "solve", str(folder / "0.png"), "-o", str(tmp_path / "out"), *common]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("out/.state/*.pt")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    fewer = [*common[:-2], "--save-every", "60"]
    again = run("solve", folder / "0.png", "-o", tmp_path / "out", *fewer)
    assert again.exit_code == 0 and "Going on from" in again.stderr and tidy(tmp_path / "out")
    assert run("solve", folder / "0.png", "-o", tmp_path / "undisturbed", *fewer).exit_code == 0
    assert results(tmp_path / "out") == results(tmp_path / "undisturbed")


def test_states_that_are_damaged_or_of_something_else_are_left_out(folder, tmp_path, monkeypatch):
    out = tmp_path / "out"

    def interrupted(path, saved):
        checkpoints_write(path, saved)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("ipt.folder.checkpoints.write", interrupted)
        assert run("solve", folder, "-o", out, *QUICK, "--save-every", 0).exit_code == 130
    (state,) = (out / ".state").glob("*.pt")
    whole = state.read_bytes()
    state.write_bytes(whole[:1000])
    result = run("solve", folder, "-o", out, *QUICK)
    assert result.exit_code == 0 and f"{state.name} is damaged: its pictures are solved from the" in result.stderr
    assert tidy(out)
    before = results(out)
    # The picture changed since the state was written.
    state.parent.mkdir()
    state.write_bytes(whole)
    Image.fromarray(data.astronaut()[:24, :24]).save(folder / "0.png")
    result = run("solve", folder, "-o", out, *QUICK)
    assert result.exit_code == 0 and "Going on" not in result.stderr and tidy(out)
    changed = {name for name, value in results(out).items() if value != before[name]}
    assert changed and all(name.startswith("0.") for name in changed)
    # Another shard's pictures are none of ours.
    state.parent.mkdir()
    state.write_bytes(whole)
    assert run("solve", folder, "-o", out, *QUICK, "--shard", "1/7").exit_code == 0
    assert state.exists()
    assert run("solve", folder, "-o", out, *QUICK, "--force").exit_code == 0 and tidy(out)


def test_one_picture_that_breaks_its_batch_is_recorded_and_the_others_are_solved(folder, tmp_path, monkeypatch):
    bad = None

    def breaking(tasks, *arguments, **options):
        nonlocal bad
        bad = bad or next(task.seeds for task in tasks if len(tasks) > 1)
        if bad in [task.seeds for task in tasks]:
            raise RuntimeError("an operator's own trouble")
        return solve_tasks(tasks, *arguments, **options)

    monkeypatch.setattr("ipt.folder.pipeline.solve_tasks", breaking)
    result = run("solve", folder, "-o", tmp_path / "out", *QUICK, "--json")
    assert result.exit_code == 3
    images = json.loads(result.stdout)["images"]
    assert [image["input"] for image in images if image["status"] == "failed"] == ["0.png"]
    assert "an operator's own trouble" in images[0]["reason"]
    assert len(results(tmp_path / "out")) == 6 * 5 and tidy(tmp_path / "out")


def test_a_picture_that_does_not_fit_into_memory_is_recorded(folder, tmp_path, monkeypatch):
    from ipt.priors.analytic import GaussianPrior

    denoise, sizes = GaussianPrior.denoise, []

    def limited(self, noisy, sigma):
        # Images reach 3 pixels further than their pictures, as far as the kernel does.
        if noisy.shape[-2:] == (30, 30):
            sizes.append(len(noisy))
        if noisy.shape[-2:] == (26, 30) or len(noisy) > 2:
            raise MemoryError
        return denoise(self, noisy, sigma)

    monkeypatch.setattr(GaussianPrior, "denoise", limited)
    result = run("solve", folder, "-o", tmp_path / "out", *QUICK, "--json")
    assert result.exit_code == 3 and "out of memory with 4 at once at 24 x 24 px; going on with 2" in result.stderr
    images = json.loads(result.stdout)["images"]
    failed = [image for image in images if image["status"] == "failed"]
    assert [image["input"] for image in failed] == ["1.png", "3.png", "5.png"] and sizes == [4, *[2] * 6]
    assert all(image["reason"].startswith("out of memory, even alone") for image in failed)
