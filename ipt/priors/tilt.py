"""Tilt fields: Gaussian fields with the covariance that turbulence gives them, so that the denoiser is exact.

    E[u | z = u + sigma n] = sum_k w_k C_k (C_k + sigma^2)^(-1) z,   w_k = p_k N(z; 0, C_k + sigma^2) / sum_j ...

A component k is a shape of covariance (`ipt.linalg.tilts`) and a strength. Where they are known there is one component,
and the denoiser is a Wiener filter; where not, the noisy field itself tells them apart. Each conditional mean is that
of the frame, with nothing wrapped around, found by conjugate gradients; the weights are computed in the cosine basis,
as if its coefficients were independent, with their exact variances.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ipt.core.errors import IptError
from ipt.core.normalization import Normalization
from ipt.core.operator import Generator
from ipt.core.prior import Posterior, Prior
from ipt.linalg.conjugate_gradients import conjugate_gradients
from ipt.linalg.fields import FieldSource, StationaryField, cosine_covariance, cosines, doubled, filtered
from ipt.linalg.tilts import KolmogorovTilt, PatchTilt

_FIELDS: tuple[StationaryField, ...] = (*(KolmogorovTilt(1.0, pixel) for pixel in (0.03, 0.15, 0.7)), PatchTilt())
"""Covariances considered where none is given: turbulence, smooth over some 30, 7 and 1.5 pixels, and patches."""
_STRENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Root mean squares, in pixels, that are considered where none is given: all alike beforehand."""
_NEGLIGIBLE = 1e-4
"""Weight below which a component is left out."""
_NOMINAL = (64, 64)
"""The frame whose error stands for that of any."""


class TiltPrior(Prior):
    """A tilt field (2, H, W) in pixels of any size, exact: nothing is trained, and no tilt is out of reach.

    Args:
        strength: root mean square of a component of the tilt in pixels, or "unknown": from .25 to 4, which the noisy
            field itself decides. Default: the generator's own; without a generator, unknown.
        generator: the kind of field, with its options (tilt-kolmogorov, tilt-patches). Default: turbulence of three
            scales, and patches, which the noisy field decides.
        iterations: of conjugate gradients at most, for the exact mean on the frame; 0 is faster, with an error that is
            up to a sixth larger.
    """

    def __init__(self, strength: float | str | None = None, generator: Generator | None = None, iterations: int = 20):
        if generator is not None and not isinstance(generator, FieldSource):
            raise IptError(
                f"{type(generator).__name__} does not say what statistics its fields have; give tilt.generator "
                f"tilt-kolmogorov or tilt-patches, or take the prior `empirical`"
            )
        if not isinstance(iterations, int) or iterations < 0:
            raise IptError(f"tilt.iterations is a whole number from 0 up, not {iterations!r}")
        if strength is None:
            strength = "unknown" if generator is None else generator.field.rms
        usual = isinstance(strength, (int, float)) and not isinstance(strength, bool)
        if strength != "unknown" and not (usual and 0 < float(strength) < math.inf):
            raise IptError(f'tilt.strength is a root mean square above 0 in pixels, or "unknown", not {strength!r}')
        strengths = _STRENGTHS if strength == "unknown" else (float(strength),)
        fields = _FIELDS if generator is None else (generator.field,)
        self.iterations = iterations
        self.scale = 2.0 if strength == "unknown" else 2 * strengths[0]
        self.components = tuple(
            _Component(field, rms / field.rms / self.scale) for field in fields for rms in strengths
        )

    def normalization(self, shape: tuple[int, ...]) -> Normalization:
        if len(shape) != 3 or shape[0] != 2:
            raise IptError(f"a tilt field is (2, height, width), not {tuple(shape)}")
        return Normalization(tuple(shape), tuple(shape), self.scale, 0.0)

    def denoise(self, noisy: Tensor, sigma: float) -> Tensor:
        return self._mean(noisy, sigma, self.weights(noisy, sigma))

    def posterior(self, noisy: Tensor, sigma: float) -> Posterior:
        """With covariances in the cosine basis, the components as likely as they are."""
        weights = self.weights(noisy, sigma)
        power = self._power(noisy.detach(), weights.detach())
        left = noisy.new_full((len(noisy), 1, 1, 1), self._variance(sigma))
        return Posterior(
            self._mean(noisy, sigma, weights),
            cosine_covariance(power * sigma**2 / (power + sigma**2), left),
            prior_covariance=cosine_covariance(power),
        )

    def _mean(self, noisy: Tensor, sigma: float, weights: Tensor) -> Tensor:
        clean = torch.zeros_like(noisy)
        for component, weight in zip(self.components, weights.unbind(1), strict=True):
            (live,) = (weight > 0).nonzero(as_tuple=True)
            if len(live):
                mean = component.mean(noisy[live], sigma, self.iterations)
                clean = clean.index_add(0, live, weight[live, None, None, None] * mean)
        return clean

    def weights(self, noisy: Tensor, sigma: float) -> Tensor:
        """How likely each component is, given a noisy field, (B, components); the negligible are 0."""
        down, right = (cosines(side).to(noisy) for side in noisy.shape[-2:])
        energy = (down @ noisy @ right.T).square()
        scores = []
        for component in self.components:
            variance = (component.cosine_power(noisy) + sigma**2).to(noisy)
            # Less what is the same for all of them: at much noise little is left, which rounding must not hide.
            evidence = energy * (1 / sigma**2 - 1 / variance) - (variance / sigma**2).log()
            scores.append(0.5 * evidence.flatten(1).double().sum(1))
        weights = torch.stack(scores, 1).softmax(1)
        weights = torch.where(weights < _NEGLIGIBLE, 0, weights)
        return (weights / weights.sum(1, keepdim=True)).to(noisy)

    def _variance(self, sigma: float) -> float:
        """Mean squared error of the estimate in the cosine basis, for a frame of 64x64 and known components.

        At most a third more than the exact one.
        """
        variance = sum(
            (power * sigma**2 / (power + sigma**2)).mean()
            for power in (component.cosine_power(torch.empty(1, 2, *_NOMINAL)) for component in self.components)
        )
        return float(variance) / len(self.components)

    def _power(self, noisy: Tensor, weights: Tensor) -> Tensor:
        """Variance of the cosine coefficients, (B, 2, H, W): the components' mean, as likely as they are."""
        powers = zip(weights[..., None, None, None].unbind(1), self.components, strict=True)
        return torch.stack([weight * component.cosine_power(noisy).to(noisy) for weight, component in powers]).sum(0)


@dataclass(frozen=True)
class _Component:
    """A field whose normalised values are `gain` times those in pixels."""

    field: StationaryField
    gain: float

    def cosine_power(self, noisy: Tensor) -> Tensor:
        return self.gain**2 * self.field.cosine_power((noisy.shape[-2], noisy.shape[-1])).to(noisy.device)

    def mean(self, noisy: Tensor, sigma: float, iterations: int) -> Tensor:
        """C (C + sigma^2)^(-1) z, for z (B, 2, H, W)."""
        found: Tensor = _Wiener.apply(noisy, self, sigma, iterations)  # type: ignore[no-untyped-call]
        return found


class _Wiener(torch.autograd.Function):
    """The map is linear and symmetric, so that it is its own derivative's transpose."""

    @staticmethod
    def forward(ctx: Any, noisy: Tensor, component: _Component, sigma: float, iterations: int) -> Tensor:
        ctx.arguments = component, sigma, iterations
        return _wiener(noisy, component, sigma, iterations)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        return _Wiener.apply(gradients[0], *ctx.arguments), None, None, None  # type: ignore[no-untyped-call]


def _wiener(noisy: Tensor, component: _Component, sigma: float, iterations: int) -> Tensor:
    # What is certain and what is free in a smooth field lie six decades apart.
    right = noisy if noisy.device.type == "mps" else noisy.double()
    down, across = (cosines(side).to(right) for side in right.shape[-2:])
    power = component.cosine_power(right).to(right)

    def precondition(field: Tensor) -> Tensor:
        return down.T @ (down @ field @ across.T / (power + sigma**2)) @ across

    start = precondition(right)
    if iterations:
        spectrum = component.gain**2 * component.field.embedding((right.shape[-2], right.shape[-1]))
        size = doubled(right.shape)

        def apply(field: Tensor) -> Tensor:
            return filtered(spectrum, field, size) + sigma**2 * field

        # The more noise, the nearer the first guess: at a level of twice the field's, seven are enough.
        needed = 3 + math.ceil(8 * component.gain * component.field.rms / sigma)
        start = conjugate_gradients(apply, right, start, min(iterations, needed), precondition)
    return (right - sigma**2 * start).to(noisy)
