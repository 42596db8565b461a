"""What the unknowns must explain: the one place where normalized variables and physical quantities meet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ipt.core.errors import IptError
from ipt.core.normalization import Normalization
from ipt.core.observation import Observation
from ipt.core.operator import IMAGE, ParameterSpec, ParametricOperator, Unknowns
from ipt.core.prior import Prior
from ipt.core.replicated import Replicated


@dataclass(frozen=True)
class Problem:
    """M y = M (A_phi(x) + n), with y given; made and checked by `Problem.posed`.

    Attributes:
        observation: y, the mask M, and the level of the noise n.
        operator: A.
        priors: of every unknown, "image" first, as this problem needs them.
        normalizations: of every unknown.
        specs: of every parameter, known ones included.
        known: parameters that are given, physical, (B, ...).
    """

    observation: Observation
    operator: ParametricOperator
    priors: Mapping[str, Prior]
    normalizations: Mapping[str, Normalization]
    specs: Mapping[str, ParameterSpec]
    known: Mapping[str, Tensor]

    @classmethod
    def posed(
        cls,
        operator: ParametricOperator,
        priors: Mapping[str, Prior],
        measurement: Tensor,
        noise: float | Tensor,
        known: Mapping[str, Tensor] | None = None,
        mask: Tensor | None = None,
    ) -> Problem:
        """The problem that a measurement poses; arguments as of `Solver.problem`, every one of them checked."""
        observation = _observation(measurement, noise, mask)
        image_shape = operator.image_shape(tuple(measurement.shape[1:]))
        specs = operator.parameters(image_shape)
        given = dict(known or {})
        for name in [*priors, *given]:
            if name != IMAGE and name not in specs:
                raise IptError(f"the operator has no parameter {name!r}; it has {', '.join(specs) or 'none'}")
        if IMAGE in given:
            raise IptError(f"{IMAGE!r} is what is solved for; only the operator's parameters can be given")
        shapes = {IMAGE: image_shape} | {name: spec.shape for name, spec in specs.items() if name not in given}
        for name in shapes:
            if name not in priors:
                raise IptError(f"{name!r} is unknown and has no prior: give it one, or its value")
        used = {name: _replicated(priors[name], specs.get(name)) for name in shapes}
        return cls(
            observation=observation,
            operator=operator,
            priors=used,
            normalizations={name: _normalization(name, prior, shapes[name]) for name, prior in used.items()},
            specs=specs,
            known={name: _known(name, value, specs[name], measurement) for name, value in given.items()},
        )

    def physical(self, unknowns: Mapping[str, Tensor]) -> Unknowns:
        """Normalized unknowns -> valid physical ones: the image, and the constrained parameters, known ones
        included."""
        image = self.normalizations[IMAGE].physical(unknowns[IMAGE])
        loose = {name: self.normalizations[name].physical(value) for name, value in unknowns.items() if name != IMAGE}
        return {IMAGE: image, **self.operator.constrain({**loose, **self.known})}

    def predict(self, unknowns: Mapping[str, Tensor]) -> Tensor:
        """The measurement that normalized unknowns would give, without noise; differentiable."""
        physical = self.physical(unknowns)
        return self.operator.forward(physical.pop(IMAGE), **physical)

    def residual(self, unknowns: Mapping[str, Tensor]) -> Tensor:
        """measurement - predict(unknowns), (B, C, H, W), 0 where nothing was measured; differentiable."""
        return self.observation.residual(self.predict(unknowns))


def _normalization(name: str, prior: Prior, shape: tuple[int, ...]) -> Normalization:
    try:
        return prior.normalization(shape)
    except IptError:
        raise
    except ValueError as error:
        raise IptError(f"the prior of {name!r} does not take {tuple(shape)}: {error}") from error


def _replicated(prior: Prior, spec: ParameterSpec | None) -> Prior:
    return prior if spec is None or spec.copies == 1 else Replicated(prior, spec.copies)


def _observation(measurement: Tensor, noise: float | Tensor, mask: Tensor | None) -> Observation:
    if measurement.ndim != 4:
        raise IptError(f"a measurement is (batch, channels, height, width), not {tuple(measurement.shape)}")
    if mask is not None:
        fits = mask.ndim == 4 and mask.shape[1] in (1, measurement.shape[1]) and len(mask) in (1, len(measurement))
        if not fits or mask.shape[-2:] != measurement.shape[-2:]:
            raise IptError(f"a mask of {tuple(mask.shape)} does not fit a measurement of {tuple(measurement.shape)}")
        mask = mask.to(measurement).expand(len(measurement), *mask.shape[1:])
        if not ((mask == 0) | (mask == 1)).all() or not mask.flatten(1).any(1).all():
            raise IptError("a mask is 1 where something was measured, 0 elsewhere, and nowhere 0 all over an image")
        measurement = torch.where(mask.bool(), measurement, 0)
    if not torch.isfinite(measurement).all():
        raise IptError("the measurement has NaN or infinite values")
    level = torch.as_tensor(noise, dtype=measurement.dtype, device=measurement.device).reshape(-1, 1, 1, 1)
    if not (level > 0).all() or not torch.isfinite(level).all():
        raise IptError(f"the noise level must be above 0 and finite, not {noise}")
    if len(level) not in (1, len(measurement)):
        raise IptError(f"{len(level)} noise levels for {len(measurement)} images: give one, or one an image")
    return Observation(measurement, level.expand(len(measurement), 1, 1, 1), mask)


def _known(name: str, value: Tensor, spec: ParameterSpec, measurement: Tensor) -> Tensor:
    wanted = (len(measurement), *spec.shape)
    # A known parameter of another size (a smaller kernel) is the operator's business; its rank is not.
    if value.ndim != len(wanted) or len(value) not in (1, len(measurement)):
        raise IptError(f"known {name!r} is {tuple(value.shape)}, the operator's is {wanted}")
    if not torch.isfinite(value).all():
        raise IptError(f"known {name!r} has NaN or infinite values")
    return value.expand(len(measurement), *value.shape[1:]).to(measurement)
