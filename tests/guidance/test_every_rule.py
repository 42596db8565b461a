"""What holds for every rule: one call of each network a step, no say of the batch, the order or other names."""

from __future__ import annotations

import pytest
import torch

from ipt.core.operator import ParameterSpec
from ipt.core.solver import Solver
from ipt.guidance.dps import DPS
from ipt.guidance.proximal import Proximal
from ipt.guidance.regularized import Regularized
from ipt.operators.blur import Blur
from ipt.sampling.schedules import VP, Karras
from ipt.testing import guidance_checks

PENALTIES = {"kernel": "l1:0.05", "image": "tv:0.05"}
RULES = {
    "dps": DPS(),
    "dps-sqrt-abar": DPS(size="sqrt-abar"),
    "proximal": Proximal(),
    "regularized-dps": Regularized(DPS(), PENALTIES),
    "regularized-proximal": Regularized(Proximal(), PENALTIES),
}
BORDERS = ("circular", "unknown")
CASES = [(rule, border) for rule in RULES for border in BORDERS]


class WithMore(Blur):
    """A blur with two more unknowns, sorting before and after the others, that leave the measurement as it is."""

    def parameters(self, image_shape):
        extra = {name: ParameterSpec((1, 2, 2), "nothing") for name in ("a_first", "zz_last")}
        return {"zz_last": extra["zz_last"], **super().parameters(image_shape), "a_first": extra["a_first"]}

    def forward(self, image, kernel, a_first, zz_last):
        return super().forward(image, kernel) + 0 * (a_first.sum() + zz_last.sum())

    def parameter_step(self, observation, image, parameters, known):
        found = super().parameter_step(observation, image, {"kernel": parameters["kernel"]}, known)
        return found | {name: belief.mean for name, belief in parameters.items() if name != "kernel"}

    def image_step(self, observation, image, parameters, beliefs):
        kernel, belief = {"kernel": parameters["kernel"]}, {"kernel": beliefs["kernel"]}
        return super().image_step(observation, image, kernel, belief)


CONTRACT = [
    pytest.param(check, id=f"{name}-{check.__name__}") for name in RULES for check in guidance_checks(RULES[name])
]


@pytest.mark.parametrize("check", CONTRACT)
def test_the_contract(check):
    check()


def _schedule(rule):
    return VP(6) if "dps" in rule else Karras(6)


def _measurement(batch, dtype=torch.float32):
    """Blurred pictures with some structure, different ones."""
    generator = torch.Generator().manual_seed(2)
    picture = (
        torch.rand(8, 3, 4, 4, generator=generator, dtype=torch.float64).repeat_interleave(4, 2).repeat_interleave(4, 3)
    )
    kernel = torch.rand(8, 1, 5, 5, generator=generator, dtype=torch.float64)
    blurred = Blur(5, "reflect").forward(picture, kernel / kernel.sum((-2, -1), keepdim=True))
    noise = torch.randn(blurred.shape, generator=generator, dtype=torch.float64)
    return (blurred + 0.01 * noise)[:batch].to(dtype)


@pytest.mark.parametrize(("rule", "border"), CASES)
def test_an_image_alone_and_in_a_batch_of_8(rule, border, convolution_prior):
    priors = {"image": convolution_prior(3, 0), "kernel": convolution_prior(1, 1)}
    solver = Solver(Blur(5, border), priors, RULES[rule], _schedule(rule))
    seeds = list(range(10, 18))
    measurement = _measurement(8)
    # One image far from the others, so that any norm or mean over the batch would show.
    measurement[3] *= 0.1
    noise = torch.linspace(0.02, 0.09, 8)
    together = solver.solve(measurement, noise, seeds=seeds)
    for index in (0, 3, 7):
        alone = solver.solve(measurement[index : index + 1], noise[index], seeds=[seeds[index]])
        torch.testing.assert_close(alone.image[0], together.image[index], rtol=0, atol=1e-4)
        torch.testing.assert_close(
            alone.parameters["kernel"][0], together.parameters["kernel"][index], rtol=0, atol=1e-4
        )
        torch.testing.assert_close(alone.trace[:, 0], together.trace[:, index], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("rule", RULES)
def test_each_network_is_called_once_a_step(rule, convolution_prior):
    priors = {"image": convolution_prior(3, 0), "kernel": convolution_prior(1, 1)}
    schedule = _schedule(rule)
    found = Solver(Blur(5), priors, RULES[rule], schedule).solve(_measurement(2))
    steps = len(schedule.sigmas()) - 1
    assert {name: prior.calls for name, prior in priors.items()} == {"image": steps, "kernel": steps}
    assert found.calls == {"image": steps, "kernel": steps}
    assert found.trace.shape == (steps, 2)


@pytest.mark.parametrize("rule", ["dps", "proximal"])
def test_with_the_kernel_known_its_network_is_not_called(rule, convolution_prior):
    priors = {"image": convolution_prior(3, 0), "kernel": convolution_prior(1, 1)}
    kernel = torch.full((1, 1, 3, 3), 1 / 9)
    found = Solver(Blur(5), priors, RULES[rule], _schedule(rule)).solve(_measurement(2), known={"kernel": kernel})
    assert priors["kernel"].calls == 0 and priors["image"].calls == 6 and found.calls == {"image": 6}
    torch.testing.assert_close(found.parameters["kernel"], kernel.expand(2, 1, 3, 3))


@pytest.mark.parametrize("rule", RULES)
def test_unknowns_are_found_by_name(rule, convolution_prior):
    def solve(operator, names):
        makers = {"image": (3, 0), "kernel": (1, 1), "a_first": (1, 2), "zz_last": (1, 3)}
        priors = {name: convolution_prior(*makers[name], torch.float64) for name in names}
        return Solver(operator, priors, RULES[rule], _schedule(rule)).solve(
            _measurement(2, torch.float64), seeds=[5, 6]
        )

    expected = solve(Blur(5, "circular"), ["image", "kernel"])
    assert torch.isfinite(expected.image).all()
    turned = solve(Blur(5, "circular"), ["kernel", "image"])
    more = solve(WithMore(5, "circular"), ["zz_last", "kernel", "a_first", "image"])
    for other in (turned, more):
        torch.testing.assert_close(other.image, expected.image, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(other.parameters["kernel"], expected.parameters["kernel"], rtol=1e-9, atol=1e-9)
    assert set(more.parameters) == {"kernel", "a_first", "zz_last"}


@pytest.mark.parametrize("rule", RULES)
def test_resuming_gives_the_same_bits(rule, convolution_prior):
    priors = {"image": convolution_prior(3, 0), "kernel": convolution_prior(1, 1)}
    solver = Solver(Blur(5), priors, RULES[rule], _schedule(rule))
    problem = solver.problem(_measurement(2))
    states = list(solver.steps(problem))
    for state in solver.steps(problem, resume=states[2]):
        for name in priors:
            assert torch.equal(state.noisy[name], states[state.index - 1].noisy[name])
        assert torch.equal(state.residual, states[state.index - 1].residual)


@pytest.mark.parametrize("rule", RULES)
def test_a_rules_own_schedule_and_transition_are_the_default(rule):
    made = RULES[rule]
    assert len(made.schedule().sigmas()) - 1 == (1000 if "dps" in rule else 60)
    assert made.needs_gradients == ("dps" in rule)
    inner = getattr(made, "rule", made)
    assert made.transition() == inner.transition() and made.schedule(9) == inner.schedule(9)
