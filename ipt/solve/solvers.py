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
    """The solvers of a run, one for each prior that its pictures need, built when the first picture needs it.

    Args:
        options: of the run; if they name no prior of the image, each picture gets the default one for its size.
        known: names of the operator's known parameters.
        device: a torch device.
    """

    def __init__(self, options: SolveOptions, known: Collection[str], device: str):
        self.options, self._known, self._device = options, tuple(known), device
        self.usual = UsualPrior(options)
        self._made: dict[str, Solver] = {}

    def solver_for(self, name: str, shape: tuple[int, ...] | None) -> Solver:
        """The solver for a picture.

        Args:
            name: of the picture.
            shape: (C, H, W) of the picture; None: not known.

        Raises:
            IptError: a component or setting that the options name does not exist or is refused, or a noise level is not
                possible for pictures in 0..1.
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
