"""The canvas: what lies where, exact continuation, and adjoints."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as functional

from ipt.operators.canvas import Canvas

BORDERS = ("circular", "zero", "reflect", "replicate", "unknown")
MODES = {"zero": "constant", "reflect": "reflect", "replicate": "replicate"}
CASES = [((9, 8), (1, 1)), ((9, 8), (3, 3)), ((9, 8), (4, 4)), ((7, 12), (2, 5)), ((8, 7), (8, 7)), ((11, 13), (7, 1))]
each_case = pytest.mark.parametrize(("frame", "kernel"), CASES)


def _random(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@each_case
@pytest.mark.parametrize("border", BORDERS)
def test_it_has_room_for_what_the_kernel_reaches(border, frame, kernel):
    canvas = Canvas.around(frame, kernel, border)
    assert canvas.extend(_random(2, 3, *frame)).shape == (2, 3, *canvas.size)
    for axis in (0, 1):
        if border == "circular":
            assert canvas.size[axis] == frame[axis] and canvas.before[axis] == canvas.after[axis] == 0
        else:
            assert canvas.before[axis] + canvas.after[axis] == kernel[axis] - 1
            assert frame[axis] + kernel[axis] - 1 <= canvas.size[axis] <= 1.25 * (frame[axis] + kernel[axis])


@each_case
@pytest.mark.parametrize("border", MODES)
def test_the_continuation_is_exact_as_far_as_the_kernel_reaches(border, frame, kernel):
    canvas, image = Canvas.around(frame, kernel, border), _random(2, 3, *frame)
    (up, left), (down, right) = canvas.before, canvas.after
    expected = functional.pad(image, (left, right, up, down), mode=MODES[border])
    # Before the frame is at the canvas' end.
    found = canvas.extend(image).roll((up, left), dims=(-2, -1))[..., : expected.shape[-2], : expected.shape[-1]]
    assert torch.equal(found, expected)


@pytest.mark.parametrize("border", ["unknown", "reflect", "replicate"])
@pytest.mark.parametrize("kernel", [(12, 12), (12, 7), (2, 1), (1, 4)])
def test_the_continuation_has_no_jump(border, kernel):
    """A ramp, as different at opposite edges as can be: a circular picture jumps by all of it."""
    ramp = torch.linspace(0, 1, 40, dtype=torch.float64)
    image = (0.5 * ramp[:, None] + 0.5 * ramp)[None, None]
    canvas = Canvas.around((40, 40), kernel, border)
    whole = canvas.extend(image)
    for axis, side in ((-2, 0), (-1, 1)):
        jump = (whole - whole.roll(1, axis)).abs().max().item()
        room = canvas.size[side] - 40
        # In equal parts it would be half of the ramp over the room; a raised cosine is up to pi / 2 times as steep.
        bridge = room if border == "unknown" else room - kernel[side] + 1
        assert jump <= 0.5 / (bridge + 1) * 1.7 + 2 / 39
        assert jump < (0.45 if bridge else 0.51)


@pytest.mark.parametrize("frame", [(1, 1), (1, 9), (2, 3)])
@pytest.mark.parametrize("border", BORDERS)
def test_the_smallest_pictures_have_a_canvas(border, frame):
    image = _random(1, 1, *frame)
    canvas = Canvas.around(frame, frame, border)
    assert torch.isfinite(canvas.extend(image)).all()
    assert torch.equal(canvas.crop(canvas.extend(image)), image)


@each_case
@pytest.mark.parametrize("border", BORDERS)
def test_extend_crop_and_embed_keep_the_frame(border, frame, kernel):
    canvas, image = Canvas.around(frame, kernel, border), _random(2, 3, *frame)
    before = image.clone()
    whole = canvas.extend(image)
    assert torch.equal(canvas.crop(whole), image)
    other = _random(2, 3, *canvas.size, seed=1)
    kept = other.clone()
    embedded = canvas.embed(image, other)
    assert torch.equal(canvas.crop(embedded), image) and torch.equal(other, kept) and torch.equal(image, before)
    outside = 1 - canvas.zeros_outside(torch.ones_like(image))
    assert torch.equal(embedded * outside, other * outside)
    # Linear: a picture embedded is itself in the dark, and what is around it.
    torch.testing.assert_close(embedded, canvas.zeros_outside(image) + other * outside, rtol=0, atol=0)


@each_case
@pytest.mark.parametrize("border", BORDERS)
def test_adjoints(border, frame, kernel):
    canvas = Canvas.around(frame, kernel, border)
    image, whole = _random(1, 2, *frame), _random(1, 2, *canvas.size, seed=1)
    torch.testing.assert_close((canvas.crop(whole) * image).sum(), (whole * canvas.zeros_outside(image)).sum())
    with torch.no_grad():
        torch.testing.assert_close((canvas.extend(image) * whole).sum(), (image * canvas.fold(whole)).sum())
    torch.testing.assert_close(canvas.extend(3 * image), 3 * canvas.extend(image))
    # transfer and window: in pictures of the canvas, where the inner product of spectra is N times that of pictures.
    small = _random(1, 1, *kernel, seed=2)
    spread = canvas.inverse(canvas.transfer(small))
    spectrum = torch.fft.rfft2(_random(1, 1, *canvas.size, seed=3))
    expected = (spread * canvas.inverse(spectrum)).sum()
    torch.testing.assert_close((small * canvas.window(spectrum, kernel)).sum(), expected)
    torch.testing.assert_close(canvas.window(canvas.transfer(small), kernel), small)


@pytest.mark.parametrize("border", BORDERS)
def test_the_kernels_centre_pixel_is_the_origin(border):
    canvas = Canvas.around((8, 9), (4, 5), border)
    delta = torch.zeros(1, 1, 4, 5, dtype=torch.float64)
    delta[..., 2, 2] = 1
    torch.testing.assert_close(canvas.transfer(delta), torch.ones_like(canvas.transfer(delta)))


@pytest.mark.parametrize("size", [(8, 8), (9, 8), (8, 9), (15, 25)])
def test_frequencies_are_in_cycles_a_pixel(size):
    canvas = Canvas.around(size, (3, 3), "circular")
    found = canvas.frequencies(torch.zeros(1, dtype=torch.float64))
    assert found.shape == (size[0], size[1] // 2 + 1) and found.dtype == torch.float64
    assert found[0, 0].item() == pytest.approx(0.5 / max(size))
    assert found[0, 1].item() == pytest.approx(1 / size[1]) and found[1, 0].item() == pytest.approx(1 / size[0])
    assert found[-1, 2].item() == pytest.approx((1 / size[0] ** 2 + 4 / size[1] ** 2) ** 0.5)


@pytest.mark.parametrize("border", BORDERS)
def test_precision_and_images_stay_apart(border):
    image = _random(3, 2, 9, 10)
    canvas = Canvas.around((9, 10), (4, 5), border)
    assert canvas.extend(image.float()).dtype == torch.float32
    for index in range(3):
        alone = canvas.extend(image[index : index + 1])
        assert torch.equal(alone[0], canvas.extend(image)[index])


@pytest.mark.parametrize("border", ["circular", "unknown"])
@pytest.mark.parametrize("sides", [(5, 4), (1, 3), (8, 9)])
def test_a_window_filtered_on_its_own_canvas_is_the_window_filtered_on_the_whole(border, sides):
    canvas = Canvas.around((16, 18), sides, border)
    window = torch.randn(2, 1, *sides, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    spectrum = 1 / (0.1 + canvas.frequencies(window))
    expected = canvas.window(spectrum * canvas.transfer(window), sides)
    torch.testing.assert_close(canvas.within(spectrum, sides)(window), expected, rtol=1e-12, atol=1e-12)
