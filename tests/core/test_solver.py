"""The loop's contract: what it refuses, resuming, no leaks of graphs or global state."""

from __future__ import annotations

import re

import pytest
import torch

from ipt.core.errors import IptError
from ipt.core.guidance import Correction, GuidanceRule
from ipt.core.operator import IMAGE, ParameterSpec, ParametricOperator
from ipt.core.prior import Prior
from ipt.core.solver import Solver
from ipt.linalg.normalization import Normalization
from ipt.sampling.schedules import VP, Karras
from ipt.sampling.transitions import Ancestral


class Scaled(ParametricOperator):
    """y = gain * x, one gain an image."""

    def parameters(self, image_shape):
        return {"gain": ParameterSpec((1, 1, 1), "brightness")}

    def forward(self, image, gain):
        return gain * image


class Shrinking(Prior):
    def __init__(self, limit=64):
        self.limit = limit

    def normalization(self, shape):
        if max(shape) > self.limit:
            raise ValueError(f"takes up to {self.limit}, not {shape}")
        return Normalization(shape, shape, 0.5, 0.5)

    def denoise(self, noisy, sigma):
        return torch.tanh(noisy / (1 + sigma**2))


class Gradient(GuidanceRule):
    """Half a gradient step on the squared residual."""

    needs_gradients = True

    def schedule(self, steps=None):
        return Karras(steps or 6)

    def transition(self):
        return Ancestral()

    def correct(self, step, problem):
        assert torch.is_grad_enabled() and all(value.is_leaf for value in step.noisy.values())
        loss = problem.residual(step.clean).square().sum()
        gradients = torch.autograd.grad(loss, list(step.noisy.values()))
        return Correction(shift=dict(zip(step.noisy, (-0.5 * g for g in gradients), strict=True)))


PRIORS = {"image": Shrinking(), "gain": Shrinking()}
MEASUREMENT = torch.rand(2, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
SOLVER = Solver(Scaled(), PRIORS, Gradient())
NAN = torch.full((2, 1, 1, 1), float("nan"))
ONE = torch.ones(2, 1, 1, 1)


@pytest.mark.parametrize(
    ("solver", "measurement", "noise", "known", "says"),
    [
        (SOLVER, MEASUREMENT[0], 0.1, None, "(1, 4, 4)"),
        (SOLVER, MEASUREMENT / 0, 0.1, None, "NaN or infinite"),
        (SOLVER, MEASUREMENT * float("nan"), 0.1, None, "NaN or infinite"),
        (SOLVER, MEASUREMENT, 0.0, None, "noise level"),
        (SOLVER, MEASUREMENT, -0.1, None, "noise level"),
        (SOLVER, MEASUREMENT, float("nan"), None, "noise level"),
        (SOLVER, MEASUREMENT, float("inf"), None, "noise level"),
        (SOLVER, MEASUREMENT, torch.tensor([0.1, 0.1, 0.1]), None, "3 noise levels"),
        (Solver(Scaled(), {"image": Shrinking()}, Gradient()), MEASUREMENT, 0.1, None, "'gain' is unknown"),
        (Solver(Scaled(), {"gain": Shrinking()}, Gradient()), MEASUREMENT, 0.1, None, "'image' is unknown"),
        (Solver(Scaled(), {**PRIORS, "tilt": Shrinking()}, Gradient()), MEASUREMENT, 0.1, None, "'tilt'"),
        (Solver(Scaled(), {**PRIORS, "image": Shrinking(3)}, Gradient()), MEASUREMENT, 0.1, None, "(1, 4, 4)"),
        (SOLVER, MEASUREMENT, 0.1, {"tilt": ONE}, "'tilt'"),
        (SOLVER, MEASUREMENT, 0.1, {"image": MEASUREMENT}, "'image'"),
        (SOLVER, MEASUREMENT, 0.1, {"gain": ONE[0]}, "known 'gain'"),
        (SOLVER, MEASUREMENT, 0.1, {"gain": torch.ones(3, 1, 1, 1)}, "known 'gain'"),
        (SOLVER, MEASUREMENT, 0.1, {"gain": NAN}, "known 'gain'"),
    ],
)
def test_what_cannot_be_solved_is_refused_with_a_reason(solver, measurement, noise, known, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        solver.problem(measurement, noise, known)


def test_a_refusal_is_written_for_the_user():
    with pytest.raises(IptError):
        SOLVER.problem(MEASUREMENT, -1.0)


def test_known_values_serve_every_image_and_need_no_prior():
    solver = Solver(Scaled(), {"image": Shrinking()}, Gradient())
    found = solver.solve(MEASUREMENT, known={"gain": torch.full((1, 1, 1, 1), 0.5)})
    assert found.parameters["gain"].tolist() == [[[[0.5]]]] * 2
    assert found.parameters["gain"].dtype == torch.float64
    assert set(found.calls) == {IMAGE}


def test_a_level_an_image():
    noise = SOLVER.problem(MEASUREMENT, torch.tensor([0.1, 0.2])).observation.noise
    assert noise.shape == (2, 1, 1, 1)
    torch.testing.assert_close(noise.flatten(), torch.tensor([0.1, 0.2], dtype=torch.float64))


def test_seeds_must_fit_the_batch():
    with pytest.raises(ValueError, match="seeds"):
        SOLVER.solve(MEASUREMENT, seeds=[1, 2, 3])


@pytest.mark.parametrize("stop", [1, 4, 5])
def test_resuming_gives_the_same_bits(stop):
    states = list(SOLVER.steps(SOLVER.problem(MEASUREMENT, 0.1), seeds=[7, 8]))
    assert [state.index for state in states] == [1, 2, 3, 4, 5, 6] and states[-1].finished and not states[-2].finished
    resumed = list(SOLVER.steps(SOLVER.problem(MEASUREMENT, 0.1), seeds=[7, 8], resume=states[stop - 1]))
    assert len(resumed) == 6 - stop
    for one, other in zip(states[stop:], resumed, strict=True):
        assert (one.index, one.sigma, dict(one.calls)) == (other.index, other.sigma, dict(other.calls))
        assert torch.equal(one.residual, other.residual)
        for name in PRIORS:
            assert torch.equal(one.noisy[name], other.noisy[name]) and torch.equal(one.clean[name], other.clean[name])


def test_resuming_on_another_schedule_is_refused():
    state = next(SOLVER.steps(SOLVER.problem(MEASUREMENT)))
    with pytest.raises(ValueError, match="in 6 steps, the schedule has 9"):
        next(Solver(Scaled(), PRIORS, Gradient(), VP(9)).steps(SOLVER.problem(MEASUREMENT), resume=state))


def test_states_hold_no_graph_and_change_nothing_behind_ones_back():
    before = torch.get_rng_state()
    for state in SOLVER.steps(SOLVER.problem(MEASUREMENT)):
        kept = {name: value.clone() for name, value in state.noisy.items()}
        assert not any(value.requires_grad for value in [*state.noisy.values(), *state.clean.values(), state.residual])
    assert torch.equal(before, torch.get_rng_state()) and torch.is_grad_enabled()
    assert all(torch.equal(state.noisy[name], value) for name, value in kept.items())
    assert torch.equal(SOLVER.solve(MEASUREMENT).image, SOLVER.solve(MEASUREMENT).image)


def test_a_solve_runs_inside_no_grad():
    with torch.no_grad():
        inside = SOLVER.solve(MEASUREMENT)
    assert torch.equal(inside.image, SOLVER.solve(MEASUREMENT).image)


def test_the_solution_is_the_last_state_in_physical_units():
    states = list(SOLVER.steps(SOLVER.problem(MEASUREMENT, 0.1)))
    found = SOLVER.solve(MEASUREMENT, 0.1)
    torch.testing.assert_close(found.image, 0.5 + 0.5 * states[-1].noisy["image"], rtol=0, atol=0)
    torch.testing.assert_close(found.trace, torch.stack([state.residual for state in states]), rtol=0, atol=0)
    rest = MEASUREMENT - found.parameters["gain"] * found.image
    torch.testing.assert_close(found.residual, rest.flatten(1).square().mean(1).sqrt())
    assert found.calls == {"image": 6, "gain": 6}


def test_the_start_is_noise_of_the_largest_level_from_each_images_own_seed():
    big = Solver(Scaled(), PRIORS, Gradient(), Karras(2, 50.0, 49.9999))
    one = next(big.steps(big.problem(MEASUREMENT), seeds=[3, 4])).noisy["image"]
    other = next(big.steps(big.problem(MEASUREMENT[[1]]), seeds=[4])).noisy["image"]
    torch.testing.assert_close(one[1:], other, rtol=1e-12, atol=1e-12)
    assert 20 < one.std() < 90
