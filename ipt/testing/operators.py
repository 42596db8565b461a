"""The contract of an operator: its promises, and their checks (those of abilities are in `operator_abilities`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ipt.core.abilities import Linear, PhysicalUnits, ability
from ipt.core.errors import plural
from ipt.core.operator import IMAGE, Generator, ParameterSpec, ParametricOperator, Unknowns
from ipt.plugins.usual import usual_prior
from ipt.testing import operator_abilities
from ipt.testing.harness import COMMON
from ipt.testing.measures import BATCH, derivative_error, difference, finite, normal, same, uniform
from ipt.testing.operator_abilities import EXACT
from ipt.testing.operator_harness import OperatorHarness, made_prior, predicted, scale_of
from ipt.testing.promises import Check, Promise, Shortfall, at_most, require, skip


def operator_checks(
    operator: ParametricOperator,
    *,
    image_shape: tuple[int, ...] | None = None,
    parameters: Mapping[str, Tensor | Generator] | None = None,
    device: str | None = None,
) -> list[Check]:
    """The checks of an operator, one per promise, to be called without arguments.

        @pytest.mark.parametrize("check", operator_checks(MyOperator()))
        def test_contract(check):
            check()

    Args:
        operator: that is checked.
        image_shape: (C, H, W) of the images; None: the first of a list of shapes that the operator takes.
        parameters: typical values of a parameter by name, (1 or more, *shape), or a generator of them; default: draws
            from the parameter's default prior by its denoiser (uniform in 0..1 if it has none), then constrained.
        device: where the check `device` runs; None: on this machine's accelerator, if it has one.
    """
    return OperatorHarness(operator, image_shape, dict(parameters or {}), device).checks(PROMISES)


def _shapes(harness: OperatorHarness) -> None:
    operator = harness.component
    kind, remedy = type(harness.specs).__name__, 'return {"name": ipt.ParameterSpec(shape, meaning)}, {} if it has none'
    require(isinstance(harness.specs, dict), f"parameters() returns a {kind}, not a dictionary", remedy)
    for name, spec in harness.specs.items():
        good = isinstance(spec, ParameterSpec) and len(spec.shape) == 3 and min(spec.shape) >= 1
        require(good, f"{name} is declared as {spec!r}, not as a ParameterSpec of shape (channels, height, width)")
        ordered, remedy = spec.range is None or spec.range[0] < spec.range[1], "write range=(lowest, highest value)"
        require(ordered, f"{name} has the range {spec.range}: low < high", remedy)
        named = name.isidentifier() and name != IMAGE
        remedy = f"call it by an argument's name, such as strength, and not {IMAGE}"
        require(named, f"{name!r} cannot be a parameter's name: forward takes it by name", remedy)
    image, valid = harness.point[IMAGE], {name: harness.point[name] for name in harness.point if name != IMAGE}
    found, every = f"constrain gives {list(valid)} for {list(harness.specs)}", "return {**parameters, name: value}"
    require(list(valid) == list(harness.specs), found, f"let constrain keep every parameter: {every}")
    for name, spec in harness.specs.items():
        wanted = (BATCH, *spec.shape)
        require(tuple(valid[name].shape) == wanted, f"constrain gives {name} {tuple(valid[name].shape)}, not {wanted}")
    measured = predicted(operator, harness.point)
    found = f"{tuple(measured.shape)} for {tuple(image.shape)}"
    require(
        measured.ndim == 4 and len(measured) == BATCH, f"forward gives {found}, not (batch, channels, height, width)"
    )
    units = ability(operator, PhysicalUnits)
    halves = units is None or not units.measured().is_complex or measured.shape[1] % 2 == 0
    channels = plural(measured.shape[1], "channel")
    odd = f"forward gives {channels}, an odd number, and MeasurementSpec.is_complex is declared"
    remedy = "return real and imaginary parts, torch.cat((found.real, found.imag), 1), or do not declare is_complex"
    require(halves, odd, remedy)
    back = operator.image_shape(tuple(measured.shape[1:]))
    require(
        tuple(back) == harness.shape,
        f"image_shape{tuple(measured.shape[1:])} is {tuple(back)}, the image's {harness.shape}",
    )
    finite({"forward": measured})
    finite({f"constrain {name}": value for name, value in valid.items()})
    # Whatever raises an exception shows here.
    harness.answers(operator, harness.arguments())


def _usual_prior(harness: OperatorHarness) -> None:
    without = [name for name, spec in harness.specs.items() if usual_prior(spec) == ""]
    for name, spec in harness.specs.items():
        if name not in without:
            made_prior(spec).normalization(spec.shape)
    if without:
        each = " ".join(f"--prior {name}=NAME" for name in without)
        names = " and ".join(map(repr, without))
        skip(f"no usual prior and no finite range of {names}: a solve needs a prior ({each}) or the value (--known)")
    if not harness.specs:
        skip("it has no parameters")


def _used(harness: OperatorHarness) -> None:
    operator_abilities.needs_parameters(harness)
    usual, point = predicted(harness.component, harness.point), harness.point
    others = [{name: value.roll(1, 0) for name, value in harness.loose.items()}, *_wild(harness).values()]
    for name in harness.specs:
        tried = [{**point, name: harness.valid({**harness.loose, name: other[name]})[name]} for other in others]
        seen = any(not torch.equal(predicted(harness.component, each), usual) for each in tried)
        require(seen, f"forward gives the same whatever {name} is")


def _derivatives(harness: OperatorHarness) -> None:
    operator, point = harness.component, harness.point

    def measured(name: str, rest: Mapping[str, Tensor]) -> Callable[[Tensor], Tensor]:
        return lambda value: predicted(operator, {**rest, name: value})

    def after_constrain(name: str, rest: Mapping[str, Tensor]) -> Callable[[Tensor], Tensor]:
        return lambda value: predicted(operator, {IMAGE: point[IMAGE], **harness.valid({**rest, name: value})})

    def alone(name: str, rest: Mapping[str, Tensor]) -> Callable[[Tensor], Tensor]:
        return lambda value: harness.valid({**rest, name: value})[name]

    def right(name: str, rest: Mapping[str, Tensor], value: Tensor, where: str) -> None:
        try:
            _right(after_constrain(name, rest), value, f"forward in {name}{where}")
        except Shortfall:
            # The fault lies in `constrain` if that shows it alone.
            _right(alone(name, rest), value, f"constrain in {name}{where}")
            raise

    continuous = [name for name, spec in harness.specs.items() if not spec.discrete]
    for name in [IMAGE, *continuous]:
        _right(measured(name, point), point[name], f"forward in {name}")
    # With noise on the values: at exact zeros, as of kernels, `constrain` may have a kink.
    loose = _wild(harness)["values with noise"]
    for name in continuous:
        # Inside its range nothing is clipped, so that a derivative of 0 shows that a value is rounded.
        ends = harness.specs[name].range
        inside = loose[name] if ends is None else _inside(loose[name], ends, name)
        right(name, {**loose, name: inside}, inside, "" if ends is None else ", in its range")


def _inside(value: Tensor, ends: tuple[float, float], name: str) -> Tensor:
    """Values within a range, of the shape of `value`; name: of the parameter."""
    low, high = ends
    if math.isfinite(low) and math.isfinite(high):
        return low + (high - low) * uniform(tuple(value.shape), f"{name} in its range")
    if math.isfinite(low):
        return low + (value - low).abs()
    return high - (high - value).abs() if math.isfinite(high) else value


def _right(function: Callable[[Tensor], Tensor], point: Tensor, what: str) -> None:
    """Shortfall unless the derivative of a function agrees with finite differences."""
    error = derivative_error(function, point, what=what)
    at_most(error, 1e-4, f"derivative of {what}, its difference from finite differences")


def _linear(harness: OperatorHarness) -> None:
    if ability(harness.component, Linear) is None:
        skip("it does not declare itself linear in the image (`ipt.Linear`)")
    point = harness.point
    first, second = point[IMAGE], normal(tuple(point[IMAGE].shape), "another image")

    def apply(image: Tensor) -> Tensor:
        return predicted(harness.component, {**point, IMAGE: image})

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


def _constrain_idempotent(harness: OperatorHarness) -> None:
    operator_abilities.needs_parameters(harness)
    for name, loose in _wild(harness).items():
        once = harness.valid(loose)
        same(harness.valid(once), once, EXACT, f"between constraining once and twice, from {name}")


def _constrain_finite(harness: OperatorHarness) -> None:
    operator_abilities.needs_parameters(harness)
    for name, loose in _wild(harness).items():
        valid = harness.valid(loose)
        finite({f"constrain {each}": value for each, value in valid.items()}, f", from {name}", fix="")
        measured = predicted(harness.component, {IMAGE: harness.point[IMAGE], **valid})
        finite({"forward": measured}, f", from {name}", fix="")


def _wild(harness: OperatorHarness) -> dict[str, Unknowns]:
    """Parameters like a network's early estimates: noise, zeros, negative values; and the ends of their ranges."""
    loose = harness.loose
    size = {name: scale_of(value) for name, value in loose.items()}
    noise = {name: normal(tuple(value.shape), f"wild {name}") for name, value in loose.items()}
    ends = {
        name: spec.range for name, spec in harness.specs.items() if spec.range and all(map(math.isfinite, spec.range))
    }
    at_ends = {
        f"the {which} value of {name}": {**loose, name: torch.full_like(loose[name], ends[name][index])}
        for name in ends
        for index, which in enumerate(("lowest", "highest"))
    }
    return {
        **at_ends,
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
        "constrain-finite",
        "`constrain` makes something finite and usable of anything, zeros and negative values included",
        "keep divisors away from 0 (clamp(min=...)) and clip parameters to the range in which forward is finite",
        _constrain_finite,
    ),
    Promise(
        "derivatives",
        "`forward` is differentiable in the image and in every parameter that is not `discrete`, and so is `constrain`",
        "compute in torch operations that have derivatives: no .item(), .detach(), round or numpy on the way, and a "
        "test of your own for a backward of your own; say of a parameter that goes in steps that it does "
        "(ParameterSpec.discrete)",
        _derivatives,
        after=("constrain-finite",),
    ),
    Promise(
        "linear",
        "declared `Linear`, `forward` is linear in the image and its derivative is its adjoint",
        "take out what clips, normalises or adds to the image, or do not declare it linear",
        _linear,
        after=("derivatives",),
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
