"""Whether a blind solution is right: a probability and a doubt in words, from the numbers of `evidence`.

Two logistic regressions weigh the numbers. One says how likely the kernel is right, the other how likely the image is
about as good as its right kernel would make it. Their errors are independent (draws may agree on a kernel that leaves
more than noise unexplained), so the probability that a solution is right is the product of both.

Wrong draws differ from each other, so two draws that agree are most likely right. A third regression weighs the
probability of a single draw and how far its kernel is like that of another draw.

All were fitted by scikit-learn to solves of photographs whose truth was known (`benchmarks/verdict.py`,
docs/verdict.md); their weights are in evidence.json.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from torch import Tensor

from ipt.core.abilities import Assessment
from ipt.operators.blur.evidence import likeness
from ipt.operators.blur.locality import DIFFERS

_UNEXPLAINED = 1.2
"""Logarithm of the residual over the noise above which draws that agreed were never right: docs/verdict.md."""
_ALIKE = 0.005
"""Short of 1: kernels that correlate better are alike."""
_NARROW = 0.05
"""Radius, as a share of the window's side, below which agreement counts less, since all narrow kernels are alike."""


def assessments(evidence: Mapping[str, Tensor]) -> list[Assessment]:
    """One of each solution; evidence: (B,) each, by name, with `locality` if one kernel is assumed."""
    found = []
    for values in zip(*(each.tolist() for each in evidence.values()), strict=True):
        own = dict(zip(evidence, values, strict=True))
        right = probability(own)
        found.append(Assessment(right, _doubt(own, right), own))
    return found


def probability(evidence: Mapping[str, float]) -> float:
    """The probability that the kernel is right, and the image as good as that allows, 0..1."""
    product = 1.0
    for model in (_models()["kernel"], _models()["image"]):
        total = float(model["intercept"])
        for name, (mean, scale, weight) in model["weights"].items():
            # Evidence in favour counts no more than at the edge of what the model was fitted to.
            total += min(3 * abs(weight), weight * (evidence[name] - mean) / scale)
        product /= 1 + math.exp(-max(-30.0, total))
    return product


def compared(assessments: Sequence[Assessment], kernels: Tensor) -> list[Assessment]:
    """Assessments of independent draws, two or more, given the other draws; kernels: (draws, 1, h, w).

    The evidence gets `draws_agreement`: the normalized cross-correlation with the kernel that is most like it.
    """
    found, count = [], len(kernels)
    for number, alone in enumerate(assessments):
        others = kernels[[other for other in range(count) if other != number]][:, 0]
        agreement = float(likeness(kernels[number].expand_as(others), others).amax().clamp(max=1))
        evidence = {**alone.evidence, "draws_agreement": agreement}
        right = probability_given_another(alone.probability, alone.evidence, agreement)
        found.append(Assessment(right, _doubt(evidence, right), evidence))
    return found


def probability_given_another(alone: float, evidence: Mapping[str, float], agreement: float) -> float:
    """The probability that a draw is right, given another draw.

    Args:
        alone: its probability without the other draw.
        evidence: of the draw.
        agreement: of its kernel with the other's, at most 1.
    """
    model = _models()["draws"]
    features = agreement_features(alone, agreement, evidence["kernel_radius"])
    right = 1 / (1 + math.exp(-model["intercept"] - sum(model[name] * value for name, value in features.items())))
    return min(right, alone) if evidence["residual"] > _UNEXPLAINED else right


def agreement_features(alone: float, agreement: float, radius: float) -> dict[str, float]:
    """The features of the regression for draws that are compared.

    Args:
        alone: the probability of a draw without the other one.
        agreement: of its kernel with the other's, at most 1.
        radius: of its kernel, as a share of the window's side.
    """
    bounded = min(max(alone, 1e-3), 1 - 1e-3)
    dissimilarity = math.log(1 + _ALIKE - agreement)
    return {"alone": math.log(bounded / (1 - bounded)), "agreement": -dissimilarity * min(1.0, radius / _NARROW)}


def _doubt(evidence: Mapping[str, float], right: float) -> str:
    """What is likely wrong with a solution, in words; right: its probability."""
    if evidence.get("locality", 0.0) > DIFFERS:
        return "the blur seems to differ from place to place, as of a camera that turned: try operator=shake"
    if right >= 0.5:
        return ""
    if evidence["kernel_border"] > 0.03:
        return "the kernel reaches the edge of its window, so it may be wider: give a larger operator.kernel_size"
    if evidence["sharpening"] < 0.1:
        return "the picture has hardly changed, so it may not be blurred, or too little of it is sharp enough to tell"
    if evidence["residual"] > 0.7 and evidence["residual_structure"] > 0.5:
        return (
            "what is left unexplained follows the picture's edges, as with something that moved, or clipped lights: "
            "leave these out with mask="
        )
    if evidence["ringing"] > 0.6:
        return "the picture repeats itself as ringing does, so the kernel was not found"
    return "the kernel was not found. If it may be wider than its window, give a larger operator.kernel_size"


@cache
def _models() -> dict[str, Any]:
    models: dict[str, Any] = json.loads(resources.files(__package__).joinpath("evidence.json").read_text("utf-8"))
    return models
