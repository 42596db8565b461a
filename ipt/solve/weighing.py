"""Frames of one scene that agree more or less: what shows something else is left out, what is worse counts less."""

from __future__ import annotations

from dataclasses import replace

import torch

from ipt.core.abilities import ability
from ipt.operators.frames import Frames
from ipt.sampling.initial import Initializable
from ipt.solve.task import SamplingTask


def weighed(sampling: SamplingTask) -> SamplingTask:
    """The same, with mask and noise as the operator's frames show them; where something is known, as it is."""
    operator = sampling.solver.operator
    able = ability(operator, Initializable)
    if able is None or not isinstance(operator, Frames) or sampling.known:
        return sampling
    weights = able.reliability(sampling.observation)
    if weights is None:
        return sampling
    seen = (weights > 0).float()
    if not seen.all():
        sampling = replace(sampling, mask=seen if sampling.mask is None else seen * sampling.mask)
    # Of each frame, which has one level where it is trusted.
    each = weights.amax((-2, -1), keepdim=True)
    if ((each > 0) & (each < 1)).any():
        level = torch.as_tensor(sampling.noise).to(weights).square()
        variance = level + sampling.gain * sampling.measurement.clamp(min=0).mean((-2, -1), keepdim=True)
        excess = torch.where(each > 0, variance * (1 / each.clamp(min=1e-3).square() - 1), 0)
        sampling = replace(sampling, noise=(level + excess).sqrt().expand_as(sampling.measurement))
    return sampling
