"""Operators that find something of their unknowns before a solve, which then begins there, with less noise."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from ipt.core.operator import Unknowns

if TYPE_CHECKING:
    from ipt.core.observation import Observation


class Initializable(ABC):
    """An operator some of whose unknowns can be estimated from the measurement alone, without priors."""

    @abstractmethod
    def initial(self, observation: Observation, frames: int = 1) -> Unknowns | None:
        """Physical unknowns near the solution, "image" among them; the others begin as their priors' means.

        Args:
            observation: of as many frames of each image, those of an image in a row; parameters likewise.
            frames: of each image.

        Returns:
            None: nothing can be told beforehand.
        """
