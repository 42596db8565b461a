"""Folders shared out among processes, on this machine or a cluster, whatever happens to these."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from skimage import data

from ipt.core.errors import IptError
from ipt.folder.inputs import InputImage
from ipt.folder.options import ExecutionOptions
from ipt.folder.pins import pins
from ipt.folder.run import solve_all
from ipt.folder.workers.choosing import choose_pool, local_devices
from ipt.folder.workers.pool import PoolBackend
from ipt.folder.workers.ray import RayPool, _Actor
from ipt.folder.workers.worker import BatchStarted, Fatal, Idle, Lost, Message, WorkerSetup
from ipt.images.outcomes import Outcome, Progress
from ipt.images.records import run_yaml
from ipt.solve.options import SolveOptions

QUICK = {"prior": {"image": "gaussian", "kernel": "gaussian"}, "set": {"operator.kernel_size": 7}, "steps": 3}


class Silent:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.begun = 0

    def begin(self, name: str, number: int, total: int, count: int = 1) -> None:
        self.begun += 1

    def step(self, progress: Progress) -> None:
        assert 0 <= progress.done <= progress.total

    def end(self, outcome: Outcome) -> None: ...

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("SLURM_", "RANK", "WORLD_SIZE", "LOCAL_RANK"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six pictures, of two sizes by turns."""
    place = tmp_path / "in"
    place.mkdir()
    for number in range(6):
        crop = data.astronaut()[60 + 9 * number :, 163:][:124, :124]
        Image.fromarray(crop).resize((24, 24 - 4 * (number % 2))).save(place / f"{number}.png")
    return place


def options(folder: Path, **given: Any) -> SolveOptions:
    return SolveOptions(**{"input": (folder,), **QUICK, **given})


def solved(folder: Path, out: Path, listener: Any = None, *, engine: str = "local", **given: Any) -> dict[str, str]:
    """The status of each picture, each said once."""
    execution = ExecutionOptions(batch=1, engine=engine)
    outcomes = list(solve_all(options(folder, **given), execution, out, listener or Silent()))
    assert len({outcome.name for outcome in outcomes}) == len(outcomes)
    return {outcome.name: outcome.status for outcome in outcomes}


def results(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for ending in ("*.png", "*.npy") for path in out.glob(ending)}


def tidy(out: Path) -> bool:
    return not [path for path in out.iterdir() if path.name.startswith(".")]


def ended(out: Path) -> list[str]:
    lines = (out / "log" / "1-of-1.jsonl").read_text().splitlines()
    return sorted(event["name"] for event in map(json.loads, lines) if event["event"] in ("done", "failed"))


def test_two_workers_give_what_one_process_gives(folder, tmp_path):
    (folder / "4.png").write_bytes(b"no picture")
    alone = solved(folder, tmp_path / "alone")
    assert alone.pop("4.png") == "failed" and set(alone.values()) == {"done"}
    listener = Silent()
    shared = solved(folder, tmp_path / "shared", listener, engine="local:2")
    assert shared == {**alone, "4.png": "failed"} and listener.begun == 5 and not listener.notes
    assert results(tmp_path / "shared") == results(tmp_path / "alone") and tidy(tmp_path / "shared")
    assert ended(tmp_path / "shared") == sorted(shared)
    assert not multiprocessing.active_children()
    again = solved(folder, tmp_path / "shared", engine="local:2")
    assert again == {**dict.fromkeys(alone, "skipped"), "4.png": "failed"}


def test_a_killed_worker_s_pictures_are_solved_again(folder, tmp_path):
    class Killer(Silent):
        def begin(self, name: str, number: int, total: int, count: int = 1) -> None:
            super().begin(name, number, total, count)
            if self.begun == 2:
                os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)

    listener = Killer()
    assert set(solved(folder, tmp_path / "killed", listener, engine="local:2", steps=20).values()) == {"done"}
    solved(folder, tmp_path / "alone", steps=20)
    assert results(tmp_path / "killed") == results(tmp_path / "alone") and tidy(tmp_path / "killed")
    assert len(listener.notes) == 1 and "lost (signal SIGKILL)" in listener.notes[0]
    assert len(ended(tmp_path / "killed")) == 6


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_the_run_which_goes_on_later(folder, tmp_path, how):
    out = tmp_path / "out"
    for number in (3, 4, 5):
        (folder / f"{number}.png").unlink()
    given = ["--prior=gaussian", "--prior=kernel=gaussian", "--set=operator.kernel_size=7", "--batch=1"]
    command = ["solve", str(folder), "-o", str(out), *given, "--steps", "120", "--engine", "local:2"]
    run = subprocess.Popen([sys.executable, "-m", "ipt", *command], stderr=subprocess.PIPE, text=True)
    log = out / "log" / "1-of-1.jsonl"
    try:
        until(lambda: log.exists() and log.read_text().count('"batch"') >= 2)
        workers = children(run.pid)
    finally:
        run.send_signal(how)
        said = run.communicate(timeout=60)[1]
    assert run.returncode == {signal.SIGINT: 130, signal.SIGKILL: -9}[how]
    assert "Traceback" not in said and len(workers) >= 2
    until(lambda: not any(alive(worker) for worker in workers))
    assert len(list(out.glob("?.json"))) < 3
    assert len(solved(folder, out, engine="local:2", steps=120)) == 3 and tidy(out)


def until(true: Any, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def children(parent: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_worker_that_cannot_start_says_why(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("ipt.folder.run.pins.write", lambda *arguments: None)
    with pytest.raises(IptError, match=r"a worker does not see .*out; all machines need"):
        solved(folder, tmp_path / "out", engine="local:2")
    assert not multiprocessing.active_children()


class ScriptedPool:
    """A pool of made-up workers; each picture of `poison` ends whoever solves it, so many times."""

    kind = "cpu"

    def __init__(self, size: int, poison: dict[str, int], stillborn: int = 0):
        self.size, self.poison, self.stillborn = size, dict(poison), stillborn
        self.messages: deque[tuple[int, Message]] = deque()
        self.given: list[tuple[list[str], bool]] = []
        self.started = 0
        self.closed = False

    def start(self, number: int) -> None:
        self.started += 1
        self.stillborn -= 1
        self.messages.append((number, Lost("no library") if self.stillborn >= 0 else Idle()))

    def submit(self, number: int, inputs: Sequence[InputImage], resume: bool) -> None:
        self.given.append(([image.name for image in inputs], resume))
        self.messages.append((number, BatchStarted(tuple(image.name for image in inputs))))
        for image in inputs:
            if self.poison.get(image.name, 0) > 0:
                self.poison[image.name] -= 1
                self.messages.append((number, Lost("signal SIGKILL")))
                return
            self.messages.append((number, Outcome(image.name, "done")))
        self.messages.append((number, Idle()))

    def receive(self) -> tuple[int, Message]:
        return self.messages.popleft()

    def close(self) -> None:
        self.closed = True


def pooled(folder: Path, out: Path, pool: ScriptedPool, done: Sequence[str] = ()) -> Iterator[Outcome]:
    out.mkdir()
    run: Any = SimpleNamespace(
        options=options(folder),
        execution=ExecutionOptions(batch=4),
        out=out,
        finished=lambda image: {"status": "done"} if image.name in done else {},
        failed=lambda image, error: Outcome(image.name, "failed", reason=str(error)),
    )
    inputs = [InputImage(path.name, path) for path in sorted(folder.iterdir())]
    return PoolBackend(run, Silent(), lambda names: None, True, pool).outcomes(inputs)


def test_pictures_are_shared_out_in_smaller_and_smaller_lots(folder, tmp_path):
    pool = ScriptedPool(2, {})
    assert [outcome.status for outcome in pooled(folder, tmp_path / "out", pool)] == ["done"] * 6
    assert [len(names) for names, _ in pool.given] == [3, 2, 1] and pool.closed and pool.started == 2
    assert [name for names, _ in pool.given for name in names] == [f"{number}.png" for number in range(6)]


def test_what_is_left_falls_into_the_same_lots(folder, tmp_path):
    pool = ScriptedPool(2, {})
    outcomes = list(pooled(folder, tmp_path / "out", pool, done=["0.png", "3.png", "4.png"]))
    assert sorted(outcome.name for outcome in outcomes) == [f"{number}.png" for number in range(6)]
    assert [outcome.name for outcome in outcomes if outcome.status == "skipped"] == ["0.png", "3.png", "4.png"]
    assert [names for names, _ in pool.given] == [["1.png", "2.png"], ["5.png"]]


def test_a_picture_that_ends_its_workers_fails_and_no_other(folder, tmp_path):
    pool = ScriptedPool(2, {"1.png": 9})
    outcomes = {outcome.name: outcome for outcome in pooled(folder, tmp_path / "out", pool)}
    assert sorted(outcomes) == [f"{number}.png" for number in range(6)]
    assert [name for name, outcome in outcomes.items() if outcome.status == "failed"] == ["1.png"]
    assert "3 workers were lost over it (signal SIGKILL)" in outcomes["1.png"].reason
    # With those that it came with, twice, of which there may be a state; then alone.
    assert [given for given in pool.given if "1.png" in given[0]] == [
        (["0.png", "1.png", "2.png"], False), (["0.png", "1.png", "2.png"], True), (["1.png"], True)
    ]  # fmt: skip


def test_workers_that_never_start(folder, tmp_path):
    pool = ScriptedPool(2, {}, stillborn=99)
    with pytest.raises(IptError, match="workers end while they start \\(no library\\)"):
        list(pooled(folder, tmp_path / "out", pool))
    assert pool.closed and pool.started < 9
    assert len(list(pooled(folder, tmp_path / "more", ScriptedPool(2, {}, stillborn=3)))) == 6


@pytest.mark.parametrize(
    ("device", "count", "gpus", "environment", "devices"),
    [
        ("auto", None, 0, {}, ["cpu"]),
        ("auto", 2, 0, {}, ["cpu", "cpu"]),
        ("auto", None, 3, {}, ["cuda:0", "cuda:1", "cuda:2"]),
        ("auto", 3, 2, {}, ["cuda:0", "cuda:1", "cuda:0"]),
        ("auto", None, 2, {"LOCAL_RANK": "1"}, ["cuda:0"]),
        ("auto", 2, 2, {"SLURM_LOCALID": "0"}, ["cuda:0", "cuda:1"]),
        ("cpu", None, 2, {}, ["cpu"]),
        ("cuda:1", 2, 2, {}, ["cuda:1", "cuda:1"]),
    ],
)
def test_the_workers_of_a_machine(device, count, gpus, environment, devices):
    assert local_devices(device, count, gpus, environment) == devices


@pytest.mark.parametrize("engine", ["slurm", "local:0", "ray:", "Local", "local:2:3"])
def test_what_is_no_engine(folder, tmp_path, engine):
    with pytest.raises(IptError, match="it is local, local:N, ray or ray:N"):
        choose_pool(options(folder), ExecutionOptions(engine=engine))


def test_ray_is_missing(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(IptError, match="pip install 'inverse-problem-toolkit\\[ray\\]'"):
        choose_pool(options(folder), ExecutionOptions(engine="ray"))
    # A single picture is solved here.
    assert choose_pool(options(folder / "0.png"), ExecutionOptions(engine="ray")) is None


def test_an_actor_s_streams_tell_all(folder, tmp_path):
    (tmp_path / "run.yaml").write_text(run_yaml(pins(options(folder), {})))
    actor = _Actor()
    assert list(actor.start(WorkerSetup(options(folder), ExecutionOptions(batch=1), tmp_path))) == [Idle()]
    reports = list(actor.solve([InputImage("0.png", folder / "0.png")], False))
    assert reports[0] == BatchStarted(("0.png",)) and reports[-1] == Idle()
    assert [type(report) for report in reports[-3:]] == [Progress, Outcome, Idle]
    (tmp_path / "run.yaml").unlink()
    (fatal,) = _Actor().start(WorkerSetup(options(folder), ExecutionOptions(batch=1), tmp_path))
    assert isinstance(fatal, Fatal) and "a worker does not see" in fatal.text


@pytest.mark.filterwarnings("ignore")
def test_a_node_of_a_ray_cluster_is_killed(folder, tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="Ray is not installed: pip install ray")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    node = {"num_cpus": 1, "num_gpus": 0, "object_store_memory": 80_000_000, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    try:
        second = cluster.add_node(**{name: value for name, value in node.items() if name != "include_dashboard"})
        cluster.wait_for_nodes()
        monkeypatch.setenv("RAY_ADDRESS", cluster.address)

        killed: list[str] = []
        held: list[tuple[int, Message]] = []
        following = RayPool.receive

        def together(pool: RayPool) -> tuple[int, Message]:
            """Nobody is given work before both are ready."""
            while pool._ready != {0, 1} and not killed:
                held.append(following(pool))
            return held.pop(0) if held else following(pool)

        monkeypatch.setattr(RayPool, "receive", together)

        class Killer(Silent):
            def begin(self, name: str, number: int, total: int, count: int = 1) -> None:
                super().begin(name, number, total, count)
                if "by 2 workers" in name and not killed:
                    killed.append(name)
                    cluster.remove_node(second, allow_graceful=False)

        listener = Killer()
        statuses = solved(folder, tmp_path / "ray", listener, engine="ray", steps=100)
    finally:
        cluster.shutdown()
    assert killed and list(statuses.values()) == ["done"] * 6
    assert len(listener.notes) == 1 and "A worker was lost" in listener.notes[0]
    solved(folder, tmp_path / "alone", steps=100)
    assert results(tmp_path / "ray") == results(tmp_path / "alone") and tidy(tmp_path / "ray")
    assert len(ended(tmp_path / "ray")) == 6
