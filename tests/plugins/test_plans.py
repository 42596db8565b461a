"""Plans: what names and options come to before anything is built."""

from __future__ import annotations

import pytest

from ipt.core.errors import IptError, Lacking, Misuse
from ipt.operators.blur import Blur
from ipt.plugins.discovery import discover
from ipt.plugins.plans import Chain, Plan, Planner


@pytest.fixture
def planner():
    return Planner(discover(), "cpu", "bf16")


def names(plan):
    return [entry.name for entry in plan.entries()]


def test_a_plan_has_its_component_and_the_values_of_its_options(planner):
    plan = planner.plan("operator", "blur:9", {"border": "zero"}, "operator")
    assert isinstance(plan, Plan) and names(plan) == ["blur"] and plan.who == "operator 'blur'"
    assert dict(plan.options) == {"border": "zero", "kernel_size": 9} and plan.build() == Blur(9, "zero")


def test_operators_in_a_row_are_a_chain(planner):
    settings = {"kernel_size": 5, "blur2.kernel_size": 3, "downscale.factor": 4}
    plan = planner.plan("operator", "blur + downscale + blur", settings, "operator")
    assert isinstance(plan, Chain) and names(plan) == ["blur", "downscale", "blur"]
    sizes = [part.options.get("kernel_size") for part in plan.parts]
    assert sizes == [5, None, 3] and plan.parts[1].options == {"factor": 4}
    assert [entry.name for entry in planner.named("operator", "blur+downscale")] == ["blur", "downscale"]


def test_an_option_that_is_a_component_is_a_plan_of_its_own(planner):
    plan = planner.plan("guidance", "regularized", {"rule": "dps", "rule.scale": 0.7}, "guidance")
    assert names(plan) == ["regularized", "dps"] and plan.options["rule"].options == {"scale": 0.7}
    assert names(planner.plan("guidance", "regularized", {}, "guidance")) == ["regularized", "proximal"]
    samples = planner.plan("prior", "empirical", {"generator": "motion"}, "prior")
    assert names(samples) == ["empirical", "motion"]


def test_device_and_precision_are_of_priors_that_have_them(planner):
    assert planner.plan("prior", "natural", {}, "prior").options == {"device": "cpu", "precision": "bf16"}
    assert planner.plan("prior", "gaussian", {}, "prior").options == {}
    assert planner.plan("prior", "natural", {"precision": "fp32"}, "prior").options["precision"] == "fp32"


def test_several_options_in_a_name(planner, tmp_path, monkeypatch):
    plan = planner.plan("prior", "box:low=.5, high=4.5", {}, "prior")
    assert plan.options == {"low": 0.5, "high": 4.5}
    plan = planner.plan("generator", "motion:extent=[5,9],intensity=.5", {}, "generator")
    assert plan.options == {"extent": (5, 9), "intensity": 0.5}
    assert planner.plan("operator", "blur:kernel_size=9,border=zero", {}, "operator").build() == Blur(9, "zero")
    samples = planner.plan("prior", "empirical:generator=motion,generator.extent=5", {}, "prior")
    assert names(samples) == ["empirical", "motion"] and samples.options["generator"].options == {"extent": 5}
    # A file may be called so, also without a suffix.
    (tmp_path / "a=1").touch()
    monkeypatch.chdir(tmp_path)
    assert planner.plan("prior", "empirical:a=1", {}, "prior").options == {"samples": "a=1"}
    assert planner.plan("prior", "empirical:a=1.npz", {}, "prior").options == {"samples": "a=1.npz"}


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("prior", "natural:foo=1"),
        ("prior", "ffhq:foo=1"),
        ("prior", "hf:foo=cuda"),
        ("operator", "blur:foo=1"),
        ("operator", "blur:foo=1,border=zero"),
        ("guidance", "regularized:foo=1"),
        ("generator", "motion:foo=[5,9]"),
    ],
)
def test_an_option_in_a_name_that_is_none_is_met_with_those_that_are(planner, kind, spec):
    with pytest.raises(Misuse, match=rf"{kind} '{spec.partition(':')[0]}' has no option 'foo' .*; options: \w+"):
        planner.plan(kind, spec, {}, kind)


@pytest.mark.parametrize(
    ("kind", "spec", "said"),
    [
        ("guidance", "proximal:clip=perhaps", "guidance.clip is true or false, not 'perhaps'"),
        ("guidance", "proximal:clip=1", "guidance.clip is true or false, not 1"),
        ("guidance", "proximal:zeta=much", "guidance.zeta is a number, not 'much'"),
        ("prior", "gaussian:mean=lots", "prior.mean is a number, not 'lots'"),
        ("operator", "downscale:some", "operator.factor is a number, not 'some'"),
    ],
)
def test_a_word_where_a_number_or_a_switch_is_wanted(planner, kind, spec, said):
    with pytest.raises(Misuse, match=said):
        planner.plan(kind, spec, {}, kind)


def test_a_path_is_a_network(planner, tmp_path):
    plan = planner.plan("prior", str(tmp_path), {}, "prior")
    assert names(plan) == ["network"] and plan.options["path"] == str(tmp_path)
    with pytest.raises(IptError, match="there is no file or folder /no/such"):
        planner.plan("prior", "/no/such", {}, "prior")


@pytest.mark.parametrize(
    ("kind", "spec", "settings", "said"),
    [
        ("operator", "blur", {"bordr": "zero"}, r"has no option 'bordr' \(operator.bordr\)"),
        ("operator", "blur:3", {"kernel_size": 5}, "given twice, in 'blur:3' and as operator.kernel_size"),
        ("prior", "box:low=0,high=2", {"high": 3}, "given twice, in 'box:low=0,high=2' and as prior.high"),
        ("prior", "box:lo=0", {}, "prior 'box' has no option 'lo'"),
        ("operator", "blur+", {}, "is incomplete"),
        ("operator", "blur+downscale", {"blur": 3}, "blur is a part of"),
        ("operator", "blur+downscale", {"nothing": 3}, "no part of operator 'blur.downscale' has an option 'nothing'"),
    ],
)
def test_what_is_written_wrongly(kind, spec, settings, said, planner):
    with pytest.raises(Misuse, match=said):
        planner.plan(kind, spec, settings, kind)


def test_what_lacks_something(planner):
    with pytest.raises(Lacking, match=r"prior 'network' needs 'path': set prior.path"):
        planner.plan("prior", "network", {}, "prior")
    with pytest.raises(IptError, match="generator is not set, but its options are"):
        planner.plan("prior", "empirical", {"generator.extent": 3}, "prior")
