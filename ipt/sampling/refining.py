"""Rules with variants for the smallest image of a solve from coarse to fine, and for those that continue from it."""

from __future__ import annotations

from abc import ABC, abstractmethod

from ipt.core.guidance import GuidanceRule


class Refining(ABC):
    """A rule with variants for the sizes of a solve from coarse to fine."""

    @abstractmethod
    def searching(self) -> GuidanceRule:
        """The variant for the smallest image, where the parameters are looked for."""

    @abstractmethod
    def refined(self) -> GuidanceRule:
        """The variant for images that continue from a smaller one."""
