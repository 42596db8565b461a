"""Each promise of a guidance rule: a fault planted in a good one breaks that promise, and no other unless named."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ipt.core.guidance import Correction, GuidanceRule
from ipt.core.sampling import Schedule
from ipt.sampling.schedules import Karras
from ipt.sampling.transitions import DDIM
from ipt.testing import guidance_checks
from ipt.testing.guidance import PROMISES


class Downhill(GuidanceRule):
    """A good one: a step of each estimate down the gradient of its squared residual, as long as the residual's norm."""

    needs_gradients = False

    def schedule(self, steps=None):
        return Karras(20 if steps is None else steps)

    def transition(self):
        return DDIM()

    def correct(self, step, problem):
        found = {name: step.clean[name] - move for name, move in self.moves(step, problem).items()}
        return Correction(clean=found)

    def moves(self, step, problem):
        with torch.enable_grad():
            leaves = {name: value.detach().requires_grad_() for name, value in step.clean.items()}
            total = problem.residual(leaves).square().sum()
            slopes = torch.autograd.grad(total, list(leaves.values()))
        return {name: 0.1 * slope / self.length(slope) for name, slope in zip(leaves, slopes, strict=True)}

    def length(self, slope):
        return slope.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1).clamp(min=1e-12)


class Rising(Schedule):
    def sigmas(self):
        return torch.tensor([1.0, 2.0, 0.0], dtype=torch.float64)


class WrongSchedule(Downhill):
    def schedule(self, steps=None):
        return Rising() if steps is None else Karras(steps)


class DeafToSteps(Downhill):
    def schedule(self, steps=None):
        return Karras(20)


class NoTransition(Downhill):
    def transition(self):
        return None


class NegativeRatio(Downhill):
    def noise_ratio(self, name, spec):
        return -1.0


class UnknownName(Downhill):
    def correct(self, step, problem):
        found = super().correct(step, problem).clean
        return Correction(clean={"image": found["image"]}, shift={"blur": found["kernel"]})


class OtherShape(Downhill):
    def correct(self, step, problem):
        return Correction(shift={"image": 0 * super().correct(step, problem).clean["image"].mean(1, keepdim=True)})


class LengthOfTheBatch(Downhill):
    def length(self, slope):
        return slope.norm()


class ChangesTheStep(Downhill):
    def correct(self, step, problem):
        step.noisy["image"] = step.noisy["image"] - self.moves(step, problem)["image"]
        return super().correct(step, problem)


class ChangesTheEstimate(Downhill):
    def correct(self, step, problem):
        moves = self.moves(step, problem)
        return Correction(clean={name: step.clean[name].sub_(move) for name, move in moves.items()})


class AlwaysDouble(Downhill):
    def moves(self, step, problem):
        return {name: move.double() for name, move in super().moves(step, problem).items()}


class AlwaysOnTheCPU(Downhill):
    def correct(self, step, problem):
        if step.noisy["image"].device.type == "cpu":
            return super().correct(step, problem)
        return Correction(clean={name: torch.zeros(value.shape) for name, value in step.clean.items()})


class HoldsALambda(Downhill):
    def __init__(self):
        self.rate = lambda sigma: 1.0


class UsesTorchsGenerator(Downhill):
    def moves(self, step, problem):
        return {name: move + 0 * torch.rand(1).to(move) for name, move in super().moves(step, problem).items()}


class DividesByTheNextSigma(Downhill):
    def moves(self, step, problem):
        factor = torch.tensor(1.0) / step.sigma_next
        return {name: factor.to(move) * move for name, move in super().moves(step, problem).items()}


class Uphill(Downhill):
    def moves(self, step, problem):
        return {name: -move for name, move in super().moves(step, problem).items()}


class NothingDone(Downhill):
    def correct(self, step, problem):
        return Correction()


class ShiftUphill(Downhill):
    """Gradients through the priors, the wrong way."""

    needs_gradients = True

    def correct(self, step, problem):
        total = problem.residual(step.clean).square().sum()
        (slope,) = torch.autograd.grad(total, step.noisy["image"])
        return Correction(shift={"image": slope})


FAULTS = {
    WrongSchedule: {"schedule"},
    DeafToSteps: {"schedule"},
    NoTransition: {"schedule"},
    NegativeRatio: {"schedule"},
    UnknownName: {"shapes"},
    OtherShape: {"shapes", "lowers-misfit"},
    LengthOfTheBatch: {"batch"},
    ChangesTheStep: {"inputs"},
    ChangesTheEstimate: {"inputs"},
    AlwaysDouble: {"dtype"},
    AlwaysOnTheCPU: {"device"},
    HoldsALambda: {"picklable"},
    UsesTorchsGenerator: {"random-state"},
    DividesByTheNextSigma: {"finite"},
    Uphill: {"lowers-misfit"},
    NothingDone: {"lowers-misfit"},
    ShiftUphill: {"lowers-misfit"},
}


@pytest.mark.parametrize("rule", FAULTS, ids=lambda rule: rule.__name__)
def test_a_planted_fault_breaks_its_promise_alone(rule, broken):
    assert broken(guidance_checks(rule(), device="meta")) == FAULTS[rule]


def test_every_promise_has_a_planted_fault():
    assert {promise.name for promise in PROMISES} == set().union(*FAULTS.values())


class ShiftDownhill(ShiftUphill):
    def correct(self, step, problem):
        shift = super().correct(step, problem).shift
        return replace(Correction(), shift={"image": -0.01 * shift["image"]})


@pytest.mark.parametrize("rule", [Downhill(), ShiftDownhill()], ids=["estimates", "shifts"])
def test_a_good_rule_keeps_all(rule, broken):
    assert broken(guidance_checks(rule, device="meta")) == set()


@pytest.mark.parametrize("check", guidance_checks(Downhill(), device="meta"))
def test_as_authors_write_it(check):
    check()
