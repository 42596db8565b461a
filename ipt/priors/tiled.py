"""A prior for pictures that are larger than its network takes: overlapping tiles, blended at every step.

The unknown remains one picture, so the measurement corrects all of it, and one kernel is shared by all of it.

References:
    MultiDiffusion (Bar-Tal et al., arXiv 2302.08113), here with smooth weights.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.core.prior import Posterior, Prior
from ipt.linalg.covariances import Isotropic
from ipt.linalg.normalization import Normalization
from ipt.linalg.spectra import SpectralCovariance


class TiledPrior(Prior):
    """`prior` on tiles of size x size pixels that overlap by at least `overlap`.

    In an overlap, the outer quarter of each tile has weight 0, because the network sees only one side there. Over the
    rest the weights change smoothly from one tile to the other. They sum to 1 at every pixel.

    Args:
        prior: the prior of a tile.
        size: side of a tile in pixels.
        overlap: overlap in pixels, 0 to half of the tile; None: a quarter of the tile.
        batch: number of tiles in one call of the network, from 1 up.
        multiple: tiles start at multiples of this many pixels, where the picture's size is a multiple too, because a
            network that folds pixels into channels is not invariant to other shifts.

    Raises:
        ValueError: an overlap or batch out of range.
    """

    def __init__(self, prior: Prior, size: int, overlap: int | None = None, batch: int = 8, multiple: int = 1):
        overlap = size // 4 if overlap is None else overlap
        if not 0 <= overlap <= size // 2 or batch < 1:
            raise ValueError(
                f"tiles of {size} px overlap by 0 to {size // 2} px, in batches of 1 up, not {overlap} and {batch}"
            )
        self.prior, self.size, self.overlap, self.batch, self.multiple = prior, size, overlap, batch, multiple

    def normalization(self, shape: tuple[int, ...]) -> Normalization:
        channels, height, width = shape
        if min(height, width) < self.size:
            raise ValueError(
                f"tiles of {self.size} x {self.size} px do not fit into {width} x {height} px; "
                "both sides must reach the tile"
            )
        tile = (channels, self.size, self.size)
        inner = self.prior.normalization(tile)
        if inner.shape != tile:
            takes = inner.shape[-1]
            raise ValueError(f"the prior takes {takes} px and not {self.size} px; use tiles of {takes} px")
        return Normalization(tuple(shape), tuple(shape), inner.scale, inner.offset)

    def denoise(self, noisy: Tensor, sigma: float) -> Tensor:
        return self.posterior(noisy, sigma).mean

    def posterior(self, noisy: Tensor, sigma: float) -> Posterior:
        """The tiles' means and interpolations, blended, with their mean variance and, where it has one, spectrum."""
        tops, rows = self._axis(noisy.shape[-2], noisy)
        lefts, columns = self._axis(noisy.shape[-1], noisy)
        windows = [
            (..., slice(top, top + rows.shape[-1]), slice(left, left + columns.shape[-1]))
            for top in tops
            for left in lefts
        ]
        weights = [row[:, None] * column for row in rows for column in columns]
        # The tiles of an image follow each other, so that it gives the same alone and in a batch.
        tiles = torch.stack([noisy[window] for window in windows], dim=1).flatten(0, 1)
        by_image = (len(noisy), len(windows))
        posteriors = [self.prior.posterior(some, sigma) for some in tiles.split(self.batch)]

        def blended(values: list[Tensor]) -> Tensor:
            of_tiles = torch.cat(values).unflatten(0, by_image)
            whole = torch.zeros_like(noisy)
            for number, (window, weight) in enumerate(zip(windows, weights, strict=True)):
                whole[window] = whole[window] + weight * of_tiles[:, number]
            return whole

        variance = torch.cat([one.covariance.variance.expand(len(one.mean), 1, 1, 1) for one in posteriors])
        variance = variance.unflatten(0, by_image).mean(1)
        covariance = posteriors[0].covariance
        found = [one.variance_interpolation for one in posteriors]
        interpolations = [value for value in found if value is not None]
        return Posterior(
            blended([one.mean for one in posteriors]),
            SpectralCovariance(covariance.sigma, variance)
            if isinstance(covariance, SpectralCovariance)
            else Isotropic(variance),
            blended(interpolations) if len(interpolations) == len(posteriors) else None,
        )

    def _axis(self, length: int, like: Tensor) -> tuple[list[int], Tensor]:
        """First pixels of the tiles along an axis, and their weights (tiles, side), which sum to 1 at every pixel."""
        size, overlap = min(self.size, length), self.overlap
        grid = self.multiple if (length - size) % self.multiple == 0 else 1
        free = (size - overlap) // grid * grid
        count = 1 if length == size else max(2, 1 + math.ceil((length - size) / free))
        starts = [round(i * (length - size) / grid / max(1, count - 1)) * grid for i in range(count)]
        margin = overlap // 4
        # The weight is 0 in the margin at a tile's edge, and 1 beyond the overlap; at the picture's own edges it is 1.
        inside = (torch.arange(size, dtype=torch.float64) + 0.5 - margin) / max(1, overlap - 2 * margin)
        rise = (math.pi / 2 * inside.clamp(0, 1)).sin().square()
        weights = torch.ones(count, size, dtype=torch.float64)
        weights[1:] *= rise
        weights[:-1] *= rise.flip(0)
        total = torch.zeros(length, dtype=torch.float64)
        for start, weight in zip(starts, weights, strict=True):
            total[start : start + size] += weight
        shares = [weight / total[start : start + size] for start, weight in zip(starts, weights, strict=True)]
        return starts, torch.stack(shares).to(like)


def extended(picture: Tensor, height: int, width: int) -> Tensor:
    """A picture extended to (height, width) beyond its lower and right edges, by reflection if it is large enough.

    A picture with too few pixels for that is extended by repetition of its edges.
    """
    down, across = height - picture.shape[-2], width - picture.shape[-1]
    if not down and not across:
        return picture
    enough = down < picture.shape[-2] and across < picture.shape[-1]
    return F.pad(picture, (0, across, 0, down), mode="reflect" if enough else "replicate")
