"""A problem with a mask: what was not measured has no say, in any rule."""

from __future__ import annotations

import pytest
import torch

from ipt.core.errors import IptError
from ipt.core.operator import ParameterSpec, ParametricOperator
from ipt.core.problem import Problem
from ipt.core.solver import Solver
from ipt.guidance.dps import DPS
from ipt.guidance.proximal import Proximal
from ipt.guidance.regularized import Regularized
from ipt.operators.blur import Blur
from ipt.operators.downscale import Downscale
from ipt.operators.turbulence import Turbulence
from ipt.priors.analytic import BoxPrior, GaussianPrior
from ipt.priors.tilt import TiltPrior
from ipt.sampling.multiscale import Multiscale
from ipt.sampling.schedules import VP, Karras


class Gain(ParametricOperator):
    """Without steps of its own."""

    def parameters(self, image_shape):
        return {"gain": ParameterSpec((1, 1, 1), "brightness")}

    def forward(self, image, gain):
        return gain * image


OPERATORS = {"gain": Gain(), "blur": Blur(3), "turbulence": Turbulence(3), "downscale": Downscale(2)}
RULES = {
    "dps": (DPS(), VP(6)),
    "proximal": (Proximal(), Karras(4)),
    "regularized": (Regularized(Proximal(), {"image": "tv:0.1"}), Karras(4)),
}
MASK = torch.ones(1, 1, 12, 12)
MASK[..., 3:5, 4:9] = 0


def solver(operator, rule):
    priors = {"image": GaussianPrior(), "gain": BoxPrior(), "kernel": BoxPrior(), "tilt": TiltPrior(1.0)}
    names = ["image", *operator.parameters(operator.image_shape((1, 12, 12)))]
    made, schedule = RULES[rule]
    return Multiscale(Solver(operator, {name: priors[name] for name in names}, made, schedule))


def measurement(seed=0):
    return torch.rand(2, 1, 12, 12, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("operator", OPERATORS)
def test_what_was_not_measured_has_no_say(operator, rule):
    """Whatever stands there, NaN or another picture."""
    made = solver(OPERATORS[operator], rule)
    other = torch.where(MASK.bool(), measurement(), measurement(1))
    nothing = torch.where(MASK.bool(), measurement(), torch.nan)
    found = [made.solve(one, 0.05, mask=MASK) for one in (measurement(), other, nothing)]
    for one in found[1:]:
        assert torch.equal(one.image, found[0].image) and torch.equal(one.residual, found[0].residual)
    whole = made.solve(measurement(), 0.05)
    assert torch.isfinite(found[0].image).all() and not torch.equal(whole.image, found[0].image)


@pytest.mark.parametrize(
    ("operator", "rule"), [("gain", "dps"), ("gain", "proximal"), ("blur", "dps"), ("gain", "regularized")]
)
def test_a_mask_of_ones_is_none(operator, rule):
    made = solver(OPERATORS[operator], rule)
    one, other = (made.solve(measurement(), 0.05, mask=mask) for mask in (None, torch.ones(1, 1, 12, 12)))
    torch.testing.assert_close(one.image, other.image, rtol=0, atol=1e-5)


def test_residuals_are_of_what_was_measured():
    problem = solver(Gain(), "dps").solver.problem(measurement(), 0.05, mask=MASK)
    unknowns = {name: torch.zeros(2, *shape.shape) for name, shape in problem.normalizations.items()}
    residual = problem.residual(unknowns)
    assert not residual[MASK.expand_as(residual) == 0].any()
    rest = (measurement() - 0.25)[MASK.expand(2, 1, 12, 12) == 1].reshape(2, -1)
    torch.testing.assert_close(problem.observation.rms(residual), rest.square().mean(1).sqrt())


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        (torch.ones(1, 1, 12, 11), "does not fit"),
        (torch.ones(1, 2, 12, 12), "does not fit"),
        (torch.ones(3, 1, 12, 12), "does not fit"),
        (torch.full((1, 1, 12, 12), 0.5), "1 where something was measured"),
        (torch.zeros(1, 1, 12, 12), "nowhere 0 all over"),
    ],
)
def test_a_mask_that_is_none_is_refused(mask, says):
    with pytest.raises(IptError, match=says):
        solver(Gain(), "dps").problem(measurement(), 0.05, mask=mask)


def test_a_mask_of_half_the_sides():
    operator, mask = Blur(24, "circular"), torch.ones(1, 1, 64, 64)
    mask[..., 10:20, 10:20] = 0
    mask[..., 1, 1] = 0
    made = Multiscale(
        Solver(operator, {"image": GaussianPrior(), "kernel": BoxPrior()}, Proximal(), Karras(2)), draws=1
    )
    seen = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(3))
    small, large = (level.problem.observation for level in made.problem(seen, 0.05, mask=mask))
    assert small.mask.shape == (1, 1, 32, 32) and small.mask.sum() == 32 * 32 - 25
    torch.testing.assert_close(small.measurement[0, 0, 0, 0], (seen[0, 0, 0, :2].sum() + seen[0, 0, 1, 0]) / 3)
    assert torch.equal(large.mask, mask) and not small.measurement[..., 5:10, 5:10].any()


class Counted(GaussianPrior):
    """How often it is asked for its normalization, by shape."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def normalization(self, shape):
        self.asked.append(tuple(shape))
        return super().normalization(shape)


@pytest.mark.parametrize(("kernel", "sizes"), [(5, [64]), (48, [16, 32, 64])])
def test_each_problem_and_each_prior_is_made_once_a_size(kernel, sizes, monkeypatch):
    posed, pose = [], Problem.posed.__func__

    def counted(cls, operator, priors, observation, *arguments):
        posed.append(observation.measurement.shape[-1])
        return pose(cls, operator, priors, observation, *arguments)

    monkeypatch.setattr(Problem, "posed", classmethod(counted))
    image, prior = Counted(), Counted()
    made = Multiscale(Solver(Blur(kernel, "circular"), {"image": image, "kernel": prior}, Proximal(), Karras(3)))
    solution = made.solve(torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0)))
    assert sorted(posed) == sizes == [size[0] for size in solution.sizes]
    assert sorted(shape[-1] for shape in image.asked) == sizes and len(prior.asked) == len(sizes)


@pytest.mark.parametrize("masked", [False, True])
def test_every_image_so_many_times_one_after_the_other(masked):
    """With its own noise, mask and known parameters; what is the same for all of them is shared."""
    operator = Blur(3)
    kernels = torch.rand(2, 1, 3, 3, generator=torch.Generator().manual_seed(4))
    known = operator.constrain({"kernel": kernels})
    mask = (torch.rand(2, 1, 12, 12, generator=torch.Generator().manual_seed(5)) > 0.2).float() if masked else None
    made = Solver(operator, {"image": GaussianPrior()}, Proximal())
    problem = made.problem(measurement(), torch.tensor([0.01, 0.05]), known, mask)
    each = problem.repeated(3)
    order = [0, 0, 0, 1, 1, 1]
    assert len(each.observation) == 6 and torch.equal(
        each.observation.measurement, problem.observation.measurement[order]
    )
    assert torch.equal(each.observation.noise, problem.observation.noise[order])
    assert (each.observation.mask is None) == (not masked)
    if masked:
        assert torch.equal(each.observation.mask, mask[order])
    assert torch.equal(each.known["kernel"], known["kernel"][order])
    assert each.operator is problem.operator and each.normalizations == problem.normalizations
    image = torch.rand(2, *operator.image_shape((1, 12, 12)), generator=torch.Generator().manual_seed(6))
    torch.testing.assert_close(each.residual({"image": image[order]}), problem.residual({"image": image})[order])
    rms = [
        one.observation.rms(one.residual({"image": image[index]})) for one, index in ((problem, [0, 1]), (each, order))
    ]
    torch.testing.assert_close(rms[1], rms[0][order])
    once = problem.repeated(1)
    assert torch.equal(once.observation.measurement, problem.observation.measurement)
