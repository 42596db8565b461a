"""Streaks that are looked for: several lights in the dark that a blur has drawn alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import ipt
from ipt.operators.blur.kernels import ShakeKernels
from ipt.solve.streak import kernel_of
from ipt.solve.streaks import found_streak
from ipt.solve.verdict import verdict

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


def test_a_doubtful_result_says_where_the_streak_is(monkeypatch):
    monkeypatch.setattr("ipt.solve.result.LIKELY", 2.0)
    monkeypatch.setattr("ipt.solve.verdict.LIKELY", 2.0)
    pixels = scene([path(5)] * 4)
    options = {"prior": {"image": "gaussian", "kernel": "gaussian"}, "steps": 4, "noise": 0.01, "effort": 1}
    settings = {"operator.kernel_size": 24}
    verdicts = [
        ipt.restore(one, "blur", settings=settings, **options).verdict for one in (pixels, scene([path(5)] * 2))
    ]
    x, y, across, down = found_streak(pixels, (24, 24)) or (0, 0, 0, 0)
    assert across and f"try streak={x},{y},{across},{down}" in verdicts[0]
    assert "streak" not in verdicts[1]
    again = ipt.restore(pixels, "blur", streak=(x, y, across, down), settings=settings, **options)
    assert again.details.record["streak"] == (x, y, across, down)


def test_advice_on_a_streak_is_for_what_is_likely_wrong():
    assert "streak" not in str(verdict(1.0, 0.01, 0.9, streak=(1, 2, 30, 40)))
    assert "try streak=1,2,30,40;" in str(verdict(1.0, 0.01, 0.2, streak=(1, 2, 30, 40)))
