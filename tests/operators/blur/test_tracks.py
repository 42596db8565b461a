"""Kernels of motion: how far paths reach, how thin they are, and where they are bright."""

from __future__ import annotations

import math

import pytest
import torch

from ipt.operators.blur.tracks import LineKernels, MotionKernels, ShakeKernels


def spans(kernels: torch.Tensor) -> torch.Tensor:
    """(B,) the larger side, in pixels, of the box around what is more than a thousandth of the largest entry."""
    on = kernels[:, 0] > 1e-3 * kernels[:, 0].amax((1, 2), keepdim=True)

    def reach(line: torch.Tensor) -> torch.Tensor:
        places = torch.arange(line.shape[1]).expand_as(line)
        return torch.where(line, places, -1).amax(1) - torch.where(line, places, line.shape[1]).amin(1) + 1

    return torch.maximum(reach(on.any(2)), reach(on.any(1)))


def moments(kernels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Variances (B, 2) across and along the longer axis in square pixels, and its direction (B, 2): rows, columns."""
    kernels = kernels[:, 0].double()
    rows, columns = ((torch.arange(side) - side // 2).double() for side in kernels.shape[-2:])
    down, right = (kernels.sum(2) * rows**2).sum(1), (kernels.sum(1) * columns**2).sum(1)
    mixed = torch.einsum("bhw,h,w->b", kernels, rows, columns)
    values, vectors = torch.linalg.eigh(torch.stack([down, mixed, mixed, right], dim=1).reshape(-1, 2, 2))
    return values, vectors[:, :, 1]


@pytest.mark.parametrize(("low", "high"), [(3, 5), (10, 12), (20, 30)])
def test_motion_stays_within_the_extent_that_was_asked_for(low, high):
    # Room for a lopsided path too: none is shrunk to fit. At each end a pixel that is partly covered counts as well.
    found = spans(MotionKernels(extent=(low, high)).sample(range(300), (1, 64, 64)))
    assert found.max() <= high + 2
    assert found.min() >= low - 1


def test_motion_fills_all_extents_up_to_the_canvas():
    found = spans(MotionKernels().sample(range(400), (1, 48, 48)))
    assert found.min() <= 5 and found.max() >= 40
    # Log-uniform: about half of the draws lie below the geometric middle of 3 and 48.
    assert 0.35 < (found <= 12).float().mean() < 0.65


def test_a_tangled_path_leaves_no_gaps():
    """Neighbouring points of the path are never so far apart that a lit pixel has no lit neighbour."""
    kernels = MotionKernels(intensity=(0.9, 1.0), extent=(60, 64)).sample(range(100), (1, 64, 64))
    lit = (kernels > 0).float()
    neighbours = torch.nn.functional.conv2d(lit, torch.ones(1, 1, 3, 3), padding=1) - lit
    assert not ((lit > 0) & (neighbours < 2)).any()


def test_a_straight_path_is_a_line_and_a_tangled_one_is_not():
    def thickness(intensity: float) -> torch.Tensor:
        kernels = MotionKernels((intensity, intensity), extent=(24, 24)).sample(range(50), (1, 48, 48))
        return moments(kernels)[0][:, 0].sqrt()

    assert thickness(0.0).max() < 1
    assert thickness(1.0).median() > 1.5


@pytest.mark.parametrize("length", [1.5, 4.0, 11.3, 40.0])
def test_the_moments_of_straight_lines(length):
    """L ** 2 / 12 along; the bilinear aperture adds f (1 - f), a sixth on average, along and across."""
    across, along = moments(LineKernels(length, bent=0).sample(range(300), (1, 64, 64)))[0].T
    torch.testing.assert_close(along.mean(), torch.tensor(length**2 / 12 + 1 / 6).double(), atol=0.02, rtol=0.01)
    assert along.max() <= length**2 / 12 + 0.26 and along.min() >= length**2 / 12 - 0.01
    assert across.max() <= 0.26


def test_lines_of_every_angle_and_a_fifth_along_the_axes():
    _, direction = moments(LineKernels(20, bent=0).sample(range(1000), (1, 33, 33)))
    angle = torch.atan2(direction[:, 0], direction[:, 1]) % math.pi
    off = (angle / (math.pi / 2) - (angle / (math.pi / 2)).round()).abs()
    assert 0.16 < (off < 1e-6).double().mean() < 0.24
    counts = torch.histc(angle[off > 1e-6], bins=8, min=0, max=math.pi)
    assert counts.min() > 70 and counts.max() < 130


def test_a_line_has_even_light():
    kernels = LineKernels(30, bent=0).sample(range(300), (1, 48, 48))
    _, direction = moments(kernels)
    flat = kernels[direction[:, 0].abs() < 1e-6, 0]
    assert len(flat) > 10
    middle = flat.amax(1)[:, 12:37]
    torch.testing.assert_close(middle, torch.full_like(middle, 1 / 30), rtol=0.1, atol=0)


def test_an_arc_turns_by_what_was_asked_for():
    """A half circle of length L: (L / pi) ** 2 (1 / 2 - 4 / pi ** 2) across its chord, (L / pi) ** 2 / 2 along."""
    radius = 36 / math.pi
    across, along = moments(LineKernels(36, bent=1, turn=180).sample(range(100), (1, 64, 64)))[0].T
    expected = [radius**2 * (0.5 - 4 / math.pi**2), radius**2 / 2]
    for found, value in zip((across, along), expected, strict=True):
        torch.testing.assert_close(found, torch.full_like(found, value + 1 / 6), atol=0.15, rtol=0)


def test_the_usual_lines_fill_all_lengths_and_a_third_are_bent():
    kernels = LineKernels().sample(range(600), (1, 48, 48))
    found = spans(kernels)
    assert found.min() <= 3 and found.max() >= 40
    across = moments(LineKernels((40, 40)).sample(range(600), (1, 64, 64)))[0][:, 0]
    assert 0.25 < (across > 0.27).double().mean() < 0.4


@pytest.mark.parametrize(("low", "high"), [(3, 5), (10, 12), (20, 30)])
def test_shakes_stay_within_the_extent_that_was_asked_for(low, high):
    found = spans(ShakeKernels(extent=(low, high)).sample(range(300), (1, 64, 64)))
    assert found.max() <= high + 2 and found.min() >= low - 2


def test_shakes_are_thin():
    """A track covers about as many pixels as it is long, however tangled."""
    kernels = ShakeKernels(extent=24).sample(range(300), (1, 64, 64))
    lit = (kernels > 0.05 * kernels.amax((2, 3), keepdim=True)).sum((1, 2, 3)).float()
    # A straight line of 24 pixels covers 24 to 70 of them, a window of 24 x 24 has 576.
    assert 24 < lit.median() < 90 and lit.max() < 230


def test_a_short_exposure_leaves_a_line_and_a_long_one_a_curve():
    def bend(exposure: float) -> torch.Tensor:
        short, long = moments(ShakeKernels(exposure, 24).sample(range(300), (1, 64, 64)))[0].sqrt().T
        return short / long

    short, long = bend(1 / 200), bend(1 / 2)
    assert short.median() < 0.1 and 0.2 < long.median() < 0.6
    assert short.median() < bend(1 / 50).median() < bend(1 / 8).median()


def test_a_shake_leaves_bright_knots_and_a_line_does_not():
    def peak(kernels: torch.Tensor) -> torch.Tensor:
        """The largest entry over the mean of those that are lit."""
        top = kernels.amax((2, 3), keepdim=True)
        return (top[:, 0, 0, 0] * (kernels > 0.05 * top).sum((1, 2, 3))) / kernels.sum((1, 2, 3))

    shake = peak(ShakeKernels(extent=24).sample(range(300), (1, 64, 64)))
    line = peak(LineKernels(23, bent=0).sample(range(300), (1, 64, 64)))
    assert line.median() < 2.5 and shake.median() > 3.2
    assert (shake > 1.3 * line.median()).float().mean() > 0.85
