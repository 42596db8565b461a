"""What a rule sees and says."""

from __future__ import annotations

import torch

from ipt.core.guidance import Correction, GuidanceRule, Step
from ipt.core.operator import ParameterSpec
from ipt.core.prior import Posterior
from ipt.linalg.covariances import Isotropic


def test_the_estimates_of_a_step_are_its_posteriors_means():
    noisy = {"image": torch.zeros(1, 1, 2, 2), "gain": torch.zeros(1, 1, 1, 1)}
    posteriors = {name: Posterior(value + 1, Isotropic.like(value, 0.1)) for name, value in noisy.items()}
    step = Step(noisy, posteriors, dict.fromkeys(noisy, 0.5), 0.5, 0.25, 0, 2)
    assert list(step.clean) == ["image", "gain"] and step.clean["gain"] is posteriors["gain"].mean


def test_a_correction_says_only_what_changes_and_is_its_own():
    assert Correction() == Correction({}, {}) and Correction().clean is not Correction().clean


def test_parameters_have_the_schedules_level_by_default():
    spec = ParameterSpec((1, 1, 1), "a factor", noise_ratio=0.3)
    assert GuidanceRule.noise_ratio(None, "gain", spec) == 1.0
