"""A frame, and around it what a kernel reaches: the geometry behind every border model of `blur`.

The canvas is periodic: convolution on it is a product of spectra. The frame lies in its first corner; what lies outside
to the right and below follows it, what lies outside to the left and above comes last, just before the frame starts
again. Between the two the continuation is blended (outside `zero` it is black), so that the canvas has no jump of its
own that would leak over all frequencies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.linalg.spectra import frequencies

_MODES = {"zero": "constant", "reflect": "reflect", "replicate": "replicate", "unknown": "reflect"}


@dataclass(frozen=True)
class Canvas:
    """frame: (height, width) of the picture. before, after: (rows, columns) that a kernel reaches outside it. size: of
    the whole, at least frame + before + after, of lengths for which the FFT is fast."""

    frame: tuple[int, int]
    before: tuple[int, int]
    after: tuple[int, int]
    size: tuple[int, int]
    border: str

    @classmethod
    def around(cls, frame: tuple[int, int], kernel: tuple[int, int], border: str) -> Canvas:
        if border == "circular":
            return cls(frame, (0, 0), (0, 0), frame, border)
        # Pixel i sees x[i - (h - 1 - c)] .. x[i + c]: the kernel's last entry looks furthest back.
        before = (kernel[0] - 1 - kernel[0] // 2, kernel[1] - 1 - kernel[1] // 2)
        after = (kernel[0] // 2, kernel[1] // 2)
        size = (_fast(frame[0] + kernel[0] - 1), _fast(frame[1] + kernel[1] - 1))
        return cls(frame, before, after, size, border)

    def extend(self, image: Tensor) -> Tensor:
        """The picture (B, C, H, W) continued over the canvas as the border says, exactly as far as the kernel reaches;
        `unknown` blends the reflections at either end over all that lies between."""
        if self.border == "circular":
            return image
        for axis in (-2, -1):
            image = self._extend_along(image, axis)
        return image

    def _extend_along(self, image: Tensor, axis: int) -> Tensor:
        side, before, after, size = (values[axis] for values in (self.frame, self.before, self.after, self.size))
        room = size - side
        if room == 0:
            return image
        if self.border == "unknown":
            # Nothing is known out there, so the blend may take the whole room.
            return self._blended(image, axis, room)
        pads = (before, after, 0, 0) if axis == -1 else (0, 0, before, after)
        wide = F.pad(image, pads, mode=_MODES[self.border])
        gap = room - before - after
        head = wide.narrow(axis, before, side + after)
        tail = wide.narrow(axis, 0, before)
        return torch.cat([head, self._bridge(wide, axis, gap), tail], dim=axis)

    def _bridge(self, wide: Tensor, axis: int, gap: int) -> Tensor:
        """From the last line of what follows the frame to the first of what comes before it, in equal parts."""
        if self.border == "zero":
            return wide.new_zeros(_shape(wide, axis, gap))
        last, first = wide.narrow(axis, wide.shape[axis] - 1, 1), wide.narrow(axis, 0, 1)
        share = (torch.arange(gap, device=wide.device, dtype=wide.dtype) + 1) / (gap + 1)
        return torch.lerp(last, first, share if axis == -1 else share[:, None])

    def _blended(self, image: Tensor, axis: int, room: int) -> Tensor:
        side = image.shape[axis]
        reach = min(room, side - 1)
        pads = (reach, reach, 0, 0) if axis == -1 else (0, 0, reach, reach)
        wide = F.pad(image, pads, mode="reflect")
        behind, ahead = wide.narrow(axis, 0, reach), wide.narrow(axis, reach + side, reach)
        place = (torch.arange(reach, device=image.device, dtype=image.dtype) + 1) / (reach + 1)
        share = 0.5 - 0.5 * (torch.pi * place).cos()
        share = share if axis == -1 else share[:, None]
        between = (1 - share) * ahead + share * behind
        if reach < room:
            last = between.narrow(axis, reach - 1, 1)
            between = torch.cat([between, last.expand(*_shape(between, axis, room - reach))], dim=axis)
        return torch.cat([image, between], dim=axis)

    def fold(self, canvas: Tensor) -> Tensor:
        """The adjoint of `extend`: everything is added to the pixel of the frame that it continues."""
        with torch.enable_grad():
            frame = torch.zeros_like(self.crop(canvas)).requires_grad_()
            return torch.autograd.grad(self.extend(frame), frame, canvas)[0]

    def crop(self, canvas: Tensor) -> Tensor:
        """The frame."""
        return canvas[..., : self.frame[0], : self.frame[1]]

    def embed(self, frame: Tensor, outside: Tensor) -> Tensor:
        """`frame` in its place, on the canvas `outside` everywhere else."""
        if self.size == self.frame:
            return frame
        whole = outside.clone()
        whole[..., : self.frame[0], : self.frame[1]] = frame
        return whole

    def zeros_outside(self, frame: Tensor) -> Tensor:
        """The adjoint of `crop`."""
        return F.pad(frame, (0, self.size[1] - self.frame[1], 0, self.size[0] - self.frame[0]))

    def transfer(self, kernel: Tensor) -> Tensor:
        """The spectrum (B, 1, P, Q // 2 + 1) of a kernel (B, 1, h, w) whose centre pixel is the origin."""
        height, width = kernel.shape[-2:]
        padded = F.pad(kernel, (0, self.size[1] - width, 0, self.size[0] - height))
        return torch.fft.rfft2(padded.roll((-(height // 2), -(width // 2)), dims=(-2, -1)))

    def window(self, spectrum: Tensor, sides: tuple[int, ...]) -> Tensor:
        """The kernel-sized window about the origin of what has this spectrum: the adjoint of `transfer`."""
        height, width = sides
        picture = torch.fft.irfft2(spectrum, s=self.size)
        return picture.roll((height // 2, width // 2), dims=(-2, -1))[..., :height, :width]

    def within(self, spectrum: Tensor, sides: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
        """v (B, 1, h, w) -> window(spectrum * transfer(v)), the same numbers on a canvas of twice the window: two of
        its entries are never further apart than its sides."""
        response, size = self.inverse(spectrum), []
        for axis, side in zip((-2, -1), sides, strict=True):
            length = response.shape[axis]
            small = _fast(2 * side - 1)
            if small < length:
                far = response.new_zeros(_shape(response, axis, small - 2 * side + 1))
                near, behind = response.narrow(axis, 0, side), response.narrow(axis, length - side + 1, side - 1)
                response = torch.cat([near, far, behind], dim=axis)
            size.append(min(small, length))
        spread = torch.fft.rfft2(response)
        return lambda v: torch.fft.irfft2(spread * torch.fft.rfft2(v, s=size), s=size)[..., : sides[0], : sides[1]]

    def inverse(self, spectrum: Tensor) -> Tensor:
        return torch.fft.irfft2(spectrum, s=self.size)

    def frequencies(self, like: Tensor) -> Tensor:
        """Radial frequency in cycles a pixel, (P, Q // 2 + 1); at the origin half of the lowest one."""
        return frequencies(self.size, like)


def _shape(tensor: Tensor, axis: int, length: int) -> list[int]:
    shape = list(tensor.shape)
    shape[axis] = length
    return shape


def _fast(length: int) -> int:
    """The next length whose prime factors are 2, 3 and 5."""
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 1
