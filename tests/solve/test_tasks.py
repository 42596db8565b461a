"""Tasks solved together: the same as each alone, whatever fits into memory, and from wherever they are gone on with."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ipt.core.errors import IptError
from ipt.core.schedules import Karras
from ipt.core.solver import Solver
from ipt.folder import checkpoints
from ipt.folder.checkpoints import Checkpoint, Saved
from ipt.guidance.proximal import Proximal
from ipt.images.outcomes import Progress
from ipt.operators.blur import Blur
from ipt.priors.analytic import GaussianPrior
from ipt.solve.memory import Room, out_of_memory
from ipt.solve.tasks import Part, Task, solve_tasks

PRIORS = {"image": GaussianPrior(), "kernel": GaussianPrior()}
SOLVER = Solver(Blur(5, border="circular"), PRIORS, Proximal(), Karras(4))


def task(number: int, samples: int = 1, solver: Solver = SOLVER) -> Task:
    measurement = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(number))
    return Task(solver, measurement, 0.01 * (1 + number), {}, tuple(range(10 * number, 10 * number + samples)))


def equal(first: list, second: list, tolerance: float = 0.0) -> bool:
    return all(
        torch.allclose(one.image, two.image, rtol=0, atol=tolerance)
        and torch.allclose(one.parameters["kernel"], two.parameters["kernel"], rtol=0, atol=tolerance)
        and one.calls == two.calls
        and one.trace.shape == two.trace.shape
        for one, two in zip(first, second, strict=True)
    )


class Limited(GaussianPrior):
    """A prior that has memory for so many images, and counts the sizes of the batches that it was given."""

    def __init__(self, most: int, error: type[Exception] = MemoryError, said: str = ""):
        super().__init__()
        self.most, self.error, self.said = most, error, said
        self.sizes: list[int] = []

    def denoise(self, noisy, sigma):
        self.sizes.append(len(noisy))
        if len(noisy) > self.most:
            raise self.error(self.said)
        return super().denoise(noisy, sigma)


def limited(**options) -> Solver:
    return replace(SOLVER, priors={**PRIORS, "image": Limited(**options)})


def test_together_as_alone_in_any_order_and_batch():
    tasks = [task(0), task(1, 3), task(2), task(3, 2)]
    alone = [solve_tasks([one], Room(1))[0] for one in tasks]
    for size in (1, 2, 3, 7, 100):
        assert equal(alone, solve_tasks(tasks, Room(size)), 1e-4), size
    assert equal(alone[::-1], solve_tasks(tasks[::-1], Room(4)), 1e-4)
    assert [one.image.shape[0] for one in alone] == [1, 3, 1, 2]
    # The noise level is each task's own.
    assert not equal(alone[:1], solve_tasks([replace(tasks[0], noise=0.2)], Room(1)), 1e-3)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError, ""),
        (torch.cuda.OutOfMemoryError, "CUDA out of memory"),
        (RuntimeError, "DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
        (RuntimeError, "DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes"),
    ],
)
def test_what_does_not_fit_is_halved_and_stays_so(error, said):
    told: list[str] = []
    room = Room(8, tell=told.append)
    solver = limited(most=2, error=error, said=said)
    tasks = [task(number, solver=solver) for number in range(7)]
    found = solve_tasks(tasks, room)
    assert equal([solve_tasks([replace(one, solver=SOLVER)], Room(1))[0] for one in tasks], found, 1e-4)
    sizes = solver.priors["image"].sizes
    assert sizes[:2] == [7, 3] and sizes[2:] == [1] * 28
    assert len(told) == 2 and "out of memory with 7 at once at 16 x 16 px; going on with 3" in told[0]
    solve_tasks(tasks[:2], room)
    assert sizes[30:] == [1] * 8, "what was found out was not remembered"


def test_what_does_not_fit_alone_and_other_errors_are_raised():
    with pytest.raises(MemoryError):
        solve_tasks([task(0, 4, limited(most=0))], Room(4))
    solver = limited(most=1, error=RuntimeError, said="something else")
    with pytest.raises(RuntimeError, match="something else"):
        solve_tasks([task(0, 4, solver)], Room(4))
    assert solver.priors["image"].sizes == [4]
    with pytest.raises(IptError, match="larger than the picture"):
        solve_tasks([task(0, solver=replace(SOLVER, operator=Blur(99)))], Room(4))
    assert not out_of_memory(ValueError("allocate memory")) and out_of_memory(MemoryError())


def test_how_many_at_a_time():
    cpu, gpu, asked = Room(), Room(device="cuda:0"), Room(5)
    assert [cpu.draws((3, side, side)) for side in (8, 64, 256, 1000)] == [256, 8, 1, 1]
    assert [gpu.draws((3, side, side)) for side in (64, 256, 1024, 4096)] == [256, 64, 4, 1]
    assert {asked.draws((3, side, side)) for side in (8, 4096)} == {5}
    asked.halve((3, 8, 8), 5)
    assert (asked.draws((3, 8, 8)), asked.draws((3, 9, 9))) == (2, 5)


@pytest.mark.parametrize("stopped_after", [1, 3, 4, 5, 8, 9, 12])
def test_from_any_state_on_disk_to_the_very_same_result(stopped_after, tmp_path):
    tasks = [task(0, 2), task(1, 3)]
    whole = solve_tasks(tasks, Room(2))
    kept: list[list[Part]] = []
    solve_tasks(tasks, Room(2), keep=lambda parts, finished: kept.append(list(parts)))
    assert len(kept) == 12
    path = tmp_path / "a.pt"
    checkpoints.write(path, Saved({"a.png": "1", "b.png": "2"}, kept[stopped_after - 1], 5.0))
    saved = checkpoints.read(path)
    assert saved is not None and (saved.members, saved.seconds) == ({"a.png": "1", "b.png": "2"}, 5.0)
    told: list[Progress] = []
    # Whatever is asked for now, what was begun together is ended together.
    found = solve_tasks(tasks, Room(2), told.append, begun=saved.parts)
    assert equal(whole, found) and all(torch.equal(a.trace, b.trace) for a, b in zip(whole, found, strict=True))
    assert [progress.done for progress in told] == list(range(stopped_after + 1, 13))


def test_a_state_is_written_every_so_often_and_at_the_end_of_several(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("ipt.folder.checkpoints.time.monotonic", lambda: clock[0])
    written: list[float] = []
    monkeypatch.setattr("ipt.folder.checkpoints.write", lambda path, saved: written.append(saved.seconds))
    one = Checkpoint(tmp_path, {"a.png": "1"}, 10, 100, clock[0], clock[0])
    for seconds, finished in [(3, False), (10, False), (19, False), (21, False), (40, True)]:
        clock[0] = seconds
        one([], finished)
    assert written == [110, 121] and one.seconds == 140
    two = Checkpoint(tmp_path, {"a.png": "1", "b.png": "2"}, 10, 0, clock[0], clock[0])
    two([], False)
    two([], True)
    assert written[2:] == [0] and one.path != two.path


@pytest.mark.parametrize("damage", [b"", b"no state", None])
def test_a_damaged_state_is_none(damage, tmp_path):
    path = tmp_path / ".state" / "a.pt"
    kept: list[list[Part]] = []
    solve_tasks([task(0)], Room(1), keep=lambda parts, finished: kept.append(list(parts)))
    checkpoints.write(path, Saved({"a.png": "1"}, kept[-1], 0))
    whole = path.read_bytes()
    assert checkpoints.read(path) is not None
    path.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    assert checkpoints.read(path) is None
    torch.save({"members": {}, "parts": [{"start": 0}], "seconds": 1}, path)
    assert checkpoints.read(path) is None
    (path.parent / ".a.pt.01234567.partial").touch()
    checkpoints.remove(path)
    assert not path.parent.exists()
