"""The measured frame, the image behind it, and the periodic grid on which images are convolved.

    image --extend--> grid --convolution--> grid --observe--> frame

On the periodic grid a convolution is a product of spectra. What lies outside the frame depends on the border:

    circular   the image is periodic: image, frame and grid are the same
    unknown    the image is larger than the frame by a margin on each side that is at least the kernel's reach; it is
               also the grid, and the frame is the valid part of the convolution
    zero, reflect, replicate
               the image is the frame, and a rule extends it over the grid as far as the kernel reaches

Every map is linear and has its adjoint beside it: `extend` and `fold`, `crop` and `uncrop`, `observe` and `embed`,
`transfer` and `window`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.linalg.conjugate_gradients import inner_product
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
        reach: ((rows before, columns before), (rows after, columns after)) by which the kernel reaches over a pixel.
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
        """The geometry for an image and a kernel of these sides; margin: pixels on each side of an `unknown` border."""
        # Pixel i depends on x[i - (h - 1 - c)] .. x[i + c], c = h // 2: the kernel's last entry reaches furthest back.
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
        """Whether image, frame and grid are the same, so that `extend`, `crop` and `observe` are identities."""
        return self.size == self.image == self.frame

    def extend(self, image: Tensor) -> Tensor:
        """The image (B, C, H, W) extended over the grid by the border's rule, as far as the kernel reaches."""
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
        # On the periodic grid, what precedes the image comes last.
        gap = self._bridge(wide, axis, size - side - before - after)
        return torch.cat([wide.narrow(axis, before, side + after), gap, wide.narrow(axis, 0, before)], dim=axis)

    def _bridge(self, wide: Tensor, axis: int, gap: int) -> Tensor:
        """Lines that no pixel of the frame depends on: interpolated from the last line to the first, without a jump."""
        last, first = wide.narrow(axis, wide.shape[axis] - 1, 1), wide.narrow(axis, 0, 1)
        if self.border == "zero":
            last, first = torch.zeros_like(last), torch.zeros_like(first)
        share = (torch.arange(gap, device=wide.device, dtype=wide.dtype) + 1) / (gap + 1)
        return torch.lerp(last, first, share if axis == -1 else share[:, None])

    def fold(self, grid: Tensor) -> Tensor:
        """The adjoint of `extend`: each pixel of the grid is added to the image's pixel that it repeats."""
        if self.size == self.image:
            return grid
        with torch.enable_grad():
            image = torch.zeros_like(self.crop(grid)).requires_grad_()
            return torch.autograd.grad(self.extend(image), image, grid)[0]

    def crop(self, grid: Tensor) -> Tensor:
        """The part of the grid where the image is, (B, C, H, W)."""
        return grid[..., : self.image[0], : self.image[1]]

    def uncrop(self, image: Tensor) -> Tensor:
        """The adjoint of `crop`: the image on the grid, 0 around it."""
        return F.pad(image, (0, self.size[1] - self.image[1], 0, self.size[0] - self.image[0]))

    def observe(self, picture: Tensor) -> Tensor:
        """The frame of a picture on the grid, or of one of the image's size."""
        row, column = self.origin
        return picture[..., row : row + self.frame[0], column : column + self.frame[1]]

    def embed(self, frame: Tensor) -> Tensor:
        """The adjoint of `observe`: the frame on the grid, 0 around it."""
        (row, column), (height, width) = self.origin, self.frame
        return F.pad(frame, (column, self.size[1] - column - width, row, self.size[0] - row - height))

    def transfer(self, kernel: Tensor) -> Tensor:
        """The spectrum (B, 1, P, Q // 2 + 1) of a kernel (B, 1, h, w) whose centre pixel is the origin."""
        height, width = kernel.shape[-2:]
        padded = F.pad(kernel, (0, self.size[1] - width, 0, self.size[0] - height))
        spectrum: Tensor = torch.fft.rfft2(padded.roll((-(height // 2), -(width // 2)), dims=(-2, -1)))
        return spectrum

    def window(self, spectrum: Tensor, sides: tuple[int, int]) -> Tensor:
        """The adjoint of `transfer`: the window (..., height, width) about the origin, given the spectrum."""
        height, width = sides
        rows = torch.fft.ifft(spectrum, dim=-2).roll(height // 2, dims=-2)[..., :height, :]
        near: Tensor = torch.fft.irfft(rows, n=self.size[1]).roll(width // 2, dims=-1)[..., :width]
        return near

    def within(self, spectrum: Tensor, sides: tuple[int, int]) -> Callable[[Tensor], Tensor]:
        """The map v (B, 1, h, w) -> window(spectrum * transfer(v)).

        Transforms of twice the window are enough, because no two of its entries are further apart than its sides.
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
        """A picture on the grid filtered by a gain, (..., P, Q // 2 + 1)."""
        return self.inverse(torch.fft.rfft2(grid) * gain)

    def repeated_filter(self, gain: Tensor) -> Callable[[Tensor], Tensor]:
        """`filtered` by a gain that is used several times, of as many channels as the pictures."""
        factor = as_factor(gain)
        return lambda grid: self.inverse(torch.fft.rfft2(grid).mul_(factor))

    def inner(self, first: Tensor, second: Tensor) -> Tensor:
        """Inner product (B, 1, 1, 1) of the pictures with these spectra (B, C, P, Q // 2 + 1), times P Q."""
        # Most columns of a half spectrum stand for two.
        once = slice(0, None, self.size[1] // 2) if self.size[1] % 2 == 0 else slice(0, 1)
        twice = 2 * inner_product(first, second)
        return twice - inner_product(first[..., once], second[..., once])

    def frequencies(self, like: Tensor) -> Tensor:
        """Radial frequency in cycles per pixel, (P, Q // 2 + 1); at the origin half of the lowest one."""
        return frequencies(self.size, like)

    def columns(self, like: Tensor) -> Tensor:
        """Number of columns of the full spectrum that each one of the half spectrum stands for, (Q // 2 + 1,)."""
        width = self.size[1]
        columns = torch.full((width // 2 + 1,), 2.0, dtype=like.dtype, device=like.device)
        columns[0] = 1
        if width % 2 == 0:
            columns[-1] = 1
        return columns


def as_factor(gain: Tensor) -> Tensor:
    """A real gain as a complex factor of several spectra: each product would convert it again."""
    return gain.to(torch.promote_types(gain.dtype, torch.complex64))


def fast_length(length: int) -> int:
    """The smallest length that is no less than this one and has no prime factors but 2, 3 and 5."""
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 1
