"""The default prior of the image: `faces` for pictures of a size that it takes, `natural` for all others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from ipt.core.abilities import framed_shape
from ipt.core.operator import IMAGE, ParametricOperator
from ipt.core.prior import Prior
from ipt.plugins.building import build_component
from ipt.plugins.options import grouped
from ipt.plugins.run_options import DEFAULT
from ipt.solve.options import SolveOptions

USUAL, ANY = "faces", "natural"


@dataclass(frozen=True)
class UsualPrior:
    """Chooses the image's prior for each picture of a run by its size.

    Attributes:
        options: of the run; if they name a prior of the image, nothing is chosen.
    """

    options: SolveOptions

    def options_for(self, name: str, shape: tuple[int, ...] | None) -> SolveOptions:
        """The options with a prior of the image: `faces` if it takes the picture, or if `fit` makes it fit.

        Args:
            name: of the picture, for the reason that is recorded.
            shape: (C, H, W) of the picture; None: not known.

        Raises:
            IptError: the operator does not exist, or refuses a setting.
        """
        if IMAGE in self.options.prior:
            return self.options
        why = self.reason(name, shape)
        origins = {**self.options.origins, f"prior.{IMAGE}": f"{DEFAULT}: {why}" if why else DEFAULT}
        return replace(self.options, prior={IMAGE: ANY if why else USUAL, **self.options.prior}, origins=origins)

    def reason(self, name: str, shape: tuple[int, ...] | None) -> str:
        """Why a picture does not get the default prior `faces`; "" if it does, or if the options name a prior."""
        if shape is None or self._fits(shape) is not False:
            return ""
        _, height, width = framed_shape(self.operator, self.operator.image_shape(shape))
        return f"{USUAL} does not take the {width} x {height} px of {name}"

    def is_by_size(self, shape: tuple[int, ...] | None) -> bool:
        """Whether a picture gets the default prior `faces` because it has the size of its faces."""
        return shape is not None and self._fits(shape) is True

    def _fits(self, shape: tuple[int, ...]) -> bool | None:
        """Whether `faces` takes a picture as it is; None: the options name a prior or fit it, or the operator refuses.

        A picture that the operator refuses is reported when it is solved.
        """
        if IMAGE in self.options.prior or self.options.fit != "error":
            return None
        try:
            _, height, width = framed_shape(self.operator, self.operator.image_shape(shape))
        except ValueError:
            return None
        return _takes(self._usual, (3, height, width))

    @cached_property
    def operator(self) -> ParametricOperator:
        """The operator that the options name; IptError if it does not exist or refuses a setting."""
        settings = grouped(self.options.settings()).get("operator", {})
        operator: ParametricOperator = build_component("operator", self.options.operator, settings)
        return operator

    @cached_property
    def _usual(self) -> Prior:
        prior: Prior = build_component("prior", USUAL)
        return prior


def _takes(prior: Prior, shape: tuple[int, ...]) -> bool:
    try:
        prior.normalization(shape)
    except ValueError:
        return False
    return True
