"""Operators that find something of their unknowns before a solve, which then begins there, with less noise."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from ipt.core.operator import Known, Unknowns

if TYPE_CHECKING:
    from torch import Tensor

    from ipt.core.observation import Observation


class Initializable(ABC):
    """An operator some of whose unknowns can be estimated from the measurement alone, without priors."""

    @abstractmethod
    def initial(self, observation: Observation, known: Known = None, frames: int = 1) -> Unknowns | None:
        """Physical unknowns near the solution, "image" among them; the others begin as their priors' means.

        Args:
            observation: of as many frames of each image, those of an image in a row; parameters likewise.
            known: parameters that are given, valid.
            frames: of each image.

        Returns:
            None: nothing can be told beforehand.
        """

    def reliability(self, observation: Observation, frames: int = 1) -> Tensor | None:
        """How much each entry of the frames counts, (B frames, 1, H, W); arguments as of `initial`.

        0: it does not show what the other frames show; else the noise over the standard deviation with which it does.
        None: nothing can be told.
        """
        return None
