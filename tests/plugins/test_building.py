"""Solvers built from names and settings, and what is said of those that cannot be."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import ipt
from ipt.core.errors import IptError
from ipt.core.sampling import Transition
from ipt.guidance.dps import DPS
from ipt.guidance.proximal import Proximal
from ipt.guidance.regularized import Regularized
from ipt.operators.blur import Blur
from ipt.operators.blur.kernels import MotionKernels
from ipt.operators.compose import compose
from ipt.operators.downscale import Downscale
from ipt.plugins.building import build, build_component, components
from ipt.priors.analytic import BoxPrior, GaussianPrior
from ipt.priors.empirical import EmpiricalPrior
from ipt.sampling.schedules import Karras

LIGHT = {"prior": "gaussian", "parameters": {"kernel": "box"}}


def test_build_is_public():
    assert ipt.build is build


def test_names_become_a_solver():
    solver = build("blur", **LIGHT, settings={"operator.kernel_size": "5", "operator.border": "circular"})
    assert isinstance(solver, ipt.Multiscale)
    assert solver.solver.operator == Blur(kernel_size=5, border="circular")
    assert isinstance(solver.solver.rule, Proximal)
    assert {name: type(prior) for name, prior in solver.solver.priors.items()} == {
        "image": GaussianPrior,
        "kernel": BoxPrior,
    }
    assert solver.solver.schedule.sigmas().equal(Proximal().schedule().sigmas())
    assert solver.solver.transition is None


def test_the_solver_built_solves():
    settings = {"operator.kernel_size": 3, "operator.border": "circular"}
    solver = build("blur", **LIGHT, guidance="proximal", settings=settings, steps=2)
    solution = solver.solve(torch.full((1, 3, 16, 16), 0.5))
    assert solution.image.shape == (1, 3, 16, 16) and solution.parameters["kernel"].shape == (1, 1, 3, 3)


def test_settings_reach_their_sections():
    solver = build(
        **LIGHT,
        guidance="dps",
        settings={"prior.std": ".25", "kernel.high": 2, "guidance.scale": ".7", "operator.kernel_size": "[5, 7]"},
    )
    assert solver.solver.priors["image"].std == 0.25
    assert solver.solver.priors["kernel"].high == 2
    assert solver.solver.rule == DPS(scale=0.7)
    assert solver.solver.operator == Blur(kernel_size=(5, 7))


def test_every_kind_takes_an_argument():
    assert build(prior="gaussian:.25", known=["kernel"]).solver.priors["image"].mean == 0.25
    assert build(**LIGHT, guidance="regularized:dps").solver.rule == Regularized(DPS())
    assert build(**LIGHT, operator="blur:5").solver.operator == Blur(kernel_size=5)


def test_operators_are_composed():
    settings = {"operator.kernel_size": 5, "operator.downscale.method": "sample", "operator.border": "circular"}
    solver = build("blur+downscale:4", **LIGHT, settings=settings)
    assert solver.solver.operator == compose(Blur(5, "circular"), Downscale(4, "sample"))
    assert list(solver.solver.priors) == ["image", "kernel"]
    solution = build("blur+downscale:4", **LIGHT, settings=settings, steps=2).solve(torch.full((1, 3, 8, 8), 0.5))
    assert solution.image.shape == (1, 3, 32, 32) and solution.parameters["kernel"].shape == (1, 1, 5, 5)


def test_parts_of_one_name_are_numbered():
    settings = {"operator.kernel_size": 5, "operator.blur2.kernel_size": 3, "kernel2.high": 0.5}
    solver = build("blur + blur", **LIGHT | {"parameters": {"kernel": "box", "kernel2": "box"}}, settings=settings)
    assert solver.solver.operator == compose(Blur(5), Blur(3))
    assert (solver.solver.priors["kernel"].high, solver.solver.priors["kernel2"].high) == (1, 0.5)


def test_the_components_of_a_solver_without_building_it():
    named = components(
        "blur+downscale",
        "network:/no/such/weights",
        "regularized",
        parameters={"kernel": "empirical"},
        settings={"guidance.rule": "dps", "kernel.generator": "motion", "schedule.steps": 3},
    )
    assert [(entry.kind, entry.name) for entry in named] == [
        ("operator", "blur"),
        ("operator", "downscale"),
        ("prior", "network"),
        ("prior", "empirical"),
        ("generator", "motion"),
        ("guidance", "regularized"),
        ("guidance", "dps"),
    ]
    assert [entry.name for entry in components("blur", "faces", known=["kernel"])] == ["blur", "faces", "proximal"]
    assert [entry.name for entry in components()] == ["blur", "faces", "kernel-uncentred", "proximal"]


def test_known_parameters_need_no_prior():
    assert list(build(prior="gaussian", known=["kernel"]).solver.priors) == ["image"]


def test_a_wrapping_rule_takes_a_rule_and_penalties():
    settings = {
        "guidance.rule": "dps",
        "guidance.rule.scale": ".5",
        "guidance.penalties.kernel": "l1:0.1",
        "guidance.penalties.image": "tv:0.01",
    }
    solver = build(**LIGHT, guidance="regularized", settings=settings)
    assert solver.solver.rule == Regularized(DPS(scale=0.5), {"kernel": "l1:0.1", "image": "tv:0.01"})


def test_a_wrapping_rule_wraps_the_usual_one_unless_told():
    assert build(**LIGHT, guidance="regularized").solver.rule == Regularized(Proximal())
    settings = {"guidance.rule.zeta": 0.5}
    assert build(**LIGHT, guidance="regularized", settings=settings).solver.rule == Regularized(Proximal(zeta=0.5))


def test_wrapping_goes_as_deep_as_one_likes_and_takes_objects():
    settings = {"guidance.rule": "regularized", "guidance.rule.rule": "dps", "guidance.rule.rule.scale": 1}
    assert build(**LIGHT, guidance="regularized", settings=settings).solver.rule == Regularized(
        Regularized(DPS(scale=1))
    )
    made = {"guidance.rule": DPS(scale=2), "guidance.penalties": {"kernel": "l0:1"}}
    assert build(**LIGHT, guidance="regularized", settings=made).solver.rule == Regularized(
        DPS(scale=2), {"kernel": "l0:1"}
    )


@pytest.mark.parametrize("how", [{"steps": 7}, {"settings": {"schedule.steps": "7"}}])
def test_steps(how):
    assert len(build(**LIGHT, **how).solver.schedule.sigmas()) == 8


def test_schedule_and_transition_settings_change_the_rules_own():
    settings = {"schedule.sigma_max": "40", "schedule.steps": 9, "transition.zeta": ".5"}
    solver = build(**LIGHT, settings=settings)
    assert isinstance(solver.solver.schedule, Karras) and isinstance(solver.solver.transition, Transition)
    assert (solver.solver.schedule.sigma_max, solver.solver.schedule.steps, solver.solver.transition.zeta) == (
        40,
        9,
        0.5,
    )


def test_a_prior_with_an_argument(tmp_path):
    samples = tmp_path / "2020-01-01.npy"
    np.save(samples, np.ones((4, 5, 5), np.float32))
    solver = build(prior="gaussian", parameters={"kernel": f"empirical:{samples}"})
    assert isinstance(solver.solver.priors["kernel"], EmpiricalPrior)


def test_a_prior_drawn_from_a_generator():
    settings = {"kernel.generator": "motion", "kernel.generator.extent": "[3, 5]", "kernel.count": 4}
    settings |= {"operator.kernel_size": 5}
    solver = build(prior="gaussian", parameters={"kernel": "empirical"}, settings=settings)
    assert solver.solver.priors["kernel"].normalization((1, 5, 5)).physical_shape == (1, 5, 5)


NETWORKS = """
import ipt

class Recorder(ipt.Prior):
    def __init__(self, path, device="cpu", precision="fp32"):
        self.given = path, device, precision

    def normalization(self, shape):
        raise ValueError("takes nothing")

    def denoise(self, noisy, sigma):
        raise NotImplementedError

@ipt.hookimpl
def ipt_priors():
    yield ipt.Component("recorder", Recorder, "writes down what it is given")
"""


def test_device_and_precision_go_to_priors_that_have_them(install):
    install("recording", NETWORKS)
    priors = {"prior": "recorder:a b", "parameters": {"kernel": "box"}}
    assert build(**priors).solver.priors["image"].prior.given == ("a b", "cpu", "fp32")
    assert build(**priors, device="cuda", precision="bf16").solver.priors["image"].prior.given == (
        "a b",
        "cuda",
        "bf16",
    )
    chosen = build(**priors, device="cuda", settings={"prior.device": "meta"})
    assert chosen.solver.priors["image"].prior.given == ("a b", "meta", "fp32")


def test_a_path_that_exists_is_a_network(tmp_path, monkeypatch):
    from ipt.priors import loading

    monkeypatch.setattr(loading, "load", lambda path, device="cpu": BoxPrior() if path == str(tmp_path) else None)
    assert isinstance(build(prior=tmp_path, known=["kernel"]).solver.priors["image"], BoxPrior)
    assert isinstance(build(prior=f"network:{tmp_path}", known=["kernel"]).solver.priors["image"], BoxPrior)


def test_a_name_comes_before_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gaussian").mkdir()
    assert isinstance(build(prior="gaussian", known=["kernel"]).solver.priors["image"], GaussianPrior)


def test_one_component_alone():
    generator = build_component("generator", "motion", {"intensity": "[0, 0.5]"})
    assert isinstance(generator, MotionKernels) and generator.intensity == (0, 0.5)
    assert isinstance(build_component("prior", "box:.25"), BoxPrior)


def settings(**values):
    return {"settings": {key.replace("__", "."): value for key, value in values.items()}}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"operator": "blurr"}, "no operator is called 'blurr'; did you mean 'blur'"),
        ({"operator": "blur+downscal"}, "no operator is called 'downscal'; did you mean 'downscale'"),
        ({"operator": "blur+"}, "operator 'blur.' is incomplete"),
        ({"operator": "downscale:1.5"}, "factor is a whole number from 1 up, not 1.5"),
        ({"operator": "blur+downscale", **settings(operator__facto=2)}, "no part .* an option 'facto'.*'factor'"),
        ({"operator": "blur+downscale", **settings(operator__downscale=2)}, "set one of its options"),
        ({"operator": "blur+downscale", **settings(operator__blur__factor=2)}, "'blur' has no option 'factor'"),
        ({"operator": "blur+downscale:2", **settings(operator__factor=2)}, "factor of .*'downscale' is given twice"),
        ({"prior": "gausian"}, "no prior is called 'gausian'; did you mean 'gaussian'"),
        ({"prior": "./no/such/folder"}, "there is no file or folder ./no/such/folder"),
        ({"prior": "weights.safetensors"}, "there is no file or folder weights.safetensors"),
        ({"guidance": "dpss"}, "did you mean 'dps'"),
        ({"parameters": {"kernal": "box"}}, "no parameter 'kernal'; did you mean 'kernel'"),
        ({"known": ["depth"]}, "operator 'blur' has no parameter 'depth'; parameters: kernel"),
        ({"known": ["kernel"]}, "'kernel' is given, so its prior would not be used"),
        ({"steps": 0}, "whole number from 1 up, not 0"),
        ({"steps": 3, **settings(schedule__steps=4)}, "given twice: 3, and schedule.steps 4"),
        (settings(schedule__steps="many"), "not 'many'"),
        (settings(schedule__sigma_mox=3), "Karras has no option 'sigma_mox'.*did you mean 'sigma_max'"),
        (settings(schedule__sigma_max=-3), "schedule cannot be set so: a Karras schedule needs"),
        (settings(operator__kernelsize=3), "operator 'blur' has no option 'kernelsize'.*did you mean 'kernel_size'"),
        (settings(operator__border="round"), "operator.border is one of .*, not 'round'"),
        (settings(operator__kernel_size=5000), "a kernel of 5000 x 5000 px is larger than the picture"),
        (settings(gidance__scale=3), r"nothing is set by gidance\.\*; did you mean 'guidance'"),
        (settings(scale=3), r"nothing is set by scale\.\*"),
        (settings(guidance="dps"), "has no option ''"),
        (settings(guidance__zeta__x=3, guidance__zeta=1), "both as a whole and in part"),
        ({"guidance": "regularized", **settings(guidance__rule="prox")}, "did you mean 'proximal'"),
        ({"guidance": "regularized", **settings(guidance__rule__scale=1)}, "guidance 'proximal' has no option 'scale'"),
        ({"guidance": "regularized", **settings(guidance__penalties__kernel="l7:1")}, "penalty 'l7:1' on 'kernel'"),
        ({"prior": "network"}, "prior 'network' needs 'path': set prior.path"),
        ({"prior": "box:0", **settings(prior__low=0)}, "low of prior 'box' is given twice"),
        ({"parameters": {"kernel": "empirical"}, **settings(kernel__generator__extent=3)}, "set kernel.generator to"),
    ],
)
def test_what_cannot_be_built_is_said_in_two_lines(arguments, said):
    with pytest.raises(IptError, match=said) as caught:
        build(**{**LIGHT, **arguments})
    assert len(str(caught.value).splitlines()) <= 2


TROUBLE = """
import ipt

def wrong():
    return "not a prior"

def failing():
    return {}["key"]

def bare():
    raise ValueError

@ipt.hookimpl
def ipt_priors():
    for factory in (wrong, failing, bare):
        yield ipt.Component(factory.__name__, factory, "trouble")
"""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("wrong", "is not an ipt.Prior: its factory returned a str"),
        ("failing", "cannot be built: KeyError: 'key'"),
        ("bare", "cannot be built: ValueError"),
        ("wrong:3", "takes no argument, but was given '3'"),
    ],
)
def test_a_faulty_factory_names_its_owner(name, said, install):
    install("trouble", TROUBLE)
    with pytest.raises(IptError, match=said):
        build(prior=name, known=["kernel"])


UNUSUAL = """
import ipt

class Fog(ipt.ParametricOperator):
    def parameters(self, image_shape):
        if image_shape[0] != 1:
            raise ValueError("grey pictures only")
        return {"depth": ipt.ParameterSpec((1, 1, 1), "depth")}

    def forward(self, image, depth):
        return image * depth

@ipt.hookimpl
def ipt_operators():
    yield ipt.Component("fog", Fog, "a veil over grey pictures")
"""


def test_an_operator_of_a_plugin_whose_parameter_has_no_usual_prior(install):
    install("fog-of-war", UNUSUAL)
    words = r"'depth' of operator 'fog' has no usual prior and no finite range; name a prior \(prior=depth=NAME\)"
    with pytest.raises(IptError, match=words):
        build("fog", prior="gaussian")
    assert list(build("fog", prior="gaussian", parameters={"depth": "box"}).solver.priors) == ["image", "depth"]
