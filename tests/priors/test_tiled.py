from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.core.prior import Posterior, Prior
from ipt.linalg.covariances import Isotropic
from ipt.linalg.normalization import Normalization
from ipt.priors.tiled import TiledPrior


class Same(Prior):
    """Any shape; the estimate is the noisy variable itself."""

    def normalization(self, shape: tuple[int, ...]) -> Normalization:
        return Normalization(tuple(shape), tuple(shape), 0.5, 0.5)

    def denoise(self, noisy: Tensor, sigma: float) -> Tensor:
        return noisy

    def posterior(self, noisy: Tensor, sigma: float) -> Posterior:
        return Posterior(self.denoise(noisy, sigma), Isotropic.like(noisy, 0.25 * sigma), noisy * 2)


class Mean(Same):
    """A local mean over 5 x 5 pixels, which knows nothing beyond a tile's edge: translation-equivariant inside."""

    def denoise(self, noisy: Tensor, sigma: float) -> Tensor:
        assert (noisy.shape[-2:] == (16, 16) and len(noisy) <= 3) or noisy.shape[-1] > 16
        kernel = noisy.new_full((noisy.shape[1], 1, 5, 5), 1 / 25)
        return F.conv2d(F.pad(noisy, (2, 2, 2, 2), mode="reflect"), kernel, groups=noisy.shape[1])


@pytest.mark.parametrize("size", [(16, 16), (17, 16), (23, 31), (40, 64), (28, 29)])
@pytest.mark.parametrize("overlap", [0, 5, 8])
def test_tiles_of_nothing_done_are_the_picture(size: tuple[int, int], overlap: int) -> None:
    noisy = torch.randn(2, 3, *size)
    found = TiledPrior(Same(), 16, overlap).posterior(noisy, 1.0)
    assert torch.allclose(found.mean, noisy, atol=1e-6)
    interpolation = found.variance_interpolation
    assert interpolation is not None and torch.allclose(interpolation, 2 * noisy, atol=1e-6)


@pytest.mark.parametrize("size", [(17, 25), (50, 37)])
def test_seams_are_invisible(size: tuple[int, int]) -> None:
    noisy = torch.randn(2, 3, *size)
    tiled = TiledPrior(Mean(), 16, overlap=8, batch=3)
    assert torch.allclose(tiled.denoise(noisy, 1.0), Mean().denoise(noisy, 1.0), atol=1e-6)


def test_an_image_alone_is_the_same() -> None:
    noisy = torch.randn(3, 3, 20, 30)
    tiled = TiledPrior(Mean(), 16, batch=3)
    assert torch.allclose(tiled.denoise(noisy[1:2], 1.0), tiled.denoise(noisy, 1.0)[1:2], atol=1e-6)


def test_normalization_and_variance_are_the_tile_s() -> None:
    tiled = TiledPrior(Same(), 16)
    assert tiled.normalization((3, 20, 16)) == Normalization((3, 20, 16), (3, 20, 16), 0.5, 0.5)
    covariance = tiled.posterior(torch.zeros(2, 3, 20, 16), 2.0).covariance
    assert isinstance(covariance, Isotropic) and covariance.variance.flatten().tolist() == [0.25, 0.25]
    with pytest.raises(ValueError, match="both sides"):
        tiled.normalization((3, 20, 15))
    with pytest.raises(ValueError, match="overlap"):
        TiledPrior(Same(), 16, 9)


class Grid(Mean):
    """A mean that differs from pixel to pixel of a grid of 4 x 4, as a network's that folds pixels."""

    def denoise(self, noisy: Tensor, sigma: float) -> Tensor:
        height, width = noisy.shape[-2:]
        pattern = torch.arange(4.0)[:, None] + torch.arange(4.0)
        return super().denoise(noisy, sigma) * pattern.repeat(height // 4 + 1, width // 4 + 1)[:height, :width]


@pytest.mark.parametrize("size", [(16, 28), (40, 68)])
def test_tiles_start_at_multiples(size: tuple[int, int]) -> None:
    noisy = torch.randn(1, 3, *size)
    tiled = TiledPrior(Grid(), 16, overlap=8, batch=3, multiple=4)
    assert torch.allclose(tiled.denoise(noisy, 1.0), Grid().denoise(noisy, 1.0), atol=1e-5)
    off = TiledPrior(Grid(), 16, overlap=7, batch=3)
    assert not torch.allclose(off.denoise(noisy, 1.0), Grid().denoise(noisy, 1.0), atol=1e-1)
