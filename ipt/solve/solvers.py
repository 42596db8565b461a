"""The solver that options describe, for each picture of a run."""

from __future__ import annotations

from collections.abc import Collection

from ipt.core.operator import IMAGE
from ipt.core.solver import Solver
from ipt.images.measurements import measured
from ipt.images.noise import check_level
from ipt.plugins.building import build
from ipt.solve.defaults import UsualPrior
from ipt.solve.options import SolveOptions


class Solvers:
    """The solvers of a run: one for each prior that its pictures have, built when the first of them comes.

    Args:
        options: of the run; where they name no prior of the image, each picture has the usual one of its size.
        known: names of the operator's parameters that are given.
        device: a torch device.
    """

    def __init__(self, options: SolveOptions, known: Collection[str], device: str):
        self.options, self._known, self._device = options, tuple(known), device
        self.usual = UsualPrior(options)
        self._made: dict[str, Solver] = {}

    def solver_for(self, name: str, shape: tuple[int, ...] | None) -> Solver:
        """The solver for a picture of that name and shape (C, H, W); None: of any.

        Raises:
            IptError: what the options name does not exist or cannot be, or a noise level that pictures cannot have.
        """
        options = self.usual.options_for(name, shape)
        check_level(options.noise, measured(self.usual.operator) is None)
        prior = options.prior[IMAGE]
        if prior not in self._made:
            self._made[prior] = build(
                options.operator,
                prior,
                options.guidance,
                parameters={parameter: spec for parameter, spec in options.prior.items() if parameter != IMAGE},
                known=self._known,
                settings=options.settings(),
                steps=options.steps,
                device=self._device,
                precision=options.precision,
            ).solver
        return self._made[prior]
