"""Efficient filter flow: overlapping tiles of the frame, each blurred by its own kernel, blended by smooth windows.

    y = sum_r  w_r (k_r * x),     sum_r w_r = 1

The windows w_r are centred on the nodes of an n x n grid of equal cells over the frame, and fall linearly to 0 at the
next nodes. So between nodes the kernel is interpolated bilinearly, and towards the frame's edge it is that of the last
node. Each k_r * x is computed on a tile alone, by transforms of the tile's size:

    grid --extract--> inputs of the tiles --FFT, kernels--> --blend--> frame

Every map has its adjoint beside it: `extract` and `extract_adjoint`, `split` and `join`, `blend` and `blend_adjoint`.

References:
    Hirsch, Sra, Schoelkopf, Harmeling, "Efficient Filter Flow for Space-Variant Multiframe Blind Deconvolution",
    CVPR 2010.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.operators.blur.padded_frame import PaddedFrame, fast_length

_TOGETHER = 2**22
"""Most pixels of the tiles of a picture that are blurred together; more are blurred one by one, which saves memory."""


def nodes(count: int, side: int) -> Tensor:
    """Positions of the nodes along a side of `side` pixels, in pixels from the first one's centre, (count,) float64."""
    return (torch.arange(count, dtype=torch.float64) + 0.5) * (side / count) - 0.5


@dataclass(frozen=True)
class Tiles:
    """The tiles of one frame.

    Attributes:
        padded: frame, image and grid, as in `blur`.
        sides: (height, width) of a kernel.
        count: tiles along each side of the frame.
    """

    padded: PaddedFrame
    sides: tuple[int, int]
    count: int

    @cached_property
    def windows(self) -> tuple[Tensor, Tensor]:
        """Windows along rows and along columns, (count, side of a tile) each; a tile's window is a product of two."""
        return self._axes[0][1], self._axes[1][1]

    @cached_property
    def _axes(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """For rows and for columns: the first pixel of each tile in the frame, and the windows (`_along`)."""
        rows, columns = (_along(self.count, side) for side in self.padded.frame)
        return rows, columns

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of a tile."""
        down, across = self.windows
        return down.shape[1], across.shape[1]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the transforms, which hold a tile and what its kernel reaches around it."""
        height, width = (_length(tile, side) for tile, side in zip(self.shape, self.sides, strict=True))
        return height, width

    @property
    def few(self) -> bool:
        """Whether transforms of the whole grid are less work than those of all tiles.

        The grid has a transform over rows for each tile and one over columns for each column of tiles, each half as
        much as one over both; a tile has two over both (`ipt.operators.shake.filter_flow`). Here over count / 2.
        """
        on_grid, in_tiles = (self.count + 1) * math.prod(self.padded.size), 4 * self.count * math.prod(self.size)
        return on_grid <= in_tiles

    @cached_property
    def grid_windows(self) -> tuple[Tensor, Tensor]:
        """`windows` on the grid, 0 outside the frame: (count, P) along rows, (count, Q) along columns."""
        made = []
        for (first, window), origin, length in zip(self._axes, self.padded.origin, self.padded.size, strict=True):
            place = origin + first[:, None] + torch.arange(window.shape[1])
            made.append(window.new_zeros(self.count, length).scatter(1, place, window))
        return made[0], made[1]

    def window(self, like: Tensor) -> Tensor:
        """The window of each tile, (tiles, 1, height, width)."""
        down, across = (axis.to(like) for axis in self.windows)
        return (down[:, None, :, None] * across[None, :, None, :]).reshape(-1, 1, *self.shape)

    def extract(self, grid: Tensor) -> Tensor:
        """The part of a picture that each tile's kernel reaches, (B, C, P, Q) -> (B * tiles, C, *size)."""
        rows, columns = (index.to(grid.device) for index in self._inputs)
        found = grid.index_select(-2, rows.flatten()).index_select(-1, columns.flatten())
        found = found.unflatten(-2, rows.shape).unflatten(-1, columns.shape)
        tiles: Tensor = found.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)
        return tiles

    def extract_adjoint(self, tiles: Tensor) -> Tensor:
        """The adjoint of `extract`: parts are added where they overlap."""
        rows, columns = (index.to(tiles.device) for index in self._inputs)
        parts = tiles.unflatten(0, (-1, self.count, self.count)).permute(0, 3, 1, 4, 2, 5)
        parts = parts.flatten(4, 5).flatten(2, 3)
        height, width = self.padded.size
        grid = parts.new_zeros(*parts.shape[:2], parts.shape[2], width).index_add(3, columns.flatten(), parts)
        whole: Tensor = grid.new_zeros(*parts.shape[:2], height, width).index_add(2, rows.flatten(), grid)
        return whole

    @cached_property
    def _inputs(self) -> tuple[Tensor, Tensor]:
        """Rows and columns of the grid that each tile's kernel reaches, (count, side of a transform) each."""
        found = []
        for (first, window), side, length, origin in zip(
            self._axes, self.sides, self.padded.size, self.padded.origin, strict=True
        ):
            start = origin + first - (side - 1 - side // 2)
            whole = _length(window.shape[1], side)
            found.append((start[:, None] + torch.arange(whole)) % length)
        return found[0], found[1]

    def split(self, frame: Tensor) -> Tensor:
        """The tiles of a frame, (B, C, H, W) -> (B * tiles, C, h, w)."""
        (height, width), corners = self.shape, self._corners
        parts = [frame[..., row : row + height, column : column + width] for row, column in corners]
        return torch.stack(parts, dim=1).flatten(0, 1)

    def join(self, tiles: Tensor) -> Tensor:
        """The adjoint of `split`: tiles are added where they overlap."""
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
        """Spectra (B * tiles, 1, ...) of kernels (B, tiles, h, w) whose centre pixel is the origin."""
        (height, width), (rows, columns) = self.sides, self.size
        flat = F.pad(kernels.flatten(0, 1)[:, None], (0, columns - width, 0, rows - height))
        spectrum: Tensor = torch.fft.rfft2(flat.roll((-(height // 2), -(width // 2)), dims=(-2, -1)))
        return spectrum

    def spectrum(self, grid: Tensor) -> Tensor:
        """Spectra of the tiles' inputs (`extract`) of a picture on the grid, (B * tiles, C, ...)."""
        spectrum: Tensor = torch.fft.rfft2(self.extract(grid))
        return spectrum

    def spectrum_adjoint(self, spectrum: Tensor) -> Tensor:
        """The adjoint of `spectrum`, (B, C, P, Q)."""
        return self.extract_adjoint(torch.fft.irfft2(spectrum, s=self.size))

    def blend(self, spectrum: Tensor) -> Tensor:
        """The frame (B, C, H, W) of blurred tiles with these spectra, `spectrum` times `transfer`."""
        (height, width), (top, left) = self.shape, self._before
        tiles = torch.fft.irfft2(spectrum, s=self.size)[..., top : top + height, left : left + width]
        return self.join(self._windowed(tiles))

    def blend_adjoint(self, frame: Tensor) -> Tensor:
        """The adjoint of `blend` with respect to the tiles: spectra of windowed tiles, (B * tiles, C, ...)."""
        (height, width), (top, left), (rows, columns) = self.shape, self._before, self.size
        tiles = self._windowed(self.split(frame))
        spectrum: Tensor = torch.fft.rfft2(F.pad(tiles, (left, columns - left - width, top, rows - top - height)))
        return spectrum

    def forward(self, grid: Tensor, kernels: Tensor) -> Tensor:
        """The frame (B, C, H, W) of a picture on the grid, blurred by kernels (B, tiles, h, w)."""
        if self.count**2 * math.prod(self.size) <= _TOGETHER:
            return self.blend(self.spectrum(grid) * self.transfer(kernels))
        return self._one_by_one(grid, kernels)

    def _one_by_one(self, grid: Tensor, kernels: Tensor) -> Tensor:
        """`forward`, tile by tile, which takes less memory."""
        (height, width), (top, left) = self.shape, self._before
        window = self.window(grid)
        places = product(*(index.to(grid.device) for index in self._inputs))
        frame: Tensor = grid.new_zeros(*grid.shape[:2], *self.padded.frame)
        for number, ((row, column), (rows, columns)) in enumerate(zip(self._corners, places, strict=True)):
            spectrum = torch.fft.rfft2(grid.index_select(-2, rows).index_select(-1, columns))
            spectrum = spectrum * self.transfer(kernels[:, number : number + 1])
            tile = torch.fft.irfft2(spectrum, s=self.size)[..., top : top + height, left : left + width]
            frame[..., row : row + height, column : column + width] += tile * window[number]
        return frame

    @property
    def tile_frame(self) -> PaddedFrame:
        """The geometry of a single tile: the tile is the frame, and its input the image."""
        height, width = self.sides
        reach = (self._before, (height // 2, width // 2))
        return PaddedFrame(self.shape, self.size, self.size, self._before, reach, "unknown")

    @property
    def nodes(self) -> Tensor:
        """Row and column of each tile's node, in pixels of the frame, (tiles, 2)."""
        return torch.cartesian_prod(*(nodes(self.count, side) for side in self.padded.frame)).reshape(-1, 2)

    @property
    def _before(self) -> tuple[int, int]:
        """How many rows and columns before its tile a kernel reaches."""
        height, width = self.sides
        return height - 1 - height // 2, width - 1 - width // 2

    def _windowed(self, tiles: Tensor) -> Tensor:
        window = self.window(tiles)
        windowed: Tensor = (tiles.unflatten(0, (-1, len(window))) * window).flatten(0, 1)
        return windowed


def _along(count: int, side: int) -> tuple[Tensor, Tensor]:
    """First pixel of each tile along a side of `side` pixels, (count,), and their windows, (count, length)."""
    place, apart = nodes(count, side), side / count
    pixels = torch.arange(side, dtype=torch.float64)
    away = pixels - place[:, None]
    # Beyond the outermost nodes their kernels hold on to the edge.
    away[0].clamp_(min=0)
    away[-1].clamp_(max=0)
    whole = (1 - away.abs() / apart).clamp(min=0)
    lit = whole > 0
    first = lit.int().argmax(1)
    length = int(lit.sum(1).max())
    first = first.clamp(max=side - length)
    return first, torch.stack([row[start : start + length] for row, start in zip(whole, first.tolist(), strict=True)])


def _length(tile: int, side: int) -> int:
    """Length of a transform: a tile and what its kernel reaches, but at least twice the kernel's window."""
    return fast_length(max(tile + side - 1, 2 * side))
