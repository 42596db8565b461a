"""Whether a result can be relied on: by the operator's own assessment, or by the residual against the noise level."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from ipt.core.abilities import Framed, ability
from ipt.core.operator import ParametricOperator
from ipt.linalg.norms import rms

LIKELY = 0.5
"""Probability from which a solution counts as right."""
SURE = 0.6
"""Probability from which a single draw needs no other one to agree with it."""
_TOO_LARGE, _TOO_SMALL = 1.5, 0.5
"""Times the noise level: docs/method.md, "Constants"."""
_NEGLIGIBLE = 1e-3
"""Share of a parameter's largest entry below which an entry reaches nowhere."""


@dataclass(frozen=True)
class Verdict:
    """What is to be thought of a result; as text it is a sentence.

    Attributes:
        headline: in two or three words, "fits" or "likely right" when all is well.
        findings: what it rests on.
        advice: what to do; nothing when all is well.
    """

    headline: str
    findings: tuple[str, ...]
    advice: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.headline}: {'; '.join((*self.findings, *self.advice))}"


def verdict(
    ratio: float,
    noise: float,
    probability: float | None = None,
    doubt: str = "",
    share: float = 1.0,
    streak: Sequence[int] | None = None,
    places: str = "",
) -> Verdict:
    """What is to be thought of a result.

    Args:
        ratio: root mean square of the residual, over the noise level.
        noise: that level, in 0..1.
        probability: that the parameters are right, where the operator can tell; None: the residual alone speaks.
        doubt: what seems to be wrong.
        share: of the result in what is shown; the rest is the input.
        streak: (x, y, width, height) of a light that may show the kernel.
        places: which parameters differ from place to place.
    """
    found = f"the residual is {ratio:.2f} times the noise level"
    if probability is not None:
        percent = f"{min(99, max(1, round(100 * probability)))} %"
        findings = tuple(filter(None, (doubt, found, places)))
        if probability >= LIKELY:
            return Verdict(f"likely right ({percent})", findings)
        advice = ["try another seed=, or more draws (effort=)"]
        if streak is not None:
            place = ",".join(map(str, streak))
            advice.insert(0, f"a streak of light may show the kernel: try streak={place}")
        if share < 1:
            advice.append("it is mixed with the input, so that nothing is ruined; doubtful=show shows it as it is")
        return Verdict(f"likely wrong ({percent} that it is right)", findings, tuple(advice))
    if ratio > _TOO_LARGE:
        return Verdict(
            "does not fit",
            (found,),
            (
                "the operator or its border (border=) may be wrong",
                "this draw may have gone astray: try another seed=",
                f"there may be more than noise: try noise={ratio * noise:.2g}",
            ),
        )
    if ratio < _TOO_SMALL:
        return Verdict("fits too closely", (found,), ("a smaller noise= may bring out more",))
    return Verdict("fits", (found,))


def is_good(verdict: str) -> bool:
    """Whether the words of `verdict` say that all is well."""
    return verdict.startswith(("fits:", "likely right"))


def residual_rms(
    operator: ParametricOperator,
    residual: Tensor,
    trusted: Tensor | None,
    parameters: Mapping[str, Tensor],
    image_shape: Sequence[int],
) -> float:
    """Root mean square of the residual that a verdict is about.

    Of all that was measured where the image reaches beyond the frame or a mask says what that is; else of the interior.

    Args:
        operator: the forward model.
        residual: measurement - prediction, (C, H, W), 0 where nothing was measured.
        trusted: 1 where it was, 0 elsewhere, (1 or C, H, W); None: everywhere.
        parameters: (C, H, W) each, by name.
        image_shape: (C, H, W), with what lies around the frame.
    """
    if trusted is None and ability(operator, Framed) is None:
        return interior_rms(residual, parameters, image_shape)
    count = residual.numel() if trusted is None else trusted.expand_as(residual).sum()
    return float((residual.square().sum() / count).sqrt())


def interior_rms(residual: Tensor, parameters: Mapping[str, Tensor], image_shape: Sequence[int]) -> float:
    """Root mean square of a residual where it does not depend on what lies outside the frame.

    The forward model may be wrong there.

    Args:
        residual: measurement - prediction, (C, H, W); of another size than the image, perhaps.
        parameters: (C, H, W) each, by name.
        image_shape: (C, H, W).
    """
    local = {name: value for name, value in parameters.items() if value.shape[-2:] != tuple(image_shape[-2:])}
    sides = zip(border_margin(local, image_shape), residual.shape[1:], image_shape[-2:], strict=True)
    top, left = (math.ceil(margin * measured / side) for margin, measured, side in sides)
    return float(rms(residual[None, :, top : residual.shape[1] - top, left : residual.shape[2] - left])[0])


def border_margin(parameters: Mapping[str, Tensor], image_shape: Sequence[int]) -> tuple[int, int]:
    """How far from the edge, in rows and columns, a measurement depends on what lies outside the frame.

    At most a quarter of the image's sides, so that something is left.

    Args:
        parameters: those that act locally, (C, H, W) about their centre pixel.
        image_shape: (C, H, W).
    """
    height, width = image_shape[-2:]
    down = across = 0
    for value in parameters.values():
        if min(value.shape[1:]) == 1:
            # A number, or one a line, is no neighbourhood.
            continue
        rows, columns = (value.abs() > _NEGLIGIBLE * value.abs().max()).any(0).nonzero(as_tuple=True)
        if len(rows):
            down = max(down, int((rows - value.shape[-2] // 2).abs().max()))
            across = max(across, int((columns - value.shape[-1] // 2).abs().max()))
    return min(down, height // 4), min(across, width // 4)
