"""A solve that begins with smaller pictures: at which sizes, from which level, and that it can be resumed anywhere."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch

from ipt.core.abilities import Coarsenable, Coarser, CoarseToFine
from ipt.core.errors import IptError
from ipt.core.guidance import Correction, GuidanceRule
from ipt.core.operator import ParameterSpec, ParametricOperator
from ipt.core.prior import Prior
from ipt.core.solver import Solver
from ipt.guidance.dps import DPS
from ipt.guidance.proximal import Proximal
from ipt.guidance.regularized import Regularized
from ipt.linalg.normalization import Normalization
from ipt.linalg.resampling import doubled, halved
from ipt.operators.blur import Blur
from ipt.priors.analytic import BoxPrior, GaussianPrior
from ipt.priors.grey import Grey
from ipt.sampling.multiscale import Multiscale, draw_seed
from ipt.sampling.schedules import Doubled, Karras
from ipt.sampling.transitions import Renoise


@dataclass(frozen=True)
class Lift(ParametricOperator, Coarsenable):
    """y = x + lift, the lift in hundredths of a pixel's width, to have a length that doubles."""

    least: int = 4

    def parameters(self, image_shape):
        return {"lift": ParameterSpec((1, 1, 1), "light added")}

    def forward(self, image, lift):
        return image + lift / image.shape[-1]

    def coarser(self, image_shape):
        if min(image_shape[1:]) // 2 < self.least:
            return None
        return Coarser(self, lambda found: {"lift": 2 * found["lift"]})


class Watched(Prior):
    """The mean of a standard Gaussian's posterior; keeps what it was asked."""

    def __init__(self, least=1):
        self.least, self.asked = least, []

    def normalization(self, shape):
        if shape[-1] > 1 and shape[-1] < self.least:
            raise IptError(f"takes {self.least} pixels and more")
        return Normalization(shape, shape, 0.5, 0.5)

    def denoise(self, noisy, sigma):
        self.asked.append((tuple(noisy.shape[-2:]), sigma, noisy.clone()))
        return noisy / (1 + sigma**2)


@dataclass(frozen=True)
class Following(GuidanceRule, CoarseToFine):
    """The image is taken from the measurement, the lift halfway between what it is and 1."""

    restarts: tuple[float, ...] = (1.0, 0.5)
    needs_gradients = False

    def schedule(self, steps=None):
        return Karras(steps or 5, 4.0, 0.25, 1.0)

    def transition(self):
        return Renoise()

    def restart(self, doubling):
        return self.restarts[doubling - 1] if doubling <= len(self.restarts) else None

    def correct(self, step, problem):
        physical = problem.physical(step.clean)
        lift = (physical["lift"] + 1) / 2
        found = {
            "image": problem.observation.measurement - lift / problem.observation.measurement.shape[-1],
            "lift": lift,
        }
        return Correction({name: chart.normalized(found[name]) for name, chart in problem.normalizations.items()})


LEVELS = [4.0, 3.0625, 2.125, 1.1875, 0.25]
SMALLEST = Doubled(Following().schedule()).sigmas().tolist()[:-1]
"""Levels of the smallest of several sizes, twice as many but for one."""
MEASUREMENT = torch.rand(2, 1, 16, 18, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def solver(rule=None, operator=None, draws=1, **priors):
    made = Solver(operator or Lift(), {"image": Watched(), "lift": Watched(), **priors}, rule or Following())
    return Multiscale(made, draws)


def sizes(made):
    made.solve(MEASUREMENT)
    return [(shape, round(sigma, 4)) for shape, sigma, _ in made.solver.priors["image"].asked]


def test_from_the_smallest_size_to_the_pictures_own():
    small = [((4, 5), round(level, 4)) for level in SMALLEST]
    made = solver(Following((2.2, 0.5)))
    assert sizes(made) == [
        *small, *(((8, 9), level) for level in LEVELS[2:]), ((16, 18), 0.25),
    ]  # fmt: skip
    solution = made.solve(MEASUREMENT)
    assert solution.sizes == [(4, 5, 9), (8, 9, 3), (16, 18, 1)] and len(solution.trace) == 13


@pytest.mark.parametrize(
    "made",
    [
        solver(Following(())),
        solver(operator=Lift(100)),
        solver(image=Watched(16)),
    ],
    ids=["the rule does not", "the operator does not", "the prior takes no smaller one"],
)
def test_at_its_own_size_alone(made):
    assert sizes(made) == [((16, 18), level) for level in LEVELS]


def test_as_far_as_the_prior_goes():
    assert {shape for shape, _ in sizes(solver(image=Watched(9)))} == {(8, 9), (16, 18)}


def test_a_parameters_prior_that_takes_no_such_parameter_keeps_it_at_its_size():
    class OfOneSize(Lift):
        def parameters(self, image_shape):
            return {"lift": ParameterSpec((1, 1, image_shape[-1]), "light added")}

    assert {shape for shape, _ in sizes(solver(operator=OfOneSize(), lift=Watched(18)))} == {(16, 18)}


def test_what_is_known_needs_no_smaller_picture():
    made = solver()
    made.solve(MEASUREMENT, known={"lift": torch.ones(1, 1, 1, 1)})
    assert {shape for shape, _, _ in made.solver.priors["image"].asked} == {(16, 18)}


def test_a_level_below_the_schedule_leaves_one_step():
    assert sizes(solver(Following((0.01,)), Lift(8)))[len(SMALLEST) :] == [((16, 18), 0.25)]


def test_the_larger_picture_begins_with_what_the_smaller_one_found():
    made = solver(Following((0.5,)), Lift(8))
    states = list(made.steps(made.problem(MEASUREMENT)))
    small = states[len(SMALLEST) - 1]
    assert small.noisy["image"].shape[-2:] == (8, 9) and small.sigma == 0 and not small.finished
    image, lift = (0.5 + 0.5 * small.noisy[name] for name in ("image", "lift"))
    begun = {name: made.solver.priors[name].asked[len(SMALLEST)][2] for name in ("image", "lift")}
    # Noise of level .25 about what was found: over a whole picture, its mean and deviation say so.
    off = begun["image"] - (2 * doubled(image, (16, 18)) - 1)
    assert off.std() == pytest.approx(0.25, rel=0.15) and abs(off.mean()) < 0.05
    assert (begun["lift"] - (4 * lift - 1)).abs().max() < 1


def test_the_smaller_problem_is_the_measurement_of_half_the_sides():
    made = solver(Following((0.5,)), Lift(8))
    state = next(made.steps(made.problem(MEASUREMENT)))
    physical = {name: 0.5 + 0.5 * value for name, value in state.clean.items()}
    rest = halved(MEASUREMENT) - physical["image"] - physical["lift"] / 9
    torch.testing.assert_close(state.residual, rest.flatten(1).square().mean(1).sqrt())


def test_the_smaller_problem_keeps_the_level_of_noise():
    """Means of 2x2 halve white noise, but not what the smaller model leaves unexplained: docs/method.md, Constants."""
    noise = torch.tensor([0.01, 0.03], dtype=torch.float64)
    levels = solver().problem(MEASUREMENT, noise)
    assert len(levels) == 3
    for level in levels:
        assert level.problem.observation.noise.flatten().tolist() == noise.repeat_interleave(level.draws).tolist()


def test_steps_and_calls_are_counted_over_all_sizes():
    states = list(solver().steps(solver().problem(MEASUREMENT)))
    assert [state.index for state in states] == list(range(1, 12)) and {state.total for state in states} == {11}
    assert states[-1].finished and states[-1].calls == {"image": 11, "lift": 11}


@pytest.mark.parametrize("draws", [1, 4])
@pytest.mark.parametrize("stop", range(1, 11))
def test_resumed_anywhere_the_bits_are_the_same(stop, draws):
    made = solver(draws=draws)
    states = list(made.steps(made.problem(MEASUREMENT), seeds=[3, 4]))
    resumed = list(made.steps(made.problem(MEASUREMENT), seeds=[3, 4], resume=states[stop - 1]))
    assert len(resumed) == 11 - stop
    for one, other in zip(states[stop:], resumed, strict=True):
        assert (one.index, one.sigma, dict(one.calls)) == (other.index, other.sigma, dict(other.calls))
        for name in ("image", "lift"):
            assert torch.equal(one.noisy[name], other.noisy[name])


@pytest.mark.parametrize("draws", [1, 2, 4])
def test_an_image_alone_and_in_a_batch(draws):
    both = solver(draws=draws).solve(MEASUREMENT, seeds=[3, 4])
    alone = solver(draws=draws).solve(MEASUREMENT[1:], seeds=[4])
    torch.testing.assert_close(both.image[1:], alone.image, rtol=0, atol=1e-12)


def test_several_draws_at_small_sizes_and_one_at_the_last():
    made = solver(Following((2.2, 0.5)), draws=4)
    problem = made.problem(MEASUREMENT)
    assert [level.draws for level in problem] == [4, 2, 1]
    assert [len(level.problem.observation) for level in problem] == [8, 4, 2]
    states = list(made.steps(problem))
    assert [len(state.noisy["image"]) for state in states] == [8] * 9 + [4] * 3 + [2]
    assert {tuple(state.residual.shape) for state in states} == {(2,)}
    small = states[len(SMALLEST) - 1]
    each = problem[0].problem.residual(small.clean).flatten(1).square().mean(1).sqrt()
    torch.testing.assert_close(small.residual, each.reshape(2, 4).amin(1))


class Fond(Watched):
    """Leaves images alone whose mean is near a value, and moves all others."""

    def denoise(self, noisy, sigma):
        mean = noisy.mean((1, 2, 3), keepdim=True)
        return super().denoise(noisy, sigma) if sigma != 0.1 else noisy + (mean - self.value).abs()


@dataclass(frozen=True)
class Drawing(Following):
    """The image is what chance made of it."""

    def correct(self, step, problem):
        return Correction()


def test_the_draw_that_the_prior_leaves_alone_goes_on():
    image = Fond()
    image.value = 10.0
    made = solver(Drawing((0.5,)), Lift(8), draws=4, image=image)
    problem = made.problem(MEASUREMENT)
    states = list(made.steps(problem, seeds=[3, 4]))
    small = states[len(SMALLEST) - 1].clean["image"]
    means = small.mean((1, 2, 3)).reshape(2, 4)
    best = means.argmax(1)
    begun = image.asked[-1][2].mean((1, 2, 3))
    found = (2 * doubled(0.5 + 0.5 * small, (16, 18)) - 1).mean((1, 2, 3)).reshape(2, 4)
    chosen = found[torch.arange(2), best]
    # Noise of level .25 over 288 pixels moves a mean by .015.
    assert (begun - chosen).abs().max() < 0.06
    # The first draw is that of a solve without competition.
    one = solver(Drawing((0.5,)), Lift(8), draws=1)
    alone = list(one.steps(one.problem(MEASUREMENT), seeds=[3, 4]))
    torch.testing.assert_close(alone[len(SMALLEST) - 1].clean["image"], small[::4])


def test_the_seeds_of_draws_differ_and_the_first_is_the_images_own():
    assert draw_seed(7, 0) == 7 and len({draw_seed(seed, n) for seed in (7, 8) for n in range(4)}) == 8


@pytest.fixture(scope="module")
def blurred():
    """Blurred pictures of 48x40 whose border is unknown, one of them with a hole, and what solves them."""
    operator, priors = Blur(24), {"image": GaussianPrior(), "kernel": BoxPrior()}
    made = Multiscale(Solver(operator, priors, Proximal(), Karras(4)), draws=4)
    measurement = torch.rand(2, 1, 48, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    mask = torch.ones(2, 1, 48, 40, dtype=torch.float64)
    mask[1, :, 10:20, 5:9] = 0
    return made, measurement, mask


def test_images_around_their_frame_are_solved_alone_as_in_a_batch(blurred):
    made, measurement, mask = blurred
    both = made.solve(measurement, 0.05, seeds=[3, 4], mask=mask)
    assert both.sizes[0][:2] == (24, 20) and both.whole.shape == (2, 1, 80, 72)
    for index in range(2):
        one = slice(index, index + 1)
        alone = made.solve(measurement[one], 0.05, seeds=[3 + index], mask=mask[one])
        torch.testing.assert_close(both.image[one], alone.image, rtol=0, atol=1e-8)
        torch.testing.assert_close(both.parameters["kernel"][one], alone.parameters["kernel"], rtol=0, atol=1e-8)
        torch.testing.assert_close(both.residual[one], alone.residual, rtol=0, atol=1e-8)


@pytest.mark.parametrize("stop", [1, 2])
def test_images_around_their_frame_are_resumed_in_the_middle_of_the_small_size(stop, blurred):
    made, measurement, mask = blurred
    problem = made.problem(measurement, 0.05, mask=mask)
    states = list(made.steps(problem, [3, 4]))
    assert states[stop].noisy["image"].shape == (8, 1, 40, 36)
    again = made.problem(measurement, 0.05, mask=mask)
    resumed = list(made.steps(again, [3, 4], states[stop]))
    for name in ("image", "kernel"):
        assert torch.equal(resumed[-1].clean[name], states[-1].clean[name])


def test_the_margins_of_small_sizes_are_those_of_the_large_one_halved(blurred):
    made, measurement, _ = blurred
    for level in made.problem(measurement):
        shape = level.problem.normalizations["image"].physical_shape
        rows, columns = level.problem.operator.frame(shape)
        frame = (rows.stop - rows.start, columns.stop - columns.start)
        assert frame == tuple(level.problem.observation.measurement.shape[-2:])
        assert rows.start * measurement.shape[-1] // frame[1] == 16


def test_the_draws_of_the_smallest_size_are_the_rivals_of_what_is_found(blurred):
    """All of them, of its size, in every later state; a solve that is resumed has them too, and assesses the same."""
    made, measurement, mask = blurred
    made = Multiscale(made.solver, draws=3)
    problem = made.problem(measurement, 0.02, mask=mask)
    states = list(made.steps(problem, [5, 6]))
    small, last = problem[0].problem, states[-1]
    count = problem[0].size[2]
    assert all(not state.rivals for state in states[:count])
    kernels = small.physical(states[count - 1].clean)["kernel"]
    assert len(kernels) == 6 and kernels.shape[-1] < last.clean["kernel"].shape[-1]
    assert all(torch.equal(state.rivals["kernel"], kernels) for state in states[count:])
    whole = made.solution(problem, last, [state.residual for state in states]).assessments
    assert len(whole) == 2 and all(0 < one.probability < 1 for one in whole)
    *_, resumed = made.steps(problem, [5, 6], states[count - 1])
    again = made.solution(problem, resumed, [state.residual for state in states]).assessments
    assert [one.evidence for one in again] == [one.evidence for one in whole]


class NoGradient(GaussianPrior):
    differentiable = False


def test_a_rule_that_differentiates_refuses_what_cannot_be_in_words():
    class Stepped(Blur):
        def parameters(self, image_shape):
            return {name: replace(spec, discrete=True) for name, spec in super().parameters(image_shape).items()}

    measurement = torch.rand(1, 1, 16, 16)
    priors = {"image": Grey(NoGradient()), "kernel": GaussianPrior(-0.8, 0.3)}
    with pytest.raises(IptError, match=r"prior of 'image', NoGradient, is not differentiable, and DPS.*proximal"):
        Multiscale(Solver(Blur(5), priors, DPS())).problem(measurement)
    assert Multiscale(Solver(Blur(5), priors, Proximal())).problem(measurement)
    priors = {"image": GaussianPrior(), "kernel": GaussianPrior(-0.8, 0.3)}
    with pytest.raises(IptError, match="'kernel' goes in steps"):
        Multiscale(Solver(Stepped(5), priors, DPS())).problem(measurement)


def test_finer_sizes_draw_the_image_and_the_smallest_takes_its_mean(blurred):
    made, measurement, mask = blurred
    wrapped = replace(made.solver, rule=Regularized(Proximal()))
    for solver, rules in ((made.solver, lambda rule: rule), (wrapped, lambda rule: rule.rule)):
        levels = replace(made, solver=solver).problem(measurement, 0.05, mask=mask)
        smallest, larger = (rules(level.solver.rule) for level in levels)
        assert not smallest.spread_from_start and larger.spread_from_start
        assert smallest.noise_factor < larger.noise_factor == 1
