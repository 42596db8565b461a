"""Operators made of operators: the contract of operators, names that stay apart, shapes through the chain."""

from __future__ import annotations

import pickle

import pytest
import torch

import ipt
from ipt.core.abilities import Canonicalizable, Coarsenable, Framed, Linear, Resizable, ability
from ipt.core.errors import IptError
from ipt.core.operator import ParameterSpec, ParametricOperator
from ipt.linalg.resampling import halved
from ipt.operators.blur import Blur
from ipt.operators.blur.centring import off_centre
from ipt.operators.blur.kernels import MotionKernels
from ipt.operators.compose import Composed, compose, numbered
from ipt.operators.downscale import Downscale
from ipt.testing import operator_checks

BLURRED = compose(Blur(5, "circular"), Downscale(2))
TWICE = compose(Blur(3, "zero"), Downscale(2), Blur(5, "circular"))


@pytest.mark.parametrize("check", [*operator_checks(BLURRED), *operator_checks(TWICE)])
def test_contract(check):
    check()


def kernels() -> dict[str, torch.Tensor]:
    return {
        "kernel": MotionKernels().sample([1, 2], (1, 3, 3)),
        "kernel2": MotionKernels().sample([3, 4], (1, 5, 5)),
    }


def test_it_is_its_parts_one_after_the_other():
    image, given = torch.rand(2, 3, 16, 16), kernels()
    first, down, second = TWICE.parts
    expected = second.forward(down.forward(first.forward(image, kernel=given["kernel"])), kernel=given["kernel2"])
    assert torch.equal(TWICE.forward(image, **given), expected)
    assert TWICE.forward(image, **dict(reversed(given.items()))).equal(expected)


def test_parameters_keep_their_names_unless_they_clash():
    assert list(BLURRED.parameters((3, 16, 16))) == ["kernel"]
    specs = TWICE.parameters((3, 16, 16))
    assert {name: spec.shape for name, spec in specs.items()} == {"kernel": (1, 3, 3), "kernel2": (1, 5, 5)}
    assert numbered(["a", "a2", "a", "a"]) == ["a", "a2", "a3", "a4"]


def test_shapes_go_through_the_chain():
    assert TWICE.image_shape((3, 8, 6)) == (3, 16, 12)
    # The second kernel must fit in the smaller picture, not in the first.
    with pytest.raises(IptError, match="a kernel of 5 x 5 px is larger than the picture of 4 x 4 px"):
        TWICE.parameters((3, 8, 8))
    assert list(compose(Downscale(3), Blur(5)).parameters((1, 27, 27))) == ["kernel"]
    with pytest.raises(IptError, match="cannot be downscaled"):
        BLURRED.parameters((3, 9, 9))


@pytest.mark.parametrize(
    ("parts", "margin"),
    [
        ((Blur(9), Downscale(2)), 4),
        ((Downscale(2), Blur(9)), 8),
        ((Blur(9), Downscale(2), Blur(5)), 8),
        ((Blur(9), Blur(5)), 6),
        ((Blur(9, "zero"), Blur(5)), 2),
    ],
)
def test_what_is_measured_is_followed_back_to_the_image(parts, margin):
    operator = compose(*parts)
    factor = 2 if any(isinstance(part, Downscale) for part in parts) else 1
    shape = operator.image_shape((3, 20, 25))
    assert shape == (3, 20 * factor + 2 * margin, 25 * factor + 2 * margin)
    assert operator.frame(shape) == (slice(margin, margin + 20 * factor), slice(margin, margin + 25 * factor))
    kernels = {name: torch.zeros(1, *spec.shape) for name, spec in operator.parameters(shape).items()}
    for kernel in kernels.values():
        kernel[..., kernel.shape[-2] // 2, kernel.shape[-1] // 2] = 1
    image = torch.rand(1, *shape)
    expected = image[(..., *operator.frame(shape))]
    expected = torch.nn.functional.avg_pool2d(expected, factor)
    torch.testing.assert_close(operator.forward(image, **kernels), expected, rtol=0, atol=1e-5)


def test_it_has_a_frame_if_a_part_has():
    assert ability(compose(Blur(5), Downscale(2)), Framed)
    assert ability(compose(Downscale(2), Blur(5)), Framed)
    assert not ability(compose(Downscale(2), Downscale(3)), Framed)


def test_each_part_constrains_its_own():
    valid = TWICE.constrain({name: 3 * value - 0.01 for name, value in kernels().items()})
    for value in valid.values():
        assert torch.allclose(value.sum((1, 2, 3)), torch.ones(2)) and (value >= 0).all()


def test_it_is_linear_if_its_parts_are():
    class Squared(ParametricOperator):
        def parameters(self, image_shape):
            return {}

        def forward(self, image):
            return image.square()

    assert ability(BLURRED, Linear) and not ability(compose(Blur(5), Squared()), Linear)


def gaussian(side: int, down: float = 0.0) -> torch.Tensor:
    places = torch.arange(side) - side // 2
    kernel = (-((places[:, None] - down) ** 2 + places**2) / (side / 2)).exp()[None, None]
    return kernel / kernel.sum()


def test_given_parameters_resize_the_parts_that_take_them():
    able = ability(TWICE, Resizable)
    assert able is not None
    resized = able.resized({"kernel2": torch.ones(1, 1, 7, 9)})
    specs = resized.parameters((3, 32, 32))
    assert {name: spec.shape for name, spec in specs.items()} == {"kernel": (1, 3, 3), "kernel2": (1, 7, 9)}
    rescaled = able.rescaled({"kernel": gaussian(3), "kernel2": gaussian(9)}, 0.5)
    for found, part, kernel in zip(rescaled.values(), (Blur(3), Blur(9)), (gaussian(3), gaussian(9)), strict=True):
        torch.testing.assert_close(found, part.rescaled({"kernel": kernel}, 0.5)["kernel"])


def test_coarser_it_measures_about_the_halved_measurement():
    operator = compose(Blur(25, "circular"), Blur(31, "circular"))
    coarser = ability(operator, Coarsenable).coarser((3, 64, 64))
    specs = coarser.operator.parameters((3, 32, 32))
    assert {name: spec.shape for name, spec in specs.items()} == {"kernel": (1, 16, 16), "kernel2": (1, 16, 16)}
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    image = Blur(9, "circular").forward(image, gaussian(9))
    kernels = {"kernel": gaussian(16), "kernel2": gaussian(16, 1.0)}
    small = coarser.operator.forward(halved(image), **kernels)
    large = halved(operator.forward(image, **operator.constrain(coarser.enlarged(kernels))))
    assert (small - large).abs().max() < 0.2 * (small - halved(image)).abs().max()
    assert ability(operator, Coarsenable).coarser((3, 63, 64)) is None, "a circular picture's side is odd"


@pytest.mark.parametrize("parts", [(Blur(24), Blur(33)), (Blur((25, 40)), Blur(27, "reflect"))])
@pytest.mark.parametrize("sides", [(64, 64), (63, 70)])
def test_coarser_with_an_image_around_its_frame(parts, sides):
    operator = compose(*parts)
    checks = {
        check.__name__: check for check in operator_checks(operator, image_shape=operator.image_shape((1, *sides)))
    }
    checks["coarser"]()


def test_a_whole_solve_goes_from_coarse_to_fine():
    priors = {"prior": "gaussian", "parameters": {"kernel": "box", "kernel2": "box"}}
    made = ipt.build("blur+blur", **priors, settings={"operator.kernel_size": 25}, steps=3)
    solution = made.solve(torch.rand(1, 1, 40, 45, generator=torch.Generator().manual_seed(0)))
    assert [size[:2] for size in solution.sizes] == [(20, 23), (40, 45)] and solution.image.isfinite().all()
    assert {name: tuple(value.shape[-2:]) for name, value in solution.parameters.items()} == {
        "kernel": (25, 25),
        "kernel2": (25, 25),
    }


def test_the_solution_reported_is_the_first_parts_and_is_measured_alike():
    operator = compose(Blur(9, "circular"), Downscale(2))
    image = Blur(9, "circular").forward(torch.rand(1, 3, 32, 32), gaussian(9))
    kernel = gaussian(9, 0.4)
    moved, found = ability(operator, Canonicalizable).canonicalize(image, {"kernel": kernel})
    assert off_centre(kernel)[0, 0] > 0.3 and off_centre(found["kernel"]).abs().max() < 0.02
    torch.testing.assert_close(
        operator.forward(moved, **found), operator.forward(image, kernel=kernel), rtol=0, atol=2e-3
    )


def test_it_nests_and_pickles():
    nested = compose(Blur(3), compose(Blur(5), Blur(7)))
    specs = nested.parameters(nested.image_shape((3, 16, 16)))
    assert {name: spec.shape[1] for name, spec in specs.items()} == {"kernel": 3, "kernel2": 5, "kernel3": 7}
    assert pickle.loads(pickle.dumps(nested)) == nested and isinstance(nested, Composed)
    assert compose(Blur(3)) == Blur(3)


def test_a_part_that_takes_no_usual_image_says_so():
    class Tall(ParametricOperator):
        def parameters(self, image_shape):
            if image_shape[1] != 7:
                raise ValueError("pictures of height 7 only")
            return {"x": ParameterSpec((1, 1, 1), "x")}

        def forward(self, image, x):
            return image * x

    with pytest.raises(IptError, match=r"the operator Tall takes no image behind .*: pictures of height 7 only"):
        compose(Blur(3), Tall())
