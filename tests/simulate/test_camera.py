"""What a camera does besides its operator: turning, light, exposure, JPEG."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from ipt.core.errors import IptError, Misuse
from ipt.operators.blur import BORDERS, Blur
from ipt.operators.blur.kernels import GaussianKernels, MotionKernels
from ipt.operators.compose import compose
from ipt.operators.downscale import Downscale
from ipt.operators.turbulence import Turbulence
from ipt.simulate.camera import Camera, turned, turning_rate, turning_reach
from ipt.simulate.simulation import Simulation, simulate

KERNELS = {"kernel": MotionKernels(0.5, 7.0)}


@pytest.fixture
def clean() -> torch.Tensor:
    return torch.rand(3, 64, 56, generator=torch.Generator().manual_seed(0))


def made(
    clean: torch.Tensor, camera: Camera | None, operator: Any = None, noise: float = 0.0, **more: Any
) -> Simulation:
    return simulate(clean, operator or Blur(9), KERNELS, noise, 3, camera=camera, **more)


def test_a_pose_is_a_shift_and_a_turn_that_grows_with_it():
    """Two poses 8 px apart turn a dot 20 px above the middle by +-.1 rad, so by 2 px further to the side."""
    image, kernel = torch.zeros(1, 61, 61), torch.zeros(1, 9, 9)
    image[0, 10, 30], kernel[0, 4, 0], kernel[0, 4, 8] = 1.0, 0.5, 0.5
    direction = np.array([0.0, 1.0])
    rate = turning_rate(kernel, math.degrees(0.2), direction)
    assert rate == pytest.approx(0.2 / 8)
    seen = turned(image, kernel, rate, direction)[0].clamp(min=0)
    assert seen.shape == (53, 53)
    columns = torch.arange(53.0) + 4
    for half, place in ((slice(0, 26), 26 - 2.0), (slice(26, 53), 34 + 2.0)):
        part = seen[:, half]
        assert float((part.sum(0) * columns[half]).sum() / part.sum()) == pytest.approx(place, abs=0.15)
    # At the middle it is about the kernel that is seen.
    image = torch.zeros(1, 61, 61)
    image[0, 30, 30] = 1.0
    seen = turned(image, kernel, rate, direction)[0]
    assert [float(seen[:, column].sum()) for column in (22, 30)] == pytest.approx([0.5, 0.5], abs=0.02)


def test_the_angle_is_between_the_ends_along_the_direction():
    kernel = torch.zeros(1, 9, 9)
    kernel[0, 2, 1:8] = 1 / 7
    assert turning_rate(kernel, 3.0, np.array([0.0, 1.0])) == pytest.approx(math.radians(3) / 6)
    assert turning_rate(kernel, 3.0, np.array([1.0, 0.0])) == 0.0


@pytest.mark.parametrize("border", BORDERS)
def test_a_camera_that_hardly_turns_blurs_as_ever(clean, border):
    operator = Blur(9, border)
    turning, still = made(clean, Camera(rotation=1e-4), operator), made(clean, None, operator)
    # Faint entries of the kernel are no poses.
    assert (turning.measurement - still.measurement).abs().max() < 0.02
    assert torch.equal(turning.parameters["kernel"], still.parameters["kernel"])


def test_more_rotation_is_further_from_one_kernel_and_more_so_outwards(clean):
    still = made(clean, Camera()).measurement
    turning = [made(clean, Camera(rotation=degrees)) for degrees in (2.0, 8.0)]
    off = [(one.measurement - still).square().mean(0) for one in turning]
    assert 4 * off[0].mean() < off[1].mean()
    assert 3 * off[1][27:37, 23:33].mean() < off[1].mean()
    assert turning[0].direction == turning[1].direction and math.hypot(*turning[0].direction or ()) == pytest.approx(1)


def test_what_is_cut_is_real_all_around_though_the_camera_turns(clean):
    """The same about the same middle in a larger picture: nothing outside of the smaller is seen."""
    camera = Camera(rotation=6.0)
    around = torch.rand(3, 104, 96, generator=torch.Generator().manual_seed(1))
    around[:, 20:84, 20:76] = clean
    small, large = made(clean, camera, cut=True), made(around, camera, cut=True)
    lost = [turning_reach(6.0, *one.shape[1:]) for one in (clean, around)]
    assert small.measurement.shape == small.clean.shape == (3, 56 - 2 * lost[0], 48 - 2 * lost[0])
    inside = 20 + lost[0] - lost[1]
    window = (..., slice(inside, -inside), slice(inside, -inside))
    torch.testing.assert_close(small.measurement, large.measurement[window], atol=1e-4, rtol=0)
    assert torch.equal(small.clean, large.clean[window])


@pytest.mark.parametrize("sides", [(60, 61), (48, 100)])
def test_a_cut_picture_need_not_be_of_a_frames_own_size(sides):
    """The window grows in steps of 8 px with the frame, so that some sizes are no frame's."""
    clean = torch.rand(3, *sides)
    found = simulate(clean, Blur(), {"kernel": GaussianKernels(1.0)}, 0.0, 0, cut=True)
    measured = found.measurement.shape
    assert measured == found.clean.shape and all(a < b for a, b in zip(measured[1:], sides, strict=True))
    top, left = (-(-(a - b) // 2) for a, b in zip(sides, measured[1:], strict=True))
    near = [clean[:, i : i + measured[1], j : j + measured[2]] for i in (top - 1, top) for j in (left - 1, left)]
    assert any(torch.equal(found.clean, one) for one in near)


def test_a_cut_composed_operator_measures_the_frame():
    operator = compose(Blur(9), Downscale(2))
    found = simulate(torch.full((3, 48, 48), 0.7), operator, KERNELS, 0.0, 0, cut=True)
    assert found.measurement.shape == (3, 20, 20) and found.clean.shape == (3, 40, 40)
    torch.testing.assert_close(found.measurement, torch.full((3, 20, 20), 0.7))


def test_light_is_what_is_blurred():
    """An edge from black to white: its middle has half of the light, which sRGB writes as .735."""
    clean = torch.zeros(1, 32, 32)
    clean[..., 16:] = 1
    kernels = {"kernel": GaussianKernels(2.0, 1.0)}
    found = simulate(clean, Blur(13), kernels, 0.0, 0, camera=Camera(linear_light=True))
    assert float(found.measurement[0, 16, 15:17].square().mean().sqrt()) == pytest.approx(0.735, abs=0.02)
    assert torch.equal(found.clean, clean)
    ramp = torch.linspace(-0.5, 1.5, 101)[None, None]
    torch.testing.assert_close(Camera(linear_light=True).developed(Camera(linear_light=True).light(ramp)), ramp)
    assert float(Camera(linear_light=True).light(torch.tensor(0.5))) == pytest.approx(0.21404, abs=1e-4)


def test_what_is_exposed_beyond_white_is_clipped_in_the_truth_too(clean):
    found = made(clean, Camera(exposure=2.0), noise=0.01)
    assert float(found.measurement.max()) == 1 and float(found.measurement.min()) >= 0
    assert 0.3 < found.clipped < 0.7 and found.clipped == pytest.approx(
        float((found.measurement == 1).double().mean()), abs=0.01
    )
    torch.testing.assert_close(found.clean, (2 * clean).clamp(0, 1))
    # Without a camera, nothing is.
    assert float(made(clean, None, noise=0.3).measurement.max()) > 1


def test_jpeg_is_what_pillow_makes_of_it(clean):
    fine, coarse = (made(clean, Camera(jpeg=quality)).measurement for quality in (100, 30))
    plain = made(clean, Camera()).measurement
    errors = [float((one - plain).square().mean().sqrt()) for one in (fine, coarse)]
    assert 0.001 < errors[0] < 0.004 < 0.02 < errors[1]
    grey = made(clean[:1], Camera(jpeg=90)).measurement
    assert grey.shape == (1, 64, 56) and torch.equal((255 * grey).round(), 255 * grey)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"rotation": 90}, "rotation= is an angle of 0 to 45 degrees, not 90"),
        ({"rotation": math.nan}, "rotation= is an angle"),
        ({"exposure": 0}, "exposure= is a factor above 0 and at most 1000, not 0"),
        ({"jpeg": 0}, "jpeg= is a quality of 1 to 100, not 0"),
        ({"jpeg": 101}, "jpeg= is a quality of 1 to 100, not 101"),
    ],
)
def test_a_camera_that_cannot_be(values, said):
    with pytest.raises(Misuse, match=said):
        Camera(**values)


@pytest.mark.parametrize(
    ("operator", "options", "said"),
    [
        (Turbulence(9), {"camera": Camera(rotation=1.0)}, "rotation is of the operator blur alone"),
        (compose(Blur(9), Downscale(2)), {"camera": Camera(rotation=1.0)}, "drop rotation=, or choose operator=blur"),
        (Blur(9, "circular"), {"cut": True}, "sees nothing around its frame.*drop cut=True"),
        (Downscale(2), {"cut": True}, "sees nothing around its frame"),
        (Blur(51), {"cut": True}, "too small to be cut"),
        (Blur(9), {"cut": True, "camera": Camera(rotation=30.0)}, "too small to be cut"),
    ],
)
def test_what_does_not_go_together(clean, operator, options, said):
    generators = dict.fromkeys(operator.parameters(operator.image_shape((3, 64, 56))), KERNELS["kernel"])
    with pytest.raises(IptError, match=said):
        simulate(clean, operator, generators, 0, 0, **options)


def test_a_jpeg_of_two_channels():
    with pytest.raises(IptError, match="the measurement has 2 channels; drop jpeg="):
        Camera(jpeg=90).stored(torch.zeros(2, 8, 8))
