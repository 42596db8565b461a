"""Rules that treat an image otherwise where it was solved for at half its size before."""

from __future__ import annotations

from abc import ABC, abstractmethod

from ipt.core.guidance import GuidanceRule


class Refining(ABC):
    """A rule with a variant of itself for what goes on from a smaller image."""

    @abstractmethod
    def refined(self) -> GuidanceRule:
        """The variant."""
