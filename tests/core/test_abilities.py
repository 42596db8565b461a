"""Which abilities every wrapper passes on, and why not the others."""

from __future__ import annotations

import importlib
import inspect
import pickle
import pkgutil
import re

import pytest

from ipt import core, guidance, operators, priors
from ipt.core import abilities
from ipt.core.abilities import (
    Assessable,
    Assessment,
    Canonicalizable,
    Coarsenable,
    CoarseToFine,
    ExactSteps,
    FrameAware,
    Framed,
    Linear,
    MeasurementSpec,
    MultiFrame,
    PhysicalUnits,
    Resizable,
    Wrapper,
    ability,
)
from ipt.core.guidance import GuidanceRule
from ipt.core.operator import ParameterSpec, ParametricOperator
from ipt.core.prior import Prior, Replicated
from ipt.guidance.dps import DPS
from ipt.guidance.proximal import Proximal
from ipt.guidance.regularized import Regularized
from ipt.operators.blur import Blur
from ipt.operators.compose import compose
from ipt.operators.frames import Frames
from ipt.operators.turbulence import Turbulence
from ipt.priors.analytic import GaussianPrior
from ipt.priors.grey import Grey
from ipt.priors.surrounded import Surrounded
from ipt.priors.tiled import TiledPrior

OPERATORS = (Linear, ExactSteps, MultiFrame, Framed, Resizable, Coarsenable, Canonicalizable, Assessable, PhysicalUnits)


class Able(Blur, MultiFrame, PhysicalUnits):
    """An operator that has every ability."""

    def measured(self):
        return MeasurementSpec("light", "photons")


class Unable(ParametricOperator):
    def parameters(self, image_shape):
        return {"gain": ParameterSpec((1, 1, 1), "gain")}

    def forward(self, image, gain):
        return gain * image


def whole(image_shape):
    return slice(0, image_shape[-2]), slice(0, image_shape[-1])


AWARE = Surrounded(GaussianPrior(), whole)
WRAPPERS = {
    "composed": compose(Able(9), Able(5)),
    "frames": Frames(Able(9), 3),
    "turbulence": Turbulence(9),
    "regularized": Regularized(Proximal()),
    "replicated": Replicated(AWARE, 2),
    "tiled": TiledPrior(AWARE, 16),
    "grey": Grey(AWARE),
    "surrounded": AWARE,
}
PASSED_ON = {
    "composed": {Linear, Framed, Resizable, Coarsenable, Canonicalizable, PhysicalUnits},
    "frames": {Linear, ExactSteps, Framed, Resizable, Coarsenable, PhysicalUnits},
    "turbulence": {Linear, ExactSteps, MultiFrame, Framed, Resizable},
    "regularized": {CoarseToFine},
    "surrounded": {FrameAware},
}
WHY_NOT = {
    ("composed", ExactSteps): "what solves for a part's image does not solve for what came before it",
    ("composed", MultiFrame): "it has no exact steps",
    ("frames", MultiFrame): "it is what gives an operator its frames",
    ("frames", Canonicalizable): "the frames share their image, and each would move it another way",
    ("turbulence", Coarsenable): "the prior of a tilt is in pixels, which are others in a smaller image",
    ("turbulence", Canonicalizable): "what a centred kernel would move, the tilt can move as well",
    ("composed", Assessable): "how its parts' right solutions look in it was not measured",
    ("frames", Assessable): "what tells right from wrong was calibrated on single exposures",
    ("turbulence", Assessable): "no calibration was made",
    ("turbulence", PhysicalUnits): "it measures pictures",
    ("replicated", FrameAware): "it is of parameters, and the frame is the image's",
    ("tiled", FrameAware): "a tile is an image of its own, without surroundings",
    ("grey", FrameAware): "it is surrounded itself, not the prior that it shows grey images to",
}


def kinds_of(wrapper):
    if isinstance(wrapper, ParametricOperator):
        return OPERATORS
    return (CoarseToFine,) if isinstance(wrapper, Regularized) else (FrameAware,)


@pytest.mark.parametrize(
    ("name", "kind"), [(name, kind) for name, wrapper in WRAPPERS.items() for kind in kinds_of(wrapper)]
)
def test_what_a_wrapper_passes_on(name, kind):
    passed = kind in PASSED_ON.get(name, ())
    assert (ability(WRAPPERS[name], kind) is not None) == passed
    assert passed != ((name, kind) in WHY_NOT), "say why not"


def test_every_ability_is_in_the_list():
    found = {
        kind for _, kind in inspect.getmembers(abilities, inspect.isclass) if kind.__module__ == abilities.__name__
    }
    others = {Wrapper, abilities.Belief, abilities.Coarser, Assessment, MeasurementSpec}
    assert found - others == {*OPERATORS, FrameAware, CoarseToFine}


def test_every_wrapper_is_in_the_list():
    """What has an operator, a prior or a rule among its arguments is made of it."""
    found = set()
    for folder in (core, operators, priors, guidance):
        for module in pkgutil.walk_packages(folder.__path__, f"{folder.__name__}."):
            for _, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
                if issubclass(kind, ParametricOperator | Prior | GuidanceRule) and not inspect.isabstract(kind):
                    words = re.findall(r"\w+", str(inspect.signature(kind)))
                    if issubclass(kind, Wrapper) or {"ParametricOperator", "Prior", "GuidanceRule"} & set(words):
                        found.add(kind)
    # Turbulence makes its blur itself.
    assert found | {Turbulence} == {type(wrapper) for wrapper in WRAPPERS.values()}


@pytest.mark.parametrize("kind", OPERATORS)
def test_a_wrapper_has_no_more_than_what_it_wraps(kind):
    assert ability(Unable(), kind) is None and ability(Frames(Unable(), 2), kind) is None
    either = {Framed, Resizable}
    # The last part is what measures.
    assert (ability(compose(Unable(), Able(5)), kind) is not None) == (kind in {*either, PhysicalUnits})
    first = compose(Able(5), Unable())
    assert (ability(first, kind) is not None) == (kind in {*either, Canonicalizable})
    assert ability(Frames(first, 2), Canonicalizable) is None


def test_a_rule_without_restarts_has_none_with_penalties():
    assert ability(Regularized(DPS()), CoarseToFine) is None
    assert ability(Regularized(Regularized(Proximal())), CoarseToFine).restart(1) == Proximal().restart(1)


def test_wrapped_it_can_still_be_sent():
    for wrapper in (WRAPPERS["composed"], WRAPPERS["frames"]):
        assert pickle.loads(pickle.dumps(wrapper)) == wrapper
