"""Kernels that are given: of any size, and scaled with their picture."""

from __future__ import annotations

import pytest
import torch

from ipt.core.errors import IptError
from ipt.core.solver import Solver
from ipt.guidance.proximal import Proximal
from ipt.operators.blur import Blur
from ipt.operators.blur.centring import off_centre, rescaled
from ipt.operators.frames import Frames
from ipt.operators.turbulence import Turbulence
from ipt.priors.analytic import GaussianPrior
from ipt.sampling.schedules import Karras


def line(side: int) -> torch.Tensor:
    return torch.eye(side)[None, None] / side


@pytest.mark.parametrize("scale", [0.3, 0.5, 1.0, 1.7, 3.0])
@pytest.mark.parametrize("sides", [(17, 17), (8, 5), (1, 9)])
def test_a_scaled_kernel_keeps_its_sum_and_its_centroid_moves_in_proportion(sides, scale):
    kernel = torch.rand(2, 1, *sides, generator=torch.Generator().manual_seed(1))
    found = rescaled(kernel, scale)
    assert all(side % 2 for side in found.shape[-2:])
    torch.testing.assert_close(found.sum((1, 2, 3)), kernel.sum((1, 2, 3)))
    torch.testing.assert_close(off_centre(found), scale * off_centre(kernel), rtol=0, atol=1e-4)


def test_a_scaled_motion_is_that_of_the_scaled_picture():
    """17 px along the diagonal are 8.5 where the picture is half as large."""
    found = rescaled(line(17), 0.5)[0, 0]
    rows = torch.arange(len(found)) - len(found) // 2
    spread = ((found.sum(1) * rows**2).sum() / found.sum()).sqrt()
    # A line has the standard deviation length / sqrt(12); the bilinear pixel adds a little.
    assert spread.item() == pytest.approx(8.5 / 12**0.5, rel=0.1)
    assert found.diagonal().sum() > 0.5 and found[rows.abs()[:, None] + rows.abs() == 1].sum() < 0.15


@pytest.mark.parametrize("operator", [Blur(), Turbulence(), Frames(Blur(), 1)], ids=["blur", "turbulence", "frames"])
def test_an_operator_holds_the_kernel_that_is_given(operator):
    made = operator.resized({"kernel": line(33)})
    shape = made.image_shape((1, 40, 40))
    assert made.parameters(shape)["kernel"].shape == (1, 33, 33)
    assert shape[-1] >= 40 + 2 * 16


def test_a_window_that_was_chosen_does_not_shrink():
    assert Blur(21).resized({"kernel": line(9)}).kernel_size == (21, 21)
    assert Blur().resized({}) == Blur()


def test_a_tilt_cannot_be_scaled():
    with pytest.raises(IptError, match="fit="):
        Turbulence().rescaled({"tilt": torch.zeros(1, 2, 8, 8)}, 0.5)


@pytest.mark.parametrize("side", [5, 33])
def test_the_library_solves_with_a_kernel_of_any_size(side):
    solver = Solver(Blur(), {"image": GaussianPrior()}, Proximal(), Karras(3))
    made = Blur(side)
    image = torch.rand(made.image_shape((1, 40, 40)), generator=torch.Generator().manual_seed(0))[None]
    measurement = made.forward(image, kernel=line(side))
    solution = solver.solve(measurement, 0.01, known={"kernel": line(side)})
    assert solution.image.shape == (1, 1, 40, 40) and solution.residual < 0.03


@pytest.mark.parametrize(
    ("kernel", "says"),
    [
        (-line(5), "no valid one"),
        (line(5) * 1j, "complex"),
        (torch.full((1, 1, 5, 5), torch.nan), "NaN"),
        (0 * line(5), r"no valid one \(point spread function, sums to 1\).*check its values and their signs"),
        (line(5) * torch.tensor([1, -1, 1, -1, 1]), "no valid one"),
        (line(5).expand(1, 3, 5, 5), r"is \(1, 3, 5, 5\), the operator's is \(1, 1, 5, 5\)"),
        (line(5)[0], r"is \(1, 5, 5\), the operator's"),
        (torch.ones(1, 1, 25, 25), "a kernel of 25 x 25 px is larger than the picture of 24 x 24 px"),
    ],
)
def test_what_is_no_kernel_is_refused(kernel, says):
    solver = Solver(Blur(), {"image": GaussianPrior()}, Proximal())
    with pytest.raises(IptError, match=says):
        solver.problem(torch.rand(1, 1, 24, 24), 0.01, known={"kernel": kernel})


def test_a_kernel_with_a_little_noise_is_one():
    noisy = line(9) + 0.01 * torch.randn(1, 1, 9, 9, generator=torch.Generator().manual_seed(0))
    assert noisy.min() < 0
    solver = Solver(Blur(), {"image": GaussianPrior()}, Proximal())
    solver.problem(torch.rand(1, 1, 24, 24), 0.01, known={"kernel": noisy})


def test_a_kernel_on_another_scale_is_one():
    problem = Solver(Blur(), {"image": GaussianPrior()}, Proximal()).problem(
        torch.rand(1, 1, 24, 24), 0.01, known={"kernel": 255 * line(5)}
    )
    valid = problem.operator.constrain(problem.known)["kernel"]
    torch.testing.assert_close(valid, line(5))
