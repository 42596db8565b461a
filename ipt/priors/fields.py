"""Gaussian random fields of which some are considered: mixtures of stationary covariances, with an exact denoiser.

    E[u | z = u + sigma n] = sum_k w_k C_k (C_k + sigma^2)^(-1) z,   w_k = p_k N(z; 0, C_k + sigma^2) / sum_j ...

A component k is a shape of covariance and a strength. Where they are known there is one component, and the denoiser is
a Wiener filter; where not, the noisy field itself tells them apart. Each conditional mean is that of the frame, with
nothing wrapped around, found by conjugate gradients; the weights are computed in the cosine basis, as if its
coefficients were independent, with their exact variances.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ipt.core.errors import IptError
from ipt.core.prior import Posterior, Prior
from ipt.linalg.chunks import in_chunks
from ipt.linalg.conjugate_gradients import conjugate_gradients
from ipt.linalg.fields import StationaryField, cosine_covariance, cosines, doubled, filtered

_NEGLIGIBLE = 1e-4
"""Weight below which a component is left out."""
_NOMINAL = (64, 64)
"""The frame whose error stands for that of any."""
_WIDE = 2**17
"""Pixels of a frame whose edges, where the cosine basis errs, are so little of it that it is left at that."""


class FieldPrior(Prior):
    """Fields of n components (n, H, W), or several such, independent, above each other, (m n, H, W), of any size.

    Args:
        components: considered, of fields with the same n; all alike beforehand.
        iterations: of conjugate gradients at most, for the exact mean on the frame; none on frames of 2^17 pixels and
            more.
    """

    def __init__(self, components: Sequence[Component], iterations: int):
        if not isinstance(iterations, int) or isinstance(iterations, bool) or iterations < 0:
            raise IptError(f"iterations is a whole number from 0 up, not {iterations!r}")
        self.components, self.iterations = tuple(components), iterations
        self._count = self.components[0].count

    def denoise(self, noisy: Tensor, sigma: float) -> Tensor:
        each = self._each(noisy)

        def mean(rows: slice) -> Tensor:
            return self._mean(each[rows], sigma, self.weights(each[rows], sigma))

        return in_chunks(mean, each.shape).reshape(noisy.shape)

    def posterior(self, noisy: Tensor, sigma: float) -> Posterior:
        """With covariances in the cosine basis, the components as likely as they are."""
        each = self._each(noisy)
        weights = in_chunks(lambda rows: self.weights(each[rows], sigma), each.shape)
        mean = in_chunks(lambda rows: self._mean(each[rows], sigma, weights[rows]), each.shape)
        power = self._power(each.detach(), weights.detach()).reshape(noisy.shape)
        left = noisy.new_full((len(noisy), 1, 1, 1), self._variance(sigma))
        return Posterior(
            mean.reshape(noisy.shape),
            cosine_covariance(power * sigma**2 / (power + sigma**2), left),
            prior_covariance=cosine_covariance(power),
        )

    def _each(self, noisy: Tensor) -> Tensor:
        """(B, m n, H, W) -> (B m, n, H, W)."""
        return noisy.reshape(-1, self._count, *noisy.shape[-2:])

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
            for power in (
                component.cosine_power(torch.empty(1, self._count, *_NOMINAL)) for component in self.components
            )
        )
        return float(variance) / len(self.components)

    def _power(self, noisy: Tensor, weights: Tensor) -> Tensor:
        """Variance of the cosine coefficients, (B, n, H, W): the components' mean, as likely as they are."""
        total = torch.zeros_like(noisy)
        for component, weight in zip(self.components, weights.unbind(1), strict=True):
            if (weight > 0).any():
                total += weight[:, None, None, None] * component.cosine_power(noisy).to(noisy)
        return total


@dataclass(frozen=True)
class Component:
    """A field whose normalised values are `gain` times those in pixels."""

    field: StationaryField
    gain: float

    @property
    def count(self) -> int:
        """Components of the field."""
        return len(self.field.covariance(torch.zeros(()), torch.zeros(())))

    def cosine_power(self, noisy: Tensor) -> Tensor:
        return self.gain**2 * self.field.cosine_power((noisy.shape[-2], noisy.shape[-1])).to(noisy.device)

    def mean(self, noisy: Tensor, sigma: float, iterations: int) -> Tensor:
        """C (C + sigma^2)^(-1) z, for z (B, n, H, W)."""
        found: Tensor = _Wiener.apply(noisy, self, sigma, iterations)  # type: ignore[no-untyped-call]
        return found


class _Wiener(torch.autograd.Function):
    """The map is linear and symmetric, so that it is its own derivative's transpose."""

    @staticmethod
    def forward(ctx: Any, noisy: Tensor, component: Component, sigma: float, iterations: int) -> Tensor:
        ctx.arguments = component, sigma, iterations
        return _wiener(noisy, component, sigma, iterations)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        return _Wiener.apply(gradients[0], *ctx.arguments), None, None, None  # type: ignore[no-untyped-call]


def _wiener(noisy: Tensor, component: Component, sigma: float, iterations: int) -> Tensor:
    wide = noisy.shape[-2] * noisy.shape[-1] >= _WIDE
    # What is certain and what is free in a smooth field lie six decades apart.
    right = noisy if wide or noisy.device.type == "mps" else noisy.double()
    down, across = (cosines(side).to(right) for side in right.shape[-2:])
    power = component.cosine_power(right).to(right)

    def precondition(field: Tensor) -> Tensor:
        return down.T @ (down @ field @ across.T / (power + sigma**2)) @ across

    start = precondition(right)
    if iterations and not wide:
        spectrum = component.gain**2 * component.field.embedding((right.shape[-2], right.shape[-1]))
        size = doubled(right.shape)

        def apply(field: Tensor) -> Tensor:
            return filtered(spectrum, field, size) + sigma**2 * field

        # The more noise, the nearer the first guess: at a level of twice the field's, seven are enough.
        needed = 3 + math.ceil(8 * component.gain * component.field.rms / sigma)
        start = conjugate_gradients(apply, right, start, min(iterations, needed), precondition)
    return (right - sigma**2 * start).to(noisy)
