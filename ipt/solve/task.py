"""`SamplingTask`: a measurement whose posterior is sampled, without files, pictures or options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor

from ipt.core.observation import Observation
from ipt.core.solver import Solver
from ipt.sampling import regional
from ipt.solve.parts import Part


@dataclass(frozen=True)
class SamplingTask:
    """A measurement whose posterior is sampled.

    Tasks that are solved together have the same `kind` and equal solvers.

    Attributes:
        solver: of several tasks that are solved together, the first one's is used for all.
        measurement: (1, C, H, W), of pictures in 0..1.
        noise: its standard deviation, or a map of it, (1, 1 or C, H, W).
        known: known parameters by name, (1, C, H, W) each.
        seeds: one per draw.
        mask: 1 where it was measured, 0 elsewhere, (1, 1 or C, H, W); None: 1 everywhere.
        reserve: seeds of further draws, made one after the other: a second one if the first is not sure to be right,
            others while none is likely right.
        region: rows and columns of the measurement in which the parameters are found first; the whole picture is solved
            from there (`ipt.sampling.regional`). None: all is solved together.
        gain: variance of the noise per unit of the signal.
        part: which part of a larger picture it is, for previews; None: a whole picture.
        begun: whether all parameters are known at the start: given, or found before.
        start: initial values of parameters, as `known`; unlike known ones they are corrected.
    """

    solver: Solver
    measurement: Tensor
    noise: float | Tensor
    known: Mapping[str, Tensor]
    seeds: tuple[int, ...]
    mask: Tensor | None = None
    reserve: tuple[int, ...] = ()
    region: tuple[slice, slice] | None = None
    gain: float = 0.0
    part: Part | None = None
    begun: bool = False
    start: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def observation(self) -> Observation:
        """Measurement, noise and mask, with weights where the noise varies."""
        return Observation.checked(self.measurement, self.noise, self.mask, self.gain)

    @property
    def level(self) -> float:
        """Standard deviation of the noise where the weight is 1."""
        even = isinstance(self.noise, float) and not self.gain
        return float(self.noise if even else self.observation.noise)

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W)."""
        return tuple(self.measurement.shape[1:])

    @property
    def kind(self) -> tuple[object, ...]:
        """Shapes and settings that tasks must share to be solved together."""
        sides = () if self.region is None else tuple(each.stop - each.start for each in self.region)
        levels = () if isinstance(self.noise, float) else tuple(self.noise.shape)
        return self.shape, self.mask is None, levels, sides, self.begun

    def within(self, rows: slice, columns: slice) -> SamplingTask:
        """The task of a part of the measurement, in rows and columns of it."""
        place = (..., rows, columns)
        mask = None if self.mask is None else self.mask[place]
        noise = self.noise if isinstance(self.noise, float) else self.noise[place]
        return replace(self, measurement=self.measurement[place], noise=noise, mask=mask, region=None)

    def of_region(self) -> SamplingTask:
        """The task of the region alone."""
        assert self.region is not None
        return replace(self.within(*self.region), solver=regional.of_region(self.solver), begun=False)
