"""Light and the values of pictures, which are its sRGB encoding (IEC 61966-2-1)."""

from __future__ import annotations

import torch
from torch import Tensor

_LINEAR = 12.92
"""Slope of sRGB near black."""


def decoded(values: Tensor) -> Tensor:
    """Light of sRGB values; beyond 0..1 it goes on as the curve does."""
    curved = ((values.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4
    return torch.where(values <= 0.04045, values / _LINEAR, curved)


def encoded(light: Tensor) -> Tensor:
    """The sRGB values of light; the inverse of `decoded`."""
    curved = 1.055 * light.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(light <= 0.0031308, _LINEAR * light, curved)


def noise_gain(values: Tensor) -> float:
    """The standard deviation of weak noise in the light of a picture over that in its sRGB values, over all pixels."""
    curved = 2.4 / 1.055 * ((values.clamp(0.04045, 1) + 0.055) / 1.055) ** 1.4
    slope = torch.where(values <= 0.04045, 1 / _LINEAR, curved)
    return float(slope.square().mean().sqrt())
