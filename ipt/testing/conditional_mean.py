"""The check `conditional-mean` of a prior: with samples of what it describes, or else with draws of its own."""

from __future__ import annotations

import math

import torch

from ipt.testing.measures import BATCH, normal, rms
from ipt.testing.prior_harness import DECADES, PriorHarness, uncertainty
from ipt.testing.promises import at_most, require, skip

MISFIT = 0.05
"""Largest correlation of a denoising error with a function of the noisy variable, which is 0 for the exact denoiser; it
allows trained networks an excess error of .25 % of the mean square."""
LARGEST = 10.0
"""Largest standard deviation of a normalized variable, which lies about -1..1."""
RATIO = 5.0
"""Largest ratio in `_uses_sigma`, and the inverse of the smallest."""
ENOUGH = 256
"""Numbers of which a mean square tells something."""
STANDARD_ERRORS = 5.0
"""Standard errors by which a statistic may deviate."""
_SIGMA = (
    "look for sigma used where its square belongs, or the reverse: of a Gaussian variable, noisy has the weight "
    "variance / (variance + sigma^2)"
)


@torch.no_grad()
def conditional_mean(harness: PriorHarness) -> None:
    """The promise `conditional-mean`: its error is uncorrelated with every function of the noisy variable.

    Tested with 1, the noisy variable itself, and the estimate. Each image is one observation, since its entries are not
    independent.
    """
    if harness.samples is None:
        _forgets(harness)
        _uses_sigma(harness)
        reason = "no samples of what it describes were given, nor a generator"
        skip(f"{reason}; behind much noise it says little, as it should")
    require(len(harness.samples) >= 32, f"{len(harness.samples)} samples are too few to tell")
    for sigma in (0.1, 0.5, 2.0):
        noisy = harness.noisy(sigma)
        estimate = harness.denoised(noisy, sigma).double()
        error = harness.clean.to(estimate) - estimate
        probes = {"1": torch.ones_like(estimate), "the noisy variable": noisy.double(), "the estimate": estimate}
        for name, probe in probes.items():
            by_image = (error * probe).flatten(1).mean(1)
            size = rms(error) * rms(probe)
            limit = MISFIT + STANDARD_ERRORS * float(by_image.std()) / math.sqrt(len(by_image)) / size
            what = f"correlation of clean - denoise(noisy, sigma) with {name} at sigma {sigma:g}"
            at_most(float(by_image.mean().abs()) / size, limit, what)


def _forgets(harness: PriorHarness) -> None:
    """At a high noise level the estimate must hardly depend on the noisy variable.

    Its mean derivative times sigma^2 is the variance of clean given noisy (Tweedie's second formula), which is of the
    order of 1 for a normalized variable, and sigma^2 for a denoiser that returns its input.
    """
    sigma = DECADES[-1]
    noisy = harness.noisy(sigma)[:BATCH]
    step = 0.1 * sigma * normal(tuple(noisy.shape), "step").sign().to(noisy)
    change = harness.denoised(noisy + step, sigma) - harness.denoised(noisy - step, sigma)
    slope = float((change.double() * step).mean() / (2 * step.square().mean()))
    what = f"deviation of clean given noisy at sigma {sigma:g}, as denoise follows noisy (sigma^2 times its derivative)"
    at_most(sigma * math.sqrt(abs(slope)), LARGEST, what)


@torch.no_grad()
def _uses_sigma(harness: PriorHarness) -> None:
    """What is taken away must be about as large as what of the noise is taken away.

    With x drawn by the prior's own denoiser, noisy = x + noise and r = noisy - denoise(noisy), a conditional mean has
    E |r|^2 = E <noise, r>, since its error is uncorrelated with r. With draws of a few steps the ratio of both sides is
    .1 to 1.2 for what is shipped, from .6 at the highest level. If sigma stands where its square belongs, it is far
    larger where sigma is small; in the reverse case, far smaller.
    """
    drawn = harness.drawn.to(harness.home)
    if not harness.component.differentiable or drawn.numel() < ENOUGH:
        # A solver such as total variation is no conditional mean, and few numbers tell nothing.
        return
    # Networks of 1,000 noise levels know none below .01, so that far below it they say little.
    for sigma, least, most in ((3e-3, 0.0, RATIO), (1e-2, 0.0, RATIO), (1e-1, 1 / RATIO, math.inf)):
        noise = sigma * normal(tuple(drawn.shape), f"noise of draws {sigma:g}").to(drawn)
        estimate = harness.denoised(drawn + noise, sigma)
        stays = uncertainty(harness.posterior(drawn + noise, sigma)) > 1.5 * sigma
        if stays or torch.equal(estimate, harness.denoised(drawn + noise, 2 * sigma)):
            # It says that it stays far from the noisy variable, or takes a smallest level that is larger than sigma.
            continue
        above = drawn + noise - estimate.double()
        below = drawn - noise - harness.denoised(drawn - noise, sigma).double()
        taken, of_noise = float((above.square() + below.square()).mean()), float((noise * (above - below)).mean())
        if max(taken, abs(of_noise)) > 1e-6 * sigma**2:
            ratio = taken / of_noise if of_noise > 0 else math.inf
            what = f"mean square of noisy - denoise(noisy, sigma) at sigma {sigma:g}, over its product with the noise"
            require(least <= ratio <= most, f"{what}: {ratio:.3g}, and about 1 of a conditional mean", _SIGMA)
