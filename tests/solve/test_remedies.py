"""Which options there are for advice to name."""

from __future__ import annotations

import pytest
import torch

from ipt.core.solver import Solver
from ipt.guidance.dps import DPS
from ipt.guidance.proximal import Proximal
from ipt.guidance.regularized import Regularized
from ipt.images.files import Picture
from ipt.images.noise import Poisson
from ipt.operators.blur import Blur
from ipt.operators.compose import compose
from ipt.operators.downscale import Downscale
from ipt.priors.analytic import BoxPrior, GaussianPrior
from ipt.solve.prepare import ImageTask, PreparedImage, prepare
from ipt.solve.remedies import remedies_of, smaller_steps
from ipt.solve.verdict import Remedies

BLUR = Blur(3, "circular")


def prepared(operator, frames=1, **more) -> PreparedImage:
    solver = Solver(operator, {"image": GaussianPrior(), "kernel": BoxPrior()}, Proximal())
    if not operator.parameters((3, 64, 64)):
        solver = Solver(operator, {"image": GaussianPrior()}, Proximal())
    pixels = 0.2 + 0.6 * torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))
    picture = Picture(pixels, depth=16)
    return prepare(solver, ImageTask([picture] * frames if frames > 1 else picture, name="a.png", **more))


@pytest.mark.parametrize(
    ("operator", "border"),
    [(BLUR, True), (Downscale(2), False), (compose(BLUR, Downscale(2)), True)],
)
def test_a_border_is_an_option_of_some_operators(operator, border):
    assert remedies_of(prepared(operator, noise=0.02)).border == border
    assert remedies_of(prepared(operator, 2, noise=0.02)).border == border


def test_what_was_given_is_known_and_the_rest_is_not():
    assert remedies_of(prepared(BLUR, noise=0.02)) == Remedies(0.02, border=True, unknown=("kernel",))
    known = remedies_of(prepared(BLUR, noise=0.02, samples=2, known={"kernel": torch.ones(1, 3, 3) / 9}))
    assert known == Remedies(0.02, border=True, known=("kernel",), effort=False)


def test_noise_is_a_number_only_where_noise_is_one():
    assert remedies_of(prepared(BLUR, noise=Poisson(100))).noise is None
    assert remedies_of(prepared(BLUR, noise=torch.full((1, 64, 64), 0.1))).noise is None
    found = prepared(BLUR)
    assert remedies_of(found).noise == found.noise_of_input
    # What is said of a picture that was resized is what its input takes.
    small = prepared(BLUR, noise=0.02, fit="resize")
    assert remedies_of(small).noise == 0.02
    assert remedies_of(prepared(BLUR, light="linear")).noise is None


def test_only_some_rules_take_smaller_steps():
    assert smaller_steps(DPS()) == "guidance.scale" and smaller_steps(Proximal()) == ""
    assert smaller_steps(Regularized(DPS())) == "guidance.rule.scale" and not smaller_steps(Regularized(Proximal()))
