"""Generators of tilt fields (B, 2, H, W) in pixels, vertical then horizontal.

There is one seed for each field, and a field does not depend on its batch. Both generators state the covariance of what
they draw (`field`), so that the prior `tilt` can be exact.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.core.errors import IptError
from ipt.core.operator import Generator
from ipt.linalg.fields import FieldSource
from ipt.linalg.random import stream
from ipt.linalg.tilts import TILT_VARIANCE, KolmogorovTilt, PatchTilt, gaussian_taps
from ipt.operators.draws import Sequential, check_positive, interval
from ipt.operators.turbulence.atmosphere import Camera
from ipt.operators.turbulence.kolmogorov import draw_kolmogorov

_PUBLISHED = 256
"""Side in pixels of the frame in which the given number of patches lies."""
_CHUNK = 2**22
"""Pixels that are drawn together."""
_STEP, _MOST_INSTANTS = 0.5, 16
"""Way of the wind in pixels between instants of an exposure, and the largest number of instants."""


class TiltPatches(Generator, FieldSource):
    """Random patches of smoothed white noise: the published tilt fields (BlindDPS, arXiv 2211.10656).

    A patch is smoothed white noise times its strength. The sum of all patches is drawn at once, as white noise whose
    variance at a pixel is the sum of strength^2 over the patches there, smoothed afterwards. That has the same
    distribution except within three sigma of a patch's edge, where the smoothing crosses the edge. Given the places of
    the patches the field is Gaussian. `field` is its covariance at a pixel that all patches can reach, with their mean
    number; nearer than `size` to the edge of a frame of 256 px or more, the tilt fades.

    Args:
        patches: number of patches in a frame of 256x256, each wholly inside it. A larger frame has more, at the same
            density, and a smaller frame is the middle of one of 256x256.
        size: side of a patch in pixels, below 256.
        sigma: standard deviation in pixels of the Gaussian that smooths the noise.
        strength: (low, high) of the factor of a patch, drawn uniformly.
        limit: largest absolute tilt in pixels; larger ones are clipped.

    Raises:
        IptError: a value out of range.
    """

    def __init__(
        self,
        patches: int = 500,
        size: int = 64,
        sigma: float = 1.0,
        strength: tuple[float, float] = (0.1, 0.4),
        limit: float = 2.5,
    ):
        for name, value in (("patches", patches), ("size", size)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise IptError(f"{name} is a whole number from 1 up, not {value!r}")
        if size >= _PUBLISHED:
            raise IptError(f"size is less than the {_PUBLISHED} pixels of the frame that patches lie in, not {size}")
        check_positive("sigma", sigma, "pixels")
        check_positive("limit", limit, "pixels")
        self.patches, self.size, self.sigma, self.limit = patches, size, float(sigma), float(limit)
        self.strength = interval("strength", strength, 0, math.inf)
        if self.strength[1] == 0:
            raise IptError("strength is an interval that ends above 0: with 0 no patch moves anything")

    @property
    def field(self) -> PatchTilt:
        low, high = self.strength
        mean_square = (low * low + low * high + high * high) / 3
        covering = self.patches * (self.size / (_PUBLISHED - self.size)) ** 2
        smoothed = float(gaussian_taps(self.sigma).square().sum()) ** 2
        return PatchTilt(math.sqrt(covering * mean_square * smoothed), self.sigma)

    def sample(self, seeds: Sequence[int], shape: tuple[int, ...]) -> Tensor:
        frame = _frame(shape)
        step = max(1, _CHUNK // (frame[0] * frame[1]))
        parts = [self._fields(seeds[start : start + step], frame) for start in range(0, len(seeds), step)]
        return torch.cat(parts)

    def _fields(self, seeds: Sequence[int], frame: tuple[int, int]) -> Tensor:
        taps = gaussian_taps(self.sigma).float()
        reach = len(taps) // 2
        streams = [stream(seed, "patches") for seed in seeds]
        deviation = self._variance(streams, frame, reach).sqrt()[:, None]
        shape = (2, frame[0] + 2 * reach, frame[1] + 2 * reach)
        noise = torch.stack([torch.randn(shape, generator=generator) for generator in streams])
        smooth = _smoothed(_smoothed(deviation * noise, taps, -2), taps, -1)
        return smooth.clamp(-self.limit, self.limit)

    def _variance(self, streams: Sequence[torch.Generator], frame: tuple[int, int], reach: int) -> Tensor:
        """Variance of the white noise, (B, H + 2 reach, W + 2 reach): the sum of strength^2 over patches."""
        whole = [max(side, _PUBLISHED) for side in frame]
        places = [side - self.size for side in whole]
        count = max(1, round(self.patches * places[0] * places[1] / (_PUBLISHED - self.size) ** 2))
        uniform = torch.stack([torch.rand(3, count, generator=generator) for generator in streams])
        top, left = ((uniform[:, axis] * places[axis]).long() for axis in (0, 1))
        low, high = self.strength
        energy = (low + (high - low) * uniform[:, 2]).square()
        # A square is the cumulative sum, along both axes, of signs at its four corners.
        corners = torch.zeros(len(uniform), (whole[0] + 1) * (whole[1] + 1), dtype=torch.float64)
        for down, right, sign in ((0, 0, 1), (0, 1, -1), (1, 0, -1), (1, 1, 1)):
            index = (top + down * self.size) * (whole[1] + 1) + left + right * self.size
            corners.scatter_add_(1, index, sign * energy.double())
        total = corners.reshape(-1, whole[0] + 1, whole[1] + 1).cumsum(1).cumsum(2)[:, :-1, :-1].clamp(min=0)
        wide = F.pad(total, (reach, reach, reach, reach))
        first = [(outer - inner) // 2 for outer, inner in zip(whole, frame, strict=True)]
        rows, columns = (slice(start, start + side + 2 * reach) for start, side in zip(first, frame, strict=True))
        return wide[:, rows, columns].float()


class TiltKolmogorov(Generator, FieldSource, Sequential):
    """Angles of arrival through Kolmogorov turbulence of constant strength along a path.

    Their covariance is that of `ipt.linalg.tilts`, to within .3 % of the variance. The common part of all pixels, the
    wander of the whole picture, is included, and is often the larger part.

    Args:
        d_over_r0: strength of the turbulence: aperture over Fried's parameter, for a spherical wave over the whole
            path.
        aperture: diameter in metres.
        distance: from the camera to the scene, in metres.
        wavelength: in metres.
        pixel: angle that a pixel spans, in microradians (pixel pitch over focal length: 5 um at 1 m are 5); None: half
            of wavelength / aperture, which samples everything that the aperture resolves.
        cn2: refractive index structure constant in m^(-2/3), constant along the path, in place of d_over_r0.
        wind: displacement of the field from frame to frame in pixels, (down, right) or to the right alone; the field is
            carried along unchanged (Taylor's frozen flow). 0: the frames' fields are independent.
        shutter: exposure time over the time from frame to frame, 0..1.

    Raises:
        IptError: a value out of range.
    """

    def __init__(
        self,
        d_over_r0: float = 2.0,
        aperture: float = 0.1,
        distance: float = 1000.0,
        wavelength: float = 550e-9,
        pixel: float | None = None,
        cn2: float | None = None,
        wind: tuple[float, float] | float = 0.0,
        shutter: float = 0.0,
    ):
        check_positive("d_over_r0", d_over_r0)
        check_positive("distance", distance, "metres")
        self.camera = Camera(aperture, wavelength, pixel)
        self.d_over_r0 = float(d_over_r0) if cn2 is None else self.camera.ratio(cn2, distance)
        self.distance = float(distance)
        speeds = (0.0, wind) if isinstance(wind, (int, float)) else tuple(wind)
        if len(speeds) != 2 or not all(math.isfinite(speed) for speed in speeds):
            raise IptError(f"wind is in pixels from frame to frame, (down, right), not {wind!r}")
        if not 0 <= shutter <= 1:
            raise IptError(f"shutter is the share of time in which a frame is exposed, 0..1, not {shutter!r}")
        self.wind, self.shutter = (float(speeds[0]), float(speeds[1])), float(shutter)

    @property
    def field(self) -> KolmogorovTilt:
        camera = self.camera
        radians = math.sqrt(TILT_VARIANCE) * camera.wavelength / camera.aperture * self.d_over_r0 ** (5 / 6)
        return KolmogorovTilt(radians / camera.angle, camera.angle * self.distance / camera.aperture)

    def sample(self, seeds: Sequence[int], shape: tuple[int, ...]) -> Tensor:
        frame, field = _frame(shape), self.field
        if field.strength > min(frame):
            raise IptError(
                f"tilts of {field.strength:.3g} px (root mean square) leave a picture of {frame[1]} x {frame[0]} px: "
                f"lower d_over_r0, or check aperture, wavelength (metres) and pixel (microradians)"
            )
        return draw_kolmogorov(field, seeds, frame)

    def sequence(self, seed: int, frames: int, shape: tuple[int, ...]) -> Tensor | None:
        """One field for the whole clip, seen through a frame that moves against the wind."""
        if not any(self.wind):
            return None
        height, width = _frame(shape)
        path = math.hypot(*self.wind) * self.shutter
        instants = min(_MOST_INSTANTS, 1 + math.ceil(path / _STEP)) if path else 1
        places = torch.arange(frames)[:, None] + self.shutter * torch.linspace(0, 1, instants)
        moves = torch.stack([-speed * places.flatten() for speed in self.wind], 1)
        moves = moves - moves.amin(0)
        down, right = (math.ceil(float(most)) + 1 for most in moves.amax(0))
        (whole,) = self.sample([seed], (2, height + down, width + right))
        drawn = [_window(whole, move, (height, width)) for move in moves.tolist()]
        return torch.stack(drawn).reshape(frames, instants, 2, height, width)


def _smoothed(fields: Tensor, taps: Tensor, axis: int) -> Tensor:
    """Fields convolved along an axis, without the margin that the taps reach over.

    This is several times faster than torch's convolution with one channel.
    """
    length = fields.shape[axis] - len(taps) + 1
    total = taps[0] * fields.narrow(axis, 0, length)
    for start, tap in enumerate(taps[1:].tolist(), 1):
        total.add_(fields.narrow(axis, start, length), alpha=tap)
    return total


def _window(field: Tensor, start: Sequence[float], frame: tuple[int, int]) -> Tensor:
    """A window of a field (2, H, W) that starts between pixels, by linear interpolation, since fields are smooth."""
    (top, left), parts = (math.floor(place) for place in start), [place % 1 for place in start]
    around = field[:, top : top + frame[0] + 1, left : left + frame[1] + 1]
    rows = torch.lerp(around[:, :-1], around[:, 1:], parts[0])
    return torch.lerp(rows[..., :-1], rows[..., 1:], parts[1])


def _frame(shape: tuple[int, ...]) -> tuple[int, int]:
    """(height, width) of a tilt field; IptError where the shape is that of another quantity."""
    if len(shape) != 3 or shape[0] != 2:
        raise IptError(f"a tilt field is (2, height, width), not {tuple(shape)}: this generator draws nothing else")
    return shape[1], shape[2]
