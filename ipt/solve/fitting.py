"""Fitting a measurement to the image's prior: values or light, grey or colour, and sizes that the prior takes."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from ipt.core.abilities import framed_shape
from ipt.core.errors import IptError
from ipt.core.operator import IMAGE, ParametricOperator
from ipt.core.prior import Prior
from ipt.core.solver import Solver
from ipt.images.fit import Fitted, accepted_side, fit, without_equal_channels
from ipt.images.light import decoded
from ipt.priors.grey import Grey
from ipt.priors.surrounded import Surrounded, surrounded


def solved_values(pixels: Tensor, is_picture: bool, linear: bool) -> Tensor:
    """The values that are solved, (C, H, W).

    Args:
        pixels: (C, H, W) as measured.
        is_picture: if not, they are solved unchanged.
        linear: solve a picture's linear light, and not its sRGB values. Equal channels become one.
    """
    if not is_picture:
        return pixels
    return without_equal_channels(decoded(pixels) if linear else pixels)


def prior_for(solver: Solver, shape: tuple[int, ...]) -> Prior:
    """The image's prior for a picture of `shape` (C, H, W); a prior of colour images is wrapped for a grey picture."""
    prior = solver.priors[IMAGE]
    if isinstance(prior, Surrounded):
        prior = prior.prior
    image = framed_shape(solver.operator, solver.operator.image_shape(shape))
    if image[0] != 1 or accepted_side(prior, 1, max(image[1:])) is not None:
        return prior
    return Grey(prior) if accepted_side(prior, 3, max(image[1:])) is not None else prior


def fitted_to(operator: ParametricOperator, prior: Prior, pixels: Tensor, choice: str) -> Fitted:
    """Fit a measurement so that the prior takes the image behind it.

    Args:
        operator: of a single exposure.
        prior: of the image.
        pixels: the measurement, (C, H, W).
        choice: what to do with a size that the prior does not take, one of `ipt.images.choices.FIT_CHOICES`.

    Raises:
        IptError: the prior does not take the image, and the choice does not change that.
    """
    shape = framed_shape(operator, operator.image_shape(tuple(pixels.shape)))
    if shape == pixels.shape:
        fitted = fit(pixels, prior, choice)
    else:
        try:
            prior.normalization(shape)
        except ValueError as error:
            if choice != "tile":
                raise IptError(
                    f"what is measured is a picture of {shape[2]} x {shape[1]} px, which the prior does not take, and "
                    f"resizing the measurement is not resizing the picture; choose fit=tile, or a measurement of "
                    f"another size"
                ) from error
            prior = fit(pixels.new_zeros(shape), prior, choice).prior
        fitted = Fitted(pixels, prior, (0, 0, *pixels.shape[1:]))
    return replace(fitted, prior=surrounded(fitted.prior, operator))
