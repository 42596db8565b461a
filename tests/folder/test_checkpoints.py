"""States of a solve on disk."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from ipt.core.solver import Solver
from ipt.folder import checkpoints
from ipt.folder.checkpoints import Checkpoint, Checkpointer
from ipt.guidance.proximal import Proximal
from ipt.images.outcomes import Progress
from ipt.operators.blur import Blur
from ipt.priors.analytic import GaussianPrior
from ipt.sampling.schedules import Karras
from ipt.solve.batches import solve_tasks
from ipt.solve.draws import Batch
from ipt.solve.sizer import BatchSizer
from ipt.solve.task import SamplingTask

PRIORS = {"image": GaussianPrior(), "kernel": GaussianPrior()}
SOLVER = Solver(Blur(5, border="circular"), PRIORS, Proximal(), Karras(4))


def task(number: int, samples: int = 1) -> SamplingTask:
    measurement = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(number))
    return SamplingTask(SOLVER, measurement, 0.01 * (1 + number), {}, tuple(range(10 * number, 10 * number + samples)))


@pytest.mark.parametrize("stopped_after", [1, 3, 4, 5, 8, 9, 12])
def test_from_any_state_on_disk_to_the_very_same_result(stopped_after, tmp_path):
    tasks = [task(0, 2), task(1, 3)]
    whole = solve_tasks(tasks, BatchSizer(2))
    kept: list[list[Batch]] = []
    solve_tasks(tasks, BatchSizer(2), save=lambda batches, finished: kept.append(list(batches)))
    assert len(kept) == 12
    path = tmp_path / "a.pt"
    checkpoints.write(path, Checkpoint({"a.png": "1", "b.png": "2"}, kept[stopped_after - 1], 5.0))
    saved = checkpoints.read(path)
    assert saved is not None and (saved.members, saved.seconds) == ({"a.png": "1", "b.png": "2"}, 5.0)
    told: list[Progress] = []
    # Whatever is asked for now, what was begun together is ended together.
    found = solve_tasks(tasks, BatchSizer(2), told.append, begun=saved.batches)
    for one, two in zip(whole, found, strict=True):
        assert torch.equal(one.image, two.image) and torch.equal(one.trace, two.trace) and one.calls == two.calls
        assert torch.equal(one.parameters["kernel"], two.parameters["kernel"])
    assert [progress.done for progress in told] == list(range(stopped_after + 1, 13))


def test_a_state_is_written_every_so_often_and_at_the_end_of_several(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("ipt.folder.checkpoints.time.monotonic", lambda: clock[0])
    written: list[float] = []
    monkeypatch.setattr("ipt.folder.checkpoints.write", lambda path, saved: written.append(saved.seconds))
    one = Checkpointer(tmp_path, {"a.png": "1"}, 10, 100)
    for seconds, finished in [(3, False), (10, False), (19, False), (21, False), (40, True)]:
        clock[0] = seconds
        one.save([], finished)
    assert written == [110, 121] and one.seconds == 140
    two = Checkpointer(tmp_path, {"a.png": "1", "b.png": "2"}, 10)
    two.save([], False)
    two.save([], True)
    assert written[2:] == [0] and one.path != two.path


@pytest.mark.parametrize("damage", [b"", b"no state", None])
def test_a_damaged_state_is_none(damage, tmp_path):
    path = tmp_path / ".state" / "a.pt"
    kept: list[list[Batch]] = []
    solve_tasks([task(0)], BatchSizer(1), save=lambda batches, finished: kept.append(list(batches)))
    checkpoints.write(path, Checkpoint({"a.png": "1"}, kept[-1], 0))
    whole = path.read_bytes()
    assert checkpoints.read(path) is not None
    path.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    assert checkpoints.read(path) is None
    torch.save({"members": {}, "batches": [{"start": 0}], "seconds": 1}, path)
    assert checkpoints.read(path) is None
    (path.parent / ".a.pt.01234567.partial").touch()
    checkpoints.remove(path)
    assert not path.parent.exists()


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt, GeneratorExit])
def test_a_state_goes_with_its_context_unless_that_is_interrupted(error, tmp_path: Path) -> None:
    checkpointer = Checkpointer(tmp_path, {"a.png": "1"}, every=0)
    with nullcontext() if error is None else pytest.raises(error), checkpointer:
        checkpointer.save([], False)
        assert checkpoints.paths(tmp_path) == [checkpointer.path]
        if error is not None:
            raise error
    stays = error in (KeyboardInterrupt, GeneratorExit)
    assert checkpointer.path.exists() == stays == (tmp_path / ".state").exists()
