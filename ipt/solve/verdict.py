"""Whether a result can be relied on, in words.

The operator's own assessment says so where it has one (`ipt.core.abilities.Assessable`), else the residual, compared
with the noise level.
"""

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
"""Probability from which a single draw needs no second one for comparison, and half the sides no region."""
_TOO_LARGE, _TOO_SMALL = 1.5, 0.5
"""Residuals, as multiples of the noise level, that do not fit: docs/method.md, "Constants"."""
_UNEXPLAINED = 3.0
"""Residual, as a multiple of the noise level, from which a larger noise level would only hide a wrong model."""
_NEGLIGIBLE = 1e-3
"""Share of a kernel's largest entry below which an entry does not count for its reach."""


@dataclass(frozen=True)
class Remedies:
    """The options that advice about a result may name.

    Attributes:
        noise: the assumed noise as `noise=` takes it; None: it is not one number.
        border: whether the operator has an option `border`.
        unknown: names of the parameters that were solved for.
        known: names of the known parameters.
        effort: whether further draws are made within `effort=`; else their number is `samples=`.
    """

    noise: float | None = None
    border: bool = False
    unknown: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    effort: bool = True


@dataclass(frozen=True)
class Verdict:
    """A judgement of a result; as text the headline and a reason, and a sentence for each further one and each advice.

    Attributes:
        headline: two or three words, "fits" or "likely right" for a good result.
        findings: the reasons.
        advice: what to do; empty for a good result.
    """

    headline: str
    findings: tuple[str, ...]
    advice: tuple[str, ...] = ()

    def __str__(self) -> str:
        first, *others = (*self.findings, *self.advice)
        if not others:
            return f"{self.headline}: {first}"
        return f"{self.headline}: {first}. {' '.join(map(sentence, others))}"


def sentence(text: str) -> str:
    """A finding or advice with a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:]}."


def verdict(
    ratio: float,
    remedies: Remedies,
    probability: float | None = None,
    doubt: str = "",
    share: float = 1.0,
    streak: Sequence[int] | None = None,
    places: str = "",
    from_region: bool = False,
    scale: int = 1,
) -> Verdict:
    """The judgement of a result.

    Args:
        ratio: root mean square of the residual, over the noise level.
        remedies: what advice can name.
        probability: that the parameters are right, where the operator can tell; None: judge by the residual.
        doubt: what seems to be wrong, in words.
        share: of the result in the picture that is written; the rest is the input.
        streak: (x, y, width, height) of a light that may show the kernel.
        places: which parameters differ from place to place, in words.
        from_region: whether the parameters were found in a region of the picture.
        scale: how often the picture's sides are those at which it was solved.
    """
    residual = f"the residual is {ratio:.2f} times the noise level"
    enlarged = f"the picture was solved at 1/{scale} of its sides and enlarged" if scale > 1 else ""
    if probability is None:
        return _by_residual(ratio, remedies, tuple(filter(None, (residual, enlarged))))
    percent = f"{min(99, max(1, round(100 * probability)))} %"
    findings = tuple(filter(None, (doubt, residual, places, enlarged)))
    if probability >= LIKELY:
        return Verdict(f"likely right ({percent})", findings)
    advice = [f"try another seed=, or more draws ({'effort' if remedies.effort else 'samples'}=)"]
    if streak is not None:
        place = ",".join(map(str, streak))
        advice.insert(0, f"a streak of light may show the kernel: try streak={place}")
    if from_region:
        advice.append("a wide blur may be found in a picture of half the size: reduce this one and solve that")
    if share < 1:
        advice.append("the result is mixed with the input, so that nothing is ruined: doubtful=show shows it as it is")
    return Verdict(f"likely wrong ({percent} that it is right)", findings, tuple(advice))


def _by_residual(ratio: float, remedies: Remedies, findings: tuple[str, ...]) -> Verdict:
    """The judgement by the residual over the noise level; findings: the ratio in words, and others."""
    if ratio > _UNEXPLAINED:
        unexplained = "that is more than noise: the model does not explain the measurement"
        return Verdict("does not fit", (*findings, unexplained), _about_model(remedies))
    if ratio > _TOO_LARGE:
        noise = "" if remedies.noise is None else f"{ratio * remedies.noise:.2g}"
        more = f"there may be more noise: try {f'noise={noise}' if noise else 'another noise='}"
        return Verdict("does not fit", findings, (*_about_model(remedies), more))
    if ratio < _TOO_SMALL:
        return Verdict("fits too closely", findings, ("a smaller noise= may bring out more",))
    if remedies.unknown:
        # Other parameters may explain the measurement as well.
        findings = (*findings, f"that does not show that {joined(remedies.unknown)} {_is(remedies.unknown)} right")
    return Verdict("fits", findings)


def _about_model(remedies: Remedies) -> tuple[str, ...]:
    """Advice where the model may be wrong."""
    known, unknown = joined(remedies.known), joined(remedies.unknown)
    each = (
        "the operator or its border (border=) may be wrong" if remedies.border else "the operator= may be wrong",
        f"the known {known} may be wrong (known=)" if known else "",
        f"the prior of {unknown} may be wrong (prior=)" if unknown else "",
        "this draw may have gone astray: try another seed=",
    )
    return tuple(filter(None, each))


def joined(names: Sequence[str]) -> str:
    """Names as in a sentence: "gain", "gain and phase", "a, b and c"."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def is_good(verdict: str) -> bool:
    """Whether the text of a `Verdict` is that of a good result."""
    return verdict.startswith(("fits:", "likely right"))


def residual_rms(
    operator: ParametricOperator,
    residual: Tensor,
    trusted: Tensor | None,
    parameters: Mapping[str, Tensor],
    image_shape: Sequence[int],
) -> float:
    """Root mean square of the residual that a verdict is about.

    It is over all measured pixels if the image reaches beyond the frame or there is a mask, else over the interior.

    Args:
        operator: the forward model.
        residual: measurement - prediction, (C, H, W), 0 where nothing was measured.
        trusted: 1 where something was measured, 0 elsewhere, (1 or C, H, W); None: 1 everywhere.
        parameters: (C, H, W) each, by name.
        image_shape: (C, H, W), with the surroundings of the frame.
    """
    if trusted is None and ability(operator, Framed) is None:
        return interior_rms(residual, parameters, image_shape)
    count = residual.numel() if trusted is None else trusted.expand_as(residual).sum()
    return float((residual.square().sum() / count).sqrt())


def interior_rms(residual: Tensor, parameters: Mapping[str, Tensor], image_shape: Sequence[int]) -> float:
    """Root mean square of a residual without the border, where the forward model depends on what is outside the frame.

    Args:
        residual: measurement - prediction, (C, H, W); its size may differ from the image's.
        parameters: (C, H, W) each, by name.
        image_shape: (C, H, W).
    """
    local = {name: value for name, value in parameters.items() if value.shape[-2:] != tuple(image_shape[-2:])}
    sides = zip(border_margin(local, image_shape), residual.shape[1:], image_shape[-2:], strict=True)
    top, left = (math.ceil(margin * measured / side) for margin, measured, side in sides)
    return float(rms(residual[None, :, top : residual.shape[1] - top, left : residual.shape[2] - left])[0])


def border_margin(parameters: Mapping[str, Tensor], image_shape: Sequence[int]) -> tuple[int, int]:
    """How far from the edge a measurement depends on what is outside the frame: rows, columns, in pixels of the image.

    At most a quarter of the image's sides, so that an interior is left.

    Args:
        parameters: kernels (C, H, W) about their centre pixel, by name.
        image_shape: (C, H, W).
    """
    height, width = image_shape[-2:]
    down = across = 0
    for value in parameters.values():
        if min(value.shape[1:]) == 1:
            # Numbers, or a number for each line, are no kernel.
            continue
        rows, columns = (value.abs() > _NEGLIGIBLE * value.abs().max()).any(0).nonzero(as_tuple=True)
        if len(rows):
            down = max(down, int((rows - value.shape[-2] // 2).abs().max()))
            across = max(across, int((columns - value.shape[-1] // 2).abs().max()))
    return min(down, height // 4), min(across, width // 4)
