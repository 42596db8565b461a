"""The proximal rule: whose steps it takes, and in which units."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ipt.core.abilities import ExactSteps
from ipt.core.errors import IptError
from ipt.core.guidance import Step
from ipt.core.operator import ParameterSpec, ParametricOperator
from ipt.core.solver import Solver
from ipt.guidance.proximal import Proximal
from ipt.linalg.random import Noise
from ipt.priors.analytic import GaussianPrior

LEVEL = 0.25


class Gain(ParametricOperator):
    def parameters(self, image_shape):
        return {"gain": ParameterSpec((1, 1, 1), "a factor", noise_ratio=0.5)}

    def forward(self, image, gain):
        return gain * image


class Solved(Gain, ExactSteps):
    """Remembers what its steps are given, and answers what it is made with."""

    def __init__(self, image=None, parameters=None):
        self.answers, self.asked = (image, parameters), []

    def image_step(self, observation, image, parameters, beliefs):
        self.asked.append((image, dict(parameters), dict(beliefs)))
        return self.answers[0]

    def parameter_step(self, observation, image, parameters, known):
        self.asked.append((image, dict(parameters), dict(known)))
        return self.answers[1]


def step_of(problem, ratio=0.5):
    noisy = {
        name: torch.randn(2, *chart.shape, generator=torch.Generator().manual_seed(index))
        for index, (name, chart) in enumerate(problem.normalizations.items())
    }
    levels = {name: LEVEL * (1 if name == "image" else ratio) for name in noisy}
    posteriors = {name: problem.priors[name].posterior(value, levels[name]) for name, value in noisy.items()}
    return Step(noisy, posteriors, levels, LEVEL, LEVEL / 2, 0, 4)


def corrected(operator, rule=None, known=None):
    solver = Solver(operator, {"image": GaussianPrior(), "gain": GaussianPrior()}, rule or Proximal())
    problem = solver.problem(torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(5)), 0.05, known)
    step = step_of(problem)
    return solver.rule.correct(step, problem).clean, step, problem


def test_parameters_first_with_the_image_at_its_estimate_then_the_image():
    image, gain = torch.full((2, 3, 6, 6), 0.4), torch.full((2, 1, 1, 1), 0.9)
    operator = Solved(image, {"gain": gain})
    found, step, problem = corrected(operator)
    (first, loose, known), (second, given, beliefs) = operator.asked
    chart = problem.normalizations["image"]
    torch.testing.assert_close(first.mean, chart.physical(step.clean["image"]))
    assert first is second and known == {} and given["gain"] is gain and beliefs.keys() == {"gain"}
    # What is uncertain is in physical units, as are the levels.
    assert first.sigma == pytest.approx(abs(chart.scale) * LEVEL)
    assert loose["gain"].sigma == pytest.approx(abs(problem.normalizations["gain"].scale) * LEVEL / 2)
    expected = step.posteriors["image"].covariance.scaled(chart.scale).variance
    torch.testing.assert_close(first.covariance.variance, expected)
    torch.testing.assert_close(chart.physical(found["image"]), image)
    torch.testing.assert_close(problem.normalizations["gain"].physical(found["gain"]), gain)


def test_steps_that_are_not_taken_are_gauss_newtons():
    general = corrected(Gain())[0]
    for name, value in corrected(Solved())[0].items():
        torch.testing.assert_close(value, general[name])


def test_with_all_parameters_known_there_is_no_step_for_them():
    operator = Solved(torch.zeros(2, 3, 6, 6))
    found, *_ = corrected(operator, known={"gain": torch.ones(2, 1, 1, 1)})
    assert len(operator.asked) == 1 and found.keys() == {"image"}


@pytest.mark.parametrize(("clip", "least", "most"), [(True, 0.0, 1.0), (False, -3.0, 3.0)])
def test_the_image_is_kept_within_0_and_1_unless_left(clip, least, most):
    outside = torch.tensor([-3.0, 3.0])[:, None, None, None].expand(2, 3, 6, 6)
    found, _, problem = corrected(Solved(outside, {"gain": torch.ones(2, 1, 1, 1)}), Proximal(clip=clip))
    physical = problem.normalizations["image"].physical(found["image"])
    assert (float(physical.min()), float(physical.max())) == (least, most)


def asked_with(level=LEVEL, rule=None, known=None, random=True):
    """The white noise that the image step is handed."""
    operator = Solved(torch.zeros(2, 3, 6, 6), {"gain": torch.ones(2, 1, 1, 1)})
    rule = rule or Proximal(spread=0.25, spread_from_start=True)
    solver = Solver(operator, {"image": GaussianPrior(), "gain": GaussianPrior()}, rule)
    problem = solver.problem(torch.zeros(2, 3, 6, 6), 0.05, known)
    rule.correct(replace(step_of(problem), sigma=level, random=Noise([3, 4]) if random else None), problem)
    return operator.asked[-1][0].white


def test_the_image_is_drawn_with_its_share_of_noise_from_the_images_own_stream():
    expected = 0.5 * Noise([3, 4]).like("image estimate", torch.zeros(2, 3, 6, 6))
    torch.testing.assert_close(asked_with(), expected)
    alone = Proximal().refined()
    assert alone.spread == Proximal().spread > 0 and asked_with(rule=alone) is not None


def test_the_image_is_its_mean_at_the_smallest_size_at_the_end_and_where_all_is_known():
    assert asked_with(rule=Proximal()) is None and asked_with(rule=Proximal(spread=0).refined()) is None
    assert asked_with(level=0.05) is None and asked_with(random=False) is None
    assert asked_with(known={"gain": torch.ones(2, 1, 1, 1)}) is None


def test_the_parameters_level_is_what_their_specification_says_unless_given():
    spec = ParameterSpec((1, 1, 1), "a factor", noise_ratio=0.5)
    assert Proximal().noise_ratio("gain", spec) == 0.5
    assert Proximal().searching().noise_ratio("gain", spec) == pytest.approx(1 / 3)
    for rule in (Proximal(parameter_noise=0.2), Proximal(parameter_noise=0.2).searching()):
        assert rule.noise_ratio("gain", spec) == 0.2


def test_where_it_goes_on_after_a_doubling():
    assert [Proximal().restart(doubling) for doubling in (1, 2, 3)] == [1.0, 0.5, 0.5]
    assert Proximal(coarse_to_fine=False).restart(1) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"zeta": 1.5},
        {"zeta": -0.1},
        {"spread": 1.1},
        {"parameter_noise": 0},
        {"noise_factor": 0},
        {"parameter_noise": 1.5},
    ],
)
def test_shares_outside_0_and_1_are_refused(wrong):
    with pytest.raises(IptError, match=f"guidance.{next(iter(wrong))} is"):
        replace(Proximal(), **wrong)
