"""Imaging through turbulence: a tilt field and a kernel, their exact steps, and generators of both."""

from ipt.operators.turbulence.operator import ORDERS, Turbulence

__all__ = ["ORDERS", "Turbulence"]
