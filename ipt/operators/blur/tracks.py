"""Generators of motion kernels: smooth random paths, hand shake, lines and arcs.

    velocity --integrated--> path --scaled, deposited--> kernel

A path is the trace of a point of light on the sensor. Equal times leave equal light, so slow parts are bright. The
conventions for kernels are those of `ipt.operators.blur.kernels`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.core.operator import Generator
from ipt.operators.blur.rendering import deposited, extents, scaled
from ipt.operators.draws import interval, log_uniform, uniform_and_normal

_PATH = 256
"""Points that are drawn on a path of `MotionKernels`."""
_FINE = 8
"""Parts into which the way between two of them is divided. In a window of 64 px the points are up to 7 px apart."""
_MOMENTS = 128
"""Points on a path of `ShakeKernels`: at least ten for each period of the fastest tremor in half a second."""
SHAKE_PARTS = 16
"""Parts into which the way between two of them is divided."""
_DRIFT, _TREMOR = 10, 4
"""Number of waves that make up drift and tremor."""
_STEPS = 512
"""Points on a line: at least eight per pixel in a window of 64 px."""


class MotionKernels(Generator):
    """Blur by a hand-held camera: a smooth random path.

    Args:
        intensity: (low, high) within 0..1, drawn uniformly for each kernel. 0 is a straight line at constant speed, 1 a
            tangle with sudden turns and changes of speed. (It has the role of `intensity` in the kernels of BlindDPS,
            arXiv 2211.10656, section 4.1; the model of the path is this package's own.)
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
    """Blur by hand shake: thin, curved tracks, bright where the hand rests or turns.

    The velocity of the image is a random process with these parts:

    - drift: an Ornstein-Uhlenbeck process, whose Lorentzian spectrum has its corner at 1 to 4 Hz and is cut at six
      times that;
    - tremor: the physiological tremor, a narrow band at 8 to 12 Hz, with .1 to 1.2 times the drift's speed;
    - rests: in half of the kernels the drift stops for 4 to 24 % of the exposure; in a quarter it does so twice;
    - jerks: in two kernels of five the button is pressed, and the hand swings back at 4 to 6 Hz within about 40 ms; in
      one of seven this happens twice.

    All of it is up to four times as strong along one random direction as across it. A short exposure leaves a slightly
    bent line, a long one a tangle with knots. The number of pixels per degree depends on the focal length, which a
    picture does not show, so the extent is drawn independently of the exposure.

    Args:
        exposure: (low, high) in seconds, drawn log-uniformly.
        extent: (low, high) of the larger side of the track's bounding box, in pixels, drawn log-uniformly; None: from
            2.5 px to the kernel's smaller side.

    References:
        Gavant, Alacoque, Dupret and David, A physiological camera shake model for image stabilization systems, IEEE
        Sensors 2011: neither a random walk nor a straight motion fits shake. Boracchi and Foi, Modeling the performance
        of image restoration from motion blur, IEEE TIP 2012: abrupt impulses when the button is pressed or the shake is
        compensated. Japanese Journal of Ergonomics 31 (6), 399: cameras in hands oscillate at about 4 Hz, and at 2 Hz
        by the pressure on the button. Physiological tremor at 8 to 12 Hz is common knowledge; the other numbers above
        are this package's own, chosen by eye.
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
    """The uniform and normal numbers of `shake_path`, a row for each seed; it does not use the first uniform one."""
    waves = _DRIFT + _TREMOR
    return uniform_and_normal(seeds, 18 + waves, 4 * waves + 4)


def shake_path(uniform: Tensor, normal: Tensor, exposure: tuple[float, float]) -> Tensor:
    """Paths of a shaking hand at equal times, (B, 2, T), of arbitrary scale; the model is that of `ShakeKernels`.

    Args:
        uniform: of `shake_draws`; the second number determines the length of the exposure.
        normal: of `shake_draws`.
        exposure: (low, high) in seconds, drawn log-uniformly.
    """
    waves = _DRIFT + _TREMOR
    share = (torch.arange(_MOMENTS) + 0.5) / _MOMENTS
    time = log_uniform(exposure, uniform[:, 1:2]) * share
    # Frequencies are stratified over the quantiles of the Lorentzian spectrum.
    place = 0.9 * (torch.arange(_DRIFT) + uniform[:, 18 : 18 + _DRIFT]) / _DRIFT
    slow = log_uniform((1.0, 4.0), uniform[:, 2:3]) * (math.pi / 2 * place).tan()
    fast = (8 + 4 * uniform[:, 3:4]) * (0.85 + 0.3 * uniform[:, 18 + _DRIFT :])
    wave = normal[:, : 4 * waves].reshape(-1, 2, 2, waves)
    drift = _waves(wave[..., :_DRIFT], slow, time) * _without_rests(share, uniform[:, 7:12])
    tremor = _waves(wave[..., _DRIFT:], fast, time)
    velocity = drift + log_uniform((0.1, 1.2), uniform[:, 4:5])[:, :, None] * tremor
    velocity = velocity + _jerks(time, uniform[:, 12:17], normal[:, 4 * waves :].reshape(-1, 2, 2))
    velocity = velocity * torch.stack([log_uniform((0.25, 1.0), uniform[:, 5:6]), torch.ones(len(uniform), 1)], dim=1)
    cosine, sine = (math.pi * uniform[:, 6:7]).cos(), (math.pi * uniform[:, 6:7]).sin()
    across, along = velocity.unbind(1)
    return torch.stack([along * sine + across * cosine, along * cosine - across * sine], dim=1).cumsum(2)


class LineKernels(Generator):
    """Motion at constant speed: straight lines, and arcs of circles.

    One straight line in five is exactly horizontal or vertical, as when a camera pans; the others have any angle. The
    bilinear aperture of one pixel adds to the width and to both ends.

    Args:
        length: (low, high) of the length in pixels, drawn log-uniformly; None: from 1.5 px to the kernel's smaller
            side.
        bent: share of arcs, 0..1.
        turn: (low, high) of the angle in degrees between the directions at both ends of an arc, drawn uniformly.
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
    """Sums of cosines and sines of unit variance, (B, 2, T).

    Args:
        weights: Standard normal amplitudes of the cosines and of the sines, (B, 2 axes, 2, K).
        frequencies: (B, K) in Hz.
        time: (B, T) in seconds.
    """
    angle = 2 * math.pi * frequencies[:, :, None] * time[:, None]
    return (weights[:, :, 0] @ angle.cos() + weights[:, :, 1] @ angle.sin()) / math.sqrt(frequencies.shape[1])


def _without_rests(share: Tensor, uniform: Tensor) -> Tensor:
    """Factor of the drift, (B, 1, T) in 0..1, that is near 0 during rests.

    Args:
        share: Time as a share of the exposure, (T,).
        uniform: (B, 5): whether there are rests, then the middle and the length of each.
    """
    moving = torch.ones(len(uniform), len(share))
    for place, odds in ((1, 0.5), (3, 0.25)):
        # Rests at either end of the exposure are likely, before and after the button is pressed.
        centre = (-0.05 + 1.1 * uniform[:, place]).clamp(0, 1)[:, None]
        half = (0.02 + 0.1 * uniform[:, place + 1])[:, None]
        rest = (-(((share - centre) / half) ** 6)).exp()
        moving = moving * (1 - 0.98 * rest * (uniform[:, :1] < odds))
    return moving[:, None]


def _jerks(time: Tensor, uniform: Tensor, blow: Tensor) -> Tensor:
    """Velocity after the button is pressed, (B, 2, T).

    Args:
        time: In seconds, (B, T).
        uniform: (B, 5): whether it is pressed, when (twice), the frequency of the swing and its decay.
        blow: Direction and strength of each press, (B, 2, 2).
    """
    velocity = torch.zeros(len(time), 2, time.shape[1])
    swing = 2 * math.pi * (4 + 2 * uniform[:, 3:4])
    for number, odds in enumerate((0.4, 0.15)):
        since = time - time[:, -1:] * uniform[:, number + 1 : number + 2]
        decay = 0.025 + 0.035 * uniform[:, 4:5]
        pulse = (-since / decay).clamp(max=0).exp() * (swing * since).cos() * (since >= 0) * (uniform[:, :1] < odds)
        velocity = velocity + 2.5 * blow[:, number, :, None] * pulse[:, None]
    return velocity


def _smooth(noise: Tensor, width: int) -> Tensor:
    """White noise (B, T) smoothed by a Gaussian of `width` samples, of unit variance."""
    reach = 3 * width
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / width) ** 2)
    taps = taps / taps.square().sum().sqrt()
    padded = F.pad(noise[:, None], (reach, reach), mode="circular")
    return F.conv1d(padded, taps[None, None].to(noise))[:, 0]
