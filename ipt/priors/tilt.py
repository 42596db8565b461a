"""A prior of tilt fields: Gaussian fields with the covariances of turbulence and of patches (`ipt.linalg.tilts`)."""

from __future__ import annotations

import math

from ipt.core.errors import IptError
from ipt.core.operator import Generator
from ipt.linalg.fields import FieldSource, StationaryField
from ipt.linalg.normalization import Normalization
from ipt.linalg.tilts import KolmogorovTilt, PatchTilt
from ipt.priors.fields import FieldPrior, MixtureComponent

_FIELDS: tuple[StationaryField, ...] = (*(KolmogorovTilt(1.0, pixel) for pixel in (0.03, 0.15, 0.7)), PatchTilt())
"""Covariances of the mixture where none is given: turbulence, smooth over about 30, 7 and 1.5 pixels, and patches."""
_STRENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Root mean squares in pixels of the mixture where none is given, equally likely."""


class TiltPrior(FieldPrior):
    """Tilt fields (2, H, W) in pixels of any size, with an exact denoiser: nothing is trained.

    Args:
        strength: root mean square of a component of the tilt in pixels, or "unknown": .25 to 4, decided by the noisy
            field. None: that of the generator; without a generator "unknown".
        generator: the kind of field, with its options (tilt-kolmogorov, tilt-patches). None: turbulence of three
            scales, or patches, decided by the noisy field.
        iterations: most conjugate gradient iterations for the exact mean on the frame; with 0 the prior is faster, and
            its error up to a sixth larger.

    Raises:
        IptError: a strength that is none, or a generator that does not state its covariance.
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
            [MixtureComponent(field, rms / field.rms / self.scale) for field in fields for rms in strengths], iterations
        )

    def normalization(self, shape: tuple[int, ...]) -> Normalization:
        if len(shape) != 3 or shape[0] != 2:
            raise IptError(f"a tilt field is (2, height, width), not {tuple(shape)}")
        return Normalization(tuple(shape), tuple(shape), self.scale, 0.0)
