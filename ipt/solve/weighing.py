"""Weights of exposures of one scene: pixels that show something else are masked, worse frames get more noise."""

from __future__ import annotations

from dataclasses import replace

import torch

from ipt.core.abilities import ability
from ipt.operators.frames import Frames
from ipt.sampling.initial import Initializable
from ipt.solve.task import SamplingTask


def weighed(sampling: SamplingTask) -> SamplingTask:
    """The task with mask and noise by the reliability of its frames (`Initializable.reliability`).

    It is returned unchanged if some parameters are known, or the operator cannot judge its frames.
    """
    operator = sampling.solver.operator
    able = ability(operator, Initializable)
    if able is None or not isinstance(operator, Frames) or sampling.known:
        return sampling
    weights = able.reliability(sampling.observation)
    if weights is None:
        return sampling
    trusted = (weights > 0).float()
    if not trusted.all():
        sampling = replace(sampling, mask=trusted if sampling.mask is None else trusted * sampling.mask)
    # A frame has one weight wherever it is trusted.
    by_frame = weights.amax((-2, -1), keepdim=True)
    if ((by_frame > 0) & (by_frame < 1)).any():
        variance_at_0 = torch.as_tensor(sampling.noise).to(weights).square()
        variance = variance_at_0 + sampling.gain * sampling.measurement.clamp(min=0).mean((-2, -1), keepdim=True)
        excess = torch.where(by_frame > 0, variance * (1 / by_frame.clamp(min=1e-3).square() - 1), 0)
        sampling = replace(sampling, noise=(variance_at_0 + excess).sqrt().expand_as(sampling.measurement))
    return sampling
