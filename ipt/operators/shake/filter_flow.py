"""The blur y = sum_r w_r (k_r * x) of given kernels, and its adjoint, from and to spectra of the grid.

Each k_r * x is computed in a tile of its own (`ipt.operators.shake.tiles`), or on the whole grid. A window is a product
w_ij = u_i(row) v_j(column), and an inverse transform one over rows, then one over columns. On the whole grid,

    y = sum_j v_j F_columns^-1 sum_i u_i F_rows^-1 (K_ij X)

so that few transforms over columns are needed, and none to and from the tiles. That is less work for few tiles.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ipt.operators.shake.tiles import Tiles


@dataclass(frozen=True)
class FilterFlow(ABC):
    """The blur by given kernels.

    Attributes:
        tiles: geometry of the tiles.
        kernels: (B, tiles, h, w).
    """

    tiles: Tiles
    kernels: Tensor

    @abstractmethod
    def forward(self, spectrum: Tensor) -> Tensor:
        """The blurred picture on the grid, 0 outside the frame, (B, C, P, Q), of the picture with this spectrum."""

    @abstractmethod
    def adjoint(self, grid: Tensor) -> Tensor:
        """The adjoint of `forward`: the spectrum (B, C, P, Q // 2 + 1) of a picture, given one on the grid."""


def filter_flow(tiles: Tiles, kernels: Tensor) -> FilterFlow:
    """The blur by kernels (B, tiles, h, w), in the way that is less work."""
    return OnGrid(tiles, kernels) if tiles.few else InTiles(tiles, kernels)


class InTiles(FilterFlow):
    """By transforms of the tiles."""

    @cached_property
    def _transfer(self) -> Tensor:
        return self.tiles.transfer(self.kernels)

    def forward(self, spectrum: Tensor) -> Tensor:
        padded, tiles = self.tiles.padded, self.tiles
        return padded.embed(tiles.blend(tiles.spectrum(padded.inverse(spectrum)) * self._transfer))

    def adjoint(self, grid: Tensor) -> Tensor:
        tiles = self.tiles
        in_tiles = tiles.blend_adjoint(tiles.padded.observe(grid)) * self._transfer.conj()
        spectrum: Tensor = torch.fft.rfft2(tiles.spectrum_adjoint(in_tiles))
        return spectrum


class OnGrid(FilterFlow):
    """By transforms of the whole grid."""

    @cached_property
    def _columns(self) -> list[tuple[Tensor, list[tuple[Tensor, Tensor]]]]:
        """v_j (Q,), u_i (P, 1) and K_ij (B, 1, P, Q // 2 + 1), column after column of the tiles."""
        down, across = (axis.to(self.kernels) for axis in self.tiles.grid_windows)
        transfers = [self.tiles.padded.transfer(kernel[:, None]) for kernel in self.kernels.unbind(1)]
        return [
            (window, [(one[:, None], transfers[row * len(across) + column]) for row, one in enumerate(down)])
            for column, window in enumerate(across)
        ]

    def forward(self, spectrum: Tensor) -> Tensor:
        found = torch.zeros((), dtype=self.kernels.dtype, device=spectrum.device)
        for across, column in self._columns:
            rows = sum(torch.fft.ifft(spectrum * transfer, dim=-2) * down for down, transfer in column)
            found = found + across * torch.fft.irfft(rows, n=self.tiles.padded.size[1])
        return found

    def adjoint(self, grid: Tensor) -> Tensor:
        found = torch.zeros((), dtype=grid.dtype, device=grid.device)
        for across, column in self._columns:
            rows = torch.fft.rfft(grid * across)
            for down, transfer in column:
                found = found + torch.fft.fft(rows * down, dim=-2) * transfer.conj()
        return found
