"""Rules that have a variant for images that were already solved for at half their size."""

from __future__ import annotations

from abc import ABC, abstractmethod

from ipt.core.guidance import GuidanceRule


class Refining(ABC):
    """A rule with a variant for solves that continue from a smaller image."""

    @abstractmethod
    def refined(self) -> GuidanceRule:
        """The variant for solves that continue from a smaller image."""
