"""A prior refuses a shape by ValueError, as its contract says; a plugin's knows no IptError."""

from __future__ import annotations

import pytest
import torch

from ipt.core.errors import IptError
from ipt.core.solver import Solver
from ipt.guidance.proximal import Proximal
from ipt.linalg.normalization import Normalization
from ipt.operators.blur import Blur
from ipt.priors.analytic import GaussianPrior
from ipt.sampling.multiscale import Multiscale
from ipt.sampling.schedules import Karras

MEASUREMENT = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))


class Large(GaussianPrior):
    """Of at least 20 pixels."""

    def normalization(self, shape: tuple[int, ...]) -> Normalization:
        if shape[-1] < 20:
            raise ValueError("at least 20 px")
        return super().normalization(shape)


def solver(kernel_size: int) -> Multiscale:
    priors = {"image": GaussianPrior(), "kernel": Large()}
    return Multiscale(Solver(Blur(kernel_size, "reflect"), priors, Proximal(), Karras(6)))


def test_a_refusal_is_an_ipt_error_that_names_the_unknown():
    with pytest.raises(IptError, match=r"the prior of 'kernel' does not take \(1, 15, 15\): at least 20 px"):
        solver(15).solve(MEASUREMENT)


def test_a_solve_stays_at_the_sizes_that_every_prior_takes():
    solution = solver(25).solve(MEASUREMENT, 0.01)
    assert [tuple(found[:2]) for found in solution.sizes] == [(64, 64)]
