"""Each promise of an operator: a fault planted in a good one breaks that promise, and no other unless named."""

from __future__ import annotations

import random
from dataclasses import replace
from unittest import SkipTest

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ipt.core.abilities import Coarsenable, Coarser, ExactSteps, Linear, MeasurementSpec, PhysicalUnits
from ipt.core.operator import ParameterSpec, ParametricOperator
from ipt.operators.blur import BORDERS, Blur
from ipt.operators.blur.kernels import MixedKernels
from ipt.testing import operator_checks
from ipt.testing.operators import PROMISES


class Plain(ParametricOperator, Linear):
    """A good one: y = gain * x."""

    def parameters(self, image_shape):
        return {"gain": ParameterSpec((image_shape[0], 1, 1), "brightness of a channel", "", "box")}

    def forward(self, image, gain):
        return gain * image

    def constrain(self, parameters):
        return {"gain": parameters["gain"].clamp(0.05, 2)}


def seen(observation):
    return 1.0 if observation.mask is None else observation.mask


class Gain(Plain, ExactSteps, Coarsenable):
    """The same with its exact steps."""

    def coarser(self, image_shape):
        return Coarser(self, dict)

    def image_step(self, observation, image, parameters, beliefs):
        gain, pull, mask = parameters["gain"], observation.noise_variance / image.covariance.variance, seen(observation)
        return (gain * mask * observation.measurement + pull * image.mean) / (mask * gain.square() + pull)

    def parameter_step(self, observation, image, parameters, known):
        gain, pull = parameters["gain"].mean, observation.noise_variance / parameters["gain"].covariance.variance
        power = (seen(observation) * image.mean.square()).sum((2, 3), keepdim=True)
        matched = (seen(observation) * image.mean * observation.measurement).sum((2, 3), keepdim=True)
        return {"gain": (matched + pull * gain) / (power + pull)}


class NoBatch(Plain):
    def forward(self, image, gain):
        return (gain * image)[0]


class Shrinking(Plain):
    def forward(self, image, gain):
        return F.avg_pool2d(gain * image, 2)


class OneForAllChannels(Plain):
    def constrain(self, parameters):
        return {"gain": parameters["gain"].clamp(0.05, 2).mean(1, keepdim=True)}


class Renamed(Plain):
    def constrain(self, parameters):
        return {"gain": parameters["gain"].clamp(0.05, 2), "more": parameters["gain"]}

    def forward(self, image, gain, more=None):
        return gain * image


class NoSuchPrior(Plain):
    def parameters(self, image_shape):
        return {"gain": ParameterSpec((image_shape[0], 1, 1), "brightness of a channel", "", "nonesuch")}


class PriorOfAnotherShape(Plain):
    def parameters(self, image_shape):
        return {"gain": ParameterSpec((image_shape[0], 1, 1), "brightness of a channel", "", "kernel")}


class SumOverTheBatch(Plain):
    def forward(self, image, gain):
        return gain / gain.mean() * image


class StepOverTheBatch(Gain):
    def image_step(self, observation, image, parameters, beliefs):
        found = super().image_step(observation, image, parameters, beliefs)
        return found + 0.001 * (observation.measurement.mean() - found.mean())


class ChangesTheMapping(Plain):
    def constrain(self, parameters):
        parameters["gain"] = parameters["gain"].clamp(0.05, 2)
        return parameters


class ChangesTheTensor(Plain):
    def constrain(self, parameters):
        return {"gain": parameters["gain"].clamp_(0.05, 0.5)}


class DarkensARow(Plain):
    def forward(self, image, gain):
        image[:, :, 0] = 0
        return gain * image


class ClampsTheImage(Plain):
    """Through `.data`, which torch does not notice."""

    def forward(self, image, gain):
        image.data.clamp_(0, 1)
        return gain * image


class ClampsTheGain(Plain):
    """To the range in which it is already."""

    def forward(self, image, gain):
        return gain.clamp_(min=0.05) * image


class ClampsTheGainsData(Plain):
    def forward(self, image, gain):
        gain.data.clamp_(min=0.05)
        return gain * image


class ReturnsAnArray(Plain):
    def forward(self, image, gain):
        return np.multiply(image.numpy(), gain.numpy())


class ReturnsNothing(Plain):
    def forward(self, image, gain):
        gain * image


class ReturnsComplexNumbers(Plain):
    def forward(self, image, gain):
        return torch.fft.fft2(gain * image)


class DeclaredComplex(ReturnsComplexNumbers, PhysicalUnits):
    def measured(self):
        return MeasurementSpec("spectrum", is_complex=True)


class ReturnsIntegers(Plain):
    def forward(self, image, gain):
        return (255 * gain * image).long()


class ConstrainReturnsATensor(Plain):
    def constrain(self, parameters):
        return parameters["gain"]


class ConstrainReturnsNothing(Plain):
    def constrain(self, parameters):
        parameters["gain"].clamp(0.05, 2)


class ConstrainReturnsAnArray(Plain):
    def constrain(self, parameters):
        return {"gain": np.clip(parameters["gain"].numpy(), 0.05, 2)}


class ThroughNumpy(Plain):
    def forward(self, image, gain):
        return torch.from_numpy(gain.numpy() * image.numpy())


class InfiniteAtAnEnd(ParametricOperator):
    def parameters(self, image_shape):
        return {"gain": ParameterSpec((image_shape[0], 1, 1), "brightness of a channel", range=(0, 1))}

    def forward(self, image, gain):
        return gain.log() + image


class NotANumberAtTheTop(InfiniteAtAnEnd):
    def forward(self, image, gain):
        return (0.999999 - gain).sqrt() + image


class StepIsNotANumber(Gain):
    def image_step(self, observation, image, parameters, beliefs):
        return super().image_step(observation, image, parameters, beliefs) * float("nan")


class Rounds(InfiniteAtAnEnd):
    def forward(self, image, gain):
        return gain.round() * image


class RoundsInConstrain(Rounds):
    def constrain(self, parameters):
        return {"gain": parameters["gain"].round()}

    def forward(self, image, gain):
        return gain * image


class OddAndComplex(Plain, PhysicalUnits):
    def measured(self):
        return MeasurementSpec("spectrum", is_complex=True)


class KeepsTheFirstImage(Plain):
    first = None

    def forward(self, image, gain):
        if self.first is None:
            self.first = image
        return gain * (image + self.first)


class KeepsTheFirstGain(Plain):
    first = None

    def forward(self, image, gain):
        if self.first is None:
            self.first = gain.detach()
        return gain * image * self.first.mean()


class AlwaysDouble(Plain):
    def forward(self, image, gain):
        return (gain * image).double()


class AlwaysOnTheCPU(Plain):
    def forward(self, image, gain):
        value = gain * image
        return value if value.device.type == "cpu" else torch.zeros(value.shape)


class Ignores(Plain):
    """Nothing can be found of what does not matter."""

    def parameters(self, image_shape):
        return {**super().parameters(image_shape), "veil": ParameterSpec((1, 1, 1), "light added")}

    def constrain(self, parameters):
        return {**super().constrain(parameters), "veil": parameters["veil"]}

    def forward(self, image, gain, veil):
        return gain * image


class HoldsALambda(Plain):
    def __init__(self):
        self.apply = lambda image, gain: gain * image


class ForgetsWhenPickled(Plain):
    """A field that its copy does not have."""

    factor = 1.0

    def __init__(self):
        self.factor = 0.5

    def __getstate__(self):
        return {}

    def forward(self, image, gain):
        return self.factor * gain * image


class UsesTorchsGenerator(Plain):
    def forward(self, image, gain):
        return gain * image + 0 * torch.rand(1).to(image)


class SeedsTorchsGenerator(Plain):
    def forward(self, image, gain):
        torch.manual_seed(5)
        return gain * image


class UsesNumpysGenerator(Plain):
    def forward(self, image, gain):
        return gain * image + 0 * np.random.rand()


class UsesPythonsGenerator(Plain):
    def constrain(self, parameters):
        return {"gain": parameters["gain"].clamp(0.05, 2 + 0 * random.random())}


class AnotherAnswerEachTime(Gain):
    calls = 0

    def image_step(self, observation, image, parameters, beliefs):
        self.calls += 1
        return super().image_step(observation, image, parameters, beliefs) * (1 + 1e-5 * self.calls)


class Detached(Plain):
    def forward(self, image, gain):
        return gain.detach() * image


class Rounded(Plain):
    def forward(self, image, gain):
        return (8 * gain).round() / 8 * image


class DetachedInConstrain(Plain):
    def constrain(self, parameters):
        return {"gain": parameters["gain"].detach().clamp(0.05, 2)}


class _Halved(torch.autograd.Function):
    @staticmethod
    def forward(ctx, image):
        return image.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient / 2


class WrongBackward(Plain):
    def forward(self, image, gain):
        return gain * _Halved.apply(image)


class Clipped(Plain):
    def forward(self, image, gain):
        return (gain * image).clamp(max=0.3)


class Offset(Plain):
    def forward(self, image, gain):
        return gain * image + 0.1


class EverSmaller(Plain):
    def constrain(self, parameters):
        return {"gain": 0.9 * parameters["gain"].clamp(0.05, 2)}


class NothingKeptFromZero(Plain):
    def constrain(self, parameters):
        return dict(parameters)

    def forward(self, image, gain):
        return image / gain


class ImageUphill(Gain):
    def image_step(self, observation, image, parameters, beliefs):
        return 2 * image.mean - super().image_step(observation, image, parameters, beliefs)


class BlindToTheMask(Gain):
    def image_step(self, observation, image, parameters, beliefs):
        return super().image_step(replace(observation, mask=None), image, parameters, beliefs)


class ParametersUphill(Gain):
    def parameter_step(self, observation, image, parameters, known):
        found = super().parameter_step(observation, image, parameters, known)
        return {"gain": 2 * parameters["gain"].mean - found["gain"]}


class ParametersUnmoved(Gain):
    def parameter_step(self, observation, image, parameters, known):
        return {"gain": parameters["gain"].mean}


class StepOfAnotherShape(Gain):
    def image_step(self, observation, image, parameters, beliefs):
        return super().image_step(observation, image, parameters, beliefs)[..., :-1]


class Clouded(ParametricOperator, ExactSteps):
    """Two unknowns, of which it finds the second alone; the first must be known."""

    def parameters(self, image_shape):
        return {**Gain().parameters(image_shape), "veil": ParameterSpec((1, 1, 1), "light added")}

    def forward(self, image, gain, veil):
        return gain * image + veil

    def constrain(self, parameters):
        return {**Gain().constrain(parameters), "veil": parameters["veil"]}

    def image_step(self, observation, image, parameters, beliefs):
        return None

    def parameter_step(self, observation, image, parameters, known):
        clear, found = observation.measurement, {}
        if "gain" in parameters:
            found = Gain().parameter_step(observation, image, parameters, known)
            clear = clear - found["gain"].clamp(0.05, 2) * image.mean
        if "veil" in parameters:
            found["veil"] = clear.mean((1, 2, 3), keepdim=True)
        return found


class DoublesTheGain(Gain):
    def coarser(self, image_shape):
        return Coarser(self, lambda found: {"gain": 2 * found["gain"]})


class DoubledToAnotherShape(Gain):
    def coarser(self, image_shape):
        return Coarser(self, lambda found: {"gain": found["gain"][:, :, 0]})


class DoubledUnderAnotherName(Gain):
    def coarser(self, image_shape):
        return Coarser(self, lambda found: {"gains": found["gain"]})


class HalfOfTwice(Gain):
    """Of half the picture it measures twice as much as this one."""

    def coarser(self, image_shape):
        return Coarser(Twice(), dict)


class Twice(Plain):
    def forward(self, image, gain):
        return gain * image.repeat_interleave(2, -1)


class StepOfAnotherName(Gain):
    def parameter_step(self, observation, image, parameters, known):
        return {"gains": super().parameter_step(observation, image, parameters, known)["gain"]}


FAULTS = {
    NoBatch: {"shapes", "batch", "linear"},
    Shrinking: {"shapes"},
    OneForAllChannels: {"shapes"},
    Renamed: {"shapes", "constrain-idempotent"},
    NoSuchPrior: {"usual-prior"},
    PriorOfAnotherShape: {"usual-prior"},
    SumOverTheBatch: {"batch"},
    StepOverTheBatch: {"batch", "mask"},
    ChangesTheMapping: {"inputs"},
    ChangesTheTensor: {"inputs"},
    DarkensARow: {"inputs"},
    ClampsTheImage: {"inputs", "linear"},
    ClampsTheGain: {"inputs"},
    ClampsTheGainsData: {"inputs"},
    AlwaysDouble: {"dtype"},
    AlwaysOnTheCPU: {"device"},
    Ignores: {"used"},
    HoldsALambda: {"picklable"},
    ForgetsWhenPickled: {"picklable"},
    UsesTorchsGenerator: {"random-state"},
    SeedsTorchsGenerator: {"random-state"},
    UsesNumpysGenerator: {"random-state"},
    UsesPythonsGenerator: {"random-state"},
    AnotherAnswerEachTime: {"random-state", "picklable", "mask"},
    Detached: {"derivatives"},
    Rounded: {"derivatives"},
    DetachedInConstrain: {"derivatives"},
    WrongBackward: {"derivatives", "linear"},
    Clipped: {"linear"},
    Offset: {"linear"},
    EverSmaller: {"constrain-idempotent"},
    NothingKeptFromZero: {"constrain-finite"},
    ImageUphill: {"image-step"},
    BlindToTheMask: {"mask"},
    ParametersUphill: {"parameter-step"},
    ParametersUnmoved: {"parameter-step"},
    StepOfAnotherShape: {"image-step"},
    StepOfAnotherName: {"parameter-step"},
    Clouded: {"parameter-step", "mask"},
    DoublesTheGain: {"coarser"},
    DoubledToAnotherShape: {"coarser"},
    DoubledUnderAnotherName: {"coarser"},
    HalfOfTwice: {"coarser"},
}


@pytest.mark.parametrize("operator", FAULTS, ids=lambda operator: operator.__name__)
def test_a_planted_fault_breaks_its_promise_alone(operator, broken):
    assert broken(operator_checks(operator(), device="meta")) == FAULTS[operator]


class NotANumber(Plain):
    def forward(self, image, gain):
        return super().forward(image, gain) * float("nan")


class ForgetsInConstrain(Plain):
    def constrain(self, parameters):
        return {}


class CalledAsTheImage(Plain):
    def parameters(self, image_shape):
        return {"image": ParameterSpec((1, 1, 1), "confused")}

    def constrain(self, parameters):
        return dict(parameters)


class ListsItsParameters(Plain):
    def parameters(self, image_shape):
        return list(super().parameters(image_shape))


SAID = {
    NotANumber: ("shapes", "forward has ", "keep divisors"),
    ForgetsInConstrain: ("shapes", "constrain gives [] for ['gain']", "keep every parameter"),
    CalledAsTheImage: ("shapes", "'image' cannot be a parameter's name", "call it by an argument's name"),
    ListsItsParameters: (
        "shapes",
        "parameters() returns a list, not a dictionary",
        "ipt.ParameterSpec(shape, meaning)",
    ),
    DarkensARow: ("inputs", "image of images is not what it was"),
    ClampsTheImage: ("inputs", "image of forward is not what it was"),
    ClampsTheGain: ("inputs", "gain of parameters was written to in place, with the values that it had."),
    ClampsTheGainsData: ("inputs", "gain of forward is not what it was"),
    ReturnsAnArray: ("shapes", "forward returned a numpy.ndarray, not a tensor.", "with torch throughout"),
    ReturnsNothing: ("shapes", "forward returned None, not a tensor.", "return the result"),
    ReturnsComplexNumbers: ("shapes", "forward returned complex numbers (torch.complex128)", "is_complex=True"),
    DeclaredComplex: ("shapes", "forward returned complex numbers (torch.complex128)", "torch.cat((found.real"),
    ReturnsIntegers: ("shapes", "forward returned torch.int64, not floating-point numbers.", "argument.dtype"),
    ConstrainReturnsATensor: ("shapes", "constrain returned a Tensor, not a mapping.", "return a dictionary"),
    ConstrainReturnsNothing: ("shapes", "constrain returned None, not a mapping.", "return a dictionary"),
    ConstrainReturnsAnArray: ("shapes", "constrain gain returned a numpy.ndarray, not a tensor.", "with torch"),
    ThroughNumpy: ("derivatives", "It takes a tensor to numpy (", "numpy has no derivatives"),
    InfiniteAtAnEnd: ("constrain-finite", "forward has ", "clip parameters to the range"),
    NotANumberAtTheTop: ("constrain-finite", "forward has ", "clip parameters to the range"),
    StepIsNotANumber: ("image-step", "image_step has 3456 of 3456 entries that are NaN or infinite.", "divisors"),
    Rounds: ("derivatives", "forward in gain is constant about a point"),
    RoundsInConstrain: ("derivatives", "constrain in gain"),
    DetachedInConstrain: ("derivatives", "derivative of constrain in gain, its difference"),
    OddAndComplex: ("shapes", "forward gives 3 channels, an odd number", "torch.cat"),
    KeepsTheFirstImage: ("random-state", "forward: difference between a used component", "an attribute"),
    KeepsTheFirstGain: ("random-state", "forward: difference between a used component", "an attribute"),
}
"""The only finding about a fault: its promise, the beginning of its reason, and words of its remedy."""


@pytest.mark.parametrize("operator", SAID, ids=lambda operator: operator.__name__)
def test_a_planted_fault_is_one_finding(operator, is_the_only_finding):
    is_the_only_finding(SAID[operator], operator_checks(operator()))


def test_every_promise_has_a_planted_fault():
    assert {promise.name for promise in PROMISES} == set().union(*FAULTS.values())


@pytest.mark.parametrize("operator", [Gain(), Plain()], ids=["with steps", "without"])
def test_a_good_operator_keeps_all(operator, broken):
    assert broken(operator_checks(operator, device="meta")) == set()


@pytest.mark.parametrize("check", operator_checks(Gain(), device="meta"))
def test_as_authors_write_it(check):
    check()


@pytest.mark.parametrize("border", BORDERS)
def test_blur_keeps_all(border, broken):
    assert broken(operator_checks(Blur(5, border))) == set()
    given = operator_checks(Blur((5, 8), border), image_shape=(1, 18, 20), parameters={"kernel": MixedKernels()})
    assert broken(given) == set()


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("shape", [(1, 64, 64), (3, 63, 70)])
def test_blur_with_a_kernel_wide_enough_keeps_to_its_half(border, shape):
    operator = Blur(23, border)
    checks = {check.__name__: check for check in operator_checks(operator, image_shape=shape)}
    if operator.coarser(shape) is None:
        assert border == "circular" and shape[1] % 2
    else:
        checks["coarser"]()


def test_without_parameters_or_declarations_what_does_not_apply_is_skipped(broken):
    class Mirror(ParametricOperator):
        def parameters(self, image_shape):
            return {}

        def forward(self, image):
            return image.flip(-1)

    reasons = {}
    for check in operator_checks(Mirror()):
        try:
            check()
        except Exception as error:
            reasons[check.__name__] = type(error).__name__, str(error)
    skipped = {"usual-prior", "linear", "constrain-idempotent", "constrain-finite", "image-step", "parameter-step"}
    skipped |= {"coarser", "mask", "used"}
    # A class within a function cannot be pickled.
    assert reasons.keys() - {"device"} == skipped | {"picklable"}
    assert all(reasons[name][0] == "SkipTest" for name in skipped)
    assert "declare itself linear" in reasons["linear"][1] and "no parameters" in reasons["constrain-finite"][1]


def test_a_parameter_whose_prior_a_solve_must_be_given_is_told():
    class Hazy(Plain):
        def parameters(self, image_shape):
            return {**super().parameters(image_shape), "haze": ParameterSpec((1, 1, 1), "how much")}

    checks = {check.__name__: check for check in operator_checks(Hazy())}
    with pytest.raises(SkipTest, match=r"no usual prior .*'haze': a solve needs a prior .*--prior haze=NAME"):
        checks["usual-prior"]()


def test_an_operator_that_takes_no_usual_image_asks_for_a_shape():
    class Wide(Plain):
        def parameters(self, image_shape):
            if image_shape[-1] < 1000:
                raise ValueError("an image is 1000 pixels wide")
            return super().parameters(image_shape)

    by_name = {check.__name__: check for check in operator_checks(Wide())}
    with pytest.raises(
        AssertionError, match=r"takes none of (.|\n)*1000 pixels wide(.|\n)*fix it: give .*--shape C,H,W"
    ):
        by_name["shapes"]()
    given = {check.__name__: check for check in operator_checks(Wide(), image_shape=(1, 4, 1000))}
    given["shapes"]()


@pytest.mark.parametrize("name", ["light", "gain", "scale", "level", "flux", "a", "b", "c", "d", "e"])
@pytest.mark.parametrize("ends", [(200.0, 2000.0), (0.0, float("inf")), (float("-inf"), -3.0)])
def test_values_that_a_range_clips_are_no_fault(name, ends, broken):
    assert broken(operator_checks(Ranged(name, ends))) == set()


class Ranged(ParametricOperator):
    """A factor of some name and range."""

    def __init__(self, name, ends):
        self.name, self.ends = name, ends

    def parameters(self, image_shape):
        return {self.name: ParameterSpec((1, 1, 1), "factor", range=self.ends)}

    def forward(self, image, **parameters):
        return parameters[self.name] * image


def test_an_operator_of_lines_needs_no_shape(broken):
    assert broken(operator_checks(Lines())) == set()


class Lines(Plain):
    def parameters(self, image_shape):
        if image_shape[1] != 1:
            raise ValueError("an image is one line")
        return super().parameters(image_shape)


def test_given_parameters_are_what_the_operator_is_tried_with():
    seen = []

    class Watched(Plain):
        def forward(self, image, gain):
            seen.append(gain[:, 0, 0, 0].tolist())
            return super().forward(image, gain)

    values = torch.tensor([0.25, 0.5]).reshape(2, 1, 1, 1).expand(2, 3, 1, 1)
    checks = {check.__name__: check for check in operator_checks(Watched(), parameters={"gain": values})}
    checks["shapes"]()
    assert seen[0] == [0.25, 0.5, 0.25]


class Level(Plain, ExactSteps):
    """One of four gains, found by trying each: nothing is differentiated in it."""

    def parameters(self, image_shape):
        return {"gain": ParameterSpec((1, 1, 1), "which gain", range=(1, 4), discrete=True)}

    def forward(self, image, gain):
        return gain * image

    def constrain(self, parameters):
        return {"gain": parameters["gain"].clamp(1, 4).round()}

    def image_step(self, observation, image, parameters, beliefs):
        return None

    def parameter_step(self, observation, image, parameters, known):
        tried = [torch.full_like(parameters["gain"].mean, float(value)) for value in range(1, 5)]
        errors = torch.stack([observation.rms(observation.residual(self.forward(image.mean, one))) for one in tried])
        return {"gain": 1.0 + errors.argmin(0).reshape(-1, 1, 1, 1).to(image.mean)}


def test_a_discrete_parameter_needs_its_own_step_alone(broken):
    assert broken(operator_checks(Level())) == set()


class Undeclared(Level):
    def parameters(self, image_shape):
        return {"gain": ParameterSpec((1, 1, 1), "which gain", range=(1, 4))}


def test_without_the_word_a_discrete_parameter_is_a_fault(broken):
    assert "derivatives" in broken(operator_checks(Undeclared()))
