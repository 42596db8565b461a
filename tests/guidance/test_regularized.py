"""Regularised guidance: its penalties are the proximal maps they claim to be, and act where they have an effect."""

from __future__ import annotations

import math

import pytest
import torch

from ipt.core.errors import IptError
from ipt.core.guidance import Correction, GuidanceRule, Step
from ipt.core.prior import Posterior
from ipt.core.solver import Solver
from ipt.guidance.dps import DPS
from ipt.guidance.proximal import Proximal
from ipt.guidance.regularized import Regularized, hard_threshold, smooth_total_variation, soft_threshold
from ipt.linalg.covariances import Isotropic
from ipt.operators.blur import Blur
from ipt.sampling.schedules import VP, Karras
from ipt.sampling.transitions import Ancestral

GRID = torch.linspace(-3, 3, 60001, dtype=torch.float64)
VALUES = torch.tensor([-2.0, -1.1, -0.5, -0.01, 0.0, 0.3, 0.72, 1.0, 2.9], dtype=torch.float64)


@pytest.mark.parametrize("amount", [0.0, 0.05, 0.4, 1.0])
@pytest.mark.parametrize(
    ("proximal", "penalty"), [(soft_threshold, torch.abs), (hard_threshold, lambda u: (u.abs() > 5e-5).double())]
)
def test_thresholds_minimise_their_objective(proximal, penalty, amount):
    for value, found in zip(VALUES, proximal(VALUES, torch.tensor(amount)), strict=True):
        objective = 0.5 * (GRID - value) ** 2 + amount * penalty(GRID)
        assert found.item() == pytest.approx(GRID[objective.argmin()].item(), abs=1.1e-4)


def _total_variation(u):
    """Isotropic, differences forward, none across the last row and column."""
    down, right = torch.zeros_like(u), torch.zeros_like(u)
    down[..., :-1, :] = u[..., 1:, :] - u[..., :-1, :]
    right[..., :-1] = u[..., 1:] - u[..., :-1]
    return down, right


def _objective(u, value, amount, smooth=0.0):
    down, right = _total_variation(u)
    return 0.5 * (u - value).square().sum() + amount * (down.square() + right.square() + smooth**2).sqrt().sum()


@pytest.mark.parametrize("amount", [0.02, 0.1, 0.5])
def test_total_variation_minimises_its_objective(amount):
    value = torch.rand(1, 1, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    # Brute force: the objective, its corners rounded off a little, by a quasi-Newton method.
    brute = value.clone().requires_grad_()
    optimiser = torch.optim.LBFGS([brute], max_iter=3000, line_search_fn="strong_wolfe", tolerance_change=1e-14)

    def closure():
        optimiser.zero_grad()
        loss = _objective(brute, value, amount, smooth=1e-4)
        loss.backward()
        return loss

    optimiser.step(closure)
    best = _objective(brute.detach(), value, amount).item()
    exact = smooth_total_variation(value, torch.tensor(amount), iterations=3000)
    assert _objective(exact, value, amount).item() <= best + 1e-6
    assert (exact - brute.detach()).abs().max() < 2e-3
    usual = smooth_total_variation(value, torch.tensor(amount))
    before = _objective(value, value, amount).item()
    assert _objective(usual, value, amount).item() - best < 0.02 * (before - best)


def test_total_variation_keeps_what_it_should():
    value = torch.rand(2, 2, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    smooth = smooth_total_variation(value, torch.tensor(0.2))
    torch.testing.assert_close(smooth.mean((2, 3)), value.mean((2, 3)), rtol=1e-10, atol=0)
    assert torch.equal(smooth_total_variation(value, torch.tensor(0.0)), value)
    flat = torch.full_like(value, 0.3)
    assert torch.equal(smooth_total_variation(flat, torch.tensor(0.2)), flat)
    # Channel by channel, image by image, and the same along both axes.
    torch.testing.assert_close(
        smooth_total_variation(value[1:, 1:], torch.tensor(0.2)), smooth[1:, 1:], rtol=0, atol=1e-12
    )
    torch.testing.assert_close(smooth_total_variation(value.mT, torch.tensor(0.2)), smooth.mT, rtol=0, atol=1e-12)


class Nothing(GuidanceRule):
    """Corrects nothing, and shifts the kernel, so that one sees what is passed on."""

    needs_gradients = False

    def schedule(self, steps=None):
        return Karras(steps or 5)

    def transition(self):
        return Ancestral()

    def correct(self, step, problem):
        return Correction(shift={"kernel": torch.full_like(step.clean["kernel"], 0.125)})


def _step(convolution_prior):
    """A step whose kernel's entries, between 0 and 1, are known."""
    priors = {"image": convolution_prior(1, 0, torch.float64), "kernel": convolution_prior(1, 1, torch.float64)}
    problem = Solver(Blur(3), priors, Nothing()).problem(torch.full((1, 1, 6, 6), 0.5, dtype=torch.float64), 0.1)
    entries = torch.tensor([0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 0.04], dtype=torch.float64).reshape(1, 1, 3, 3)
    clean = {
        "image": torch.linspace(-1, 1, 36, dtype=torch.float64).reshape(1, 1, 6, 6),
        "kernel": problem.normalizations["kernel"].normalized(entries),
    }
    uncertainty = {"image": 0.4, "kernel": 0.5}
    posteriors = {name: Posterior(mean, Isotropic.like(mean, uncertainty[name])) for name, mean in clean.items()}
    return Step(clean, posteriors, dict.fromkeys(clean, 1.0), 1.0, 0.5, 0, 5), problem, entries


def test_l1_acts_on_the_kernel_before_it_is_normalised(convolution_prior):
    step, problem, entries = _step(convolution_prior)
    weight = 0.8
    # In physical units: the variance of what is unknown is (.5 * .5)^2.
    amount = weight * 0.0625
    corrected = Regularized(Nothing(), {"kernel": f"l1:{weight}"}).correct(step, problem)
    loose = problem.normalizations["kernel"].physical(corrected.clean["kernel"])
    torch.testing.assert_close(loose, (entries - amount).clamp(min=0), rtol=0, atol=1e-14)
    before = problem.physical(step.clean)["kernel"]
    after = problem.physical({**step.clean, **corrected.clean})["kernel"]
    vanished = ((before > 0) & (after == 0)).sum().item()
    assert vanished == 3 and after.max() > before.max()
    assert after.sum().item() == pytest.approx(1)
    # What the rule said otherwise stays as it is.
    assert corrected.clean.keys() == {"kernel"} and (corrected.shift["kernel"] == 0.125).all()


def test_l0_drops_the_small_and_keeps_the_rest(convolution_prior):
    step, problem, entries = _step(convolution_prior)
    corrected = Regularized(Nothing(), {"kernel": "l0:0.1"}).correct(step, problem)
    loose = problem.normalizations["kernel"].physical(corrected.clean["kernel"])
    edge = math.sqrt(2 * 0.1 * 0.0625)
    torch.testing.assert_close(loose, torch.where(entries > edge, entries, 0.0), rtol=0, atol=1e-14)
    assert 0 < (loose == 0).sum() < 9


def test_tv_smooths_the_image_in_physical_units(convolution_prior):
    step, problem, _ = _step(convolution_prior)
    corrected = Regularized(Nothing(), {"image": "tv:0.5"}).correct(step, problem)
    physical = problem.normalizations["image"].physical(step.clean["image"])
    expected = smooth_total_variation(physical, torch.tensor(0.5 * (0.5 * 0.4) ** 2))
    torch.testing.assert_close(problem.normalizations["image"].physical(corrected.clean["image"]), expected)
    assert (expected - physical).abs().max() > 1e-3


def test_it_follows_the_wrapped_rules_own_correction(convolution_prior):
    class Half(Nothing):
        def correct(self, step, problem):
            return Correction(
                clean={
                    "kernel": problem.normalizations["kernel"].normalized(torch.full_like(step.clean["kernel"], 0.5))
                }
            )

    step, problem, _ = _step(convolution_prior)
    corrected = Regularized(Half(), {"kernel": "l1:1.6"}).correct(step, problem)
    torch.testing.assert_close(
        problem.normalizations["kernel"].physical(corrected.clean["kernel"]), torch.full((1, 1, 3, 3), 0.4).double()
    )


def test_weight_0_and_no_penalty_change_nothing(convolution_prior):
    step, problem, _ = _step(convolution_prior)
    assert Regularized(Nothing()).correct(step, problem).clean == {}
    for kind in ("l0", "l1", "tv"):
        corrected = Regularized(Nothing(), {"kernel": f"{kind}:0"}).correct(step, problem)
        torch.testing.assert_close(corrected.clean["kernel"], step.clean["kernel"], rtol=0, atol=1e-15)


@pytest.mark.parametrize(("rule", "schedule"), [(DPS(), VP(6)), (Proximal(), Karras(6))], ids=["dps", "proximal"])
def test_it_wraps_the_rules_that_there_are(rule, schedule, convolution_prior):
    def solve(wrapped):
        priors = {"image": convolution_prior(1, 0, torch.float64), "kernel": convolution_prior(1, 1, torch.float64)}
        measurement = torch.rand(1, 1, 12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
        return Solver(Blur(5), priors, wrapped, schedule).solve(measurement, 0.05)

    plain, none, sparse = (solve(one) for one in (rule, Regularized(rule), Regularized(rule, {"kernel": "l1:1.5"})))
    assert torch.equal(plain.image, none.image)
    assert torch.isfinite(sparse.image).all()
    assert (sparse.parameters["kernel"] == 0).sum() > (plain.parameters["kernel"] == 0).sum()
    assert sparse.parameters["kernel"].sum().item() == pytest.approx(1)


@pytest.mark.parametrize("text", ["l1", "l1:", "l2:0.1", "l1:-1", "l1:nan", "l1:a lot", ":0.1", "", "l1:inf", 3])
def test_a_penalty_that_is_none_is_refused(text):
    with pytest.raises(IptError, match=r"'kernel'.*l1:0.1"):
        Regularized(DPS(), {"kernel": text})


def test_a_penalty_on_what_is_not_there_is_refused(convolution_prior):
    step, problem, _ = _step(convolution_prior)
    with pytest.raises(IptError, match="'tilt'; the unknowns are image, kernel"):
        Regularized(Nothing(), {"tilt": "tv:0.1"}).correct(step, problem)
