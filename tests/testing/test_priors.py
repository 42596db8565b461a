"""Each promise of a prior: a fault planted in a good one breaks that promise, and no other unless named."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ipt.core.prior import Posterior, Prior
from ipt.linalg.covariances import Isotropic
from ipt.linalg.normalization import Normalization
from ipt.operators.blur.kernels import MixedKernels
from ipt.plugins.building import build_component
from ipt.priors.analytic import BoxPrior, GaussianPrior
from ipt.priors.empirical import EmpiricalPrior
from ipt.testing import prior_checks
from ipt.testing.priors import PROMISES

MEAN, STD = -0.2, 0.4
SAMPLES = 0.5 + 0.5 * (MEAN + STD * torch.randn(128, 1, 4, 6, generator=torch.Generator().manual_seed(4)))


class Normal(Prior):
    """A good one: independent normal entries, exactly."""

    def normalization(self, shape):
        return Normalization(shape, shape, 0.5, 0.5)

    def denoise(self, noisy, sigma):
        return MEAN + self.gain(sigma) * (noisy - MEAN)

    def gain(self, sigma):
        return 1 / (1 + (sigma / STD) ** 2)

    def uncertainty(self, sigma):
        return sigma * self.gain(sigma) ** 0.5

    def posterior(self, noisy, sigma):
        return Posterior(self.denoise(noisy, sigma), Isotropic.like(noisy, self.uncertainty(sigma)))


class Turned(Normal):
    def normalization(self, shape):
        channels, height, width = shape
        return Normalization((channels, width, height), (channels, width, height), 0.5, 0.5)


class Wordless(Normal):
    def normalization(self, shape):
        return Normalization(shape, shape, 0.5, 0.5) if shape[1] > 3 else self._refused()

    def _refused(self):
        raise ValueError


class NotInvertible(Normal):
    def normalization(self, shape):
        return _Absolute(shape, shape, 0.5, 0.5)


class _Absolute(Normalization):
    def physical(self, normalized):
        return super().physical(normalized.abs())


class RaisesAnother(Normal):
    def normalization(self, shape):
        if shape[1] == 3:
            raise KeyError(shape)
        return super().normalization(shape)


class TwoEstimates(Normal):
    def posterior(self, noisy, sigma):
        return replace(super().posterior(noisy, sigma), mean=0.9 * self.denoise(noisy, sigma))


class Cropped(Normal):
    def denoise(self, noisy, sigma):
        return super().denoise(noisy, sigma)[..., :1].expand(-1, -1, -1, 5)


class MeanOfTheBatch(Normal):
    def denoise(self, noisy, sigma):
        shift = 1e-2 * sigma**2 / (1 + sigma**2) * noisy.mean()
        return super().denoise(noisy, sigma) + shift


class ChangesTheNoisy(Normal):
    def denoise(self, noisy, sigma):
        found = super().denoise(noisy, sigma)
        with torch.no_grad():
            noisy.detach().mul_(1 + 1e-6)
        return found


class AddsToTheNoisy(Normal):
    def denoise(self, noisy, sigma):
        noisy += 0.8
        return super().denoise(noisy, sigma)


class ReturnsAnArray(Normal):
    def denoise(self, noisy, sigma):
        return super().denoise(noisy, sigma).numpy()


class ReturnsNothing(Normal):
    def denoise(self, noisy, sigma):
        super().denoise(noisy, sigma)


class ReturnsComplexNumbers(Normal):
    def denoise(self, noisy, sigma):
        return super().denoise(noisy, sigma) + 0j


class PosteriorIsAMean(Normal):
    def posterior(self, noisy, sigma):
        return self.denoise(noisy, sigma)


class CovarianceIsANumber(Normal):
    def posterior(self, noisy, sigma):
        return Posterior(self.denoise(noisy, sigma), self.uncertainty(sigma))


class VarianceIsANumber(Normal):
    def posterior(self, noisy, sigma):
        return Posterior(self.denoise(noisy, sigma), Isotropic(self.uncertainty(sigma)))


class CovarianceOfAnotherShape(Normal):
    def posterior(self, noisy, sigma):
        variance = torch.full((*noisy.shape[:3], noisy.shape[3] + 1), self.uncertainty(sigma) ** 2).to(noisy)
        return Posterior(self.denoise(noisy, sigma), Isotropic(variance))


class NotANumberAt(Normal):
    def __init__(self, low, high):
        self.low, self.high = low, high

    def denoise(self, noisy, sigma):
        return super().denoise(noisy, sigma) * (float("nan") if self.low < sigma < self.high else 1)


class NegativeVariance(Normal):
    def posterior(self, noisy, sigma):
        return Posterior(
            self.denoise(noisy, sigma), Isotropic(-Isotropic.like(noisy, self.uncertainty(sigma)).variance)
        )


class MeanIsNotANumber(Normal):
    def posterior(self, noisy, sigma):
        return replace(super().posterior(noisy, sigma), mean=noisy * float("nan"))


class AlwaysDouble(Normal):
    def denoise(self, noisy, sigma):
        return super().denoise(noisy, sigma).double()


class AlwaysOnTheCPU(Normal):
    def denoise(self, noisy, sigma):
        found = super().denoise(noisy, sigma)
        return found if found.device.type == "cpu" else torch.zeros(found.shape)


class HoldsALambda(Normal):
    def __init__(self):
        self.gain = lambda sigma: 1 / (1 + (sigma / STD) ** 2)


class UsesTorchsGenerator(Normal):
    def denoise(self, noisy, sigma):
        return super().denoise(noisy, sigma) + 0 * torch.rand(1).to(noisy)


class NoGradient(Normal):
    @torch.no_grad()
    def denoise(self, noisy, sigma):
        return super().denoise(noisy, sigma)


class Overflows(Normal):
    def denoise(self, noisy, sigma):
        factor = torch.tensor(sigma, dtype=noisy.dtype).exp()
        return super().denoise(noisy, sigma) * (factor / factor).to(noisy)


class DeviationForVariance(Normal):
    """Divides sigma by the variance: too much is taken away where sigma is small."""

    def gain(self, sigma):
        return 1 / (1 + sigma / STD**2)

    def uncertainty(self, sigma):
        return Normal().uncertainty(sigma)


class TooConfident(Normal):
    """As if the entries varied half as much."""

    def gain(self, sigma):
        return 1 / (1 + (sigma / (STD / 2)) ** 2)


class AnotherMean(Normal):
    def denoise(self, noisy, sigma):
        return super().denoise(noisy, sigma) + 0.5 * (1 - self.gain(sigma))


class Unchanged(Normal):
    def denoise(self, noisy, sigma):
        return noisy.clone()


class FallingUncertainty(Normal):
    def uncertainty(self, sigma):
        return 1 / sigma


class NoUncertainty(Normal):
    def uncertainty(self, sigma):
        return 0.0


class EndlessUncertainty(Normal):
    def uncertainty(self, sigma):
        return float("inf") if sigma > 50 else sigma


class Faulty(Isotropic):
    """With a root that is not symmetric."""

    def root(self, white):
        return white.cumsum(-1)


class NotTransposed(Normal):
    def posterior(self, noisy, sigma):
        usual = super().posterior(noisy, sigma)
        return replace(usual, covariance=Faulty(usual.covariance.variance))


FAULTS = {
    Turned: {"normalization"},
    Wordless: {"normalization"},
    NotInvertible: {"normalization"},
    RaisesAnother: {"normalization"},
    TwoEstimates: {"shapes"},
    Cropped: {"shapes", "conditional-mean", "identity"},
    MeanOfTheBatch: {"batch"},
    ChangesTheNoisy: {"inputs"},
    AddsToTheNoisy: {"inputs", "identity", "conditional-mean"},
    AlwaysDouble: {"dtype"},
    AlwaysOnTheCPU: {"device"},
    HoldsALambda: {"picklable"},
    UsesTorchsGenerator: {"random-state"},
    NoGradient: {"derivatives"},
    Overflows: {"finite"},
    DeviationForVariance: {"identity", "conditional-mean"},
    TooConfident: {"conditional-mean"},
    AnotherMean: {"conditional-mean"},
    Unchanged: {"conditional-mean"},
    FallingUncertainty: {"variance"},
    NoUncertainty: {"variance", "covariance"},
    EndlessUncertainty: {"variance"},
    NotTransposed: {"covariance"},
}


@pytest.mark.parametrize("prior", FAULTS, ids=lambda prior: prior.__name__)
def test_a_planted_fault_breaks_its_promise_alone(prior, broken):
    assert broken(prior_checks(prior(), samples=SAMPLES, device="meta")) == FAULTS[prior]


SAID = {
    NegativeVariance: ("variance", "the variance at sigma 0.001 is -1e-06, below 0."),
    MeanIsNotANumber: ("shapes", "the posterior's mean has ", "from self.denoise", "finite"),
    AddsToTheNoisy: ("inputs", "0.1 of noisy is not what it was: off by up to "),
    ReturnsAnArray: ("shapes", "denoise returned a numpy.ndarray, not a tensor.", "with torch throughout"),
    ReturnsNothing: ("shapes", "denoise returned None, not a tensor.", "return the result"),
    ReturnsComplexNumbers: ("shapes", "denoise returned complex numbers (torch.complex128)", "return real"),
    PosteriorIsAMean: ("shapes", "posterior returned a Tensor, not an ipt.Posterior.", "ipt.Posterior(mean"),
    CovarianceIsANumber: ("shapes", "The covariance of posterior is a float, not a Covariance.", "Isotropic.like"),
    VarianceIsANumber: ("shapes", "The variance of posterior's covariance is a float, not", "broadcasts"),
    CovarianceOfAnotherShape: ("shapes", "The variance of posterior's covariance is (3, ", "broadcasts"),
}
"""The only finding about a fault: its promise, the beginning of its reason, and words of its remedy."""


@pytest.mark.parametrize("samples", [SAMPLES, None], ids=["samples", "its own draws"])
@pytest.mark.parametrize("prior", SAID, ids=lambda prior: prior.__name__)
def test_a_planted_fault_is_one_finding(prior, samples, is_the_only_finding):
    is_the_only_finding(SAID[prior], prior_checks(prior(), samples=samples))


@pytest.mark.parametrize("samples", [SAMPLES, None], ids=["samples", "its own draws"])
@pytest.mark.parametrize("sigma", [0.001, 0.1, 0.5, 2, 5, 100])
def test_a_denoiser_that_is_not_a_number_at_a_noise_level_is_one_finding(sigma, samples, found):
    (finding,) = found(prior_checks(NotANumberAt(0.9 * sigma, 1.1 * sigma), samples=samples))
    assert finding.promise == "finite" and f"denoise at sigma {sigma:g} has" in finding.reason


def test_a_draw_that_is_not_a_number_is_one_finding(found):
    (finding,) = found(prior_checks(NotANumberAt(15, 25)))
    assert finding.promise == "finite" and finding.reason.startswith("a draw by its own denoiser")


def test_every_promise_has_a_planted_fault():
    assert {promise.name for promise in PROMISES} == set().union(*FAULTS.values())


@pytest.mark.parametrize("samples", [SAMPLES, None], ids=["samples", "its own draws"])
def test_a_good_prior_keeps_all(samples, broken):
    assert broken(prior_checks(Normal(), samples=samples, device="meta")) == set()


def test_a_fault_shows_in_its_own_draws_too(broken):
    class Half(Normal):
        def denoise(self, noisy, sigma):
            return noisy / 2

    # A class within a function cannot be pickled.
    assert broken(prior_checks(Half())) == {"identity", "picklable", "conditional-mean"}


def test_a_denoiser_that_returns_its_input_shows_without_samples(broken):
    assert broken(prior_checks(Unchanged())) == {"conditional-mean"}


class Power(Prior):
    """Normal entries of deviation `std`, with sigma at another power than 2."""

    def __init__(self, std, power):
        self.std, self.power = std, power

    def normalization(self, shape):
        return Normalization(shape, shape, 0.5, 0.5)

    def denoise(self, noisy, sigma):
        return MEAN + self.std**2 / (self.std**2 + sigma**self.power) * (noisy - MEAN)


@pytest.mark.parametrize("std", [0.05, 0.1, 0.2, 0.5, 1.0])
def test_sigma_in_place_of_its_square_or_the_reverse_shows_without_samples(std, found):
    assert found(prior_checks(Power(std, 2))) == []
    if std > 0.1:
        # What varies less is hardly more than the noise even at the smallest level.
        (finding,) = found(prior_checks(Power(std, 1)))
        assert finding.promise in ("identity", "conditional-mean") and "sigma used where its square" in finding.fix
    (finding,) = found(prior_checks(Power(std, 4)))
    assert finding.promise == "conditional-mean" and "or the reverse" in finding.fix


FIELDS = torch.randn(64, 1, 16, 24, generator=torch.Generator().manual_seed(5))
FEW = EmpiricalPrior(FIELDS - FIELDS.mean((1, 2, 3), keepdim=True))
"""Of fewer directions than entries."""


class SmallestLevel(Normal):
    def gain(self, sigma):
        return super().gain(max(sigma, 0.02))


@pytest.mark.parametrize(
    "prior",
    ["box:low=.5,high=4.5", "smooth", "kernel", "tilt", "atmosphere", "natural", SmallestLevel(), FEW],
    ids=lambda prior: prior if isinstance(prior, str) else type(prior).__name__,
)
def test_good_priors_raise_no_alarm_about_sigma(prior, broken):
    made = build_component("prior", prior) if isinstance(prior, str) else prior
    by_name = {check.__name__: check for check in prior_checks(made)}
    assert broken([by_name["conditional-mean"]]) == set()


@pytest.mark.parametrize("check", prior_checks(Normal(), samples=SAMPLES, device="meta"))
def test_as_authors_write_it(check):
    check()


def peaked(count):
    kernels = MixedKernels().sample(range(count), (1, 9, 9))
    return kernels / kernels.amax((1, 2, 3), keepdim=True)


@pytest.mark.parametrize(
    ("prior", "samples"),
    [
        (GaussianPrior(0.3, 0.2), 0.5 + 0.5 * (0.3 + 0.2 * SAMPLES.sub(0.4).div(0.2))),
        (BoxPrior(1, 5), 1 + 4 * torch.rand(256, 1, 2, 2, generator=torch.Generator().manual_seed(2))),
        (EmpiricalPrior(peaked(64), floor=0), peaked(64)),
        (EmpiricalPrior(peaked(64)), peaked(64)),
    ],
    ids=["gaussian", "box", "empirical", "empirical with a floor"],
)
def test_exact_priors_are_the_mean_of_their_samples(prior, samples, broken):
    assert broken(prior_checks(prior, samples=samples)) == set()


def test_too_few_samples_tell_nothing():
    by_name = {check.__name__: check for check in prior_checks(Normal(), samples=SAMPLES[:8])}
    with pytest.raises(AssertionError, match="8 samples are too few"):
        by_name["conditional-mean"]()


def test_a_prior_that_stays_on_the_cpu_is_not_tried_elsewhere():
    class Settled(Normal):
        device = torch.device("cpu")

    by_name = {check.__name__: check for check in prior_checks(Settled(), device="meta")}
    with pytest.raises(Exception, match="built to stay on the CPU"):
        by_name["device"]()


class Declared(NoGradient):
    differentiable = False


def test_a_prior_may_say_that_it_is_not_differentiable(broken):
    assert broken(prior_checks(Declared())) == set()
