"""Kernels of motion: smooth random paths, the shake of a hand, lines and arcs.

The conventions are those of `ipt.operators.blur.kernels`. A path is the way of a point of light over the sensor; equal
times leave equal light, so that slow parts are bright.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.core.operator import Generator
from ipt.operators.blur.rendering import deposited, extents, log_uniform, scaled
from ipt.operators.draws import interval, uniform_and_normal

_PATH = 256
"""Points drawn on a trajectory."""
_FINE = 8
"""Parts of the way between two of them: at full speed in a 64-pixel window they are up to 7 pixels apart, and the light
that falls on the sensor between them must not be missing."""
_MOMENTS = 128
"""Points on the track of a shaking hand: ten or more to a period of the fastest tremor in half a second."""
SHAKE_PARTS = 16
"""Parts of the way between two of them."""
_DRIFT, _TREMOR = 10, 4
"""Cosines of which drift and tremor are made."""
_STEPS = 512
"""Points on a line: at least eight a pixel in a 64-pixel window."""


class MotionKernels(Generator):
    """Blur by a hand-held camera: a smooth random path, drawn once over the exposure.

    Args:
        intensity: (low, high) within 0..1, drawn uniformly a kernel; 0 is a straight line at constant speed, 1 is
            tangled, with sudden turns and changes of speed (the role of `intensity` in the kernels of BlindDPS, arXiv
            2211.10656, section 4.1; the path's model is this package's own).
        extent: (low, high) of the larger side of the path's bounding box, in pixels, drawn log-uniformly; None: from
            3 px to the kernel's smaller side.
    """

    def __init__(self, intensity: tuple[float, float] = (0.2, 1.0), extent: tuple[float, float] | None = None):
        self.intensity = interval("intensity", intensity, 0, 1)
        self.extent = None if extent is None else interval("extent", extent, 1, math.inf)

    def sample(self, seeds: Sequence[int], shape: tuple[int, ...]) -> Tensor:
        height, width = shape[-2:]
        uniform, normal = uniform_and_normal(seeds, 8, 4 * _PATH)
        low, high = self.intensity
        intensity = low + (high - low) * uniform[:, 0:1]
        normal = normal.reshape(-1, 4, _PATH)
        # The direction of travel wanders: slow curvature everywhere, and sudden turns at a few instants.
        curvature = _smooth(normal[:, 0], 24) * intensity * 0.12
        turns = (_smooth(normal[:, 1], 2).abs() > 2.6 - 0.5 * intensity) * normal[:, 2] * intensity * 1.2
        angle = 2 * math.pi * uniform[:, 2:3] + (curvature + turns).cumsum(1)
        # The speed varies by a factor that grows with the intensity.
        speed = (_smooth(normal[:, 3], 16) * intensity).exp()
        path = torch.stack([speed * angle.sin(), speed * angle.cos()], dim=1).cumsum(2)
        extent = log_uniform(self.extent or extents(3.0, height, width), uniform[:, 1:2])
        return deposited(scaled(path, extent), _FINE, height, width)


class ShakeKernels(Generator):
    """Blur by the shake of a hand: thin, curved tracks, bright where the hand rests or turns.

    The velocity of the image is a stochastic process, the sum of

    - drift: the Lorentzian spectrum of an Ornstein-Uhlenbeck process with a corner at 1 to 4 Hz, cut at six times that;
    - physiological tremor, a narrow band at 8 to 12 Hz, .1 to 1.2 times the drift's speed;
    - rests: in half of the kernels drift stops for 4 to 24 % of the exposure, tremor does not; twice in a quarter;
    - jerks: in two kernels of five the hand is struck (by the pressed button), and swings back at 4 to 6 Hz within some
      40 ms; twice in one of seven.

    All of it is up to four times as strong along one random direction as across it.

    A short exposure thus leaves a slightly bent line, a long one a tangle with knots. How many pixels a degree is
    depends on the focal length, which no picture shows: the extent is drawn for itself, whatever the exposure.

    Args:
        exposure: (low, high) in seconds, drawn log-uniformly.
        extent: (low, high) of the larger side of the track's bounding box, in pixels, drawn log-uniformly; None: from
            2.5 px to the kernel's smaller side.

    References:
        Gavant, Alacoque, Dupret and David, A physiological camera shake model for image stabilization systems, IEEE
        Sensors 2011: shake is fitted neither by a random walk nor by a straight one. Boracchi and Foi, Modeling the
        performance of image restoration from motion blur, IEEE TIP 2012: abrupt impulses when the button is pressed or
        the shake is compensated. Japanese Journal of Ergonomics 31 (6), 399: cameras in hands oscillate at about 4 Hz,
        and at 2 Hz by the pressure on the button. That physiological tremor is at 8 to 12 Hz is common knowledge; the
        other numbers above are this package's own, chosen by eye.
    """

    def __init__(
        self, exposure: tuple[float, float] = (1 / 15, 1 / 2), extent: tuple[float, float] | None = None
    ) -> None:
        self.exposure = interval("exposure", exposure, 1e-3, 10)
        self.extent = None if extent is None else interval("extent", extent, 1, math.inf)

    def sample(self, seeds: Sequence[int], shape: tuple[int, ...]) -> Tensor:
        height, width = shape[-2:]
        uniform, normal = shake_draws(seeds)
        extent = log_uniform(self.extent or extents(2.5, height, width), uniform[:, 0:1])
        return deposited(scaled(shake_path(uniform, normal, self.exposure), extent), SHAKE_PARTS, height, width)


def shake_draws(seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
    """The uniform and normal numbers, a row a seed, of which `shake_path` is made; it leaves the first one alone."""
    waves = _DRIFT + _TREMOR
    return uniform_and_normal(seeds, 18 + waves, 4 * waves + 4)


def shake_path(uniform: Tensor, normal: Tensor, exposure: tuple[float, float]) -> Tensor:
    """Ways of a hand that shakes, (B, 2, T) at equal times, of no scale: see `ShakeKernels`.

    Args:
        uniform: of `shake_draws`; the second says how long the exposure is.
        normal: of `shake_draws`.
        exposure: (low, high) in seconds, drawn log-uniformly.
    """
    waves = _DRIFT + _TREMOR
    share = (torch.arange(_MOMENTS) + 0.5) / _MOMENTS
    time = log_uniform(exposure, uniform[:, 1:2]) * share
    # Stratified over the Lorentzian's quantiles.
    place = 0.9 * (torch.arange(_DRIFT) + uniform[:, 18 : 18 + _DRIFT]) / _DRIFT
    slow = log_uniform((1.0, 4.0), uniform[:, 2:3]) * (math.pi / 2 * place).tan()
    fast = (8 + 4 * uniform[:, 3:4]) * (0.85 + 0.3 * uniform[:, 18 + _DRIFT :])
    wave = normal[:, : 4 * waves].reshape(-1, 2, 2, waves)
    drift = _waves(wave[..., :_DRIFT], slow, time) * _moving(share, uniform[:, 7:12])
    tremor = _waves(wave[..., _DRIFT:], fast, time)
    velocity = drift + log_uniform((0.1, 1.2), uniform[:, 4:5])[:, :, None] * tremor
    velocity = velocity + _struck(time, uniform[:, 12:17], normal[:, 4 * waves :].reshape(-1, 2, 2))
    velocity = velocity * torch.stack([log_uniform((0.25, 1.0), uniform[:, 5:6]), torch.ones(len(uniform), 1)], dim=1)
    cosine, sine = (math.pi * uniform[:, 6:7]).cos(), (math.pi * uniform[:, 6:7]).sin()
    across, along = velocity.unbind(1)
    return torch.stack([along * sine + across * cosine, along * cosine - across * sine], dim=1).cumsum(2)


class LineKernels(Generator):
    """Motion at constant speed: straight lines, and arcs of circles.

    One line in five is exactly horizontal or vertical, as of cameras that pan; the others have any angle. An aperture
    of one pixel, bilinear, adds to the width and to either end.

    Args:
        length: (low, high) of the way in pixels, drawn log-uniformly; None: from 1.5 px to the kernel's smaller side.
        bent: share of arcs among the lines, 0..1.
        turn: (low, high) of the angle in degrees by which the direction of an arc turns from end to end, drawn
            uniformly.
    """

    def __init__(
        self,
        length: tuple[float, float] | None = None,
        bent: float = 0.35,
        turn: tuple[float, float] = (5.0, 100.0),
    ):
        self.length = None if length is None else interval("length", length, 1e-3, math.inf)
        self.bent = interval("bent", bent, 0, 1)[0]
        self.turn = interval("turn", turn, 0, 360)

    def sample(self, seeds: Sequence[int], shape: tuple[int, ...]) -> Tensor:
        height, width = shape[-2:]
        uniform, _ = uniform_and_normal(seeds, 5, 0)
        length = log_uniform(self.length or extents(1.5, height, width), uniform[:, 0:1])
        angle = 2 * math.pi * uniform[:, 1:2]
        low, high = (math.radians(one) for one in self.turn)
        turn = torch.where(uniform[:, 2:3] < self.bent, low + (high - low) * uniform[:, 3:4], 0)
        straight = (turn == 0) & (uniform[:, 4:5] < 0.2)
        angle = torch.where(straight, (angle * 2 / math.pi).round() * (math.pi / 2), angle)
        direction = angle + turn * ((torch.arange(_STEPS) + 0.5) / _STEPS - 0.5)
        path = torch.stack([direction.sin(), direction.cos()], dim=1).cumsum(2) * (length / _STEPS)[:, :, None]
        return deposited(path, 1, height, width)


def _waves(weights: Tensor, frequencies: Tensor, time: Tensor) -> Tensor:
    """Sums of cosines and sines (B, 2, T) of unit variance.

    Args:
        weights: Standard normal (B, 2 axes, 2, K), of the cosines and of the sines.
        frequencies: (B, K) in Hz.
        time: (B, T) in seconds.
    """
    angle = 2 * math.pi * frequencies[:, :, None] * time[:, None]
    return (weights[:, :, 0] @ angle.cos() + weights[:, :, 1] @ angle.sin()) / math.sqrt(frequencies.shape[1])


def _moving(share: Tensor, uniform: Tensor) -> Tensor:
    """How far drift goes on, (B, 1, T) in 0..1, at shares of the exposure (T,); (B, 5) numbers decide on the rests."""
    moving = torch.ones(len(uniform), len(share))
    for place, odds in ((1, 0.5), (3, 0.25)):
        # Both ends are likely: the hand rests before it is struck, and after it was.
        centre = (-0.05 + 1.1 * uniform[:, place]).clamp(0, 1)[:, None]
        half = (0.02 + 0.1 * uniform[:, place + 1])[:, None]
        rest = (-(((share - centre) / half) ** 6)).exp()
        moving = moving * (1 - 0.98 * rest * (uniform[:, :1] < odds))
    return moving[:, None]


def _struck(time: Tensor, uniform: Tensor, blow: Tensor) -> Tensor:
    """Velocity (B, 2, T) of a hand that is struck: (B, 5) numbers say when, (B, 2, 2) whither."""
    velocity = torch.zeros(len(time), 2, time.shape[1])
    swing = 2 * math.pi * (4 + 2 * uniform[:, 3:4])
    for number, odds in enumerate((0.4, 0.15)):
        since = time - time[:, -1:] * uniform[:, number + 1 : number + 2]
        decay = 0.025 + 0.035 * uniform[:, 4:5]
        pulse = (-since / decay).clamp(max=0).exp() * (swing * since).cos() * (since >= 0) * (uniform[:, :1] < odds)
        velocity = velocity + 2.5 * blow[:, number, :, None] * pulse[:, None]
    return velocity


def _smooth(noise: Tensor, width: int) -> Tensor:
    """White noise (B, T) made smooth over about `width` samples, unit variance."""
    reach = 3 * width
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / width) ** 2)
    taps = taps / taps.square().sum().sqrt()
    padded = F.pad(noise[:, None], (reach, reach), mode="circular")
    return F.conv1d(padded, taps[None, None].to(noise))[:, 0]
