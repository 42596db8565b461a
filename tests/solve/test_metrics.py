from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage import data
from skimage.metrics import structural_similarity

from ipt.operators.blur.kernels import MotionKernels
from ipt.solve import metrics
from ipt.solve.drift import registered


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    return data.astronaut()[0:160:2, 160:320:2].transpose(2, 0, 1) / 255


def noisy(picture: np.ndarray, level: float = 0.05) -> np.ndarray:
    return picture + level * np.random.default_rng(0).standard_normal(picture.shape)


def test_psnr_and_ssim(face: np.ndarray) -> None:
    assert metrics.psnr(face + 0.1, torch.from_numpy(face)) == pytest.approx(20)
    assert metrics.psnr(face, face) == math.inf and metrics.ssim(face, face) == pytest.approx(1)
    grey, other = face[:1], noisy(face)[:1]
    expected = structural_similarity(
        grey[0], other[0], data_range=1, gaussian_weights=True, use_sample_covariance=False
    )
    assert metrics.ssim(grey, other) == pytest.approx(expected)
    with pytest.raises(ValueError, match="one shape"):
        metrics.psnr(face, face[:1])


@pytest.mark.parametrize("shift", [(3, -2), (-8, 8), (0, 0)])
def test_whole_pixels_are_found_exactly(face: np.ndarray, shift: tuple[int, int]) -> None:
    moved = np.roll(face, shift, axis=(1, 2))
    match = registered(moved, face, 8)
    assert match.shift == pytest.approx((-shift[0], -shift[1]), abs=0.02)
    assert metrics.psnr(match.image, match.reference) > 40


def test_parts_of_a_pixel_are_found() -> None:
    whole = data.astronaut()[0:240, 120:360].transpose(2, 0, 1) / 255
    first, second = (whole[:, s : s + 224, 8:232].reshape(3, 56, 4, 56, 4).mean((2, 4)) for s in (8, 6))
    match = registered(second, first, 4)
    assert match.shift == pytest.approx((-0.5, 0), abs=0.1)
    assert metrics.psnr(match.image, match.reference) > metrics.psnr(match.before, match.reference) + 3


def test_noise_is_no_drift(face: np.ndarray) -> None:
    """Moving by part of a pixel must not be rewarded for smoothing."""
    numbers = metrics.against_reference(noisy(face, 0.15), face, 4)
    assert numbers["drift"] < 0.1 and 0 <= numbers["drift_cost"] < 0.1
    assert numbers["psnr_registered"] == pytest.approx(numbers["psnr"], abs=0.2)


def test_a_shift_beyond_the_bound_stays_within(face: np.ndarray) -> None:
    match = registered(np.roll(face, 7, axis=1), face, 2)
    assert max(map(abs, match.shift)) <= 2
    with pytest.raises(ValueError, match="too small"):
        registered(face[:, :20, :20], face[:, :20, :20], 8)
    assert set(metrics.against_reference(face[:, :20, :20], face[:, :20, :20] + 0.1)) == {"psnr", "ssim"}


def test_kernel_numbers() -> None:
    kernel, other = MotionKernels().sample([1, 2], (1, 16, 16))
    assert metrics.kernel_mnc(kernel, kernel) == pytest.approx(1)
    assert metrics.kernel_mnc(3 * kernel, kernel.roll((2, -1), (1, 2))) == pytest.approx(1)
    assert 0 < metrics.kernel_mnc(kernel, other) < 0.95
    larger = torch.nn.functional.pad(kernel, (4, 3, 1, 6))
    assert metrics.kernel_mnc(larger, kernel[0]) == pytest.approx(1)
    assert metrics.kernel_mnc(torch.zeros(1, 3, 3), kernel) == 0
    centred = torch.nn.functional.pad(kernel, (4, 4, 4, 4))
    assert metrics.kernel_mse(centred, kernel) == pytest.approx(0, abs=1e-16)
    assert metrics.kernel_mse(kernel, other) == pytest.approx(float((kernel - other).square().mean()))


def test_large_pictures_are_refined_on_their_middle() -> None:
    large = data.astronaut()[:300, :400].transpose(2, 0, 1)[:1] / 255
    match = registered(np.roll(large, (2, -3), axis=(1, 2)), large, 4)
    assert match.shift == pytest.approx((-2, 3), abs=0.02) and match.image.shape == (1, 288, 388)
    assert metrics.psnr(match.image, match.reference) > 40


def test_kernels_with_and_without_their_shift() -> None:
    kernel = MotionKernels(extent=(4, 6)).sample([3], (1, 15, 15))[0]
    moved = kernel.roll((2, -1), (1, 2))
    assert metrics.kernel_mnc(kernel, moved, register=False) < 0.9
    assert metrics.kernel_mnc(kernel, kernel, register=False) == pytest.approx(1)
    assert metrics.kernel_mse(kernel, moved) > 1e-4
    assert metrics.kernel_mse(kernel, moved, register=True) == pytest.approx(0, abs=1e-12)
    other = MotionKernels(extent=(4, 6)).sample([4], (1, 15, 15))[0]
    shifts = [
        float((kernel - other.roll((down, right), (1, 2))).square().mean())
        for down in range(-3, 4)
        for right in range(-3, 4)
    ]
    assert metrics.kernel_mse(kernel, other, register=True) == pytest.approx(min(shifts))


def test_the_error_of_a_field_is_the_distance_of_its_ends() -> None:
    field = np.random.default_rng(0).standard_normal((2, 5, 6))
    moved = field + np.array([3.0, 4.0])[:, None, None]
    assert metrics.endpoint_error(moved, torch.from_numpy(field)) == pytest.approx(5)
    assert metrics.endpoint_error(moved, field, register=True) == pytest.approx(0, abs=1e-12)
    assert metrics.endpoint_error(np.zeros((2, 5, 6)), field) == pytest.approx(np.linalg.norm(field, axis=0).mean())
    with pytest.raises(ValueError, match="field of displacements"):
        metrics.endpoint_error(field[:1], field[:1])


def test_numbers_of_a_small_picture():
    clean = torch.rand(3, 9, 9, generator=torch.Generator().manual_seed(0))
    numbers = metrics.against_truth(clean + 0.001, clean, {"input": clean}, {}, {})
    assert set(numbers) == {"psnr", "psnr_input"} and numbers["psnr_input"] == math.inf


def test_parameters_are_compared_as_what_they_are():
    clean, kernel = torch.rand(3, 24, 24), torch.rand(1, 5, 5)
    values = {"kernel": kernel, "tilt": torch.zeros(2, 6, 6), "shift": torch.zeros(1, 24, 1)}
    values["other"] = torch.ones(3, 4, 4)
    offset = torch.tensor([3.0, 4.0])[:, None, None]
    true = {**values, "tilt": values["tilt"] + offset, "shift": values["shift"] + 0.5, "other": torch.ones(3, 5, 5)}
    numbers = metrics.against_truth(clean, clean, {}, values, true)
    assert numbers["kernel_mnc"] == pytest.approx(1) and numbers["kernel_mse"] == 0
    assert numbers["tilt_error"] == pytest.approx(5) and numbers["shift_error"] == pytest.approx(0.5)
    assert not [name for name in numbers if name.startswith("other")]


def test_kernels_of_several_places_are_compared_one_by_one():
    clean, kernels = torch.rand(3, 24, 24), torch.rand(4, 5, 5) ** 4
    kernels = kernels / kernels.sum((-2, -1), keepdim=True)
    found = kernels[[0, 1, 2, 0]]
    numbers = metrics.against_truth(clean, clean, {}, {"kernel": found}, {"kernel": kernels})
    last = metrics.kernel_mnc(kernels[:1], kernels[3:])
    assert numbers["kernel_mnc"] == pytest.approx((3 + last) / 4) and last < 0.95
    assert numbers["kernel_mse"] == pytest.approx(metrics.kernel_mse(kernels[:1], kernels[3:]) / 4)


def test_kernels_in_their_places_are_compared_with_one_by_their_mean():
    clean, kernels = torch.rand(3, 24, 24), torch.rand(4, 5, 5) ** 4
    kernels = kernels / kernels.sum((-2, -1), keepdim=True)
    numbers = metrics.against_truth(clean, clean, {}, {"kernel": kernels}, {"kernel": kernels.mean(0, keepdim=True)})
    assert numbers["kernel_mnc"] == pytest.approx(1) and numbers["kernel_mse"] == pytest.approx(0, abs=1e-12)
    assert metrics.kernel_mnc(kernels, kernels.mean(0)) == pytest.approx(1)
    with pytest.raises(ValueError, match="a kernel is"):
        metrics.kernel_mnc(kernels[:2], kernels[0])
