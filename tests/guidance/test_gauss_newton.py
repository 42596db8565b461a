"""The proximal rule's general steps: what they minimise, and that every image is on its own."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from torch.autograd.function import once_differentiable

from ipt.core.abilities import Belief
from ipt.core.errors import IptError
from ipt.core.guidance import Correction, GuidanceRule
from ipt.core.observation import Observation
from ipt.core.operator import IMAGE, ParameterSpec, ParametricOperator
from ipt.core.solver import Solver
from ipt.guidance.gauss_newton import image_step, parameter_step
from ipt.linalg.covariances import Isotropic
from ipt.priors.analytic import BoxPrior, GaussianPrior
from ipt.sampling.schedules import Karras
from ipt.sampling.transitions import Renoise

SCALAR = ParameterSpec((1, 1, 1), "a number")


class Curve(ParametricOperator):
    """gain * image ** gamma."""

    def parameters(self, image_shape):
        return {"gain": SCALAR, "gamma": SCALAR}

    def forward(self, image, gain, gamma):
        return gain * image.clamp(min=1e-3) ** gamma

    def constrain(self, parameters):
        return {**parameters, "gamma": parameters["gamma"].clamp(0.1, 5)}


class Square(torch.autograd.Function):
    """A square that cannot be differentiated twice, as one that calls another library would be."""

    @staticmethod
    def forward(ctx, value):
        ctx.save_for_backward(value)
        return value.square()

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        return 2 * ctx.saved_tensors[0] * gradient


class OnceSquared(Curve):
    def forward(self, image, gain, gamma):
        return gain * Square.apply(image + gamma)


def uniform(*shape, seed=0, dtype=torch.float64):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def column(value, batch, dtype=torch.float64):
    return torch.full((batch, 1, 1, 1), value, dtype=dtype)


def gaussian(mean, variance, sigma=math.inf, covariance=None):
    return Belief(mean, covariance or Isotropic(variance), sigma)


def observed(measurement, variance):
    return Observation(measurement, variance.sqrt())


def about(mean, std):
    return gaussian(mean, column(std**2, len(mean), mean.dtype))


def curve_case(batch=8, dtype=torch.float64):
    """Pictures seen through curves, each image its own: measurement, picture, gain, gamma."""
    picture = 0.2 + 0.8 * uniform(8, 1, 12, 12, seed=1)
    gain, gamma = 0.5 + uniform(8, 1, 1, 1, seed=2), 0.5 + 1.5 * uniform(8, 1, 1, 1, seed=3)
    noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    measurement = Curve().forward(picture, gain, gamma) + 0.01 * noise
    return tuple(value[:batch].to(dtype) for value in (measurement, picture, gain, gamma))


def curve_beliefs(batch=8, dtype=torch.float64):
    return {name: about(column(1.0, batch, dtype), 0.5) for name in ("gain", "gamma")}


def objective(operator, measurement, variance, image, parameters, beliefs):
    """Per image, with the noise's variance as it is given."""
    value = operator.forward(image, **operator.constrain(parameters))
    total = ((measurement - value).square() / variance).flatten(1).sum(1)
    found = {**parameters, IMAGE: image}
    for name, belief in beliefs.items():
        total = total + ((found[name] - belief.mean).square() / belief.covariance.variance).flatten(1).sum(1)
    return total


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-2), (torch.float64, 2e-2)])
def test_gain_and_gamma_are_recovered(dtype, tolerance):
    measurement, picture, gain, gamma = curve_case(dtype=dtype)
    image, noise = about(picture, 1e-4), column(1e-4, 8, dtype)
    found = parameter_step(Curve(), observed(measurement, noise), image, curve_beliefs(dtype=dtype), {}, iterations=6)
    assert found["gain"].dtype == dtype and set(found) == {"gain", "gamma"}
    torch.testing.assert_close(found["gain"], gain, rtol=0, atol=tolerance)
    torch.testing.assert_close(found["gamma"], gamma, rtol=0, atol=tolerance)


def test_a_known_parameter_is_used_and_not_returned():
    measurement, picture, gain, gamma = curve_case()
    beliefs = {"gamma": curve_beliefs()["gamma"]}
    found = parameter_step(
        Curve(), observed(measurement, column(1e-4, 8)), about(picture, 1e-4), beliefs, {"gain": gain}, 6
    )
    assert set(found) == {"gamma"}
    torch.testing.assert_close(found["gamma"], gamma, rtol=0, atol=2e-2)


def test_an_uncertain_image_moves_the_parameters_less():
    measurement, picture, _gain, _ = curve_case()
    moved = []
    for std in (1e-3, 10.0, 1e3):
        found = parameter_step(
            Curve(), observed(measurement, column(1e-4, 8)), about(picture, std), curve_beliefs(), {}
        )
        moved.append((found["gain"] - 1).abs().max().item())
    assert moved[0] > 0.2 > moved[1] > 10 * moved[2]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@pytest.mark.parametrize("operator", [Curve(), OnceSquared()], ids=["twice", "once"])
def test_an_image_alone_and_in_a_batch_is_the_same(operator, dtype, tolerance):
    measurement, picture, gain, gamma = curve_case(dtype=dtype)
    image = about((picture + 0.05).clamp(0.05, 1), 0.1)
    together = parameter_step(
        operator, observed(measurement, column(1e-4, 8, dtype)), image, curve_beliefs(dtype=dtype), {}
    )
    valid = {"gain": gain, "gamma": gamma}
    pictures = image_step(operator, observed(measurement, column(1e-4, 8, dtype)), image, valid)
    assert (pictures - image.mean).abs().amax((1, 2, 3)).min() > 0.01
    for index in (0, 5, 7):
        one = slice(index, index + 1)
        single = gaussian(image.mean[one], image.covariance.variance[one])
        noise = column(1e-4, 1, dtype)
        alone = parameter_step(operator, observed(measurement[one], noise), single, curve_beliefs(1, dtype), {})
        for name in alone:
            torch.testing.assert_close(alone[name], together[name][one], rtol=0, atol=tolerance)
        apart = image_step(
            operator, observed(measurement[one], noise), single, {name: valid[name][one] for name in valid}
        )
        torch.testing.assert_close(apart, pictures[one], rtol=0, atol=tolerance)


def test_the_objective_never_rises():
    """From far off, where whole steps overshoot: one iteration more is never worse, for any image."""
    measurement, picture, gain, _ = curve_case()
    noise, exact = column(1e-6, 8), about(picture, 1e-9)
    starts = {"gain": column(6.0, 8), "gamma": column(4.5, 8)}
    wide = {name: about(mean, 50.0) for name, mean in starts.items()}
    valid = {"gain": gain, "gamma": column(3.0, 8)}
    cubes, dim = Curve().forward(picture, **valid), about(torch.full_like(picture, 0.2), 0.5)
    heights, depths = [], []
    for count in range(9):
        found = parameter_step(Curve(), observed(measurement, noise), exact, wide, {}, iterations=count)
        heights.append(objective(Curve(), measurement, noise, picture, found, wide))
        image = image_step(Curve(), observed(cubes, noise), dim, valid, iterations=count)
        depths.append(objective(Curve(), cubes, noise, image, valid, {IMAGE: dim}))
    for fall in (torch.stack(heights), torch.stack(depths)):
        assert (fall[1:] <= fall[:-1] * (1 + 1e-12)).all()
        assert (fall[-1] < 1e-3 * fall[0]).all()


def test_a_step_that_overshoots_is_shortened():
    """The whole first step lands higher than it started, so without the halving this would rise."""

    class Bent(Curve):
        def forward(self, image, gain, gamma):
            return torch.atan(3 * gain) + 0 * image

    belief = {"gain": about(column(1.5, 1), 1e3)}
    picture, known = torch.ones(1, 1, 2, 2, dtype=torch.float64), {"gamma": column(1.0, 1)}
    target, noise = torch.zeros_like(picture), column(1e-2, 1)
    slope = 3 / (1 + 4.5**2)
    whole = 1.5 - torch.atan(column(4.5, 1)) / slope
    assert torch.atan(3 * whole).abs() > torch.atan(column(4.5, 1))
    places = [1.5]
    for count in (1, 2, 8):
        found = parameter_step(Bent(), observed(target, noise), about(picture, 1e-9), belief, known, count)
        places.append(abs(found["gain"].item()))
    assert places[0] > places[1] > places[2] > places[3] and places[3] < 1e-6


def test_a_hopeless_image_stays_and_does_not_disturb_the_others():
    class Broken(Curve):
        """Not finite where the picture's first pixel is dark."""

        def forward(self, image, gain, gamma):
            return super().forward(image, gain, gamma) / (image[:, :1, :1, :1] > 0).to(image)

    measurement, picture, gain, gamma = curve_case(4)
    bad = picture.clone()
    bad[2, :, 0, 0] = 0
    noise, valid = column(1e-4, 4), {"gain": gain, "gamma": gamma}
    good = parameter_step(Curve(), observed(measurement, noise), about(picture, 0.05), curve_beliefs(4), {})
    found = parameter_step(Broken(), observed(measurement, noise), about(bad, 0.05), curve_beliefs(4), {})
    sharp = image_step(Curve(), observed(measurement, noise), about(picture, 0.05), valid)
    image = image_step(Broken(), observed(measurement, noise), about(bad, 0.05), valid)
    others = [0, 1, 3]
    for name in found:
        torch.testing.assert_close(found[name][others], good[name][others], rtol=0, atol=1e-10)
        assert found[name][2].item() == 1.0
    torch.testing.assert_close(image[others], sharp[others], rtol=0, atol=1e-10)
    assert torch.equal(image[2], bad[2])


def test_a_measurement_that_nothing_explains_leaves_finite_answers_for_all():
    measurement, picture, *_ = curve_case(3, torch.float32)
    wild = measurement.clone()
    wild[1] = -1e12
    noise, image = column(1e-4, 3, torch.float32), about(picture, 0.05)
    good = parameter_step(Curve(), observed(measurement, noise), image, curve_beliefs(3, torch.float32), {})
    found = parameter_step(Curve(), observed(wild, noise), image, curve_beliefs(3, torch.float32), {})
    for name in found:
        assert torch.isfinite(found[name]).all()
        torch.testing.assert_close(found[name][[0, 2]], good[name][[0, 2]], rtol=0, atol=1e-5)


def test_an_entry_beyond_its_bound_stays_and_the_others_move():
    measurement, picture, *_ = curve_case(2)
    beliefs = {"gain": about(column(1.0, 2), 0.5), "gamma": about(column(-0.3, 2), 0.5)}
    found = parameter_step(Curve(), observed(measurement, column(1e-4, 2)), about(picture, 1e-4), beliefs, {})
    assert (found["gamma"] == -0.3).all() and ((found["gain"] - 1).abs() > 0.01).all()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-3), (torch.float64, 1e-8)])
def test_what_can_be_differentiated_only_once_is_solved_as_well(dtype, tolerance):
    """Asked for J, torch leaves out gamma's path without a word, and gives gain's alone."""

    class Squared(Curve):
        def forward(self, image, gain, gamma):
            return gain * (image + gamma).square()

    measurement, picture, gain, gamma = curve_case(3, dtype)
    image, noise, valid = about(picture, 0.1), column(1e-3, 3, dtype), {"gain": gain, "gamma": gamma}
    once, twice = (image_step(made, observed(measurement, noise), image, valid) for made in (OnceSquared(), Squared()))
    torch.testing.assert_close(once, twice, rtol=0, atol=tolerance)
    assert (once - picture).abs().amax() > 0.01
    for std in (0.5, 0.02):
        beliefs = {name: about(column(1.0, 3, dtype), std) for name in ("gain", "gamma")}
        once, twice = (
            parameter_step(made, observed(measurement, noise), image, beliefs, {})
            for made in (OnceSquared(), Squared())
        )
        for name in once:
            torch.testing.assert_close(once[name], twice[name], rtol=0, atol=tolerance)


def test_an_operator_without_derivatives_is_named():
    class Counted(Curve):
        def forward(self, image, gain, gamma):
            return torch.from_numpy((image * gain).numpy() ** 2)

    class Cut(Curve):
        def forward(self, image, gain, gamma):
            return (gain * image).round().detach()

    measurement, picture, gain, gamma = curve_case(2)
    for operator in (Counted(), Cut()):
        name = type(operator).__name__
        with pytest.raises(IptError, match=f"operator {name} cannot be differentiated in image .*\n.*image_step"):
            image_step(
                operator, observed(measurement, column(0.1, 2)), about(picture, 0.1), {"gain": gain, "gamma": gamma}
            )
        with pytest.raises(IptError, match=f"operator {name} cannot be differentiated"):
            parameter_step(operator, observed(measurement, column(0.1, 2)), about(picture, 0.1), curve_beliefs(2), {})


def test_an_operators_own_errors_show_as_they_are():
    class Failing(Curve):
        def forward(self, image, gain, gamma):
            raise RuntimeError("no such lens")

    class Smaller(Curve):
        def forward(self, image, gain, gamma):
            return super().forward(image, gain, gamma)[..., :1]

    measurement, picture, gain, gamma = curve_case(2)
    for operator, error, message in (
        (Failing(), RuntimeError, "^no such lens$"),
        (Smaller(), IptError, "Smaller predicts .*: it measures nothing of that shape, or"),
    ):
        with pytest.raises(error, match=message):
            image_step(
                operator, observed(measurement, column(0.1, 2)), about(picture, 0.1), {"gain": gain, "gamma": gamma}
            )
        with pytest.raises(error, match=message):
            parameter_step(operator, observed(measurement, column(0.1, 2)), about(picture, 0.1), curve_beliefs(2), {})


def test_nothing_random_is_used_and_no_graph_is_kept():
    measurement, picture, gain, gamma = curve_case(2)
    before = torch.get_rng_state()
    image = gaussian(picture.clone().requires_grad_(), column(0.01, 2))
    first = parameter_step(Curve(), observed(measurement, column(1e-4, 2)), image, curve_beliefs(2), {})
    torch.rand(1)
    torch.set_rng_state(before)
    second = parameter_step(Curve(), observed(measurement, column(1e-4, 2)), image, curve_beliefs(2), {})
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not any(value.requires_grad for value in first.values())
    valid = {"gain": gain.clone().requires_grad_(), "gamma": gamma}
    assert not image_step(Curve(), observed(measurement, column(1e-4, 2)), image, valid).requires_grad
    assert parameter_step(Curve(), observed(measurement, column(1e-4, 2)), image, {}, valid) == {}


@dataclass(frozen=True)
class General(GuidanceRule):
    """The two steps and nothing else."""

    @property
    def needs_gradients(self):
        return False

    def schedule(self, steps=None):
        return Karras(steps or 25, sigma_max=20.0)

    def transition(self):
        return Renoise()

    def correct(self, step, problem):
        beliefs = {}
        for name, clean in step.clean.items():
            normalization, covariance = problem.normalizations[name], step.posteriors[name].covariance
            beliefs[name] = Belief(normalization.physical(clean), covariance.scaled(normalization.scale))
        image = beliefs.pop(IMAGE)
        loose = parameter_step(problem.operator, problem.observation, image, beliefs, problem.known)
        valid = problem.operator.constrain({**loose, **problem.known})
        solved = image_step(problem.operator, problem.observation, image, valid)
        found = {IMAGE: solved, **loose}
        return Correction({name: problem.normalizations[name].normalized(value) for name, value in found.items()})


def test_a_whole_solve_finds_curve_and_picture():
    """The picture is known to .05, the curve to a range; the data settle the rest."""
    measurement, picture, gain, gamma = curve_case(1)
    guess = picture + 0.05 * torch.randn(picture.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    priors = {
        IMAGE: GaussianPrior(mean=2 * guess[0] - 1, std=0.1),
        "gain": GaussianPrior(mean=0.0, std=0.5, scale=1.0, offset=1.0),
        "gamma": BoxPrior(0.2, 3.0),
    }
    found = Solver(Curve(), priors, General()).solve(measurement, 0.01)
    assert (found.parameters["gain"] - gain).abs() < 0.04
    assert (found.parameters["gamma"] - gamma).abs() < 0.08
    assert found.residual.item() < 0.02
    error, before = ((value - picture).square().mean().sqrt() for value in (found.image, guess))
    assert error < 0.6 * before
    told = Solver(Curve(), priors, General()).solve(measurement, 0.01, known={"gain": gain, "gamma": gamma})
    assert (told.image - picture).square().mean().sqrt() < 0.6 * before


def test_a_solve_alone_and_in_a_batch_is_the_same():
    measurement, *_ = curve_case(4)
    priors = {IMAGE: GaussianPrior(), "gain": GaussianPrior(0.0, 0.5, 1.0, 1.0), "gamma": BoxPrior(0.2, 3.0)}
    solver = Solver(Curve(), priors, General(), Karras(6))
    together = solver.solve(measurement, 0.05, seeds=[3, 4, 5, 6])
    alone = solver.solve(measurement[2:3], 0.05, seeds=[5])
    torch.testing.assert_close(alone.image, together.image[2:3], rtol=0, atol=1e-8)
    for name in alone.parameters:
        torch.testing.assert_close(alone.parameters[name], together.parameters[name][2:3], rtol=0, atol=1e-8)
