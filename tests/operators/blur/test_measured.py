"""A measurement on the periodic grid: what of it counts, and how its edges fade."""

from __future__ import annotations

import pytest
import torch

from ipt.core.abilities import Belief
from ipt.core.observation import Observation
from ipt.linalg.covariances import Isotropic
from ipt.linalg.spectra import to_luma_chroma
from ipt.operators.blur.measured import SINGLE, SINGLE_KERNEL, Measured, arithmetic, squared
from ipt.operators.blur.operator import Blur
from ipt.operators.blur.padded_frame import PaddedFrame

NOISE = torch.full((2, 1, 1, 1), 0.02)


def observed(channels=3, mask=None):
    picture = torch.rand(2, channels, 20, 24, generator=torch.Generator().manual_seed(0))
    return Observation.checked(picture, NOISE, mask)


def test_where_all_of_the_grid_was_measured_there_is_no_mask():
    padded, observation = PaddedFrame.around((20, 24), (5, 5), "circular"), observed()
    found = Measured.on(padded, observation, torch.float64)
    assert found.mask is None and found.count == 20 * 24 and found.values.dtype == torch.float64
    torch.testing.assert_close(found.values, to_luma_chroma(observation.measurement.double()))
    torch.testing.assert_close(found.noise_variance, NOISE.double() ** 2)
    assert found.masked(found.values) is found.values and found.taper().min() == 1


@pytest.mark.parametrize(("border", "image"), [("zero", (20, 24)), ("unknown", (24, 28))])
def test_what_lies_outside_the_frame_was_not_measured(border, image):
    padded = PaddedFrame.around(image, (5, 5), border, 2 if border == "unknown" else 0)
    found = Measured.on(padded, observed(), torch.float64)
    assert found.values.shape[-2:] == padded.size and found.mask.sum((-3, -2, -1)).tolist() == [480, 480]
    assert found.count.flatten().tolist() == [480, 480]
    torch.testing.assert_close(found.masked(found.values), found.values)
    taper = found.taper()
    assert taper.max() == pytest.approx(1) and (taper * (1 - found.mask)).abs().max() == 0 and taper.min() == 0


def test_a_pixel_counts_where_all_of_its_channels_were_measured():
    mask = torch.ones(1, 3, 20, 24)
    mask[:, 1, 3, 4] = 0
    padded = PaddedFrame.around((20, 24), (5, 5), "circular")
    found = Measured.on(padded, observed(mask=mask), torch.float64)
    assert (1 - found.mask).nonzero().tolist() == [[0, 0, 3, 4], [1, 0, 3, 4]]
    assert found.values[..., 3, 4].abs().max() == 0 and found.values[..., 3, 5].abs().min() > 0


def test_a_mask_that_is_all_edge_still_counts_somewhere():
    mask = torch.zeros(1, 1, 20, 24)
    mask[..., ::3] = 1
    found = Measured.on(PaddedFrame.around((20, 24), (5, 5), "circular"), observed(mask=mask), torch.float64)
    assert found.taper().amax((-2, -1)).flatten().tolist() == pytest.approx([1, 1])


def test_powers():
    assert squared(torch.tensor([3 + 4j, -2j])).tolist() == [25, 4]


def believed(values: torch.Tensor, sigma: float) -> Belief:
    return Belief(values, Isotropic.like(values, sigma), sigma)


@pytest.mark.parametrize("sigma", [SINGLE, SINGLE / 4])
def test_single_precision_is_enough_where_the_image_is_fine(sigma):
    generator = torch.Generator().manual_seed(0)
    operator, truth = Blur(9), torch.rand(1, 3, 56, 60, generator=generator)
    kernel = torch.rand(1, 1, 9, 9, generator=generator)
    kernel /= kernel.sum()
    observation = Observation.checked(operator.forward(truth, kernel), torch.full((1, 1, 1, 1), 0.01))
    near = truth + sigma * torch.randn(truth.shape, generator=generator)
    found = []
    for kind in (torch.float32, torch.float64):
        image = believed(near.to(kind), sigma)
        assert arithmetic(image) == kind
        beliefs = {"kernel": believed(kernel / kernel.max(), sigma)}
        solved = operator.parameter_step(observation, image, beliefs, {})["kernel"]
        found.append((solved, operator.image_step(observation, image, {"kernel": kernel}, beliefs)))
    for one, other in zip(*found, strict=True):
        assert (one - other).abs().max() < 1e-4
    assert arithmetic(believed(near, 2 * SINGLE)) == torch.float64
    assert arithmetic(believed(near, torch.inf)) == torch.float32
    assert arithmetic(believed(near, SINGLE), SINGLE_KERNEL) == torch.float64
