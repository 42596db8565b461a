"""Pictures larger than what a prior takes, in tiles, at sizes of which the half is smaller than a tile."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ipt.core.charts import Chart
from ipt.core.interfaces import Prior
from ipt.core.schedules import Karras
from ipt.core.solver import Solver
from ipt.guidance.proximal import Proximal
from ipt.images.fit import fit
from ipt.operators.blur import Blur
from ipt.operators.kernels import MotionKernels
from ipt.priors.analytic import GaussianPrior


class Squares(GaussianPrior):
    """As a plugin's prior may be: it refuses what it does not take with the ValueError that the contract asks for."""

    def __init__(self, side: int, at_least: int = 1):
        super().__init__()
        self.side, self.at_least = side, at_least

    def chart(self, physical_shape: tuple[int, ...]) -> Chart:
        if not self.at_least <= physical_shape[-1] <= self.side:
            raise ValueError(f"it takes {self.at_least} to {self.side} px")
        return super().chart(physical_shape)


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
    solver = Solver(Blur(25, "reflect"), {"image": fitted.prior, "kernel": GaussianPrior()}, Proximal(), Karras(6))
    solution = solver.solve(fitted.pixels[None], 0.01)
    assert solution.image.shape == (1, 3, *size) and torch.isfinite(solution.image).all()
    assert [tuple(found[:2]) for found in solution.sizes] == sizes
