"""A real picture that is always at hand, for a run without an input.

The astronaut Eileen Collins, photographed by NASA (public domain), as it comes with scikit-image.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from skimage import data
from torch import Tensor

from ipt.core.abilities import Framed, ability
from ipt.core.errors import IptError
from ipt.core.operator import ParametricOperator
from ipt.core.prior import Prior
from ipt.images.files import Picture
from ipt.images.fit import accepted_side
from ipt.priors.surrounded import Surrounded
from ipt.simulate.simulation import generators_for, simulate
from ipt.solve.truth import Truth

NAME = "astronaut.png"
NOISE = 0.01
_TOP, _LEFT, _SIDE = 60, 163, 124
"""Where the face is in the photograph: eyes and mouth come to lie where they are in the mean of the frontal faces of
CelebA's
aligned pictures (eyes a third from the top and a third of the width apart)."""


def face(side: int, margin: int = 0) -> Tensor:
    """The face, (3, side, side) in 0..1, with so many pixels of what lies around it on each side."""
    around = round(margin * _SIDE / side)
    window = data.astronaut()[_TOP - around : _TOP + _SIDE + around, _LEFT - around : _LEFT + _SIDE + around]
    pixels = torch.from_numpy(np.ascontiguousarray(window.transpose(2, 0, 1))).float() / 255
    size = side + 2 * margin
    return F.interpolate(pixels[None], size=(size, size), mode="bicubic", antialias=True)[0].clamp(0, 1)


def example(prior: Prior, operator: ParametricOperator, seed: int) -> tuple[Picture, Truth]:
    """The face, blurred by a camera motion that goes over a tenth to a fifth of it, with noise; and the truth.

    It is of the size that the prior takes, up to 128 px where that has the choice, and kept at 16 bits, so that nothing
    is rounded away.

    Raises:
        IptError: the prior takes no colour pictures.
    """
    side = accepted_side(prior.prior if isinstance(prior, Surrounded) else prior, 3, at_most=128)
    if side is None:
        raise IptError("the example is a colour picture, which this prior does not take; give an INPUT that it does")
    margin = (operator.image_shape((3, side, side))[-1] - side) // 2 if ability(operator, Framed) else 0
    image = face(side, margin)
    clean = image[:, margin : margin + side, margin : margin + side]
    generators = generators_for({"kernel": "motion"}, {"generator.extent": (side / 10, side / 5)})
    made = simulate(image, operator, generators, NOISE, seed, cut=margin > 0)
    measured = Picture(made.measurement.clamp(0, 1), depth=16, source="example")
    return measured, Truth(Picture(clean, depth=16, source="example"), made.parameters)
