from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ipt.core.errors import IptError
from ipt.core.prior import Prior
from ipt.images.fit import as_colour, as_it_came, fit
from ipt.linalg.normalization import Normalization
from ipt.priors.tiled import TiledPrior


class Square(Prior):
    """Takes up to `side` pixels a side, on a canvas of that side."""

    def __init__(self, side: int = 32):
        self.side = side

    def normalization(self, shape: tuple[int, ...]) -> Normalization:
        channels, height, width = shape
        if max(height, width) > self.side:
            raise ValueError(f"at most {self.side} px")
        return Normalization((channels, self.side, self.side), tuple(shape), 0.5, 0.5)

    def denoise(self, noisy: Tensor, sigma: float) -> Tensor:
        return noisy


def smooth(height: int, width: int) -> Tensor:
    y, x = torch.meshgrid(torch.linspace(0, 3, height), torch.linspace(0, 2, width), indexing="ij")
    return torch.stack([0.5 + 0.3 * torch.sin(x + y), 0.5 + 0.3 * torch.cos(y), 0.4 + 0.1 * x])


def test_what_the_prior_takes_is_untouched() -> None:
    pixels, prior = smooth(30, 20), Square()
    fitted = fit(pixels, prior)
    assert fitted.pixels is pixels and fitted.prior is prior and fitted.restore(pixels) is pixels


def test_an_error_names_the_choices() -> None:
    with pytest.raises(IptError, match=r"fit=resize.*fit=crop.*fit=tile"):
        fit(smooth(40, 20), Square())
    with pytest.raises(ValueError, match="error, resize, crop, tile"):
        fit(smooth(40, 20), Square(), "squeeze")


@pytest.mark.parametrize("size", [(80, 60), (33, 120), (64, 9)])
def test_resize_comes_back_whole(size: tuple[int, int]) -> None:
    pixels = smooth(*size)
    fitted = fit(pixels, Square(), "resize")
    assert fitted.pixels.shape == (3, 32, 32) and fitted.window == (0, 0, *size)
    assert (fitted.restore(fitted.pixels) - pixels).abs().max() < 0.06


def test_resize_enlarges_where_it_must() -> None:
    class Exactly(Square):
        def normalization(self, shape: tuple[int, ...]) -> Normalization:
            if shape[1:] != (32, 32):
                raise ValueError("32 x 32 only")
            return super().normalization(shape)

    fitted = fit(smooth(20, 16), Exactly(), "resize")
    assert fitted.pixels.shape == (3, 32, 32) and fitted.restore(fitted.pixels).shape == (3, 20, 16)
    with pytest.raises(IptError, match="fit=resize enlarges"):
        fit(smooth(20, 16), Exactly(), "tile")


def test_crop_is_the_central_square() -> None:
    pixels = smooth(80, 60)
    fitted = fit(pixels, Square(), "crop")
    assert fitted.window == (10, 0, 60, 60) and fitted.pixels.shape == (3, 32, 32)
    assert (fitted.restore(fitted.pixels) - pixels[:, 10:70]).abs().max() < 0.03


@pytest.mark.parametrize("choice", ["resize", "crop"])
def test_the_gain_is_that_of_white_noise(choice: str) -> None:
    noise = torch.randn(8, 96, 96, generator=torch.Generator().manual_seed(0))
    fitted = fit(noise, Square(), choice)
    assert float(fitted.pixels.std()) == pytest.approx(fitted.noise_gain, rel=0.03)
    assert fitted.noise_gain < 0.5


def test_tiles_keep_the_picture() -> None:
    pixels = smooth(40, 70)
    fitted = fit(pixels, Square(), "tile")
    assert fitted.pixels is pixels and isinstance(fitted.prior, TiledPrior) and fitted.noise_gain == 1
    assert fitted.prior.normalization((3, 40, 70)).shape == (3, 40, 70)


def test_grey_goes_to_colour_and_back() -> None:
    grey = smooth(10, 12)[:1]
    colour = as_colour(grey, 3)
    assert colour.shape == (3, 10, 12) and (colour == grey).all()
    different = colour * torch.tensor([0.9, 1.0, 1.1])[:, None, None]
    assert torch.allclose(as_it_came(different, 1), grey) and as_it_came(different[None], 3).shape == (1, 3, 10, 12)
    assert as_colour(colour, 3) is colour
    with pytest.raises(IptError, match="3 channels and the prior takes 1"):
        as_colour(colour, 1)
