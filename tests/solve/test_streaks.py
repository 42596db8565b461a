"""Streaks that are looked for: several lights in the dark that a blur has drawn alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import ipt
from ipt.operators.blur.kernels import ShakeKernels
from ipt.solve.streak import kernel_of
from ipt.solve.streaks import found_streak, likeness
from ipt.solve.verdict import Remedies, verdict

WINDOW = (32, 32)
PLACES = ((12, 14), (16, 90), (70, 20), (74, 104))


def path(seed: int) -> np.ndarray:
    kernel = ShakeKernels().sample([seed], (1, 21, 21))[0, 0].numpy()
    return kernel / kernel.max()


def scene(shapes: list[np.ndarray], background: float = 0.04) -> torch.Tensor:
    """Shapes of light of different brightness on an even ground, (3, 120, 150)."""
    grey = np.full((120, 150), background)
    for (row, column), shape, bright in zip(PLACES, shapes, (0.5, 0.9, 0.3, 0.7), strict=False):
        grey[row : row + shape.shape[0], column : column + shape.shape[1]] += bright * shape
    noisy = grey + 0.004 * np.random.default_rng(0).standard_normal((3, *grey.shape))
    return torch.from_numpy(noisy.clip(0, 1)).float()


def thick() -> np.ndarray:
    window = np.zeros((21, 21))
    window[5:16, 6:15] = 1
    return window


def test_lights_that_are_drawn_alike_show_the_kernel():
    pixels = scene([path(5)] * 4)
    found = found_streak(pixels, WINDOW)
    assert found is not None
    left, top, across, down = found
    kernel = kernel_of(pixels[:, top : top + down, left : left + across], WINDOW)
    size = (64, 64)
    spectra = [np.fft.rfft2(one, s=size) for one in (kernel[0, 0].numpy(), path(5))]
    likeness = np.fft.irfft2(spectra[0] * spectra[1].conj(), s=size).max() / float(kernel.norm())
    assert likeness / np.linalg.norm(path(5)) > 0.95


@pytest.mark.parametrize(
    "pixels",
    [
        pytest.param(scene([path(5)] * 2), id="two lights"),
        pytest.param(scene([path(seed) for seed in (5, 8, 7, 20)]), id="each of its own shape"),
        pytest.param(scene([thick()] * 4), id="lit windows"),
        pytest.param(scene([path(5)] * 4, background=0.4), id="daylight"),
        pytest.param(torch.zeros(3, 40, 40), id="nothing"),
    ],
)
def test_other_lights_show_none(pixels):
    assert found_streak(pixels, WINDOW) is None


OPTIONS = {"prior": {"image": "gaussian", "kernel": "gaussian"}, "steps": 4, "noise": 0.01, "effort": 1}
SETTINGS = {"operator.kernel_size": 24}


def test_a_kernel_that_is_not_like_the_streaks_is_likely_wrong(monkeypatch):
    monkeypatch.setattr("ipt.solve.result._UNLIKE", 1.1)
    pixels = scene([path(5)] * 4)
    found = ipt.restore(pixels, "blur", settings=SETTINGS, **OPTIONS)
    x, y, across, down = found_streak(pixels, (24, 24)) or (0, 0, 0, 0)
    assert found.probability is not None and found.probability <= 0.3
    assert "the kernel is not like them" in found.verdict and f"try streak={x},{y},{across},{down}" in found.verdict
    again = ipt.restore(pixels, "blur", streak=(x, y, across, down), settings=SETTINGS, **OPTIONS)
    assert again.details.record["streak"] == (x, y, across, down) and again.probability is None


@pytest.mark.parametrize(("lights", "unlike"), [(4, 0.0), (2, 1.1)])
def test_a_kernel_that_is_like_the_streaks_is_as_likely_as_before(monkeypatch, lights, unlike):
    monkeypatch.setattr("ipt.solve.result._UNLIKE", unlike)
    pixels = scene([path(5)] * lights)
    found = ipt.restore(pixels, "blur", settings=SETTINGS, **OPTIONS)
    monkeypatch.setattr("ipt.solve.result.suggested_streak", lambda *_: None)
    without = ipt.restore(pixels, "blur", settings=SETTINGS, **OPTIONS)
    assert found.probability == without.probability and "the kernel is not like them" not in found.verdict


def test_the_likeness_of_kernels_does_not_depend_on_where_they_are():
    kernel = torch.zeros(1, 1, 24, 24)
    kernel[..., 4:12, 7] = 1
    others = torch.cat([3 * kernel.roll(5, -2), kernel.mT, torch.rand(1, 1, 24, 24)])
    (found,) = likeness(kernel, others)
    assert float(found[0]) == pytest.approx(1, abs=1e-5)
    assert float(found[1]) == pytest.approx(1 / 8, abs=1e-5) and float(found[2]) < 0.7


def test_strips_of_a_large_picture_show_what_is_in_them(monkeypatch):
    pixels = scene([path(5)] * 4)
    whole = found_streak(pixels, WINDOW)
    monkeypatch.setattr("ipt.solve.streaks._STRIP", 1)
    large = torch.cat([torch.full((3, 300, 150), 0.04), pixels], 1)
    found = found_streak(large, WINDOW)
    assert whole is not None and found == (whole[0], whole[1] + 300, *whole[2:])


def test_advice_on_a_streak_is_for_what_is_likely_wrong():
    assert "streak" not in str(verdict(1.0, Remedies(), 0.9, streak=(1, 2, 30, 40)))
    assert "try streak=1,2,30,40." in str(verdict(1.0, Remedies(), 0.2, streak=(1, 2, 30, 40)))
