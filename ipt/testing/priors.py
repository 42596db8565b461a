"""The contract of a prior: its promises, and their checks."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ipt.core.prior import Prior
from ipt.linalg.covariances import Covariance
from ipt.linalg.normalization import Normalization
from ipt.testing.conditional_mean import conditional_mean
from ipt.testing.harness import ALONE, COMMON
from ipt.testing.measures import BATCH, derivative_error, difference, finite, normal, rms, uniform
from ipt.testing.prior_harness import DECADES, LEVELS, PriorHarness, uncertainty
from ipt.testing.promises import Check, Promise, at_most, require, skip
from ipt.testing.returned import fitting

_POSTERIOR_MEAN = "take the posterior's mean from self.denoise(noisy, sigma), which is finite there"


def prior_checks(
    prior: Prior, *, shape: tuple[int, ...] | None = None, samples: Tensor | None = None, device: str | None = None
) -> list[Check]:
    """The checks of a prior, one per promise, to be called without arguments.

    Args:
        prior: that is checked.
        shape: (C, H, W) of the physical quantity; None: that of the samples, or the first of a list of shapes that the
            prior takes.
        samples: (N, C, H, W), N >= 32, of the distribution that the prior describes, in physical units. Without them
            the check `conditional-mean` is skipped, and the others use draws by the prior's own denoiser.
        device: where the check `device` runs; None: on this machine's accelerator, if it has one. A prior with an
            attribute `device` stays there, and all its checks run there.
    """
    return PriorHarness(prior, shape, samples, device).checks(PROMISES)


def _normalization(harness: PriorHarness) -> None:
    made = harness.normalization
    good = isinstance(made, Normalization)
    require(good, f"normalization() returns a {type(made).__name__}, not an ipt.Normalization")
    asked, given = harness.shape, tuple(made.physical_shape)
    require(given == asked, f"The normalization for {asked} has physical_shape {given}")
    there = uniform((BATCH, *asked), "quantity")
    back = made.physical(made.normalized(there))
    at_most(difference(back, there), 1e-6, "a quantity normalised and back, its difference of its largest value")
    odd = (asked[0] + 4, 3, 5)
    try:
        other = harness.component.normalization(odd)
    except ValueError as error:
        require(bool(str(error)), f"A quantity of {odd} is refused without a word")
    else:
        require(
            tuple(other.physical_shape) == odd, f"The normalization for {odd} has physical_shape {other.physical_shape}"
        )


def _shapes(harness: PriorHarness) -> None:
    sigma = LEVELS[-1]
    noisy = harness.noisy(sigma)[:BATCH]
    with torch.no_grad():
        denoised, posterior = harness.denoised(noisy, sigma), harness.posterior(noisy, sigma)
    answers = {"denoise": denoised, "posterior": posterior.mean}
    for name, answer in answers.items():
        require(answer.shape == noisy.shape, f"{name} gives {tuple(answer.shape)} for {tuple(noisy.shape)}")
    with torch.no_grad():
        fitting(posterior.covariance, noisy, "covariance")
        if posterior.prior_covariance is not None:
            fitting(posterior.prior_covariance, noisy, "prior_covariance")
    # Values that are not finite break the promise `finite`, and not this one.
    if torch.isfinite(answers["denoise"]).all():
        finite({"the posterior's mean": answers["posterior"]}, fix=_POSTERIOR_MEAN)
        gap = difference(answers["posterior"], answers["denoise"])
        at_most(gap, ALONE, "the posterior's mean, its difference from denoise")
    # Whatever raises an exception shows here.
    harness.answers(harness.component, harness.arguments())


def _derivatives(harness: PriorHarness) -> None:
    if not harness.component.differentiable:
        skip("it says that it is not differentiable: rules such as `dps` refuse it")
    sigma = 0.5
    noisy = harness.noisy(sigma)[:BATCH]
    # Networks compute in single precision, so that short steps are useless, and calls are slow, so that they are few.
    error = derivative_error(lambda value: harness.denoised(value, sigma), noisy, (1e-4, 1e-3, 1e-2), 1)
    at_most(error, 0.02, f"derivative of denoise at sigma {sigma:g}, its difference from finite differences")


@torch.no_grad()
def _finite(harness: PriorHarness) -> None:
    for sigma in sorted({*DECADES, *LEVELS, 0.5, 2.0}):
        noisy = harness.noisy(sigma)[:BATCH].float()
        finite({f"denoise at sigma {sigma:g}": harness.denoised(noisy, sigma)}, fix="")
    if harness.samples is None:
        finite({"a draw by its own denoiser, from sigma 20 down,": harness.drawn}, fix="")


@torch.no_grad()
def _identity(harness: PriorHarness) -> None:
    for sigma in (1e-2, 1e-3):
        noisy = harness.noisy(sigma)
        posterior = harness.posterior(noisy, sigma)
        # The exact denoiser moves a noisy variable by sigma at most, in the mean square (Tweedie's formula).
        limit = 2 * max(sigma, uncertainty(posterior))
        moved = rms(harness.denoised(noisy, sigma) - noisy)
        at_most(moved, limit, f"root mean square of denoise(noisy, sigma) - noisy at sigma {sigma:g}")


@torch.no_grad()
def _variance(harness: PriorHarness) -> None:
    before = 0.0
    for index in range(11):
        sigma = 10 ** (index / 2 - 3)
        posterior = harness.posterior(harness.noisy(sigma)[:1], sigma)
        lowest = float(posterior.covariance.variance.min())
        require(not lowest < 0, f"the variance at sigma {sigma:.3g} is {lowest:.3g}, below 0")
        value = uncertainty(posterior)
        good = math.isfinite(value) and value > 0
        require(good, f"the variance at sigma {sigma:.3g} is {value**2}, not a finite number above 0")
        at_most(before / value, 1.01, f"standard deviation just below sigma {sigma:.3g}, over that at it")
        before = value


@torch.no_grad()
def _covariance(harness: PriorHarness) -> None:
    for sigma in LEVELS:
        noisy = harness.noisy(sigma)[:BATCH]
        posterior = harness.posterior(noisy, sigma)
        for which, covariance in (("covariance", posterior.covariance), ("prior", posterior.prior_covariance)):
            if covariance is not None:
                _one_covariance(covariance, noisy, f"of the {which} at sigma {sigma:g}")


def _one_covariance(covariance: Covariance, noisy: Tensor, what: str) -> None:
    first, second = (normal(tuple(noisy.shape), f"{name} of a covariance").to(noisy) for name in ("v", "u"))
    answers = {
        "root": covariance.root(first),
        "root_transposed": covariance.root_transposed(second),
        "apply": covariance.apply(first),
        "solve": covariance.solve(covariance.apply(first)),
    }
    for name, answer in answers.items():
        require(answer.shape == noisy.shape, f"{name} gives {tuple(answer.shape)} for {tuple(noisy.shape)}, {what}")
    products = (_dot(second, answers["root"]), _dot(first, answers["root_transposed"]))
    size = second.flatten(1).norm(dim=1) * answers["root"].flatten(1).norm(dim=1)
    apart = float(((products[0] - products[1]).abs() / size).max())
    at_most(apart, ALONE, f"<u, L v> less <L'u, v>, {what}, of |u| |L v|")
    same = covariance.root(covariance.root_transposed(first))
    at_most(difference(answers["apply"], same), ALONE, f"apply's difference from root(root_transposed), {what}")
    at_most(difference(answers["solve"], first), ALONE, f"solve(apply(v)), {what}, its difference from v")


def _dot(first: Tensor, second: Tensor) -> Tensor:
    return (first * second).flatten(1).sum(1)


PROMISES = (
    Promise(
        "normalization",
        "`normalization` is invertible and of the shape that is asked for, or refuses with a ValueError that says why",
        "return ipt.Normalization(shape, physical_shape, scale, offset) with physical_shape as asked, scale not 0",
        _normalization,
        root=True,
    ),
    Promise(
        "shapes",
        "`denoise` and `posterior` give the shape of the noisy variable, and the same mean",
        "override `denoise` alone, or let it return self.posterior(noisy, sigma).mean",
        _shapes,
        root=True,
    ),
    Promise(
        "finite",
        "`denoise` is finite over five decades of sigma, 1e-3 to 100",
        "divide by sigma or by a sum of exponentials only where neither can be 0 or infinite (softmax, logsumexp)",
        _finite,
        root=True,
    ),
    *COMMON,
    Promise(
        "derivatives",
        "`denoise` is differentiable in the noisy variable, for rules such as `dps`",
        "compute in torch operations that have derivatives, without torch.no_grad, .detach() or numpy on the way, or "
        "say that it is not (differentiable = False), and rules such as `dps` refuse it",
        _derivatives,
    ),
    Promise(
        "variance",
        "the posterior's variance is finite and above 0 over five decades of sigma, and does not fall as sigma grows",
        "give the mean squared error of denoise, as Isotropic.like(noisy, deviation); the default will do",
        _variance,
    ),
    Promise(
        "identity",
        "as sigma falls, `denoise` becomes the identity, or the variance says how far from it it stays",
        "weigh the noisy variable by about 1 - sigma^2 / variance where sigma is small; look for sigma used where its "
        "square belongs, or let the posterior's variance be no less than the error that stays",
        _identity,
        after=("variance",),
    ),
    Promise(
        "conditional-mean",
        "`denoise` is the mean of clean given noisy = clean + sigma * noise, as samples show",
        "return an estimate of clean, not the noisy variable; train with squared error, or derive it as noisy + "
        "sigma^2 * the gradient of the noisy log-density; the median or the most probable value is something else; "
        "sigma is a standard deviation, in normalised units",
        conditional_mean,
        after=("identity",),
    ),
    Promise(
        "covariance",
        "of a covariance C = L L', `root` and `root_transposed` are L and L', `apply` is C and `solve` its inverse",
        "derive each from the same factors: the transpose of a product is that of its factors, in reverse order",
        _covariance,
        after=("variance",),
    ),
)
