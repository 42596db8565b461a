"""Light and the sRGB values that encode it."""

from __future__ import annotations

import pytest
import torch

from ipt.images.light import decoded, encoded, noise_gain


def test_each_is_the_inverse_of_the_other_also_beyond_the_range():
    values = torch.linspace(-0.2, 1.3, 301)
    assert torch.allclose(encoded(decoded(values)), values, atol=1e-6)
    # IEC 61966-2-1: half of the values is about a fifth of the light.
    assert float(decoded(torch.tensor(0.5))) == pytest.approx(0.21404, abs=1e-5)


@pytest.mark.parametrize("level", [0.02, 0.3, 0.9])
def test_the_noise_of_values_in_light(level):
    values = torch.full((1, 200, 200), level)
    noise = 0.001 * torch.randn(values.shape, generator=torch.Generator().manual_seed(0))
    found = float((decoded(values + noise) - decoded(values)).std()) / 0.001
    assert noise_gain(values) == pytest.approx(found, rel=0.03)
