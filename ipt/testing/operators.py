"""The promises of an operator."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ipt.core.abilities import Linear, ability
from ipt.core.operator import IMAGE, Generator, ParameterSpec, ParametricOperator, Unknowns
from ipt.plugins.usual import usual_prior
from ipt.testing import operator_abilities
from ipt.testing.bench import COMMON
from ipt.testing.measures import BATCH, derivative_error, difference, finite, normal, same, uniform
from ipt.testing.operator_bench import OperatorBench, made_prior, predicted, scale_of
from ipt.testing.promises import Check, Promise, at_most, require, skip

EXACT = 1e-6
"""Share of the largest value by which two results may differ that are equal but for rounding in double precision."""


def operator_checks(
    operator: ParametricOperator,
    *,
    image_shape: tuple[int, ...] | None = None,
    parameters: Mapping[str, Tensor | Generator] | None = None,
    device: str | None = None,
) -> list[Check]:
    """A check for each promise of an operator, to be called one by one.

        @pytest.mark.parametrize("check", operator_checks(MyOperator()))
        def test_contract(check):
            check()

    Args:
        operator: what is tried.
        image_shape: (C, H, W) of the images; None: a usual one that the operator takes.
        parameters: usual values of a parameter by name, (1 or more, *shape), or a generator of them; default: drawn
            from the parameter's usual prior by its own denoiser (uniform in 0..1 where it has none), then constrained.
        device: where the check `device` runs; None: on this machine's accelerator, if it has one.
    """
    return OperatorBench(operator, image_shape, dict(parameters or {}), device).checks(PROMISES)


def _shapes(bench: OperatorBench) -> None:
    operator = bench.component
    require(isinstance(bench.specs, dict), f"parameters() returns a {type(bench.specs).__name__}, not a dictionary")
    for name, spec in bench.specs.items():
        good = isinstance(spec, ParameterSpec) and len(spec.shape) == 3 and min(spec.shape) >= 1
        require(good, f"{name} is declared as {spec!r}, not as a ParameterSpec of shape (channels, height, width)")
        ordered, remedy = spec.range is None or spec.range[0] < spec.range[1], "write range=(lowest, highest value)"
        require(ordered, f"{name} has the range {spec.range}: low < high", remedy)
        require(
            name.isidentifier() and name != IMAGE, f"{name!r} cannot be a parameter's name: forward takes it by name"
        )
    image, valid = bench.point[IMAGE], {name: bench.point[name] for name in bench.point if name != IMAGE}
    require(list(valid) == list(bench.specs), f"constrain gives {list(valid)} for {list(bench.specs)}")
    for name, spec in bench.specs.items():
        wanted = (BATCH, *spec.shape)
        require(tuple(valid[name].shape) == wanted, f"constrain gives {name} {tuple(valid[name].shape)}, not {wanted}")
    measured = predicted(operator, bench.point)
    found = f"{tuple(measured.shape)} for {tuple(image.shape)}"
    require(
        measured.ndim == 4 and len(measured) == BATCH, f"forward gives {found}, not (batch, channels, height, width)"
    )
    back = operator.image_shape(tuple(measured.shape[1:]))
    require(
        tuple(back) == bench.shape,
        f"image_shape{tuple(measured.shape[1:])} is {tuple(back)}, the image's {bench.shape}",
    )
    finite({"forward": measured})
    # Whatever raises an exception shows here.
    bench.answers(operator, bench.arguments())


def _usual_prior(bench: OperatorBench) -> None:
    named = [spec for spec in bench.specs.values() if usual_prior(spec) != ""]
    if not named:
        skip("no parameter has a usual prior, or a range")
    for spec in named:
        made_prior(spec).normalization(spec.shape)


def _used(bench: OperatorBench) -> None:
    operator_abilities.needs_parameters(bench)
    usual, point = predicted(bench.component, bench.point), bench.point
    others = [{name: value.roll(1, 0) for name, value in bench.loose.items()}, *_wild(bench).values()]
    for name in bench.specs:
        tried = [{**point, name: bench.valid({**bench.loose, name: other[name]})[name]} for other in others]
        seen = any(not torch.equal(predicted(bench.component, each), usual) for each in tried)
        require(seen, f"forward gives the same whatever {name} is")


def _derivatives(bench: OperatorBench) -> None:
    operator, point = bench.component, bench.point

    def measured(name: str, rest: Mapping[str, Tensor]) -> Callable[[Tensor], Tensor]:
        return lambda value: predicted(operator, {**rest, name: value})

    def after_constrain(name: str, rest: Mapping[str, Tensor]) -> Callable[[Tensor], Tensor]:
        return lambda value: predicted(operator, {IMAGE: point[IMAGE], **bench.valid({**rest, name: value})})

    continuous = [name for name, spec in bench.specs.items() if not spec.discrete]
    for name in [IMAGE, *continuous]:
        error = derivative_error(measured(name, point), point[name])
        at_most(error, 1e-4, f"derivative of forward in {name}, its difference from finite differences")
    # Off the usual values: a kernel's zeros are where `constrain` has a kink.
    loose = _wild(bench)["values with noise"]
    for name in continuous:
        error = derivative_error(after_constrain(name, loose), loose[name])
        at_most(error, 1e-4, f"derivative of forward after constrain in {name}, its difference from finite differences")
        ends = bench.specs[name].range
        if ends is not None and all(map(math.isfinite, ends)):
            # Where nothing is cut off, a derivative of 0 can only be of something that is rounded.
            inside = ends[0] + (ends[1] - ends[0]) * uniform(tuple(loose[name].shape), f"{name} in its range")
            error = derivative_error(after_constrain(name, {**loose, name: inside}), inside)
            at_most(
                error, 1e-4, f"derivative of forward in {name}, in its range, its difference from finite differences"
            )


def _linear(bench: OperatorBench) -> None:
    if ability(bench.component, Linear) is None:
        skip("it does not declare itself linear in the image (`ipt.Linear`)")
    point = bench.point
    first, second = point[IMAGE], normal(tuple(point[IMAGE].shape), "another image")

    def apply(image: Tensor) -> Tensor:
        return predicted(bench.component, {**point, IMAGE: image})

    parts = 0.7 * apply(first) - 1.3 * apply(second)
    what = "A(.7 x - 1.3 z) less .7 A(x) - 1.3 A(z), of its largest value"
    at_most(difference(apply(0.7 * first - 1.3 * second), parts), EXACT, what)
    leaf = first.clone().requires_grad_()
    with torch.enable_grad():
        value = apply(leaf)
    weight = normal(tuple(value.shape), "weight")
    (back,) = torch.autograd.grad(value, leaf, weight)
    forward = (weight * apply(second)).flatten(1).sum(1)
    adjoint = (back * second).flatten(1).sum(1)
    size = weight.flatten(1).norm(dim=1) * apply(second).flatten(1).norm(dim=1)
    at_most(float(((forward - adjoint).abs() / size).max()), EXACT, "<A z, u> less <z, A'u>, of |A z| |u|")


def _constrain_idempotent(bench: OperatorBench) -> None:
    operator_abilities.needs_parameters(bench)
    for name, loose in _wild(bench).items():
        once = bench.valid(loose)
        same(bench.valid(once), once, EXACT, f"between constraining once and twice, from {name}")


def _constrain_finite(bench: OperatorBench) -> None:
    operator_abilities.needs_parameters(bench)
    for name, loose in _wild(bench).items():
        valid = bench.valid(loose)
        finite({f"constrain {each}": value for each, value in valid.items()}, f", from {name}")
        finite({"forward": predicted(bench.component, {IMAGE: bench.point[IMAGE], **valid})}, f", from {name}")


def _wild(bench: OperatorBench) -> dict[str, Unknowns]:
    """Parameters as a network's early estimates may be: noise about the usual ones, zero, all negative, large."""
    loose = bench.loose
    size = {name: scale_of(value) for name, value in loose.items()}
    noise = {name: normal(tuple(value.shape), f"wild {name}") for name, value in loose.items()}
    return {
        "values with noise": {name: value + size[name] * noise[name] for name, value in loose.items()},
        "large noise": {name: 5 * size[name] * noise[name] for name in loose},
        "zeros": {name: torch.zeros_like(value) for name, value in loose.items()},
        "negative values": {name: -size[name] * noise[name].abs() for name in loose},
    }


PROMISES = (
    Promise(
        "shapes",
        "what `parameters` and `image_shape` declare is what `forward` and `constrain` take and give",
        "declare (channels, height, width) without the batch in each ParameterSpec, let forward keep the batch first, "
        "and override image_shape where the measurement's size is not the image's",
        _shapes,
        root=True,
    ),
    Promise(
        "usual-prior",
        "the usual prior of each parameter can be built by its name and takes the parameter's shape",
        "register the prior under that name, or name one that `ipt list prior` shows, or leave it empty",
        _usual_prior,
    ),
    Promise(
        "used",
        "`forward` depends on every parameter that is declared",
        "use it in forward, under the name that `parameters` gives it, or do not declare it",
        _used,
    ),
    *COMMON,
    Promise(
        "derivatives",
        "`forward` is differentiable in the image and in every parameter that is not `discrete`, and so is `constrain`",
        "compute in torch operations that have derivatives: no .item(), .detach(), round or numpy on the way, and a "
        "test of your own for a backward of your own; say of a parameter that goes in steps that it does "
        "(ParameterSpec.discrete)",
        _derivatives,
    ),
    Promise(
        "linear",
        "declared `Linear`, `forward` is linear in the image and its derivative is its adjoint",
        "take out what clips, normalises or adds to the image, or do not declare it linear",
        _linear,
        after=("derivatives",),
    ),
    Promise(
        "constrain-finite",
        "`constrain` makes something finite and usable of anything, zeros and negative values included",
        "keep divisors away from 0 (clamp(min=...)) and clip parameters to the range in which forward is finite",
        _constrain_finite,
    ),
    Promise(
        "constrain-idempotent",
        "what `constrain` gives is valid: constraining it again changes nothing",
        "make it a projection: clip first and normalise last, and test it on its own result",
        _constrain_idempotent,
        after=("constrain-finite",),
    ),
    Promise(
        "image-step",
        "`image_step` lowers ||y - A(x)||^2 / noise^2 + (x - mean)' C^-1 (x - mean) of every image",
        "look for a wrong sign, weight or border in it, or return None: the rules then differentiate forward",
        operator_abilities.image_step,
    ),
    Promise(
        "parameter-step",
        "where the belief about them is poor, `parameter_step` finds parameters that explain the measurement better",
        "look for a wrong sign, weight or unit in it, or return None: the rules then differentiate forward",
        operator_abilities.parameter_step,
    ),
    Promise(
        "mask",
        "what was not measured has no say in `image_step` and `parameter_step`",
        "leave out the residual where observation.mask is 0 (observation.residual does), or return None there: the "
        "rules then differentiate forward",
        operator_abilities.mask,
        after=("batch", "image-step", "parameter-step"),
    ),
    Promise(
        "coarser",
        "what `coarser` gives measures, of a smooth picture of half the sides, about half the measurement, with the "
        "parameters that `enlarged` carries over",
        "look for lengths in pixels that are not halved, or not doubled again (a tilt, a window), or return None: a "
        "solve then begins at the picture's own size",
        operator_abilities.coarser,
    ),
)
