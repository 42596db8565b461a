"""`PriorHarness`: a prior with typical clean values and noise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ipt.core.prior import Posterior, Prior
from ipt.linalg.normalization import Normalization
from ipt.testing.draws import draws
from ipt.testing.harness import Harness, first_taken
from ipt.testing.measures import Arrays, normal, uneven
from ipt.testing.promises import skip
from ipt.testing.returned import posterior_of, real

SHAPES = (
    (3, 16, 24),
    (1, 16, 24),
    (2, 16, 24),
    (1, 1, 1),
    (1, 1, 64),
    (1, 64, 1),
    *((channels, side, side) for side in (32, 64, 128, 256, 512) for channels in (1, 2, 3)),
)
"""Shapes that are tried in this order if none is given; the first one that the prior takes is used."""
LEVELS = (0.1, 5.0)
"""Noise levels at which answers are compared."""
DECADES = tuple(10.0**power for power in range(-3, 3))
"""Noise levels over five decades."""


@dataclass(frozen=True)
class PriorHarness(Harness):
    """A prior with test arguments.

    Attributes:
        component: the prior.
        given_shape: (C, H, W) of its physical quantity, or None.
        samples: (N, C, H, W) of what it describes, physical, or None.
        device: as of `Harness`.
    """

    component: Prior
    given_shape: tuple[int, ...] | None
    samples: Tensor | None
    device: str | None

    @property
    def home(self) -> str:
        return str(getattr(self.component, "device", "cpu"))

    def place(self) -> str:
        if getattr(self.component, "device", None) is None:
            return super().place()
        if self.home == "cpu":
            skip("it was built to stay on the CPU")
        return self.home

    @cached_property
    def shape(self) -> tuple[int, ...]:
        if self.samples is not None:
            return tuple(self.samples.shape[1:])
        return self.given_shape or first_taken(self.component.normalization, SHAPES, "shape")

    @cached_property
    def normalization(self) -> Normalization:
        return self.component.normalization(self.shape)

    @cached_property
    def drawn(self) -> Tensor:
        """Draws by its own denoiser, (BATCH, *normalization.shape), float64."""
        return draws(self.component, self.normalization.shape, self.home)

    @cached_property
    def clean(self) -> Tensor:
        """Typical values of the normalised variable, (N, *normalization.shape), float64."""
        if self.samples is not None:
            return self.normalization.normalized(self.samples.double())
        drawn = self.drawn
        if not torch.isfinite(drawn).all():
            # The check `finite` says at which noise level; the values serve the others.
            return 0.5 * normal(tuple(drawn.shape), "no draws")
        # A faulty denoiser may draw equal values; noise is added, so that other checks find its faults.
        sigma = DECADES[-1]
        noisy = sigma * normal(tuple(drawn[:1].shape), "noise of draws").to(self.home)
        centre, least = drawn.mean(), 0.5 * uncertainty(self.posterior(noisy, sigma))
        narrow = (drawn - centre).abs().amax() < least
        return centre + least * normal(tuple(drawn.shape), "spread") if narrow else drawn

    def denoised(self, noisy: Tensor, sigma: float) -> Tensor:
        """`denoise` of a copy: changing its argument breaks only the promise `inputs`."""
        return real(self.component.denoise(noisy.clone(), sigma), "denoise")

    def posterior(self, noisy: Tensor, sigma: float) -> Posterior:
        """`posterior` of a copy."""
        return posterior_of(self.component.posterior(noisy.clone(), sigma))

    def noisy(self, sigma: float) -> Tensor:
        noise = normal(tuple(self.clean.shape), f"noise {sigma:g}")
        return (self.clean + sigma * noise).to(self.home)

    def arguments(self) -> Arrays:
        factor = uneven(self.normalization.shape).to(self.home)
        return {"noisy": {f"{sigma:g}": self.noisy(sigma)[: len(factor)] * factor for sigma in LEVELS}}

    @torch.no_grad()
    def answers(self, component: Prior, arguments: Arrays) -> dict[str, Tensor]:
        found = {}
        for sigma, noisy in arguments["noisy"].items():
            found[f"denoise at sigma {sigma}"] = component.denoise(noisy, float(sigma))
            found[f"covariance at sigma {sigma}"] = component.posterior(noisy, float(sigma)).covariance.root(noisy)
        return found


def uncertainty(posterior: Posterior) -> float:
    """The root mean square of the posterior's standard deviation."""
    return float(posterior.covariance.variance.double().mean().sqrt())
