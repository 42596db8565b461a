"""Interfaces of noise schedules and of transitions between noise levels; `ipt.sampling` implements them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from ipt.core.prior import Posterior

if TYPE_CHECKING:
    from torch import Tensor


class Schedule(ABC):
    """A sequence of noise levels."""

    @abstractmethod
    def sigmas(self) -> Tensor:
        """The noise levels, (steps + 1,) float64, strictly falling, the last one 0."""


class Transition(ABC):
    """From one noise level to the next."""

    @abstractmethod
    def __call__(self, noisy: Tensor, posterior: Posterior, sigma: float, sigma_next: float, noise: Tensor) -> Tensor:
        """The variable at sigma_next < sigma, given its (corrected) posterior at sigma, and standard normal noise."""
