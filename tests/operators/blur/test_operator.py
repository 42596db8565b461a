"""Blur against explicit sums, dense matrices and its own promises."""

from __future__ import annotations

import itertools
import math

import numpy
import pytest
import torch
from scipy.signal import convolve2d

from ipt.core.abilities import Belief
from ipt.core.errors import IptError
from ipt.core.observation import Observation
from ipt.linalg.covariances import Isotropic
from ipt.operators.blur import BORDERS, Blur

NUMPY_PAD = {"circular": "wrap", "zero": "constant", "reflect": "reflect", "replicate": "edge"}
KERNELS = [(1, 1), (3, 3), (4, 4), (2, 5), (5, 2), (7, 1), (6, 7)]


def _random(*shape, seed=0):
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def _kernels(batch, sides, seed=1):
    kernel = _random(batch, 1, *sides, seed=seed) ** 3
    return kernel / kernel.sum((-2, -1), keepdim=True)


def _behind(border, sides, frame):
    """(height, width) of the image behind a frame."""
    return Blur(sides, border).image_shape((1, *frame))[1:]


def _reference(image, kernel, border):
    """scipy's full sum on a padded picture: what a kernel reaches before is h - 1 - h // 2, after it h // 2. Nothing is
    added where the border is unknown: of the sums that need nothing, those of the frame."""
    height, width = kernel.shape[-2:]
    pads = [(height - 1 - height // 2, height // 2), (width - 1 - width // 2, width // 2)]
    if border != "unknown":
        image = torch.from_numpy(numpy.pad(image.numpy(), [(0, 0), (0, 0), *pads], mode=NUMPY_PAD[border]))
    out = [
        [convolve2d(plane, one[0], mode="valid") for plane in picture]
        for picture, one in zip(image.numpy(), kernel.numpy(), strict=True)
    ]
    valid = torch.from_numpy(numpy.array(out))
    if border != "unknown":
        return valid
    margin = max(height, width) // 2
    rows, columns = (
        slice(margin - before, margin - before + side - 2 * margin)
        for (before, _), side in zip(pads, image.shape[-2:], strict=True)
    )
    return valid[..., rows, columns]


@pytest.mark.parametrize("sides", KERNELS)
@pytest.mark.parametrize("border", BORDERS)
def test_forward_is_the_explicit_convolution(border, sides):
    for frame in ((9, 8), (7, 12)):
        image, kernel = _random(2, 3, *_behind(border, sides, frame)), _kernels(2, sides)
        found = Blur(sides, border).forward(image, kernel)
        assert found.shape == (2, 3, *frame)
        torch.testing.assert_close(found, _reference(image, kernel, border), rtol=0, atol=1e-12)


@pytest.mark.parametrize("sides", [(3, 3), (4, 3), (2, 4)])
def test_forward_is_the_sum_in_the_docstring(sides):
    image, kernel = _random(1, 1, 5, 6), _kernels(1, sides)
    found = Blur(sides, "zero").forward(image, kernel)
    for row in range(5):
        for column in range(6):
            total = 0.0
            for u in range(sides[0]):
                for v in range(sides[1]):
                    i, j = row - (u - sides[0] // 2), column - (v - sides[1] // 2)
                    if 0 <= i < 5 and 0 <= j < 6:
                        total += kernel[0, 0, u, v].item() * image[0, 0, i, j].item()
            assert found[0, 0, row, column].item() == pytest.approx(total, abs=1e-12)


@pytest.mark.parametrize("border", BORDERS)
def test_adjoints_in_image_and_kernel(border):
    operator, kernel = Blur((4, 5), border), _kernels(2, (4, 5))
    shape = _behind(border, (4, 5), (8, 9))
    image, tangent, probe = (
        _random(2, 3, *shape),
        _random(2, 3, *shape, seed=4) - 0.5,
        _random(2, 3, 8, 9, seed=5) - 0.5,
    )
    kernel_tangent = _random(2, 1, 4, 5, seed=6) - 0.5
    image.requires_grad_()
    kernel.requires_grad_()
    to_image, to_kernel = torch.autograd.grad(operator.forward(image, kernel), (image, kernel), probe)
    with torch.no_grad():
        moved = operator.forward(tangent, kernel)
        bent = operator.forward(image, kernel_tangent)
    torch.testing.assert_close((to_image * tangent).sum(), (probe * moved).sum(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close((to_kernel * kernel_tangent).sum(), (probe * bent).sum(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("border", BORDERS)
def test_gradients_are_right(border):
    image, kernel = (
        _random(1, 2, *_behind(border, (3, 2), (4, 5))).requires_grad_(),
        _kernels(1, (3, 2)).requires_grad_(),
    )
    assert torch.autograd.gradcheck(Blur((3, 2), border).forward, (image, kernel))


def test_the_gradient_passes_constrain():
    loose = (_random(2, 1, 3, 3) - 0.3).requires_grad_()
    assert torch.autograd.gradcheck(lambda k: Blur(3).constrain({"kernel": k})["kernel"], (loose,))


@pytest.mark.parametrize("sides", [(1, 1), (3, 5), (4, 2)])
@pytest.mark.parametrize("border", BORDERS)
def test_a_point_at_the_centre_pixel_is_the_identity(border, sides):
    operator, kernel = Blur(sides, border), torch.zeros(2, 1, *sides, dtype=torch.float64)
    kernel[..., sides[0] // 2, sides[1] // 2] = 1
    image = _random(2, 3, *_behind(border, sides, (8, 7)))
    expected = image
    if border == "unknown":
        expected = image[(..., *operator.frame(image.shape[1:]))]
        assert expected.shape == (2, 3, 8, 7)
    torch.testing.assert_close(operator.forward(image, kernel), expected, rtol=0, atol=1e-13)


def test_constrain_gives_kernels_that_sum_to_one_an_image_at_a_time():
    loose = _random(3, 1, 4, 5) - 0.4
    loose[1] *= 1e3
    loose[2] = -1.0
    found = Blur(4).constrain({"kernel": loose, "other": loose})
    kernel = found["kernel"]
    assert (kernel >= 0).all() and found["other"] is loose
    torch.testing.assert_close(kernel.sum((1, 2, 3)), torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(Blur(4).constrain({"kernel": kernel})["kernel"], kernel, rtol=0, atol=1e-15)
    for index in range(3):
        alone = Blur(4).constrain({"kernel": loose[index : index + 1]})["kernel"]
        assert torch.equal(alone[0], kernel[index])
    # Nothing positive is left: a kernel that says nothing.
    assert (kernel[2] == 1 / 20).all()


@pytest.mark.parametrize(
    ("shape", "side"),
    [
        ((256, 256), 64),
        ((1000, 400), 64),
        ((64, 64), 16),
        ((64, 300), 16),
        ((33, 33), 16),
        ((32, 32), 8),
        ((8, 9), 8),
        ((5, 9), 5),
        ((1, 1), 1),
    ],
)
def test_the_usual_kernel_is_a_quarter_of_the_smaller_side(shape, side):
    operator = Blur()
    spec = operator.parameters(operator.image_shape((3, *shape)))["kernel"]
    assert spec.shape == (1, side, side)


@pytest.mark.parametrize("border", ["unknown", "circular", "zero", "reflect", "replicate"])
def test_kernels_are_held_to_the_centre_where_the_border_is_circular(border):
    operator = Blur(border=border)
    spec = operator.parameters(operator.image_shape((3, 64, 64)))["kernel"]
    assert spec.prior == ("kernel" if border == "circular" else "kernel-uncentred")


def test_sides_as_given():
    for given, shape in ((7, (1, 7, 7)), ((4, 9), (1, 4, 9)), ([4, 9], (1, 4, 9))):
        for border in BORDERS:
            operator = Blur(given, border)
            assert operator.parameters(operator.image_shape((3, 20, 9)))["kernel"].shape == shape


def test_an_unknown_border_is_refused():
    with pytest.raises(ValueError, match="circular, zero, reflect, replicate, unknown"):
        Blur(border="wrap")


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("size", [9, (3, 9), (9, 3)])
def test_a_kernel_larger_than_the_picture_is_refused(size, border):
    """The picture is what was measured, however large the image behind it."""
    operator = Blur(size, border)
    with pytest.raises(ValueError, match=r"is larger than the picture of 8 x 8 px; .*kernel_size"):
        operator.parameters(operator.image_shape((3, 8, 8)))


@pytest.mark.parametrize("size", [0, -3, (0, 5), (3,), (3, 3, 3), 2.5])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(ValueError, match="kernel_size"):
        Blur(size).parameters((3, 16, 16))


def _belief(image):
    return Belief(image, Isotropic(torch.ones(1, 1, 1, 1).double()), 1.0)


@pytest.mark.parametrize("sides", [(9, 9), (5, 4), (4, 6)])
@pytest.mark.parametrize("border", [border for border in BORDERS if border != "unknown"])
def test_a_given_kernel_larger_than_the_picture_is_refused(border, sides):
    """A known kernel may be of another size than the operator's, so it is here that it shows; none is cut in
    silence."""
    image, kernel = _random(1, 1, 4, 5), _kernels(1, sides)
    with pytest.raises(IptError, match=f"{sides[1]} x {sides[0]} px is larger than the picture of 5 x 4 px"):
        Blur(3, border).forward(image, kernel)
    observation = Observation(image, torch.ones(1, 1, 1, 1).double())
    with pytest.raises(IptError, match="is larger than the picture"):
        Blur(3, border).image_step(observation, _belief(image), {"kernel": kernel}, {})


@pytest.mark.parametrize("size", [1, 2, 3, (1, 3)])
@pytest.mark.parametrize("sides", [(4, 4), (1, 4), (5, 1), (15, 15)])
def test_a_given_kernel_that_reaches_beyond_an_unknown_surrounding_is_refused(sides, size):
    """Nothing comes in on the other side."""
    operator = Blur(size)
    image, kernel = _random(1, 1, *operator.image_shape((1, 12, 13))[1:]), _kernels(1, sides)
    with pytest.raises(IptError, match=f"{sides[1]} x {sides[0]} px .*(reaches further|is larger)"):
        operator.forward(image, kernel)
    observation = Observation(_random(1, 1, 12, 13), torch.ones(1, 1, 1, 1).double())
    with pytest.raises(IptError, match=f"{sides[1]} x {sides[0]} px .*(reaches further|is larger)"):
        operator.image_step(observation, _belief(image), {"kernel": kernel}, {})


@pytest.mark.parametrize("border", [border for border in BORDERS if border != "unknown"])
def test_a_given_kernel_may_be_as_large_as_the_picture(border):
    image, kernel = _random(1, 2, 4, 5), _kernels(1, (4, 5))
    found = Blur(3, border).forward(image, kernel)
    torch.testing.assert_close(found, _reference(image, kernel, border), rtol=0, atol=1e-12)


@pytest.mark.parametrize("sides", [(1, 1), (4, 3), (5, 5)])
def test_a_given_kernel_may_be_smaller_than_the_operators(sides):
    """A margin is as the operator's kernel needs it, whatever kernel comes."""
    operator, frame = Blur(7), (9, 10)
    image, kernel = _random(2, 2, *operator.image_shape((2, *frame))[1:]), _kernels(2, sides)
    inner = Blur(sides)
    cut = (image.shape[-2] - inner.image_shape((2, *frame))[1]) // 2
    expected = inner.forward(image[..., cut : image.shape[-2] - cut, cut : image.shape[-1] - cut], kernel)
    torch.testing.assert_close(operator.forward(image, kernel), expected, rtol=0, atol=1e-13)


# ---- The frame of an unknown border.


@pytest.mark.parametrize("operator", [Blur(), Blur(11), Blur((5, 14))], ids=str)
def test_frame_inverts_image_shape(operator):
    for height in range(16, 131):
        for width in (height, 16, 17, 64, 129, 130):
            shape = operator.image_shape((3, height, width))
            rows, columns = operator.frame(shape)
            assert (rows.stop - rows.start, columns.stop - columns.start) == (height, width)
            assert rows.start == columns.start == shape[1] - rows.stop == shape[2] - columns.stop
            assert operator.forward(torch.zeros(1, 1, *shape[1:]), torch.ones(1, 1, 1, 1)).shape == (
                1,
                1,
                height,
                width,
            )


def test_only_an_unknown_border_has_a_margin():
    for border in BORDERS:
        shape = Blur(9, border).image_shape((3, 20, 21))
        assert (shape == (3, 20, 21)) == (border != "unknown")
        rows, columns = Blur(9, border).frame(shape)
        assert (rows.stop - rows.start, columns.stop - columns.start) == (20, 21)


def test_an_image_around_no_frame_is_refused():
    """Where the kernel's size follows the frame's, some sizes are between the images of two frames."""
    operator, taken = Blur(), {Blur().image_shape((1, side, side))[1] for side in range(1, 131)}
    left = [side for side in range(1, 130) if side not in taken]
    assert left
    for side in left:
        with pytest.raises(IptError, match=f"no frame has an image of {side} x {side} px around it.*image_shape"):
            operator.frame((1, side, side))


@pytest.mark.parametrize(
    "size", [None, *range(1, 64, 3), 22, 23, 24, 25, 47, 48, 64, (30, 60), (5, 48), (64, 9), (23, 64)], ids=str
)
def test_the_margin_covers_the_kernel_at_every_size_and_halves_with_the_picture(size):
    for frame in [(16, 16), (17, 33), (64, 64), (65, 70), (100, 131), (128, 128), (256, 300), (31, 400)]:
        operator, margins = Blur(size), []
        if size is not None and max(size if isinstance(size, tuple) else (size,)) > min(frame):
            continue
        while True:
            shape = operator.image_shape((3, *frame))
            rows, columns = operator.frame(shape)
            assert (rows.stop - rows.start, columns.stop - columns.start) == frame
            assert rows.start >= max(operator.parameters(shape)["kernel"].shape) // 2
            margins.append(rows.start)
            half = operator.coarser(shape)
            if half is None:
                break
            operator, frame = half.operator, tuple(math.ceil(side / 2) for side in frame)
        assert all(large == 2 * small for large, small in itertools.pairwise(margins))


@pytest.mark.parametrize(
    ("size", "frame", "chain"),
    [
        (22, (64, 64), []),
        (23, (64, 64), [(16, 16)]),
        (48, (256, 256), [(24, 24), (16, 16)]),
        (None, (256, 300), [(32, 32), (16, 16)]),
        (None, (128, 128), [(16, 16)]),
        (None, (64, 64), []),
        ((30, 60), (90, 90), [(16, 32)]),
        ((30, 60), (31, 400), [(16, 32)]),
        (25, (25, 27), [(13, 14)]),
    ],
)
def test_the_window_is_halved_down_to_twelve_pixels(size, frame, chain):
    for border in ("unknown", "reflect"):
        operator, sides, found = Blur(size, border), frame, []
        while (half := operator.coarser(operator.image_shape((3, *sides)))) is not None:
            operator, sides = half.operator, tuple(math.ceil(side / 2) for side in sides)
            found.append(operator.parameters(operator.image_shape((3, *sides)))["kernel"].shape[1:])
        assert found == chain


def test_a_picture_that_goes_around_is_halved_where_its_sides_are_even():
    assert Blur(24, "circular").coarser((3, 64, 64)) is not None
    assert Blur(24, "circular").coarser((3, 64, 63)) is None
    assert Blur(24).coarser(Blur(24).image_shape((3, 64, 63))) is not None


def test_a_doubled_kernel_keeps_its_centre_and_spreads_twice_as_far():
    half = Blur(24).coarser(Blur(24).image_shape((1, 64, 64)))
    kernel = torch.zeros(2, 1, 16, 16)
    kernel[0, 0, 8, 8] = kernel[1, 0, 8, 11] = 1
    found = half.enlarged({"kernel": kernel})["kernel"]
    assert found.shape == (2, 1, 24, 24)
    tops = [(one == one.max()).nonzero()[0].tolist() for one in found[:, 0]]
    assert tops == [[12, 12], [12, 18]] and found.amax((1, 2, 3)).tolist() == [1, 1]
