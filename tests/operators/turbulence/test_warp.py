"""The warp against whole-pixel shifts, polynomials, its adjoint and its derivatives."""

from __future__ import annotations

import numpy
import pytest
import torch

from ipt.core.errors import IptError
from ipt.operators.blur import BORDERS
from ipt.operators.turbulence.warp import INTERPOLATIONS, warp, warp_adjoint, warp_gradient

NUMPY_PAD = {"circular": "wrap", "zero": "constant", "reflect": "reflect", "replicate": "edge", "unknown": "reflect"}
every_border = pytest.mark.parametrize("border", BORDERS)
every_interpolation = pytest.mark.parametrize("interpolation", INTERPOLATIONS)


def _random(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def _even(down, right, height, width):
    """The same tilt everywhere."""
    return torch.tensor([down, right], dtype=torch.float64)[None, :, None, None].expand(1, 2, height, width)


@every_border
@every_interpolation
@pytest.mark.parametrize(("down", "right"), [(0, 0), (2, 0), (0, -3), (-1, 2), (9, -17)])
def test_a_tilt_of_whole_pixels_fetches_the_pixel_that_far_off(down, right, interpolation, border):
    image = _random(1, 2, 5, 6)
    wide = numpy.pad(image.numpy(), [(0, 0), (0, 0), (20, 20), (20, 20)], mode=NUMPY_PAD[border])
    wanted = torch.from_numpy(wide[:, :, 20 + down : 25 + down, 20 + right : 26 + right])
    found = warp(image, _even(down, right, 5, 6), interpolation, border)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-13)


def test_a_positive_tilt_moves_what_is_seen_up_and_left():
    image = torch.zeros(1, 1, 7, 7)
    image[..., 4, 5] = 1
    assert warp(image, _even(1, 0, 7, 7).float())[0, 0].argmax() == 3 * 7 + 5
    assert warp(image, _even(0, 1, 7, 7).float())[0, 0].argmax() == 4 * 7 + 4


@pytest.mark.parametrize(("interpolation", "degree"), [("bilinear", 1), ("bicubic", 2)])
def test_polynomials_are_followed_between_the_pixels(interpolation, degree):
    place = torch.arange(12, dtype=torch.float64)
    tilt = 0.9 * _random(1, 2, 12, 12).clamp(-1, 1)

    def values(rows, columns):
        return (0.3 + rows) ** degree - 2 * (columns - 5) ** degree + rows

    image = values(place[:, None], place[None])[None, None]
    wanted = values(place[:, None] + tilt[:, 0], place[None] + tilt[:, 1])[:, None]
    found = warp(image, tilt, interpolation, "replicate")
    torch.testing.assert_close(found[..., 3:9, 3:9], wanted[..., 3:9, 3:9], rtol=0, atol=1e-11)


@every_border
@every_interpolation
def test_the_adjoint_is_the_adjoint(interpolation, border):
    image, residual, tilt = _random(2, 3, 6, 7), _random(2, 3, 6, 7, seed=1), 5 * _random(2, 2, 6, 7, seed=2)
    there = (warp(image, tilt, interpolation, border) * residual).sum()
    back = (image * warp_adjoint(residual, tilt, interpolation, border)).sum()
    torch.testing.assert_close(there, back, rtol=0, atol=1e-10)


@every_border
@every_interpolation
def test_derivatives_are_right_in_both_arguments(interpolation, border):
    image, tilt = _random(1, 2, 4, 5).requires_grad_(), (3 * _random(1, 2, 4, 5, seed=1)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, u: warp(x, u, interpolation, border), (image, tilt))
    assert torch.autograd.gradcheck(lambda r, u: warp_adjoint(r, u, interpolation, border), (image, tilt))
    with torch.no_grad():
        slope = warp_gradient(image, tilt, interpolation, border)
    probe = _random(1, 2, 4, 5, seed=2)
    (found,) = torch.autograd.grad(warp(image, tilt, interpolation, border), tilt, probe)
    torch.testing.assert_close((slope * probe[:, :, None]).sum(1), found, rtol=0, atol=1e-12)


def test_bicubic_has_the_central_difference_for_a_slope_where_there_is_no_tilt():
    """So that the first step from a field of zeros goes the right way for either sign."""
    image = _random(1, 1, 6, 6)
    slope = warp_gradient(image, torch.zeros(1, 2, 6, 6, dtype=torch.float64), "bicubic", "circular")
    wanted = (image.roll(-1, -2) - image.roll(1, -2)) / 2
    torch.testing.assert_close(slope[:, :, 0], wanted, rtol=0, atol=1e-13)


def test_it_can_be_differentiated_twice():
    image, tilt = _random(1, 1, 3, 4).requires_grad_(), _random(1, 2, 3, 4, seed=1).requires_grad_()
    assert torch.autograd.gradgradcheck(warp, (image, tilt))


@every_border
def test_a_warped_picture_does_not_depend_on_its_batch(border):
    image, tilt = _random(3, 2, 5, 6), 4 * _random(3, 2, 5, 6, seed=1)
    for function in (warp, warp_adjoint, warp_gradient):
        together = function(image, tilt, "bicubic", border)
        for index in range(3):
            alone = function(image[index : index + 1], tilt[index : index + 1], "bicubic", border)
            assert torch.equal(alone[0], together[index])


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 3)])
@every_border
def test_pictures_of_a_pixel_or_two(size, border):
    image, tilt = _random(1, 1, *size), 40 * _random(1, 2, *size, seed=1)
    found = warp(image, tilt, "bicubic", border)
    assert found.shape == image.shape and torch.isfinite(found).all()
    if border == "replicate" and size == (1, 1):
        torch.testing.assert_close(found, image)


def test_a_tilt_keeps_its_digits_on_a_large_picture():
    """Places far from the corner lose none of the tilt's precision."""
    ramp = torch.arange(4000.0).expand(1, 1, 1, 4000)
    found = warp(ramp - 3900, torch.full((1, 2, 1, 4000), 0.1234567), "bilinear")[0, 0, 0, 3900]
    assert float(found) == pytest.approx(0.1234567, abs=1e-6)


@pytest.mark.parametrize("shape", [(1, 2, 4, 6), (2, 2, 4, 5), (1, 1, 4, 5), (1, 4, 5)])
def test_a_tilt_of_another_shape_is_refused(shape):
    with pytest.raises(IptError, match="vertical and horizontal in pixels"):
        warp(torch.zeros(1, 3, 4, 5), torch.zeros(shape))


@pytest.mark.parametrize("options", [{"interpolation": "nearest"}, {"border": "wrap"}])
def test_unknown_words_are_refused(options):
    with pytest.raises(IptError, match="is one of"):
        warp(torch.zeros(1, 1, 4, 4), torch.zeros(1, 2, 4, 4), **options)
