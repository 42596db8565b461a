"""Turbulence is its two parts in the order that is said."""

from __future__ import annotations

import pytest
import torch

import ipt
from ipt.core.errors import IptError
from ipt.operators.blur import BORDERS, Blur
from ipt.operators.turbulence import ORDERS, Turbulence
from ipt.operators.turbulence.warp import warp
from ipt.priors.tilt import TiltPrior


def _random(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def _kernels(batch, seed=3):
    kernel = _random(batch, 1, 3, 4, seed=seed).abs()
    return kernel / kernel.sum((-2, -1), keepdim=True)


def _behind(sides, border, frame):
    """(height, width) of the image behind a frame."""
    return Turbulence(sides, border).image_shape((1, *frame))[1:]


@pytest.mark.parametrize("border", BORDERS)
def test_the_orders(border):
    shape = _behind((3, 4), border, (8, 9))
    image, kernel, tilt = _random(2, 3, *shape), _kernels(2), 2 * _random(2, 2, *shape, seed=1)
    blur = Blur((3, 4), border)
    first = blur.forward(warp(image, tilt, "bicubic", border), kernel)
    if border == "unknown":
        # The tilt moves what lies around the frame too, so it comes after a blur of all of the image.
        padded = blur.padded(image, kernel)
        blurred = padded.filtered(image, padded.transfer(kernel))
        last = warp(blurred, tilt, "bicubic", border)[(..., *blur.frame(image.shape[1:]))]
    else:
        last = warp(blur.forward(image, kernel), tilt, "bicubic", border)
    assert first.shape == last.shape == (2, 3, 8, 9)
    assert torch.equal(Turbulence((3, 4), border).forward(image, kernel=kernel, tilt=tilt), first)
    assert torch.equal(Turbulence((3, 4), border, "blur-then-tilt").forward(image, kernel=kernel, tilt=tilt), last)
    assert (first - last).abs().max() > 1e-3


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("border", BORDERS)
def test_gradients_are_right_in_image_kernel_and_tilt(border, order):
    shape = _behind(3, border, (5, 5))
    inputs = _random(1, 1, *shape), _kernels(1)[..., :3], 2 * _random(1, 2, *shape, seed=1)
    operator = Turbulence(3, border, order)
    leaves = tuple(value.clone().requires_grad_() for value in inputs)
    assert torch.autograd.gradcheck(lambda x, k, u: operator.forward(x, kernel=k, tilt=u), leaves)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("border", BORDERS)
def test_the_adjoint_in_the_image(border, order):
    shape = _behind((3, 4), border, (7, 8))
    operator, kernel, tilt = Turbulence((3, 4), border, order), _kernels(2), 3 * _random(2, 2, *shape, seed=1)
    image, probe, tangent = _random(2, 3, *shape, seed=4), _random(2, 3, 7, 8, seed=5), _random(2, 3, *shape, seed=6)
    image.requires_grad_()
    (back,) = torch.autograd.grad(operator.forward(image, kernel=kernel, tilt=tilt), image, probe)
    with torch.no_grad():
        there = operator.forward(tangent, kernel=kernel, tilt=tilt)
    torch.testing.assert_close((there * probe).sum(), (back * tangent).sum(), rtol=0, atol=1e-10)


@pytest.mark.parametrize("border", BORDERS)
def test_no_tilt_and_a_point_are_the_identity(border):
    operator, image = Turbulence(3, border), _random(2, 3, 8, 8)
    kernel = torch.zeros(2, 1, 3, 3, dtype=torch.float64)
    kernel[..., 1, 1] = 1
    found = operator.forward(image, kernel=kernel, tilt=torch.zeros(2, 2, 8, 8, dtype=torch.float64))
    expected = image[..., 1:-1, 1:-1] if border == "unknown" else image
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)


def test_parameters_and_their_usual_priors_and_generators():
    operator = Turbulence()
    shape = operator.image_shape((3, 64, 96))
    assert shape == (3, 80, 112) and operator.frame(shape) == (slice(8, 72), slice(8, 104))
    specs = operator.parameters(shape)
    # What lies around the frame is seen through air too.
    assert {name: spec.shape for name, spec in specs.items()} == {"kernel": (1, 16, 16), "tilt": (2, 80, 112)}
    assert operator.parameters(operator.image_shape((3, 200, 300)))["kernel"].shape == (1, 17, 17)
    closed = Turbulence(border="reflect").parameters((3, 64, 96))
    assert {name: spec.shape for name, spec in closed.items()} == {"kernel": (1, 16, 16), "tilt": (2, 64, 96)}
    assert (specs["kernel"].prior, specs["kernel"].generator) == ("atmosphere", "atmosphere")
    assert (specs["tilt"].prior, specs["tilt"].generator, specs["tilt"].unit) == ("tilt", "tilt-kolmogorov", "px")


def test_constrain_is_that_of_blur_and_leaves_the_tilt_alone():
    loose = {"kernel": _random(2, 1, 3, 3), "tilt": 100 * _random(2, 2, 6, 6)}
    found = Turbulence(3).constrain(loose)
    assert found["tilt"] is loose["tilt"]
    assert torch.equal(found["kernel"], Blur(3).constrain(loose)["kernel"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"order": "both"}, "operator.order is one of tilt-then-blur, blur-then-tilt"),
        ({"interpolation": "sinc"}, "operator.interpolation is one of bicubic, bilinear"),
        ({"border": "wrap"}, "operator.border is one of"),
        ({"kernel_size": 0}, "operator.kernel_size is a side"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, said):
    with pytest.raises(IptError, match=said):
        Turbulence(**options)


def test_what_does_not_fit_the_picture_is_refused():
    with pytest.raises(IptError, match="larger than the picture of 8 x 8 px"):
        Turbulence(9).parameters(Turbulence(9).image_shape((3, 8, 8)))
    with pytest.raises(IptError, match="larger than the picture of 4 x 4 px"):
        Turbulence(3).forward(torch.zeros(1, 1, 4, 4), kernel=torch.ones(1, 1, 5, 5) / 25, tilt=torch.zeros(1, 2, 4, 4))
    with pytest.raises(IptError, match="5 x 5 px reaches further than the 1 px"):
        Turbulence(3).forward(torch.zeros(1, 1, 8, 8), kernel=torch.ones(1, 1, 5, 5) / 25, tilt=torch.zeros(1, 2, 8, 8))
    with pytest.raises(IptError, match=r"a tilt is \(1, 2, 6, 6\).*this one is \(1, 2, 6, 5\)"):
        Turbulence(3).forward(torch.zeros(1, 1, 6, 6), kernel=torch.ones(1, 1, 3, 3) / 9, tilt=torch.zeros(1, 2, 6, 5))


@pytest.mark.parametrize("guidance", ["dps", "proximal"])
def test_it_is_solved_with_its_usual_tilt_prior(guidance):
    solver = ipt.build("turbulence", "gaussian", guidance, parameters={"kernel": "gaussian"}, steps=3)
    assert isinstance(solver.solver.priors["tilt"], TiltPrior)
    solution = solver.solve(torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0)), 0.05)
    assert solution.image.shape == (1, 1, 16, 16) and solution.whole.shape == (1, 1, 24, 24)
    assert solution.parameters["tilt"].shape == (1, 2, 24, 24)
    assert all(torch.isfinite(value).all() for value in (solution.image, *solution.parameters.values()))
