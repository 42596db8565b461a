"""Proximal guidance: the fast rule. No gradient passes through a network.

At each noise level the networks' estimates and the measurement are weighed against each other,

    minimise  ||y - A(z)||^2 / (2 sigma_n^2)  +  sum_c ||z_c - clean_c||^2 / (2 r_c(sigma)^2),

the parameters first, with the image at its network's estimate (the image that fits the data would make the kernel its own
proof), then the image given the parameters. The operator's own steps serve where it has them.

A plug-and-play relative: Zhu et al., "Denoising Diffusion Models for Plug-and-Play Image Restoration" (arXiv 2305.08995);
FastDiffusionEM (Laroche et al., arXiv 2309.00287) alternates the same two steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ipt.core.interfaces import IMAGE, Correction, Gaussian, GuidanceRule, Step, Transition
from ipt.core.problem import Problem
from ipt.core.schedules import Karras, Schedule
from ipt.core.transitions import Renoise


@dataclass(frozen=True)
class Proximal(GuidanceRule):
    """zeta: share of fresh noise a step. image_trust, parameter_trust: multiply the priors' variances."""

    zeta: float = 1.0
    image_trust: float = 0.3
    parameter_trust: float = 1.0

    @property
    def needs_gradients(self) -> bool:
        return False

    def schedule(self, steps: int | None = None) -> Schedule:
        return Karras(steps or 100)

    def transition(self) -> Transition:
        return Renoise(self.zeta)

    def correct(self, step: Step, problem: Problem) -> Correction:
        noise_variance = problem.noise.square()
        beliefs = {}
        for name, clean in step.clean.items():
            chart = problem.charts[name]
            variance = (chart.scale * step.uncertainty[name]) ** 2
            beliefs[name] = Gaussian(chart.physical(clean), torch.full_like(clean[:, :1, :1, :1], variance))
        image = beliefs.pop(IMAGE)
        corrected = {}
        loose = {}
        if beliefs:
            pulled = {n: Gaussian(b.mean, b.variance * self.parameter_trust) for n, b in beliefs.items()}
            loose = problem.operator.parameter_step(problem.measurement, noise_variance, image, pulled)
            for name, value in loose.items():
                corrected[name] = problem.charts[name].normalised(value)
        valid = problem.operator.constrain({**loose, **problem.known})
        trusted = Gaussian(image.mean, image.variance * self.image_trust)
        solved = problem.operator.image_step(problem.measurement, noise_variance, trusted, valid)
        corrected[IMAGE] = problem.charts[IMAGE].normalised(solved)
        return Correction(clean=corrected)
