"""What the unknowns must explain: the one place where normalised variables and physical quantities meet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from ipt.core.charts import Chart
from ipt.core.interfaces import IMAGE, ParametricOperator, Unknowns


@dataclass(frozen=True)
class Problem:
    """y = A_phi(x) + n, with y given.

    measurement: (B, C, H, W) in 0..1. noise: standard deviation of n, (B, 1, 1, 1), in the same units. charts: of every
    unknown, "image" first. known: parameters that are given, physical.
    """

    measurement: Tensor
    noise: Tensor
    operator: ParametricOperator
    charts: Mapping[str, Chart]
    known: Mapping[str, Tensor] = field(default_factory=dict)

    def physical(self, unknowns: Mapping[str, Tensor]) -> Unknowns:
        """Normalised unknowns -> valid physical ones: the image, and the constrained parameters, known ones
        included."""
        image = self.charts[IMAGE].physical(unknowns[IMAGE])
        loose = {name: self.charts[name].physical(value) for name, value in unknowns.items() if name != IMAGE}
        return {IMAGE: image, **self.operator.constrain({**loose, **self.known})}

    def predict(self, unknowns: Mapping[str, Tensor]) -> Tensor:
        """The measurement that normalised unknowns would give, without noise; differentiable."""
        physical = self.physical(unknowns)
        return self.operator.forward(physical.pop(IMAGE), **physical)

    def residual(self, unknowns: Mapping[str, Tensor]) -> Tensor:
        """measurement - predict(unknowns), (B, C, H, W); differentiable."""
        return self.measurement - self.predict(unknowns)


def norm(tensor: Tensor) -> Tensor:
    """Euclidean norm an image, (B,)."""
    return tensor.flatten(1).norm(dim=1)


def rms(tensor: Tensor) -> Tensor:
    """Root mean square an image, (B,)."""
    return tensor.flatten(1).square().mean(1).sqrt()
