"""Efficient filter flow: the picture's tiles overlap, each has a kernel, and what they measure is blended smoothly.

    y = sum_r  w_r (k_r * x),     sum_r w_r = 1

The windows w_r lie on the frame, about nodes on an n x n grid of equal cells, and fall linearly to the next node: so
the kernel between nodes is interpolated bilinearly, and towards the frame's edge it stays that of the last node. Each
product is a convolution of a tile alone, by transforms of the tile's size.

References:
    Hirsch, Sra, Schoelkopf, Harmeling, "Efficient Filter Flow for Space-Variant Multiframe Blind Deconvolution",
    CVPR 2010.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.operators.blur.padded_frame import PaddedFrame, fast_length


def nodes(count: int, side: int) -> Tensor:
    """Where along a side of so many pixels the kernels hold, in pixels from the first one's centre, (count,)."""
    return (torch.arange(count, dtype=torch.float64) + 0.5) * (side / count) - 0.5


@dataclass(frozen=True)
class Tiles:
    """The tiles of one frame.

    Attributes:
        padded: frame, image and grid, as of `blur`.
        sides: (height, width) of a kernel.
        count: tiles along each side of the frame.
    """

    padded: PaddedFrame
    sides: tuple[int, int]
    count: int

    @cached_property
    def windows(self) -> tuple[Tensor, Tensor]:
        """Along rows and along columns, (count, side of a tile) each; a tile's window is the product of two."""
        return self._axes[0][1], self._axes[1][1]

    @cached_property
    def _axes(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Of rows and of columns: the first pixel of each tile in the frame, and the windows."""
        rows, columns = (_along(self.count, side) for side in self.padded.frame)
        return rows, columns

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of a tile."""
        down, across = self.windows
        return down.shape[1], across.shape[1]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the transforms: a tile, and what its kernel sees around it."""
        height, width = (_length(tile, side) for tile, side in zip(self.shape, self.sides, strict=True))
        return height, width

    def window(self, like: Tensor) -> Tensor:
        """Of each tile, (tiles, 1, height, width)."""
        down, across = (axis.to(like) for axis in self.windows)
        return (down[:, None, :, None] * across[None, :, None, :]).reshape(-1, 1, *self.shape)

    def seen(self, grid: Tensor) -> Tensor:
        """What the tiles' kernels see of a picture on the grid, (B, C, P, Q) -> (B * tiles, C, *size)."""
        rows, columns = (index.to(grid.device) for index in self._seen)
        found = grid.index_select(-2, rows.flatten()).index_select(-1, columns.flatten())
        found = found.unflatten(-2, rows.shape).unflatten(-1, columns.shape)
        tiles: Tensor = found.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)
        return tiles

    def unseen(self, tiles: Tensor) -> Tensor:
        """The adjoint of `seen`: what overlaps is added."""
        rows, columns = (index.to(tiles.device) for index in self._seen)
        parts = tiles.unflatten(0, (-1, self.count, self.count)).permute(0, 3, 1, 4, 2, 5)
        parts = parts.flatten(4, 5).flatten(2, 3)
        height, width = self.padded.size
        grid = parts.new_zeros(*parts.shape[:2], parts.shape[2], width).index_add(3, columns.flatten(), parts)
        whole: Tensor = grid.new_zeros(*parts.shape[:2], height, width).index_add(2, rows.flatten(), grid)
        return whole

    @cached_property
    def _seen(self) -> tuple[Tensor, Tensor]:
        """Rows and columns of the grid that each tile's kernel sees, (count, side)."""
        found = []
        for (first, window), side, length, origin in zip(
            self._axes, self.sides, self.padded.size, self.padded.origin, strict=True
        ):
            start = origin + first - (side - 1 - side // 2)
            whole = _length(window.shape[1], side)
            found.append((start[:, None] + torch.arange(whole)) % length)
        return found[0], found[1]

    def split(self, frame: Tensor) -> Tensor:
        """The tiles' places in the frame, (B, C, H, W) -> (B * tiles, C, h, w)."""
        (height, width), corners = self.shape, self._corners
        parts = [frame[..., row : row + height, column : column + width] for row, column in corners]
        return torch.stack(parts, dim=1).flatten(0, 1)

    def join(self, tiles: Tensor) -> Tensor:
        """The adjoint of `split`: what overlaps is added."""
        (height, width), parts = self.shape, tiles.unflatten(0, (-1, self.count**2))
        frame: Tensor = parts.new_zeros(len(parts), parts.shape[2], *self.padded.frame)
        for number, (row, column) in enumerate(self._corners):
            frame[..., row : row + height, column : column + width] += parts[:, number]
        return frame

    @cached_property
    def _corners(self) -> list[tuple[int, int]]:
        rows, columns = (first.tolist() for first, _ in self._axes)
        return [(row, column) for row in rows for column in columns]

    def transfer(self, kernels: Tensor) -> Tensor:
        """Spectra (B * tiles, 1, ...) on the tiles' transforms of kernels (B, tiles, h, w), centre pixel the origin."""
        (height, width), (rows, columns) = self.sides, self.size
        flat = F.pad(kernels.flatten(0, 1)[:, None], (0, columns - width, 0, rows - height))
        spectrum: Tensor = torch.fft.rfft2(flat.roll((-(height // 2), -(width // 2)), dims=(-2, -1)))
        return spectrum

    def spectrum(self, grid: Tensor) -> Tensor:
        """Of what the tiles see of a picture on the grid, (B * tiles, C, ...)."""
        spectrum: Tensor = torch.fft.rfft2(self.seen(grid))
        return spectrum

    def blended(self, spectrum: Tensor) -> Tensor:
        """The frame (B, C, H, W) of tiles with these spectra (`spectrum` times `transfer`)."""
        (height, width), (top, left) = self.shape, self._before
        tiles = torch.fft.irfft2(spectrum, s=self.size)[..., top : top + height, left : left + width]
        return self.join(self._windowed(tiles))

    def parted(self, frame: Tensor) -> Tensor:
        """The adjoint of `blended` with respect to the tiles on their transforms: spectra of windowed tiles."""
        (height, width), (top, left), (rows, columns) = self.shape, self._before, self.size
        tiles = self._windowed(self.split(frame))
        spectrum: Tensor = torch.fft.rfft2(F.pad(tiles, (left, columns - left - width, top, rows - top - height)))
        return spectrum

    def back(self, spectrum: Tensor) -> Tensor:
        """The adjoint of `spectrum`: tiles with these spectra, added on the grid (B, C, P, Q)."""
        return self.unseen(torch.fft.irfft2(spectrum, s=self.size))

    def forward(self, grid: Tensor, kernels: Tensor) -> Tensor:
        """The frame (B, C, H, W) of a picture on the grid, blurred by kernels (B, tiles, h, w)."""
        return self.blended(self.spectrum(grid) * self.transfer(kernels))

    @property
    def own(self) -> PaddedFrame:
        """A tile as a frame of its own, what its kernel sees as the image around it."""
        height, width = self.sides
        reach = (self._before, (height // 2, width // 2))
        return PaddedFrame(self.shape, self.size, self.size, self._before, reach, "unknown")

    @property
    def places(self) -> Tensor:
        """Rows and columns of the nodes, in pixels of the frame, (tiles, 2)."""
        return torch.cartesian_prod(*(nodes(self.count, side) for side in self.padded.frame)).reshape(-1, 2)

    @property
    def _before(self) -> tuple[int, int]:
        """Rows and columns that a kernel sees before its tile."""
        height, width = self.sides
        return height - 1 - height // 2, width - 1 - width // 2

    def _windowed(self, tiles: Tensor) -> Tensor:
        window = self.window(tiles)
        windowed: Tensor = (tiles.unflatten(0, (-1, len(window))) * window).flatten(0, 1)
        return windowed


def _along(count: int, side: int) -> tuple[Tensor, Tensor]:
    """First pixels of the tiles along a side, (count,), and windows of one length, (count, length)."""
    place, apart = nodes(count, side), side / count
    pixels = torch.arange(side, dtype=torch.float64)
    away = pixels - place[:, None]
    # Beyond the last node its kernel goes on.
    away[0].clamp_(min=0)
    away[-1].clamp_(max=0)
    whole = (1 - away.abs() / apart).clamp(min=0)
    lit = whole > 0
    first = lit.int().argmax(1)
    length = int(lit.sum(1).max())
    first = first.clamp(max=side - length)
    return first, torch.stack([row[start : start + length] for row, start in zip(whole, first.tolist(), strict=True)])


def _length(tile: int, side: int) -> int:
    """Of a transform: a tile and what its kernel sees, and no less than twice the kernel's window."""
    return fast_length(max(tile + side - 1, 2 * side))
