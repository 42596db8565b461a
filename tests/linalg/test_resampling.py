"""Pictures of half the sides, and back: where each pixel is, odd ends, the range."""

from __future__ import annotations

import pytest
import torch

from ipt.linalg.resampling import doubled, halved


def ramp(height: int, width: int) -> torch.Tensor:
    """A picture that tells where each pixel is, (1, 2, height, width)."""
    rows, columns = torch.arange(height) / 100, torch.arange(width) / 100
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij"))[None].double()


def test_means_over_two_by_two_pixels():
    assert halved(torch.tensor([[[[0.0, 0.2], [0.4, 1.0]]]])).item() == pytest.approx(0.4)


def test_an_odd_end_is_the_mean_of_what_is_there():
    found = halved(torch.arange(15, dtype=torch.float64).reshape(1, 1, 3, 5))
    assert found.tolist() == [[[[3, 5, 6.5], [10.5, 12.5, 14]]]]


@pytest.mark.parametrize("sides", [(32, 40), (31, 40), (31, 39)])
def test_doubled_each_pixel_is_where_it_was(sides):
    picture = ramp(*sides)
    back = doubled(halved(picture), sides)
    assert back.shape == picture.shape
    inside = (..., slice(6, -6), slice(6, -6))
    # To a tenth of a pixel: torch's bicubic interpolation does not keep straight lines quite straight.
    torch.testing.assert_close(back[inside], picture[inside], rtol=0, atol=1e-3)


def test_doubled_stays_within_the_range():
    # Bicubic interpolation overshoots at an edge.
    found = doubled(torch.tensor([0.0, 0, 1, 1]).expand(1, 1, 4, 4), (8, 8))
    assert found.min() == 0 and found.max() == 1
