"""Trajectories of a camera that shakes and rolls, and the kernels that they leave at the nodes of a grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ipt.core.errors import IptError
from ipt.core.operator import Generator
from ipt.operators.blur.rendering import deposited, extents, scaled
from ipt.operators.blur.tracks import SHAKE_PARTS, shake_draws, shake_path
from ipt.operators.draws import FrameGenerator, interval, log_uniform
from ipt.operators.shake.tiles import nodes

_USUAL_FRAME = (256, 256)
"""(height, width) of the picture where none is given."""
_ROLL = 0x2011
"""Makes the seed of a trajectory's roll from that of its shift."""


@dataclass(frozen=True)
class CameraShake(Generator, FrameGenerator):
    """Kernels on an n x n grid over a picture, (n * n, h, w), of one hand-held camera that shakes and rolls.

    Pitch and yaw shift the whole picture, by the focal length in pixels for each radian; the shift is a path of
    `ShakeKernels`. The roll about the frame's middle is one coordinate of another such path. It moves a point (y, x)
    from the middle by (roll * x, -roll * y) besides the shift. (The additional shift of the corners by pitch and yaw, a
    factor of (x / f)^2, is neglected.) Every kernel has its centroid on its centre pixel, and a trajectory that would
    leave a kernel's window is scaled down.

    Args:
        exposure: (low, high) in seconds, drawn log-uniformly.
        extent: (low, high) of the larger side of the shift's bounding box, in pixels, drawn log-uniformly; None: from
            2.5 px to three quarters of the kernel's smaller side.
        rotation: (low, high) of the angle in degrees between the extremes of the roll, drawn uniformly.
        frame: (height, width) of the picture in pixels; None: that of the simulated picture, else 256x256.

    References:
        Whyte, Sivic, Zisserman, Ponce, "Non-uniform Deblurring for Shaken Images", CVPR 2010: three axes of rotation
        describe camera shake. The references of `ShakeKernels`.
    """

    exposure: tuple[float, float] = (1 / 15, 1 / 2)
    extent: tuple[float, float] | None = None
    rotation: tuple[float, float] = (0.0, 1.5)
    frame: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        interval("exposure", self.exposure, 1e-3, 10)
        interval("rotation", self.rotation, 0, 45)
        if self.extent is not None:
            interval("extent", self.extent, 1, math.inf)

    def within(self, frame: tuple[int, int]) -> CameraShake:
        return self if self.frame is not None else replace(self, frame=frame)

    def sample(self, seeds: Sequence[int], shape: tuple[int, ...]) -> Tensor:
        poses, (tiles, height, width) = self.poses(seeds, shape), shape
        return kernels_of(poses, math.isqrt(tiles), self.frame or _USUAL_FRAME, (height, width))

    def poses(self, seeds: Sequence[int], shape: tuple[int, ...]) -> Tensor:
        """The trajectories at equal times, (B, 3, T): down and right in pixels, roll in radians, each of mean 0.

        Args:
            seeds: A seed for each trajectory.
            shape: (n * n, h, w) of the kernels that a trajectory leaves.

        Raises:
            IptError: The number of kernels is no square.
        """
        tiles, height, width = shape
        count = math.isqrt(tiles)
        if count * count != tiles:
            raise IptError(f"{tiles} kernels are no square grid over a picture: this generator draws nothing else")
        uniform, normal = shake_draws(seeds)
        bounds = None if self.extent is None else interval("extent", self.extent, 1, math.inf)
        extent = log_uniform(bounds or extents(2.5, 3 * height // 4, 3 * width // 4), uniform[:, :1])
        exposure = interval("exposure", self.exposure, 1e-3, 10)
        shift = scaled(shake_path(uniform, normal, exposure), extent.clamp(min=1))
        roll_uniform, roll_normal = shake_draws([seed ^ _ROLL for seed in seeds])
        # Shift and roll have the same exposure.
        roll_uniform[:, 1] = uniform[:, 1]
        roll = shake_path(roll_uniform, roll_normal, exposure)[:, :1]
        low, high = (math.radians(end) for end in interval("rotation", self.rotation, 0, 45))
        angle = (low + (high - low) * roll_uniform[:, :1])[:, :, None]
        roll = roll * (angle / (roll.amax(2, keepdim=True) - roll.amin(2, keepdim=True)).clamp(min=1e-12))
        poses = torch.cat([shift, roll], dim=1)
        poses = poses - poses.mean(2, keepdim=True)
        reach = _at_nodes(poses, count, self.frame or _USUAL_FRAME).abs().amax((1, 2, 3))
        limit = (min(height, width) - 1) // 2
        return poses * (limit / reach.clamp(min=1e-6)).clamp(max=1)[:, None, None]


def kernels_of(poses: Tensor, count: int, frame: tuple[int, int], sides: tuple[int, int]) -> Tensor:
    """The kernels that trajectories leave at the nodes of a grid, (B, count * count, h, w).

    Args:
        poses: trajectories as of `CameraShake.poses`, (B, 3, T).
        count: number of nodes along each side.
        frame: (height, width) of the picture in pixels.
        sides: (h, w) of a kernel.
    """
    made = deposited(_at_nodes(poses, count, frame).flatten(0, 1), SHAKE_PARTS, *sides)
    kernels: Tensor = made[:, 0].unflatten(0, (len(poses), count * count))
    return kernels


def _at_nodes(poses: Tensor, count: int, frame: tuple[int, int]) -> Tensor:
    """The paths that trajectories (B, 3, T) give to points at the nodes of a grid, (B, count * count, 2, T)."""
    y, x = ((nodes(count, side) - (side - 1) / 2).to(poses) for side in frame)
    place = torch.stack(torch.meshgrid(x, -y, indexing="xy"), dim=-1).reshape(-1, 2)
    return poses[:, None, :2] + poses[:, None, 2:] * place[None, :, :, None]
