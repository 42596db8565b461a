"""Mixtures of stationary Gaussian random fields as priors, with an exact denoiser.

    E[u | z = u + sigma n] = sum_k w_k C_k (C_k + sigma^2)^(-1) z,   w_k = p_k N(z; 0, C_k + sigma^2) / sum_j ...

A component k of the mixture is a covariance C_k of given shape and strength. With one component the denoiser is a
Wiener filter; with several, the noisy field decides between them. Each conditional mean is that of the frame without
periodic wrapping, by conjugate gradients. The weights w_k are computed in the cosine basis, as if its coefficients were
independent, with their exact variances.
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
"""The frame whose mean squared error is used for frames of all sizes."""
_WIDE = 2**17
"""Pixels of a frame above which the cosine basis is exact enough, because its errors are at the edges."""


class FieldPrior(Prior):
    """A mixture of Gaussian fields with n channels, (n, H, W) of any size, or of m independent ones, (m n, H, W).

    Args:
        components: the fields of the mixture, equally likely, all with the same n.
        iterations: most conjugate gradient iterations for the exact mean on the frame, from 0 up; none are made on
            frames of 2^17 pixels and more.

    Raises:
        IptError: a number of iterations that is none.
    """

    def __init__(self, components: Sequence[MixtureComponent], iterations: int):
        if not isinstance(iterations, int) or isinstance(iterations, bool) or iterations < 0:
            raise IptError(f"iterations is a whole number from 0 up, not {iterations!r}")
        self.components, self.iterations = tuple(components), iterations
        self._channels = self.components[0].channels

    def denoise(self, noisy: Tensor, sigma: float) -> Tensor:
        each = self._independent(noisy)

        def mean(rows: slice) -> Tensor:
            return self._mean(each[rows], sigma, self.weights(each[rows], sigma))

        return in_chunks(mean, each.shape).reshape(noisy.shape)

    def posterior(self, noisy: Tensor, sigma: float) -> Posterior:
        """With covariances that are diagonal in the cosine basis, averaged over the components by their weights."""
        each = self._independent(noisy)
        weights = in_chunks(lambda rows: self.weights(each[rows], sigma), each.shape)
        mean = in_chunks(lambda rows: self._mean(each[rows], sigma, weights[rows]), each.shape)
        power = self._power(each.detach(), weights.detach()).reshape(noisy.shape)
        variance = noisy.new_full((len(noisy), 1, 1, 1), self._variance(sigma))
        return Posterior(
            mean.reshape(noisy.shape),
            cosine_covariance(power * sigma**2 / (power + sigma**2), variance),
            prior_covariance=cosine_covariance(power),
        )

    def _independent(self, noisy: Tensor) -> Tensor:
        """Independent fields as a batch, (B, m n, H, W) -> (B m, n, H, W)."""
        return noisy.reshape(-1, self._channels, *noisy.shape[-2:])

    def _mean(self, noisy: Tensor, sigma: float, weights: Tensor) -> Tensor:
        """The conditional means of the components, averaged by their weights (B, components)."""
        clean = torch.zeros_like(noisy)
        for component, weight in zip(self.components, weights.unbind(1), strict=True):
            (kept,) = (weight > 0).nonzero(as_tuple=True)
            if len(kept):
                mean = component.mean(noisy[kept], sigma, self.iterations)
                clean = clean.index_add(0, kept, weight[kept, None, None, None] * mean)
        return clean

    def weights(self, noisy: Tensor, sigma: float) -> Tensor:
        """Posterior probabilities of the components given noisy fields, (B, components); negligible ones are 0."""
        down, right = (cosines(side).to(noisy) for side in noisy.shape[-2:])
        energy = (down @ noisy @ right.T).square()
        scores = []
        for component in self.components:
            variance = (component.cosine_power(noisy) + sigma**2).to(noisy)
            # The part that is the same for all components is subtracted: at high noise levels the rest is small, and
            # rounding must not hide it.
            evidence = energy * (1 / sigma**2 - 1 / variance) - (variance / sigma**2).log()
            scores.append(0.5 * evidence.flatten(1).double().sum(1))
        weights = torch.stack(scores, 1).softmax(1)
        weights = torch.where(weights < _NEGLIGIBLE, 0, weights)
        return (weights / weights.sum(1, keepdim=True)).to(noisy)

    def _variance(self, sigma: float) -> float:
        """Mean squared error of the estimate in the cosine basis, for a frame of 64x64 and known components.

        It is at most a third above the exact error.
        """
        frame = torch.empty(1, self._channels, *_NOMINAL)
        powers = (component.cosine_power(frame) for component in self.components)
        variance = sum((power * sigma**2 / (power + sigma**2)).mean() for power in powers)
        return float(variance) / len(self.components)

    def _power(self, noisy: Tensor, weights: Tensor) -> Tensor:
        """Variances of the cosine coefficients, (B, n, H, W), averaged over the components by their weights."""
        total = torch.zeros_like(noisy)
        for component, weight in zip(self.components, weights.unbind(1), strict=True):
            if (weight > 0).any():
                total += weight[:, None, None, None] * component.cosine_power(noisy).to(noisy)
        return total


@dataclass(frozen=True)
class MixtureComponent:
    """A stationary field in normalized units.

    Attributes:
        field: the field in physical units.
        gain: normalized over physical values.
    """

    field: StationaryField
    gain: float

    @property
    def channels(self) -> int:
        """n, the number of the field's channels."""
        return len(self.field.covariance(torch.zeros(()), torch.zeros(())))

    def cosine_power(self, noisy: Tensor) -> Tensor:
        """Variances of the cosine coefficients on the frame of `noisy`, (n, H, W) float64, normalized."""
        return self.gain**2 * self.field.cosine_power((noisy.shape[-2], noisy.shape[-1])).to(noisy.device)

    def mean(self, noisy: Tensor, sigma: float, iterations: int) -> Tensor:
        """C (C + sigma^2)^(-1) z, for z (B, n, H, W)."""
        found: Tensor = _Wiener.apply(noisy, self, sigma, iterations)  # type: ignore[no-untyped-call]
        return found


class _Wiener(torch.autograd.Function):
    """The Wiener filter with its derivative: it is linear and symmetric, so the backward pass is the same map."""

    @staticmethod
    def forward(ctx: Any, noisy: Tensor, component: MixtureComponent, sigma: float, iterations: int) -> Tensor:
        ctx.arguments = component, sigma, iterations
        return _wiener(noisy, component, sigma, iterations)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        return _Wiener.apply(gradients[0], *ctx.arguments), None, None, None  # type: ignore[no-untyped-call]


def _wiener(noisy: Tensor, component: MixtureComponent, sigma: float, iterations: int) -> Tensor:
    wide = noisy.shape[-2] * noisy.shape[-1] >= _WIDE
    # Double precision, because the variances of a smooth field span six decades. Apple's GPUs have none.
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

        # The higher the noise level, the better the first guess: at twice the field's rms, seven iterations are enough.
        needed = 3 + math.ceil(8 * component.gain * component.field.rms / sigma)
        start = conjugate_gradients(apply, right, start, min(iterations, needed), precondition)
    return (right - sigma**2 * start).to(noisy)
