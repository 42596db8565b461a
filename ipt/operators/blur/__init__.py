"""Blur by one kernel an image, its exact steps, and generators of kernels."""

from ipt.operators.blur.operator import BORDERS, KERNEL_NOISE_RATIO, Blur

__all__ = ["BORDERS", "KERNEL_NOISE_RATIO", "Blur"]
