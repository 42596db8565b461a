"""Operators that estimate unknowns from the measurement before a solve, which then begins at a lower noise level."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from ipt.core.operator import Known, Unknowns

if TYPE_CHECKING:
    from torch import Tensor

    from ipt.core.observation import Observation


class Initializable(ABC):
    """An operator for which some unknowns can be estimated from the measurement alone, without priors."""

    @abstractmethod
    def initial(self, observation: Observation, known: Known = None, frames: int = 1) -> Unknowns | None:
        """An estimate of unknowns; those that are left out begin at their priors' means.

        Args:
            observation: of F frames of each image, which follow each other in the batch, (B F, C, H, W).
            known: known parameters, valid, of all frames.
            frames: F.

        Returns:
            Physical unknowns by name, "image" among them, the parameters of all frames; None: there is no estimate.
        """

    def reliability(self, observation: Observation, frames: int = 1) -> Tensor | None:
        """The weight of each pixel of the frames, (B F, 1, H, W), 0..1; arguments as in `initial`.

        It is 0 where a pixel does not show what the other frames show, else the noise level over the standard deviation
        of the difference. None: there is no estimate.
        """
        return None
