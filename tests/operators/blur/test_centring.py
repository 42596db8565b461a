"""A kernel moved so that its centre of mass is in the centre."""

from __future__ import annotations

import math

import pytest
import torch

from ipt.operators.blur.centring import moved, moved_kernel, off_centre, recentred


def _random(*shape, seed=0):
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def _kernels(batch, sides, seed=1):
    kernel = _random(batch, 1, *sides, seed=seed) ** 3
    return kernel / kernel.sum((-2, -1), keepdim=True)


def _centroid(kernel):
    """(B, 2) in pixels from the centre pixel."""
    height, width = kernel.shape[-2:]
    rows, columns = torch.arange(height) - height // 2, torch.arange(width) - width // 2
    mass = kernel.sum((1, 2, 3))
    return torch.stack([(kernel.sum((1, 3)) * rows).sum(1) / mass, (kernel.sum((1, 2)) * columns).sum(1) / mass], 1)


@pytest.mark.parametrize("sides", [(9, 9), (8, 11)])
def test_recentred_moves_by_whole_pixels_an_image_at_a_time(sides):
    compact = torch.zeros(4, 1, *sides, dtype=torch.float64)
    places = [(1, 1), (sides[0] - 2, 2), (2, sides[1] - 2), (sides[0] // 2, sides[1] // 2)]
    blob = torch.tensor([[0.05, 0.1, 0.05], [0.1, 0.4, 0.1], [0.05, 0.1, 0.05]], dtype=torch.float64)
    for one, (row, column) in zip(compact, places, strict=True):
        one[0, row - 1 : row + 2, column - 1 : column + 2] = blob
    moved = recentred(compact)
    # Nothing left the frame, so all four are the same kernel, bit by bit.
    assert all(torch.equal(one, compact[3]) for one in moved)
    assert torch.equal(recentred(moved), moved)
    lopsided = _kernels(3, sides, seed=2)
    assert (_centroid(recentred(compact + 1e-3 * compact.amax())).abs() < 3).all()
    assert torch.equal(recentred(lopsided)[1], recentred(lopsided[1:2])[0])


def test_recentred_stays_within_half_a_pixel_where_nothing_is_lost():
    kernel = torch.zeros(20, 1, 15, 15, dtype=torch.float64)
    kernel[:, :, 2:7, 6:12] = _random(20, 1, 5, 6)
    moved = recentred(kernel)
    torch.testing.assert_close(moved.sum((1, 2, 3)), kernel.sum((1, 2, 3)))
    assert (_centroid(moved).abs() <= 0.5 + 1e-12).all()


def test_what_is_not_finite_stays_where_it_is():
    """A solve that diverges is reported by who runs it, in its own words."""
    kernel = _kernels(3, (5, 4))
    kernel[1, 0, 2, 2] = math.nan
    kernel[2, 0, 0, 0] = math.inf
    moved = recentred(kernel)
    assert torch.equal(moved[0], recentred(kernel[:1])[0])
    assert torch.equal(moved[1:].nan_to_num(-1, -2), kernel[1:].nan_to_num(-1, -2))


def moved_line(shift):
    """A horizontal line of 9 pixels through the centre, moved down, as an aperture of one pixel sees it."""
    kernel = torch.zeros(1, 1, 32, 32, dtype=torch.float64)
    kernel[:, :, 16, 12:21] = 1 / 9
    return kernel, torch.tensor([[shift, 0.0]], dtype=torch.float64)


def test_a_moved_kernel_has_no_lattice_about_it():
    kernel, shift = moved_line(0.5)
    found, cut = moved_kernel(kernel, shift), moved(kernel, shift).clamp(min=0)
    assert float(found.min()) >= 0
    torch.testing.assert_close(found.sum(), kernel.sum())
    # Beyond a pixel of the line there is nothing; of the one that is cut off, a tenth.
    for one, low, high in ((found / found.sum(), 0, 1e-6), (cut / cut.sum(), 0.1, 1)):
        outside = torch.nn.functional.max_pool2d(kernel, 3, 1, 1) == 0
        assert low <= float(one[outside].sum()) < high
    torch.testing.assert_close(off_centre(found), shift + off_centre(kernel), atol=0.02, rtol=0)


def test_it_blurs_pictures_as_the_moved_one_does():
    kernel, shift = moved_line(0.5)
    numbers = torch.Generator().manual_seed(0)
    fy, fx = torch.fft.fftfreq(32)[:, None], torch.fft.rfftfreq(32)
    spectrum = torch.fft.rfft2(torch.randn(4, 1, 32, 32, generator=numbers, dtype=torch.float64)) / (
        torch.hypot(fy, fx) + 0.03
    )

    def blurred(one):
        return torch.fft.irfft2(spectrum * torch.fft.rfft2(one), s=(32, 32))

    whole = moved(kernel, shift)
    cut, wanted = whole.clamp(min=0), blurred(whole)
    kernels = (moved_kernel(kernel, shift), cut / cut.sum(), kernel)
    errors = [float((blurred(one) - wanted).std() / wanted.std()) for one in kernels]
    # A half pixel is the hardest case, for which nothing non-negative is exact; cut off, it is as bad as not moved.
    assert errors[0] < 0.25 < 0.35 < min(errors[1:])


def test_a_kernel_that_is_not_moved_stays():
    kernel, shift = moved_line(0.0)
    torch.testing.assert_close(moved_kernel(kernel, shift), kernel)


@pytest.mark.parametrize(("offset", "sigma", "stays"), [(0.8, 0.5, False), (0.8, 0.05, True), (1.3, 0.05, False)])
def test_a_kernel_that_the_image_cannot_follow_stays_within_a_pixel(offset, sigma, stays):
    kernel = torch.zeros(1, 1, 9, 9)
    whole = int(offset)
    kernel[0, 0, 4, 4 + whole : 6 + whole] = torch.tensor([1 + whole - offset, offset - whole])
    assert float(off_centre(kernel)[0, 1]) == pytest.approx(offset)
    found = recentred(kernel, sigma)
    assert torch.equal(found, kernel) == stays
    assert stays or float(off_centre(found)[0, 1].abs()) <= 0.5
    # From one step to the next it does not go back.
    assert torch.equal(recentred(found, 0.05), found)
