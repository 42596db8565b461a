"""A prior of kernels of short exposures through turbulence: physical kernels of many apertures and strengths."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.core.errors import IptError
from ipt.core.operator import Generator
from ipt.linalg.point_spreads import odd, point_spread
from ipt.linalg.random import stream
from ipt.priors.empirical import EmpiricalPrior


class AtmospherePrior(EmpiricalPrior):
    """Round point spread functions of an aperture behind Kolmogorov turbulence, of any size, with an exact denoiser.

    Args:
        d_over_r0: aperture over Fried's parameter, (low, high), log-uniform.
        cutoff: highest frequency that the aperture transmits, (low, high) in cycles per pixel, log-uniform. .5 is the
            highest that pixels can represent; below it the picture is sampled more finely than the aperture resolves.
        count: number of samples.
        floor: as in `empirical`.

    Raises:
        IptError: an interval that does not lie above 0.
    """

    def __init__(
        self,
        d_over_r0: tuple[float, float] = (0.2, 8.0),
        cutoff: tuple[float, float] = (0.15, 0.7),
        count: int = 1000,
        floor: float = 0.05,
    ):
        for name, (low, high) in (("d_over_r0", d_over_r0), ("cutoff", cutoff)):
            if not 0 < low <= high < math.inf:
                raise IptError(f"{name} is (low, high) above 0, not ({low}, {high})")
        super().__init__(generator=_PointSpreads(d_over_r0, cutoff), count=count, floor=floor)


class _PointSpreads(Generator):
    """Draws of these point spread functions, cut to the window and normalised to sum 1."""

    def __init__(self, *intervals: tuple[float, float]):
        self._logarithms = torch.tensor(intervals, dtype=torch.float64).log()

    def sample(self, seeds: Sequence[int], shape: tuple[int, ...]) -> Tensor:
        drawn = torch.stack([torch.rand(2, generator=stream(seed, "point spread")) for seed in seeds]).double()
        low, high = self._logarithms.unbind(1)
        ratio, cutoff = (low + (high - low) * drawn).exp().unbind(1)
        sides = odd(shape)
        kernels = point_spread(ratio, cutoff, sides).clamp(min=0)
        kernels = kernels / kernels.sum((-2, -1), keepdim=True)
        return F.pad(kernels, (shape[-1] - sides[1], 0, shape[-2] - sides[0], 0))[:, None].float()
