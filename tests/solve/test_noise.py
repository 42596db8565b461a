"""The noise estimate against pictures whose noise is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage import data

from ipt.images.files import ROUNDING_NOISE
from ipt.operators.blur import Blur
from ipt.operators.blur.kernels import DefocusKernels, GaussianKernels, MotionKernels
from ipt.solve.noise import estimate_noise

KERNELS = {
    "motion": MotionKernels(extent=(5, 14)),
    "gaussian": GaussianKernels(std=(1, 3)),
    "defocus": DefocusKernels(radius=(2, 5)),
}


def blurred(name: str, kind: str, seed: int, side: int = 96) -> torch.Tensor:
    values = np.atleast_3d(getattr(data, name)())[40 : 40 + side, 100 : 100 + side].transpose(2, 0, 1)
    image = torch.from_numpy(values.astype(np.float32))[None] / 255
    return Blur(border="reflect").forward(image, KERNELS[kind].sample([seed], (1, 17, 17)))[0]


@pytest.mark.parametrize("kind", list(KERNELS))
@pytest.mark.parametrize("name", ["astronaut", "camera", "chelsea", "coffee"])
@pytest.mark.parametrize("level", [0.005, 0.01, 0.04])
def test_within_15_percent_on_blurred_pictures(level, name, kind):
    clean = blurred(name, kind, seed=3)
    noisy = clean + level * torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    rounded = (noisy.clamp(0, 1) * 255).round() / 255
    assert estimate_noise(rounded) == pytest.approx(np.hypot(level, ROUNDING_NOISE), rel=0.15)


def test_clipped_parts_are_passed_over():
    generator = torch.Generator().manual_seed(0)
    picture = torch.full((1, 64, 64), 0.5) + 0.02 * torch.randn(1, 64, 64, generator=generator)
    picture[:, :, 20:] = 1.0
    assert estimate_noise(picture) == pytest.approx(0.02, rel=0.15)


def test_there_is_a_floor():
    assert estimate_noise(torch.full((3, 16, 16), 0.4)) == ROUNDING_NOISE == pytest.approx(1 / 255 / 12**0.5)


def test_too_small_a_picture_is_refused():
    with pytest.raises(ValueError, match="4 x 9 px"):
        estimate_noise(torch.zeros(1, 9, 4))


@pytest.mark.parametrize("size", [(1500, 1500), (40, 60000)])
def test_the_noise_of_a_large_picture_is_that_of_its_strips(size):
    generator = torch.Generator().manual_seed(0)
    ramp = torch.linspace(0.3, 0.7, size[1]).expand(1, *size)
    noisy = ramp + 0.01 * torch.randn(1, *size, generator=generator)
    assert estimate_noise(noisy) == pytest.approx(0.01, rel=0.02)
