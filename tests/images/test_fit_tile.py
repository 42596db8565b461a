"""Pictures larger than what a prior takes, in tiles, at sizes of which the half is smaller than a tile."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ipt.core.prior import Prior
from ipt.core.solver import Solver
from ipt.guidance.proximal import Proximal
from ipt.images.fit import fit
from ipt.linalg.normalization import Normalization
from ipt.operators.blur import Blur
from ipt.operators.blur.kernels import MotionKernels
from ipt.priors.analytic import GaussianPrior
from ipt.sampling.multiscale import Multiscale
from ipt.sampling.schedules import Karras


class Squares(GaussianPrior):
    """As a plugin's prior may be: it refuses what it does not take with the ValueError that the contract asks for."""

    def __init__(self, side: int, at_least: int = 1):
        super().__init__()
        self.side, self.at_least = side, at_least

    def normalization(self, shape: tuple[int, ...]) -> Normalization:
        if not self.at_least <= shape[-1] <= self.side:
            raise ValueError(f"it takes {self.at_least} to {self.side} px")
        return super().normalization(shape)


def blurred(height: int, width: int) -> Tensor:
    rows, columns = torch.meshgrid(torch.linspace(0, 9, height), torch.linspace(0, 12, width), indexing="ij")
    sharp = torch.stack([0.5 + 0.3 * (rows + i).sin() * columns.cos().sign() for i in range(3)])
    kernel = MotionKernels(extent=(9, 12)).sample([3], (1, 25, 25))
    return Blur(25, "reflect").forward(sharp[None], kernel=kernel)[0]


@pytest.mark.parametrize(
    ("prior", "size", "sizes"),
    [
        (Squares(32, at_least=32), (40, 54), [(40, 54)]),
        (Squares(32, at_least=32), (64, 70), [(32, 35), (64, 70)]),
    ],
    ids=["half is smaller than a tile", "half is a tile"],
)
def test_a_solve_in_tiles_begins_with_the_smallest_size_that_tiles_fit_into(prior: Prior, size, sizes):
    fitted = fit(blurred(*size), prior, "tile")
    priors = {"image": fitted.prior, "kernel": GaussianPrior()}
    solver = Multiscale(Solver(Blur(25, "reflect"), priors, Proximal(), Karras(6)))
    solution = solver.solve(fitted.pixels[None], 0.01)
    assert solution.image.shape == (1, 3, *size) and torch.isfinite(solution.image).all()
    assert [tuple(found[:2]) for found in solution.sizes] == sizes
