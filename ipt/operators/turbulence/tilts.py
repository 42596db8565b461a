"""Generators of tilt fields (B, 2, H, W) in pixels, vertical then horizontal.

One seed a field; a field does not depend on its batch. Both describe what they draw (`field`), so that the prior `tilt`
can be exact.
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
"""Side of the frame that the number of patches is meant for."""
_CHUNK = 2**22
"""Pixels drawn at a time."""
_STEP, _MOST_INSTANTS = 0.5, 16
"""Pixels that the wind goes between the instants of an exposure, and so many at most."""


class TiltPatches(Generator, FieldSource):
    """Patches of smoothed white noise thrown on the frame: the published tilt fields (BlindDPS, arXiv 2211.10656).

    A patch is white noise, smoothed, times its strength. So all of them together are white noise whose variance at a
    pixel is the sum of strength^2 over the patches there, smoothed once: the same field in law, but within three sigma
    of a patch's edge, which here smoothing does not stop at. It is Gaussian given where the patches lie; `field` is
    that of a pixel that all patches may reach, with their mean number. (Nearer than `size` to the edge of a frame of
    256 pixels and more, the tilt fades.)

    Args:
        patches: how many lie in a frame of 256x256, each wholly inside it; a larger frame has more, as densely, and a
            smaller one is the middle of one of 256x256.
        size: side of a patch in pixels.
        sigma: of the Gaussian that smooths the noise, in pixels.
        strength: (low, high) by which a patch is multiplied, drawn uniformly.
        limit: what lies further from zero is cut, in pixels.
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
        """Of the white noise, (B, H + 2 reach, W + 2 reach): the sum of strength^2 over the patches at each pixel."""
        whole = [max(side, _PUBLISHED) for side in frame]
        places = [side - self.size for side in whole]
        count = max(1, round(self.patches * places[0] * places[1] / (_PUBLISHED - self.size) ** 2))
        uniform = torch.stack([torch.rand(3, count, generator=generator) for generator in streams])
        top, left = ((uniform[:, axis] * places[axis]).long() for axis in (0, 1))
        low, high = self.strength
        energy = (low + (high - low) * uniform[:, 2]).square()
        # Summed along both axes, the four corners of a square with signs are the square.
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
    """Angles of arrival through Kolmogorov turbulence of even strength along a path.

    Their covariance is that of `ipt.linalg.tilts`, within .3 % of the variance. What all pixels have in common, the
    wander of the whole picture, is part of it: often the larger part.

    Args:
        d_over_r0: aperture over Fried's parameter (of a spherical wave, over the whole path): how strong the turbulence
            is.
        aperture: diameter in metres.
        distance: from the camera to the scene, in metres.
        wavelength: in metres.
        pixel: the angle a pixel sees, in microradians (pixel pitch over focal length: 5 um at 1 m are 5); None: half of
            wavelength / aperture, which misses nothing that the aperture resolves.
        cn2: refractive index structure constant in m^(-2/3), even along the path, in place of d_over_r0.
        wind: by which the air carries the field along from frame to frame, as it is (Taylor's frozen flow), in pixels,
            (down, right) or to the right alone; 0: each frame's field is another one.
        shutter: share of the time from frame to frame in which a frame is exposed, 0..1.
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
                f"tilts of {field.strength:.3g} pixels (root mean square) leave a picture of {frame[0]}x{frame[1]}: "
                f"lower d_over_r0, or check aperture, wavelength (metres) and pixel (microradians)"
            )
        return draw_kolmogorov(field, seeds, frame)

    def sequence(self, seed: int, frames: int, shape: tuple[int, ...]) -> Tensor | None:
        """The field of the whole clip, drawn once, and seen through a frame that moves against the wind."""
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
    """Convolved along an axis, which loses what the taps reach over.

    Several times faster than a convolution of one channel.
    """
    length = fields.shape[axis] - len(taps) + 1
    total = taps[0] * fields.narrow(axis, 0, length)
    for start, tap in enumerate(taps[1:].tolist(), 1):
        total.add_(fields.narrow(axis, start, length), alpha=tap)
    return total


def _window(field: Tensor, start: Sequence[float], frame: tuple[int, int]) -> Tensor:
    """The window of a field (2, H, W) from a place between its pixels on, by straight lines: fields are smooth."""
    (top, left), parts = (math.floor(place) for place in start), [place % 1 for place in start]
    around = field[:, top : top + frame[0] + 1, left : left + frame[1] + 1]
    rows = torch.lerp(around[:, :-1], around[:, 1:], parts[0])
    return torch.lerp(rows[..., :-1], rows[..., 1:], parts[1])


def _frame(shape: tuple[int, ...]) -> tuple[int, int]:
    if len(shape) != 3 or shape[0] != 2:
        raise IptError(f"a tilt field is (2, height, width), not {tuple(shape)}: this generator draws nothing else")
    return shape[1], shape[2]
