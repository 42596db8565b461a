"""What is to be solved. Here, and only here, normalized variables and physical quantities are converted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ipt.core.abilities import Assessable, Assessment, FrameAware, Framed, Resizable, ability
from ipt.core.errors import IptError
from ipt.core.observation import Observation
from ipt.core.operator import IMAGE, Known, ParameterSpec, ParametricOperator, Unknowns, constrained
from ipt.core.prior import Prior, Replicated
from ipt.linalg.normalization import Normalization


@dataclass(frozen=True)
class Problem:
    """M y = M (A_phi(x) + n), with y given."""

    observation: Observation  # y, the mask M, and the level of the noise n
    operator: ParametricOperator  # A
    priors: Mapping[str, Prior]  # of every unknown, "image" first, adapted to this problem
    normalizations: Mapping[str, Normalization]  # of every unknown
    specs: Mapping[str, ParameterSpec]  # of every parameter, known ones included
    known: Mapping[str, Tensor]  # known parameters, physical, (B, ...)

    @classmethod
    def posed(
        cls, operator: ParametricOperator, priors: Mapping[str, Prior], observation: Observation, known: Known = None
    ) -> Problem:
        """The problem of an observation; arguments are checked as `Solver.problem` says."""
        resizable = ability(operator, Resizable)
        if known and resizable is not None:
            operator = resizable.resized(known)
        image_shape = operator.image_shape(tuple(observation.measurement.shape[1:]))
        specs, given = operator.parameters(image_shape), dict(known or {})
        for name in [*priors, *given]:
            if name != IMAGE and name not in specs:
                raise IptError(f"the operator has no parameter {name!r}; it has {', '.join(specs) or 'none'}")
        if IMAGE in given:
            raise IptError(f"{IMAGE!r} is what is solved for; only the operator's parameters can be given")
        shapes = {IMAGE: image_shape} | {name: spec.shape for name, spec in specs.items() if name not in given}
        for name in shapes:
            if name not in priors:
                raise IptError(f"{name!r} is unknown and has no prior: give it one, or its value")
        copies = {name: spec.copies for name, spec in specs.items() if spec.copies > 1}
        used = {name: Replicated(priors[name], copies[name]) if name in copies else priors[name] for name in shapes}
        framed, aware = ability(operator, Framed), ability(used[IMAGE], FrameAware)
        if framed is not None and aware is not None:
            used[IMAGE] = aware.within(framed.frame)
        normalizations = {name: _normalization(name, prior, shapes[name]) for name, prior in used.items()}
        checked = {name: _known(name, value, specs[name], observation.measurement) for name, value in given.items()}
        check_valid(checked, operator, specs)
        return cls(observation, operator, used, normalizations, specs, checked)

    def assess(self, image: Tensor, parameters: Mapping[str, Tensor], rivals: Known = None) -> list[Assessment]:
        """How reliable physical solutions are; empty where the operator cannot tell, or a parameter is known."""
        assessable, normalization = ability(self.operator, Assessable), self.normalizations[IMAGE]
        if assessable is None or self.known:
            return []

        def denoise(noisy: Tensor, level: float) -> Tensor:
            level = level / abs(normalization.scale)
            return normalization.physical(self.priors[IMAGE].denoise(normalization.normalized(noisy), level))

        return assessable.assess(self.observation, image, parameters, rivals or {}, denoise)

    def repeated(self, times: int) -> Problem:
        """This problem with every image of the batch repeated, the copies one after the other."""
        known = {name: value.repeat_interleave(times, 0) for name, value in self.known.items()}
        return replace(self, observation=self.observation.repeated(times), known=known)

    def physical(self, unknowns: Mapping[str, Tensor]) -> Unknowns:
        """Normalized unknowns -> valid physical ones: the image, and all parameters, known ones included."""
        physical = {name: self.normalizations[name].physical(value) for name, value in unknowns.items()}
        return {IMAGE: physical.pop(IMAGE), **self.valid(physical)}

    def valid(self, parameters: Mapping[str, Tensor]) -> Unknowns:
        """All parameters, known ones included, valid; given physical ones."""
        return constrained(self.operator, self.specs, {**parameters, **self.known})

    def predict(self, unknowns: Mapping[str, Tensor]) -> Tensor:
        """The measurement that normalized unknowns predict, without noise, (B, C, H, W); differentiable."""
        physical = self.physical(unknowns)
        return self.operator.forward(physical.pop(IMAGE), **physical)

    def residual(self, unknowns: Mapping[str, Tensor]) -> Tensor:
        """Weighted measurement - predict(unknowns), (B, C, H, W): 0 where nothing was measured; differentiable."""
        return self.observation.residual(self.predict(unknowns))


def _normalization(name: str, prior: Prior, shape: tuple[int, ...]) -> Normalization:
    try:
        return prior.normalization(shape)
    except ValueError as error:
        refused = IptError(f"the prior of {name!r} does not take {tuple(shape)}: {error}")
        raise (error if isinstance(error, IptError) else refused) from error


def check_valid(known: Unknowns, operator: ParametricOperator, specs: Mapping[str, ParameterSpec]) -> None:
    """IptError where the operator's constraint turns a known parameter into something else."""
    try:
        valid = operator.constrain(known) if known else {}
    except KeyError:
        # This operator's constraint needs all parameters, and the others are unknown.
        return
    for name, value in known.items():
        given, made = value.flatten(1).double(), valid[name].flatten(1).double()
        sizes = given.norm(dim=1), made.norm(dim=1)
        # Zeros are valid where the constraint leaves them as they are.
        if bool((((given * made).sum(1) <= 0.8 * sizes[0] * sizes[1]) & (sizes[1] > 0)).any()):
            raise IptError(
                f"known {name!r} is no valid one ({specs[name].meaning}): made valid, it would be something else; "
                f"check its values and their signs"
            )


def _known(name: str, value: Tensor, spec: ParameterSpec, measurement: Tensor) -> Tensor:
    wanted = (len(measurement), *spec.shape)
    # Whether a known parameter may have another size is up to the operator; rank and channels are fixed.
    if value.ndim != len(wanted) or len(value) not in (1, len(measurement)) or value.shape[1] != wanted[1]:
        raise IptError(f"known {name!r} is {tuple(value.shape)}, the operator's is {wanted}")
    if value.is_complex():
        raise IptError(f"known {name!r} has complex values; give real ones")
    if not torch.isfinite(value).all():
        raise IptError(f"known {name!r} has NaN or infinite values")
    if spec.range is not None and not torch.allclose(value, value.clamp(*spec.range)):
        raise IptError(f"known {name!r} has values outside {spec.range[0]:g}..{spec.range[1]:g} {spec.unit}".rstrip())
    return value.expand(len(measurement), *value.shape[1:]).to(measurement)
