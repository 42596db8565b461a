"""Tasks solved together: the same as each alone, whatever fits into memory, and from wherever they are gone on with."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import ClassVar

import pytest
import torch

from ipt.core.abilities import Assessable, Assessment
from ipt.core.errors import IptError
from ipt.core.solver import Solver
from ipt.guidance.proximal import Proximal
from ipt.operators.blur import Blur
from ipt.priors.analytic import GaussianPrior
from ipt.sampling.schedules import Karras
from ipt.solve.batches import solve_tasks
from ipt.solve.draws import Batch
from ipt.solve.sizer import BatchSizer, out_of_memory
from ipt.solve.task import SamplingTask

PRIORS = {"image": GaussianPrior(), "kernel": GaussianPrior()}
SOLVER = Solver(Blur(5, border="circular"), PRIORS, Proximal(), Karras(4))


def task(number: int, samples: int = 1, solver: Solver = SOLVER) -> SamplingTask:
    measurement = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(number))
    return SamplingTask(solver, measurement, 0.01 * (1 + number), {}, tuple(range(10 * number, 10 * number + samples)))


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
    alone = [solve_tasks([one], BatchSizer(1))[0] for one in tasks]
    for size in (1, 2, 3, 7, 100):
        assert equal(alone, solve_tasks(tasks, BatchSizer(size)), 1e-4), size
    assert equal(alone[::-1], solve_tasks(tasks[::-1], BatchSizer(4)), 1e-4)
    assert [one.image.shape[0] for one in alone] == [1, 3, 1, 2]
    # The noise level is each task's own.
    assert not equal(alone[:1], solve_tasks([replace(tasks[0], noise=0.2)], BatchSizer(1)), 1e-3)


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
    room = BatchSizer(8, note=told.append)
    solver = limited(most=2, error=error, said=said)
    tasks = [task(number, solver=solver) for number in range(7)]
    found = solve_tasks(tasks, room)
    assert equal([solve_tasks([replace(one, solver=SOLVER)], BatchSizer(1))[0] for one in tasks], found, 1e-4)
    sizes = solver.priors["image"].sizes
    assert sizes[:2] == [7, 3] and sizes[2:] == [1] * 28
    assert len(told) == 2 and "out of memory with 7 at once at 16 x 16 px; going on with 3" in told[0]
    solve_tasks(tasks[:2], room)
    assert sizes[30:] == [1] * 8, "what was found out was not remembered"


def test_what_does_not_fit_alone_and_other_errors_are_raised():
    with pytest.raises(MemoryError):
        solve_tasks([task(0, 4, limited(most=0))], BatchSizer(4))
    solver = limited(most=1, error=RuntimeError, said="something else")
    with pytest.raises(RuntimeError, match="something else"):
        solve_tasks([task(0, 4, solver)], BatchSizer(4))
    assert solver.priors["image"].sizes == [4]
    with pytest.raises(IptError, match="larger than the picture"):
        solve_tasks([task(0, solver=replace(SOLVER, operator=Blur(99)))], BatchSizer(4))
    assert not out_of_memory(ValueError("allocate memory")) and out_of_memory(MemoryError())


def test_how_many_at_a_time():
    cpu, gpu, asked = BatchSizer(), BatchSizer(device="cuda:0"), BatchSizer(5)
    assert [cpu.size((3, side, side)) for side in (8, 64, 256, 1000)] == [256, 8, 1, 1]
    assert [gpu.size((3, side, side)) for side in (64, 256, 1024, 4096)] == [256, 64, 4, 1]
    assert {asked.size((3, side, side)) for side in (8, 4096)} == {5}
    asked.halve((3, 8, 8), 5)
    assert (asked.size((3, 8, 8)), asked.size((3, 9, 9))) == (2, 5)


# ---- Draws in reserve.


class Judged(Blur, Assessable):
    """A blur that finds right the n-th draw of a measurement, n by its noise level."""

    right_at: ClassVar[dict[float, int]] = {}
    seen: ClassVar[Counter[float]] = Counter()

    def assess(self, observation, image, parameters, rivals, denoise):
        found = []
        for level in observation.noise.flatten().tolist():
            self.seen[round(level, 4)] += 1
            right = self.seen[round(level, 4)] == self.right_at[round(level, 4)]
            found.append(Assessment(0.9 if right else 0.1))
        assert len(found) == len(image) == len(parameters["kernel"])
        return found

    def compared(self, assessments, parameters):
        assert len(assessments) == len(parameters["kernel"]) > 1
        return list(assessments)


def judged(number: int, right_at: int, reserve: int = 3) -> SamplingTask:
    made = task(number, solver=replace(SOLVER, operator=Judged(5, border="circular")))
    Judged.right_at[round(made.noise, 4)] = right_at
    return replace(made, reserve=tuple(range(10 * number + 1, 10 * number + 1 + reserve)))


@pytest.mark.parametrize("size", [1, 2, 8])
def test_another_draw_is_made_while_none_is_likely_right(size):
    Judged.seen.clear()
    tasks = [judged(0, right_at=1), judged(1, right_at=3), judged(2, right_at=99), judged(3, 1, reserve=0)]
    found = solve_tasks(tasks, BatchSizer(size))
    assert [len(one.image) for one in found] == [1, 3, 4, 1]
    assert [[draw.probability for draw in one.assessments] for one in found] == [
        [0.9],
        [0.1, 0.1, 0.9],
        [0.1] * 4,
        [0.9],
    ]
    # Each is the draw that its seed makes, whatever the round.
    plain = [
        replace(one, solver=SOLVER, seeds=(*one.seeds, *one.reserve)[:count])
        for one, count in zip(tasks, (1, 3, 4, 1), strict=True)
    ]
    assert equal(solve_tasks(plain, BatchSizer(1)), found, 1e-4)


class Agreeing(Judged):
    """Its draws are likely right as soon as there are two."""

    alone: ClassVar[float] = 0.1

    def assess(self, observation, image, parameters, rivals, denoise):
        return [Assessment(self.alone)] * len(image)

    def compared(self, assessments, parameters):
        assert len(assessments) == len(parameters["kernel"]) > 1
        assert (parameters["kernel"][0] != parameters["kernel"][1]).any()
        return [Assessment(0.6)] * len(assessments)


@pytest.mark.parametrize(("alone", "count"), [(0.1, 2), (0.55, 2), (0.65, 1)])
def test_draws_are_judged_beside_each_other(alone, count, monkeypatch):
    monkeypatch.setattr(Agreeing, "alone", alone)
    made = replace(task(0), solver=replace(SOLVER, operator=Agreeing(5, border="circular")), reserve=(1, 2, 3))
    (found,) = solve_tasks([made], BatchSizer(1))
    assert [one.probability for one in found.assessments] == ([0.6] * 2 if count == 2 else [alone])
    (several,) = solve_tasks([replace(made, seeds=(0, 1, 2), reserve=())], BatchSizer(2))
    assert [one.probability for one in several.assessments] == [0.6] * 3


def test_what_cannot_be_judged_is_drawn_once():
    (found,) = solve_tasks([replace(task(0), reserve=(1, 2))], BatchSizer(4))
    assert len(found.image) == 1 and found.assessments == ()


def test_a_round_of_further_draws_is_gone_on_with():
    Judged.seen.clear()
    tasks = [judged(0, right_at=1), judged(1, right_at=3)]
    kept: list[list[Batch]] = []
    whole = solve_tasks(tasks, BatchSizer(2), save=lambda batches, finished: kept.append(list(batches)))
    # In the middle of the second round of draws.
    assert len(kept) == 12
    for begun in (kept[5], kept[7], kept[9]):
        Judged.seen.clear()
        assert equal(whole, solve_tasks(tasks, BatchSizer(2), begun=begun), 1e-6)
