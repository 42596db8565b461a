"""A measured frame, the image behind it, and the periodic grid on which both are convolved.

Convolution on a periodic grid is a product of spectra. What lies outside the frame is part of the forward model:

    circular   the image goes on periodically: image, frame and grid are one
    unknown    nothing is known: the image is larger than its frame by a margin on each side, no less than the kernel's
               reach, and the frame is the valid part of the convolution
    zero, reflect, replicate
               the image is the frame, and goes on by a rule over what the kernel reaches

Every map here is linear in the picture and has its adjoint beside it: `extend` and `fold`, `observe` and `embed`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.linalg.spectra import frequencies

_MODES = {"zero": "constant", "reflect": "reflect", "replicate": "replicate"}


@dataclass(frozen=True)
class PaddedFrame:
    """The geometry of one convolution.

    Attributes:
        frame: (height, width) of the measurement.
        image: (height, width) of the image.
        size: (height, width) of the periodic grid; the image lies in its first corner.
        origin: (row, column) on the grid of the frame's first pixel.
        reach: ((rows before, columns before), (rows after, columns after)) of the image that the kernel sees.
        border: circular, zero, reflect, replicate or unknown.
    """

    frame: tuple[int, int]
    image: tuple[int, int]
    size: tuple[int, int]
    origin: tuple[int, int]
    reach: tuple[tuple[int, int], tuple[int, int]]
    border: str

    @classmethod
    def around(cls, image: tuple[int, int], kernel: tuple[int, int], border: str, margin: int = 0) -> PaddedFrame:
        """For an image and a kernel of these sides; margin: of an `unknown` border, in pixels on each side."""
        # Pixel i sees x[i - (h - 1 - c)] .. x[i + c], c = h // 2: the kernel's last entry looks furthest back.
        before = (kernel[0] - 1 - kernel[0] // 2, kernel[1] - 1 - kernel[1] // 2)
        after = (kernel[0] // 2, kernel[1] // 2)
        if border == "circular":
            return cls(image, image, image, (0, 0), ((0, 0), (0, 0)), border)
        if border == "unknown":
            frame = (image[0] - 2 * margin, image[1] - 2 * margin)
            return cls(frame, image, image, (margin, margin), (before, after), border)
        size = (fast_length(image[0] + kernel[0] - 1), fast_length(image[1] + kernel[1] - 1))
        return cls(image, image, size, (0, 0), (before, after), border)

    @property
    def closed(self) -> bool:
        """Whether image, frame and grid are one, so that every map here is the identity."""
        return self.size == self.image == self.frame

    def extend(self, image: Tensor) -> Tensor:
        """The image (B, C, H, W) continued over the grid as the border says, exactly as far as the kernel reaches."""
        if self.size == self.image:
            return image
        for axis in (-2, -1):
            image = self._extend_along(image, axis)
        return image

    def _extend_along(self, image: Tensor, axis: int) -> Tensor:
        side, size, before, after = self.image[axis], self.size[axis], self.reach[0][axis], self.reach[1][axis]
        if size == side:
            return image
        pads = (before, after, 0, 0) if axis == -1 else (0, 0, before, after)
        wide = F.pad(image, pads, mode=_MODES[self.border])
        # What follows the image comes after it, what lies before it comes last.
        gap = self._bridge(wide, axis, size - side - before - after)
        return torch.cat([wide.narrow(axis, before, side + after), gap, wide.narrow(axis, 0, before)], dim=axis)

    def _bridge(self, wide: Tensor, axis: int, gap: int) -> Tensor:
        """What no pixel of the frame sees: from the last line to the first in equal parts.

        So no jump leaks over all frequencies.
        """
        last, first = wide.narrow(axis, wide.shape[axis] - 1, 1), wide.narrow(axis, 0, 1)
        if self.border == "zero":
            last, first = torch.zeros_like(last), torch.zeros_like(first)
        share = (torch.arange(gap, device=wide.device, dtype=wide.dtype) + 1) / (gap + 1)
        return torch.lerp(last, first, share if axis == -1 else share[:, None])

    def fold(self, grid: Tensor) -> Tensor:
        """The adjoint of `extend`: what lies on the grid is added to the image's pixel that it continues."""
        if self.size == self.image:
            return grid
        with torch.enable_grad():
            image = torch.zeros_like(self.crop(grid)).requires_grad_()
            return torch.autograd.grad(self.extend(image), image, grid)[0]

    def crop(self, grid: Tensor) -> Tensor:
        """The image's place on the grid."""
        return grid[..., : self.image[0], : self.image[1]]

    def uncrop(self, image: Tensor) -> Tensor:
        """The adjoint of `crop`: the image in its place, and nothing around it."""
        return F.pad(image, (0, self.size[1] - self.image[1], 0, self.size[0] - self.image[0]))

    def observe(self, picture: Tensor) -> Tensor:
        """The frame's place in a picture on the grid, or of the image's size."""
        row, column = self.origin
        return picture[..., row : row + self.frame[0], column : column + self.frame[1]]

    def embed(self, frame: Tensor) -> Tensor:
        """The adjoint of `observe`: the frame in its place, and nothing around it."""
        (row, column), (height, width) = self.origin, self.frame
        return F.pad(frame, (column, self.size[1] - column - width, row, self.size[0] - row - height))

    def transfer(self, kernel: Tensor) -> Tensor:
        """The spectrum (B, 1, P, Q // 2 + 1) of a kernel (B, 1, h, w) whose centre pixel is the origin."""
        height, width = kernel.shape[-2:]
        padded = F.pad(kernel, (0, self.size[1] - width, 0, self.size[0] - height))
        spectrum: Tensor = torch.fft.rfft2(padded.roll((-(height // 2), -(width // 2)), dims=(-2, -1)))
        return spectrum

    def window(self, spectrum: Tensor, sides: tuple[int, int]) -> Tensor:
        """The adjoint of `transfer`: the window (..., height, width) about the origin of what has this spectrum."""
        height, width = sides
        rows = torch.fft.ifft(spectrum, dim=-2).roll(height // 2, dims=-2)[..., :height, :]
        near: Tensor = torch.fft.irfft(rows, n=self.size[1]).roll(width // 2, dims=-1)[..., :width]
        return near

    def within(self, spectrum: Tensor, sides: tuple[int, int]) -> Callable[[Tensor], Tensor]:
        """The map v (B, 1, h, w) -> window(spectrum * transfer(v)).

        By transforms of twice the window: no two of its entries are further apart than its sides.
        """
        response, size = self.inverse(spectrum), []
        for axis, side in zip((-2, -1), sides, strict=True):
            length = response.shape[axis]
            small = fast_length(2 * side - 1)
            if small < length:
                shape = list(response.shape)
                shape[axis] = small - 2 * side + 1
                near, behind = response.narrow(axis, 0, side), response.narrow(axis, length - side + 1, side - 1)
                response = torch.cat([near, response.new_zeros(shape), behind], dim=axis)
            size.append(min(small, length))
        gain = torch.fft.rfft2(response)
        return lambda v: torch.fft.irfft2(gain * torch.fft.rfft2(v, s=size), s=size)[..., : sides[0], : sides[1]]

    def inverse(self, spectrum: Tensor) -> Tensor:
        """The picture on the grid that has this spectrum (..., P, Q // 2 + 1)."""
        picture: Tensor = torch.fft.irfft2(spectrum, s=self.size)
        return picture

    def filtered(self, grid: Tensor, gain: Tensor) -> Tensor:
        """A picture on the grid, each frequency multiplied by a gain."""
        return self.inverse(torch.fft.rfft2(grid) * gain)

    def repeated_filter(self, gain: Tensor) -> Callable[[Tensor], Tensor]:
        """`filtered` by one gain, of as many channels as the pictures, for several of them.

        A product of complex numbers is faster than one that converts the real factor each time.
        """
        factor = gain.to(torch.promote_types(gain.dtype, torch.complex64))
        return lambda grid: self.inverse(torch.fft.rfft2(grid).mul_(factor))

    def frequencies(self, like: Tensor) -> Tensor:
        """Radial frequency in cycles a pixel, (P, Q // 2 + 1); at the origin half of the lowest one."""
        return frequencies(self.size, like)

    def columns(self, like: Tensor) -> Tensor:
        """How many columns of a whole spectrum each of the half (Q // 2 + 1,) stands for: all but its ends for two."""
        width = self.size[1]
        columns = torch.full((width // 2 + 1,), 2.0, dtype=like.dtype, device=like.device)
        columns[0] = 1
        if width % 2 == 0:
            columns[-1] = 1
        return columns


def fast_length(length: int) -> int:
    """The next length whose prime factors are 2, 3 and 5."""
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 1
