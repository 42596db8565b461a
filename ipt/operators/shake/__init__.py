"""Blur that differs from place to place, its exact steps, and trajectories of a camera."""

from ipt.operators.shake.operator import Shake

__all__ = ["Shake"]
