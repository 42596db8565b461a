"""The trainer: it learns, continues exactly, validates truly, and stops where numbers end."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from ipt.training.sources import ArraySource
from ipt.training.trainer import Diverged, Trainer

from .conftest import gratings


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {
        **{f"model.{name}": value for name, value in trainer.model.state_dict().items()},
        **{f"average.{name}": value for name, value in trainer.average.state_dict().items()},
    }


def assert_same(first: Trainer, second: Trainer) -> None:
    ours, theirs = weights(first), weights(second)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
    assert first.history == second.history


class Spoiled(ArraySource):
    """Its examples are not finite from a batch on."""

    def __init__(self, number: int):
        super().__init__(gratings(), held_out=4)
        self.number = number

    def batch(self, seed, number, count):
        return super().batch(seed, number, count) * (math.nan if number >= self.number else 1)


class Broken(ArraySource):
    def batch(self, seed, number, count):
        if number == 3:
            raise OSError("the disk went away")
        return super().batch(seed, number, count)


def test_training_lowers_the_loss(make_trainer):
    pictures = np.repeat(gratings(2), [2, 14], axis=0)
    source = ArraySource(pictures, held_out=2, mirror=False)
    trainer = make_trainer(source=source, images=800, batch=8, validate_every=10_000, save_every=10_000, rate=1e-2)
    reports = list(trainer.steps())
    # One picture among noise is learnt soon; the loss that is reported lags behind by about 50 steps.
    assert reports[0].loss > 1.2
    assert reports[-1].loss < 0.85
    assert [report.images for report in reports] == list(range(8, 801, 8))


def test_a_stopped_run_continues_to_the_same_weights(make_trainer):
    whole = make_trainer("whole")
    whole.run()
    for stop_after in (1, 5, 9):
        part = make_trainer("parts")
        for count, _ in enumerate(part.steps(), 1):
            if count == stop_after:
                part.stop()
        assert not part.finished
    last = make_trainer("parts")
    assert last.images == 4 * (1 + 5 + 9)
    last.run()
    assert last.finished and last.images == 64
    assert_same(last, whole)
    assert list(make_trainer("parts").steps()) == []


CHILD = """
import sys, time, torch
torch.set_num_threads(1)
sys.path[:0] = [{tests!r}]
from conftest import NETWORK, OPTIONS, gratings
from ipt.training.options import TrainingOptions
from ipt.training.sources import ArraySource
from ipt.training.trainer import Trainer
options = TrainingOptions(**{{**OPTIONS, "images": 400, "save_every": 4, "validate_every": 200}})
trainer = Trainer(NETWORK, ArraySource(gratings(), held_out=4), options, {folder!r})
for report in trainer.steps():
    print(report.images, flush=True)
    time.sleep(0.005)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_run_continues_to_the_same_weights(make_trainer, tmp_path):
    whole = make_trainer("whole", images=400, save_every=4, validate_every=200)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        whole.run()
        code = CHILD.format(tests=str(Path(__file__).parent), folder=str(tmp_path / "killed"))
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        for _ in range(12):
            child.stdout.readline()
        # Anywhere in a step, or in the middle of a save.
        time.sleep(0.013)
        child.kill()
        assert child.wait() == -signal.SIGKILL
        child.stdout.close()
        last = make_trainer("killed", images=400, save_every=4, validate_every=200)
        assert 0 < last.images < 400
        last.run()
    finally:
        torch.set_num_threads(threads)
    assert_same(last, whole)


def test_a_longer_training_continues_a_finished_one(make_trainer):
    make_trainer().run()
    longer = make_trainer(images=96)
    assert longer.images == 64 and not longer.finished
    longer.run()
    assert longer.images == 96
    assert [entry["images"] for entry in longer.history] == [32, 64, 96]


def test_stopping_in_a_validation_leaves_it_for_later(make_trainer, monkeypatch):
    trainer = make_trainer()
    monkeypatch.setattr(trainer.source, "validation", lambda count: trainer.stop() or [torch.zeros(1, 1, 8, 8)])
    (last,) = [report for report in trainer.steps() if report.images == 32]
    assert last.validation is None and trainer.images == 32 and trainer.history == []
    again = make_trainer()
    again.run()
    whole = make_trainer("whole")
    whole.run()
    ours, theirs = weights(again), weights(whole)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_run_that_diverges_stops_and_keeps_the_last_good_state(make_trainer):
    trainer = make_trainer(source=Spoiled(5), save_every=8)
    with pytest.raises(Diverged, match=r"diverged .* at 24 examples; .*state.pt keeps the last good state"):
        trainer.run()
    with pytest.raises(Diverged):
        trainer.save()
    kept = make_trainer()
    assert kept.images == 16
    assert all(torch.isfinite(value).all() for value in weights(kept).values())


def test_a_gradient_that_is_not_finite_is_never_saved(make_trainer):
    trainer = make_trainer(save_every=4)
    next(trainer.steps())
    trainer.model.network.out.weight.register_hook(lambda gradient: gradient * math.inf)
    with pytest.raises(Diverged):
        trainer.run()
    assert make_trainer(save_every=4).images == 4


def test_an_error_in_the_source_is_raised_where_the_batch_was_due(make_trainer):
    trainer = make_trainer(source=Broken(gratings(), held_out=4))
    with pytest.raises(OSError, match="the disk went away"):
        trainer.run()
    assert trainer.images == 12


def test_training_neither_reads_nor_moves_the_global_random_generator(make_trainer):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first = make_trainer("a", images=16)
    first.run()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(8)
    second = make_trainer("b", images=16)
    second.run()
    assert_same(first, second)


def test_mixed_precision_and_compilation_train_too(make_trainer, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda module: compiled.append(module) or module)
    trainer = make_trainer(precision="bf16", compile=True, images=16)
    trainer.run()
    assert compiled == [trainer.model]
    assert {value.dtype for value in trainer.model.state_dict().values()} == {torch.float32}
    assert math.isfinite(trainer.history[-1]["loss"])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_training_on_a_gpu_continues_exactly(make_trainer):
    make_trainer("whole", device="cuda", images=160).run()
    part = make_trainer("parts", device="cuda", images=160)
    for report in part.steps():
        if report.images == 48:
            part.stop()
    make_trainer("parts", device="cuda", images=160).run()
    whole, parts = (make_trainer(name, device="cuda", images=160) for name in ("whole", "parts"))
    ours, theirs = weights(parts), weights(whole)
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-5) for name in ours)
