"""What a camera adds to an operator: rotation during the exposure, exposure, clipping and JPEG compression.

display values -> light -> operator (rotating) -> exposure -> display values -> noise -> clipping -> JPEG
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ipt.core.errors import IptError, Misuse
from ipt.images.light import decoded, encoded

_FAINT = 0.01
"""Kernel entries below this share of the largest one are not used as poses of a rotating camera."""


@dataclass(frozen=True)
class Camera:
    """A camera.

    Attributes:
        rotation: Rotation about the middle of the frame between the two ends of the kernel (`turned`), 0 to 45 degrees;
            with the operator `blur` alone.
        linear_light: Whether the operator acts on linear light, which the values of pictures encode as sRGB, or on the
            values themselves.
        exposure: Factor of the light, above 0 and at most 1000; what becomes brighter than white is clipped.
        jpeg: Quality, 1 to 100, of the 8-bit JPEG file (4:4:4) in which measurements are stored; None: no JPEG.

    Raises:
        Misuse: A value out of its range.
    """

    rotation: float = 0.0
    linear_light: bool = False
    exposure: float = 1.0
    jpeg: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.rotation <= 45:
            raise Misuse(f"rotation= is an angle of 0 to 45 degrees, not {self.rotation:g}")
        if not 0 < self.exposure <= 1000:
            raise Misuse(f"exposure= is a factor above 0 and at most 1000, not {self.exposure:g}; 1 changes nothing")
        if self.jpeg is not None and not 1 <= self.jpeg <= 100:
            raise Misuse(f"jpeg= is a quality of 1 to 100, not {self.jpeg}")

    def light(self, values: Tensor) -> Tensor:
        """Picture values in 0..1 -> what the operator acts on."""
        return decoded(values) if self.linear_light else values

    def developed(self, light: Tensor) -> Tensor:
        """Light -> picture values after the exposure, not clipped."""
        exposed = self.exposure * light
        return encoded(exposed) if self.linear_light else exposed

    def stored(self, values: Tensor) -> Tensor:
        """Values (C, H, W) as they are read from the camera's file: clipped to 0..1, after JPEG compression.

        Raises:
            IptError: A JPEG of other than 1 or 3 channels.
        """
        values = values.clamp(0, 1)
        return values if self.jpeg is None else _through_jpeg(values, self.jpeg)


def rounded(values: Tensor) -> Tensor:
    """Values in 0..1, rounded to 8 bits."""
    return (255 * values).round() / 255


def turned(image: Tensor, kernel: Tensor, rate: float, direction: np.ndarray) -> Tensor:
    """Blur an image by a camera that shifts as the kernel says, and rotates about the image's middle meanwhile.

    Each entry of the kernel that is not faint is a pose: a shift, and a rotation in proportion to the shift along
    `direction`. So the blur in the middle is about the kernel, and elsewhere it differs.

    Args:
        image: (C, H, W).
        kernel: (1, h, w).
        rate: Rotation in radians per pixel of shift.
        direction: Unit vector (rows, columns).

    Returns:
        (C, H - h + 1, W - w + 1). Without rotation it depends on nothing outside the image; rotated poses see the
        image's reflection there.
    """
    (height, width), (rows, columns) = image.shape[-2:], kernel.shape[-2:]
    places = (kernel[0] > _FAINT * kernel.max()).nonzero().tolist()
    shifts = [(row - rows // 2, column - columns // 2) for row, column in places]
    poses = [(*shift, rate * float(direction @ shift)) for shift in shifts]
    total = posed(image, poses, [float(kernel[0, row, column]) for row, column in places])
    top, left = rows - 1 - rows // 2, columns - 1 - columns // 2
    return total[:, top : height - rows // 2, left : width - columns // 2]


def posed(image: Tensor, poses: Sequence[tuple[float, float, float]], light: Sequence[float]) -> Tensor:
    """The weighted mean of an image seen from several poses, (C, H, W); beyond the image is its reflection.

    Args:
        image: (C, H, W).
        poses: (down, right, angle): shift in pixels, and rotation in radians about the image's middle. A point (y, x)
            from the middle moves by (angle * x, -angle * y).
        light: weight of each pose, in any unit.
    """
    height, width = image.shape[-2:]
    down, right = torch.meshgrid(torch.arange(height).float(), torch.arange(width).float(), indexing="ij")
    middle = torch.tensor([(height - 1) / 2, (width - 1) / 2])
    y, x = down - middle[0], right - middle[1]
    total = torch.zeros_like(image)
    for (*shift, angle), share in zip(poses, light, strict=True):
        there = torch.stack([x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)], -1)
        grid = (there + middle.flip(0) - torch.tensor(shift[::-1])) / middle.flip(0) - 1
        total += share * F.grid_sample(image[None], grid[None], "bicubic", "reflection", align_corners=True)[0]
    return total / sum(light)


def turning_rate(kernel: Tensor, degrees: float, direction: np.ndarray) -> float:
    """The `rate` of `turned` that makes so many degrees between the ends of a kernel (1, h, w).

    The ends are those along the direction. 0 where the kernel has no extent along it.
    """
    places = (kernel[0] > _FAINT * kernel.max()).nonzero().double().numpy() @ direction
    extent = float(np.ptp(places))
    return math.radians(degrees) / extent if extent else 0.0


def turning_reach(degrees: float, height: int, width: int) -> int:
    """Displacement in pixels of an image's corners by a rotation about its middle, rounded up."""
    return math.ceil(2 * math.sin(math.radians(degrees) / 2) * math.hypot(height, width) / 2)


def _through_jpeg(values: Tensor, quality: int) -> Tensor:
    """Values (C, H, W) in 0..1, compressed and read again."""
    if len(values) not in (1, 3):
        raise IptError(f"a JPEG is grey or in colour, and the measurement has {len(values)} channels; drop jpeg=")
    pixels = (255 * values).round().byte().permute(1, 2, 0).numpy()
    file = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if len(values) == 1 else pixels).save(file, "JPEG", quality=quality, subsampling=0)
    read = np.array(Image.open(file), dtype=np.float32).reshape(pixels.shape)
    return torch.from_numpy(read).permute(2, 0, 1) / 255
