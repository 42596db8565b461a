"""Sequences of noise levels, and from one level to the next; those that there are: `ipt.sampling`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from ipt.core.prior import Posterior

if TYPE_CHECKING:
    from torch import Tensor


class Schedule(ABC):
    """Noise levels for a solve."""

    @abstractmethod
    def sigmas(self) -> Tensor:
        """(steps + 1,) in float64, strictly falling, the last one 0."""


class Transition(ABC):
    """From one noise level to the next."""

    @abstractmethod
    def __call__(self, noisy: Tensor, posterior: Posterior, sigma: float, sigma_next: float, noise: Tensor) -> Tensor:
        """The variable at sigma_next < sigma given its (corrected) posterior; noise: standard normal, not used at 0."""
