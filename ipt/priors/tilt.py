"""Tilt fields: Gaussian fields with the covariance that turbulence gives them (`ipt.linalg.tilts`)."""

from __future__ import annotations

import math

from ipt.core.errors import IptError
from ipt.core.operator import Generator
from ipt.linalg.fields import FieldSource, StationaryField
from ipt.linalg.normalization import Normalization
from ipt.linalg.tilts import KolmogorovTilt, PatchTilt
from ipt.priors.fields import Component, FieldPrior

_FIELDS: tuple[StationaryField, ...] = (*(KolmogorovTilt(1.0, pixel) for pixel in (0.03, 0.15, 0.7)), PatchTilt())
"""Covariances considered where none is given: turbulence, smooth over some 30, 7 and 1.5 pixels, and patches."""
_STRENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Root mean squares, in pixels, that are considered where none is given: all alike beforehand."""


class TiltPrior(FieldPrior):
    """A tilt field (2, H, W) in pixels of any size, exact: nothing is trained, and no tilt is out of reach.

    Args:
        strength: root mean square of a component of the tilt in pixels, or "unknown": from .25 to 4, which the noisy
            field itself decides. Default: the generator's own; without a generator, unknown.
        generator: the kind of field, with its options (tilt-kolmogorov, tilt-patches). Default: turbulence of three
            scales, and patches, which the noisy field decides.
        iterations: of conjugate gradients at most, for the exact mean on the frame; 0 is faster, with an error that is
            up to a sixth larger.
    """

    def __init__(self, strength: float | str | None = None, generator: Generator | None = None, iterations: int = 20):
        if generator is not None and not isinstance(generator, FieldSource):
            raise IptError(
                f"{type(generator).__name__} does not say what statistics its fields have; give tilt.generator "
                f"tilt-kolmogorov or tilt-patches, or take the prior `empirical`"
            )
        if strength is None:
            strength = "unknown" if generator is None else generator.field.rms
        usual = isinstance(strength, (int, float)) and not isinstance(strength, bool)
        if strength != "unknown" and not (usual and 0 < float(strength) < math.inf):
            raise IptError(f'tilt.strength is a root mean square above 0 in pixels, or "unknown", not {strength!r}')
        strengths = _STRENGTHS if strength == "unknown" else (float(strength),)
        fields = _FIELDS if generator is None else (generator.field,)
        self.scale = 2.0 if strength == "unknown" else 2 * strengths[0]
        super().__init__(
            [Component(field, rms / field.rms / self.scale) for field in fields for rms in strengths], iterations
        )

    def normalization(self, shape: tuple[int, ...]) -> Normalization:
        if len(shape) != 3 or shape[0] != 2:
            raise IptError(f"a tilt field is (2, height, width), not {tuple(shape)}")
        return Normalization(tuple(shape), tuple(shape), self.scale, 0.0)
