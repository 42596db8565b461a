"""What the data cannot tell is as the operator's convention has it: kernels centred, pictures moved accordingly."""

from __future__ import annotations

import pytest
import torch

from ipt.core.prior import Posterior, Prior
from ipt.core.solver import Solver
from ipt.guidance.proximal import Proximal
from ipt.linalg.covariances import Isotropic
from ipt.linalg.normalization import Normalization
from ipt.operators.blur import BORDERS, Blur
from ipt.operators.blur.centring import moved, off_centre

SIDES = (9, 10)


def bump(down: float, right: float, size: tuple[int, int] = SIDES) -> torch.Tensor:
    """A kernel (1, 1, h, w) with its centroid so far from the centre pixel."""
    rows = torch.arange(size[0], dtype=torch.float64)[:, None] - size[0] // 2 - down
    columns = torch.arange(size[1], dtype=torch.float64) - size[1] // 2 - right
    kernel = (-(rows**2 + columns**2) / 2).exp()
    return (kernel / kernel.sum())[None, None]


def smooth(height: int = 24, width: int = 26) -> torch.Tensor:
    rows, columns = torch.arange(height, dtype=torch.float64)[:, None], torch.arange(width, dtype=torch.float64)
    waves = [torch.sin(rows / a + columns / b + a) for a, b in ((2.5, 4.0), (3.0, -3.5), (5.0, 2.8))]
    return 0.5 + 0.15 * torch.stack(waves)[None]


def test_how_far_a_kernel_is_off_its_centre():
    kernels = torch.cat([bump(0.4, -0.3), bump(0.0, 0.0), torch.full((1, 1, *SIDES), torch.nan).double()])
    found = off_centre(kernels)
    torch.testing.assert_close(found[:2], torch.tensor([[0.4, -0.3], [0.0, 0.0]]).double(), atol=0.01, rtol=0)
    assert torch.equal(found[2], torch.zeros(2).double())


@pytest.mark.parametrize("shift", [(1.0, -2.0), (0.3, 0.45), (0.0, 0.0)])
def test_a_kernel_is_moved_by_parts_of_a_pixel(shift):
    found = moved(bump(0.0, 0.0, (17, 18)), torch.tensor([shift]))
    torch.testing.assert_close(found, bump(*shift, (17, 18)), atol=5e-4, rtol=0)


def test_a_picture_that_goes_around_comes_back():
    picture = torch.rand(2, 3, 12, 11, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    shift = torch.tensor([[3.0, -2.0], [0.0, 5.0]])
    expected = torch.stack([picture[0].roll((3, -2), (-2, -1)), picture[1].roll((0, 5), (-2, -1))])
    torch.testing.assert_close(moved(picture, shift, wrap=True), expected)


@pytest.mark.parametrize("border", BORDERS)
def test_the_measurement_is_explained_as_before_and_the_kernel_is_centred(border):
    operator, kernel = Blur(SIDES, border), bump(0.4, -0.3)
    image = smooth(*operator.image_shape((1, 24, 26))[1:])
    before = operator.forward(image, kernel)
    other, parameters = operator.canonicalize(image, {"kernel": kernel})
    assert off_centre(parameters["kernel"]).abs().max() < 0.02
    assert parameters["kernel"].min() >= 0 and parameters["kernel"].sum() == pytest.approx(1)
    assert (other - image).abs().max() > 0.03
    inner = (..., slice(10, -10), slice(10, -10))
    after = operator.forward(other, parameters["kernel"])
    assert (after - before)[inner].abs().max() < 2e-3
    if border == "circular":
        assert (after - before).abs().max() < 2e-3


def test_an_image_at_a_time():
    image, kernels = torch.cat([smooth(), smooth().flip(-1)]), torch.cat([bump(0.4, 0.1), bump(-0.2, -0.4)])
    together, parameters = Blur(SIDES).canonicalize(image, {"kernel": kernels})
    for index in range(2):
        one = slice(index, index + 1)
        alone, own = Blur(SIDES).canonicalize(image[one], {"kernel": kernels[one]})
        torch.testing.assert_close(alone, together[one])
        torch.testing.assert_close(own["kernel"], parameters["kernel"][one])


class Certain(Prior):
    """Knows the clean variable."""

    def __init__(self, value: torch.Tensor, scale: float, offset: float):
        self.value, self.scale, self.offset = value, scale, offset

    def normalization(self, shape):
        return Normalization(shape, shape, self.scale, self.offset)

    def denoise(self, noisy, sigma):
        return self.value.expand_as(noisy)

    def posterior(self, noisy, sigma):
        return Posterior(self.denoise(noisy, sigma), Isotropic.like(noisy, 1e-3))


@pytest.mark.parametrize("known", [False, True])
def test_a_solution_is_canonical_unless_the_kernel_was_given(known):
    kernel, image = bump(0.4, -0.3), smooth()
    operator = Blur(SIDES, "circular")
    measured = operator.forward(image, kernel)
    priors = {"image": Certain(2 * image - 1, 0.5, 0.5), "kernel": Certain(kernel / kernel.max(), 1.0, 0.0)}
    given = {"kernel": kernel} if known else {}
    solver = Solver(operator, {name: prior for name, prior in priors.items() if name not in given}, Proximal())
    solution = solver.solve(measured, 0.01, known=given)
    found = off_centre(solution.parameters["kernel"] if not known else kernel).abs().max()
    assert (found < 0.05) != known
    assert ((solution.image - image).abs().max() < 0.02) == known
    assert solution.residual.item() < 0.02
