"""A prior for pictures larger than its network takes: overlapping tiles, blended.

The unknown stays one picture: every step denoises all tiles and blends them, so the measurement corrects the whole,
and a kernel is shared by all of it.

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

    Where two tiles meet, the outer quarter of the overlap is dropped (there a network knows only one side) and the rest
    fades smoothly from one to the other; the weights sum to 1 in every pixel.

    Args:
        prior: of a tile.
        size: side of a tile in pixels.
        overlap: in pixels, default a quarter of the tile.
        batch: tiles a call of the network.
        multiple: tiles start at multiples of so many pixels, where the picture's size is one: a network that folds
            pixels is not the same a pixel further.
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
        """The tiles' means and interpolations, blended; of their covariance what holds at any size: a spectrum."""
        tops, rows = self._axis(noisy.shape[-2], noisy)
        lefts, columns = self._axis(noisy.shape[-1], noisy)
        windows = [
            (..., slice(top, top + rows.shape[-1]), slice(left, left + columns.shape[-1]))
            for top in tops
            for left in lefts
        ]
        weights = [row[:, None] * column for row in rows for column in columns]
        # Images stay apart, so that one gives the same alone and in a batch.
        tiles = torch.stack([noisy[window] for window in windows], dim=1)
        parts = [self.prior.posterior(part, sigma) for part in tiles.flatten(0, 1).split(self.batch)]
        places = [part.variance_interpolation for part in parts if part.variance_interpolation is not None]

        def blended(pieces: list[Tensor]) -> Tensor:
            pieces_of = torch.cat(pieces).unflatten(0, (len(noisy), len(windows)))
            whole = torch.zeros_like(noisy)
            for number, (window, weight) in enumerate(zip(windows, weights, strict=True)):
                whole[window] = whole[window] + weight * pieces_of[:, number]
            return whole

        variance = torch.cat([part.covariance.variance.expand(len(part.mean), 1, 1, 1) for part in parts])
        variance = variance.unflatten(0, (len(noisy), len(windows))).mean(1)
        spectral = parts[0].covariance if isinstance(parts[0].covariance, SpectralCovariance) else None
        return Posterior(
            blended([part.mean for part in parts]),
            Isotropic(variance) if spectral is None else SpectralCovariance(spectral.sigma, variance),
            blended(places) if len(places) == len(parts) else None,
        )

    def _axis(self, length: int, like: Tensor) -> tuple[list[int], Tensor]:
        """Where tiles start along an axis, and their weights (tiles, side), which sum to 1 at every pixel."""
        size, overlap = min(self.size, length), self.overlap
        grid = self.multiple if (length - size) % self.multiple == 0 else 1
        free = (size - overlap) // grid * grid
        count = 1 if length == size else max(2, 1 + math.ceil((length - size) / free))
        starts = [round(i * (length - size) / grid / max(1, count - 1)) * grid for i in range(count)]
        margin = overlap // 4
        # 0 in the margin at a tile's edge, 1 from the overlap's end on; the picture's own edges fade nothing.
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


def continued(picture: Tensor, height: int, width: int) -> Tensor:
    """A picture (B, C, H, W) mirrored beyond its lower and right edges, where it has pixels enough, else drawn out."""
    down, across = height - picture.shape[-2], width - picture.shape[-1]
    if not down and not across:
        return picture
    enough = down < picture.shape[-2] and across < picture.shape[-1]
    return F.pad(picture, (0, across, 0, down), mode="reflect" if enough else "replicate")
