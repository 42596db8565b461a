"""The padded frame: what lies where, exact continuation, and adjoints."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as functional

from ipt.operators.blur.padded_frame import PaddedFrame

BORDERS = ("circular", "zero", "reflect", "replicate", "unknown")
MODES = {"zero": "constant", "reflect": "reflect", "replicate": "replicate"}
CASES = [((9, 8), (1, 1)), ((9, 8), (3, 3)), ((9, 8), (4, 4)), ((7, 12), (2, 5)), ((8, 7), (8, 7)), ((11, 13), (7, 1))]
each_case = pytest.mark.parametrize(("image", "kernel"), CASES)
each_border = pytest.mark.parametrize("border", BORDERS)


def _random(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def _around(image, kernel, border):
    return PaddedFrame.around(image, kernel, border, margin=2 if border == "unknown" else 0)


@each_case
@each_border
def test_it_has_room_for_what_the_kernel_reaches(border, image, kernel):
    padded = _around(image, kernel, border)
    assert padded.extend(_random(2, 3, *image)).shape == (2, 3, *padded.size)
    for axis in (0, 1):
        if border in MODES:
            assert padded.frame == padded.image == image
            assert padded.reach[0][axis] + padded.reach[1][axis] == kernel[axis] - 1
            assert image[axis] + kernel[axis] - 1 <= padded.size[axis] <= 1.25 * (image[axis] + kernel[axis])
        else:
            assert padded.size == padded.image == image
            assert padded.frame[axis] == image[axis] - (4 if border == "unknown" else 0)
    assert padded.closed == (padded.size == padded.frame)


@each_case
@pytest.mark.parametrize("border", MODES)
def test_the_continuation_is_exact_as_far_as_the_kernel_reaches(border, image, kernel):
    padded, picture = _around(image, kernel, border), _random(2, 3, *image)
    (up, left), (down, right) = padded.reach
    expected = functional.pad(picture, (left, right, up, down), mode=MODES[border])
    # What lies before the image is at the grid's end.
    found = padded.extend(picture).roll((up, left), dims=(-2, -1))[..., : expected.shape[-2], : expected.shape[-1]]
    assert torch.equal(found, expected)


@pytest.mark.parametrize("border", ["reflect", "replicate"])
@pytest.mark.parametrize("kernel", [(12, 12), (12, 7), (2, 1), (1, 4)])
def test_the_continuation_has_no_jump(border, kernel):
    """A ramp, as different at opposite edges as can be: a circular picture jumps by all of it."""
    ramp = torch.linspace(0, 1, 40, dtype=torch.float64)
    picture = (0.5 * ramp[:, None] + 0.5 * ramp)[None, None]
    padded = _around((40, 40), kernel, border)
    whole = padded.extend(picture)
    for axis, side in ((-2, 0), (-1, 1)):
        jump = (whole - whole.roll(1, axis)).abs().max().item()
        bridge = padded.size[side] - 40 - kernel[side] + 1
        assert jump <= 0.5 / (bridge + 1) * 1.7 + 2 / 39
        assert jump < (0.45 if bridge else 0.51)


@each_case
@each_border
def test_the_frame_lies_in_the_middle_and_is_kept(border, image, kernel):
    padded, picture = _around(image, kernel, border), _random(2, 3, *image)
    whole = padded.extend(picture)
    assert torch.equal(padded.crop(whole), picture)
    assert torch.equal(padded.observe(whole), padded.observe(picture))
    inside = slice(2, -2) if border == "unknown" else slice(None)
    assert torch.equal(padded.observe(picture), picture[..., inside, inside])
    frame = padded.observe(picture)
    assert torch.equal(padded.observe(padded.embed(frame)), frame)
    assert padded.embed(frame).count_nonzero() == frame.count_nonzero()


@each_case
@each_border
def test_adjoints(border, image, kernel):
    padded = _around(image, kernel, border)
    picture, grid, frame = _random(1, 2, *image), _random(1, 2, *padded.size, seed=1), _random(1, 2, *padded.frame)
    torch.testing.assert_close((padded.crop(grid) * picture).sum(), (grid * padded.uncrop(picture)).sum())
    torch.testing.assert_close((padded.observe(grid) * frame).sum(), (grid * padded.embed(frame)).sum())
    torch.testing.assert_close((padded.extend(picture) * grid).sum(), (picture * padded.fold(grid)).sum())
    torch.testing.assert_close(padded.extend(3 * picture), 3 * padded.extend(picture))
    # transfer and window: in pictures of the grid, where the inner product of spectra is N times that of pictures.
    small = _random(1, 1, *kernel, seed=2)
    spread = padded.inverse(padded.transfer(small))
    spectrum = torch.fft.rfft2(_random(1, 1, *padded.size, seed=3))
    expected = (spread * padded.inverse(spectrum)).sum()
    torch.testing.assert_close((small * padded.window(spectrum, kernel)).sum(), expected)
    torch.testing.assert_close(padded.window(padded.transfer(small), kernel), small)


@each_border
def test_the_kernels_centre_pixel_is_the_origin(border):
    padded = _around((8, 9), (4, 5), border)
    delta = torch.zeros(1, 1, 4, 5, dtype=torch.float64)
    delta[..., 2, 2] = 1
    torch.testing.assert_close(padded.transfer(delta), torch.ones_like(padded.transfer(delta)))


@pytest.mark.parametrize("size", [(8, 8), (9, 8), (8, 9), (15, 25)])
def test_frequencies_are_in_cycles_a_pixel(size):
    found = PaddedFrame.around(size, (3, 3), "circular").frequencies(torch.zeros(1, dtype=torch.float64))
    assert found.shape == (size[0], size[1] // 2 + 1) and found.dtype == torch.float64
    assert found[0, 0].item() == pytest.approx(0.5 / max(size))
    assert found[0, 1].item() == pytest.approx(1 / size[1]) and found[1, 0].item() == pytest.approx(1 / size[0])
    assert found[-1, 2].item() == pytest.approx((1 / size[0] ** 2 + 4 / size[1] ** 2) ** 0.5)


@each_border
def test_precision_and_images_stay_apart(border):
    picture, padded = _random(3, 2, 9, 10), _around((9, 10), (4, 5), border)
    assert padded.extend(picture.float()).dtype == torch.float32
    for index in range(3):
        assert torch.equal(padded.extend(picture[index : index + 1])[0], padded.extend(picture)[index])


@pytest.mark.parametrize("border", ["circular", "unknown", "reflect"])
@pytest.mark.parametrize("sides", [(5, 4), (1, 3), (8, 9)])
def test_a_window_filtered_on_its_own_grid_is_the_window_filtered_on_the_whole(border, sides):
    padded = _around((16, 18), sides, border)
    window = _random(2, 1, *sides)
    spectrum = 1 / (0.1 + padded.frequencies(window))
    expected = padded.window(spectrum * padded.transfer(window), sides)
    torch.testing.assert_close(padded.within(spectrum, sides)(window), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_a_filter_that_is_kept_is_the_filter(kind):
    padded = PaddedFrame.around((12, 15), (3, 3), "circular")
    grids, gain = torch.rand(2, 3, 12, 15, dtype=kind), torch.rand(2, 3, 12, 8, dtype=kind)
    apply = padded.repeated_filter(gain)
    for grid in (grids, 2 * grids):
        assert apply(grid).dtype == kind
        torch.testing.assert_close(apply(grid), padded.filtered(grid, gain))


@pytest.mark.parametrize("size", [(6, 8), (5, 7), (4, 2), (3, 1)])
def test_the_inner_product_of_spectra_is_that_of_the_pictures(size):
    padded, (first, second) = (
        PaddedFrame.around(size, (1, 1), "circular"),
        (_random(2, 3, *size, seed=s) for s in (1, 2)),
    )
    found = padded.inner(torch.fft.rfft2(first), torch.fft.rfft2(second))
    assert torch.allclose(found, size[0] * size[1] * (first * second).sum((1, 2, 3), keepdim=True))
