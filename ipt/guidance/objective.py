"""The objective of a Gauss-Newton step, in whitened unknowns.

f(z) = (y - A(u))' M S^-1 M (y - A(u)) + ||z||^2,     u = mean + L z,     covariance of the belief C = L L'
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ipt.core.abilities import Belief
from ipt.core.observation import Observation
from ipt.core.operator import ParametricOperator, Unknowns
from ipt.guidance.tangent import Tangent
from ipt.guidance.whitening import InverseCovariance

Predict = Callable[[Unknowns], Tensor]
"""From unknowns to the measurement that they predict."""


class Whitened:
    """Several unknowns as one whitened vector for each image, z (B, N), with u = mean + L z."""

    def __init__(self, beliefs: Mapping[str, Belief]):
        self.means = {name: belief.mean.detach() for name, belief in beliefs.items()}
        self.roots = {name: belief.covariance.root for name, belief in beliefs.items()}
        self._origins = {name: belief.covariance.origin(self.means[name]) for name, belief in beliefs.items()}

    def origin(self) -> Tensor:
        """The vector z of the means: zeros, (B, N)."""
        return torch.cat([zeros.flatten(1) for zeros in self._origins.values()], 1)

    def unknowns(self, point: Tensor) -> Unknowns:
        """The unknowns of a vector z."""
        pieces = point.split([zeros[0].numel() for zeros in self._origins.values()], 1)
        return {
            name: mean + self.roots[name](piece.reshape(self._origins[name].shape))
            for (name, mean), piece in zip(self.means.items(), pieces, strict=True)
        }


class Objective:
    """The objective as a function of the whitened unknowns z (B, N).

    Args:
        operator: the operator, which errors name.
        predict: from unknowns to the measurement that they predict.
        observation: what was measured.
        inverse_covariance: inverse covariance S^-1 of the residual.
        beliefs: the beliefs about the unknowns.
    """

    def __init__(
        self,
        operator: ParametricOperator,
        predict: Predict,
        observation: Observation,
        inverse_covariance: InverseCovariance,
        beliefs: Whitened,
    ):
        self.operator, self.beliefs, self.inverse_covariance = operator, beliefs, inverse_covariance
        self._predict, self._mask = predict, observation.mask
        self.target = self._masked(observation.measurement)

    def _masked(self, value: Tensor) -> Tensor:
        return value if self._mask is None else self._mask * value

    def predicted(self, point: Tensor) -> Tensor:
        """M A(u), (B, C, H, W)."""
        return self._masked(self._predict(self.beliefs.unknowns(point)))

    def tangent(self, point: Tensor) -> Tangent:
        """The tangent of `predicted`."""
        return Tangent.at(point, self.predicted, self.operator, ", ".join(self.beliefs.means))

    def value(self, predicted: Tensor, point: Tensor) -> Tensor:
        """The objective of each image, (B, 1), at a point whose prediction this is."""
        residual = self.target - predicted
        data = (residual * self.inverse_covariance(residual)).flatten(1).sum(1, keepdim=True)
        return data + point.square().sum(1, keepdim=True)

    def descent(self, tangent: Tangent, point: Tensor) -> Tensor:
        """Half of the negative gradient, (B, N)."""
        return tangent.transposed(self.inverse_covariance(self.target - tangent.value)) - point

    def curvature(self, tangent: Tangent, damping: Tensor) -> Callable[[Tensor], Tensor]:
        """The map v -> (J' S^-1 J + I + damping I) v."""

        def apply(vector: Tensor) -> Tensor:
            return tangent.transposed(self.inverse_covariance(tangent.forward(vector))) + (1 + damping) * vector

        return apply
