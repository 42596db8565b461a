"""The sRGB encoding (IEC 61966-2-1) between linear light and the values of pictures."""

from __future__ import annotations

import torch
from torch import Tensor

_LINEAR = 12.92
"""Slope of sRGB near black."""


def decoded(values: Tensor) -> Tensor:
    """Linear light of sRGB values; outside 0..1 the curve is extrapolated."""
    curved = ((values.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4
    return torch.where(values <= 0.04045, values / _LINEAR, curved)


def encoded(light: Tensor) -> Tensor:
    """The sRGB values of linear light; the inverse of `decoded`."""
    curved = 1.055 * light.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(light <= 0.0031308, _LINEAR * light, curved)


def noise_gain(values: Tensor) -> float:
    """Factor by which decoding a picture amplifies the standard deviation of weak noise, an RMS over its pixels."""
    curved = 2.4 / 1.055 * ((values.clamp(0.04045, 1) + 0.055) / 1.055) ** 1.4
    slope = torch.where(values <= 0.04045, 1 / _LINEAR, curved)
    return float(slope.square().mean().sqrt())
