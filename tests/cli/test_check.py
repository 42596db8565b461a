"""`ipt check`: of components and of packages, good and bad."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from ipt.cli.main import cli

OWN = "inverse-problem-toolkit"
GOOD = """
import ipt

@ipt.hookimpl
def ipt_generators():
    yield ipt.Component("even", "good_parts:Even", "even fields")
"""
GOOD_PARTS = """
import torch
import ipt

class Even(ipt.Generator):
    def __init__(self, most: float = 1.0):
        self.most = most

    def sample(self, seeds, shape):
        return torch.stack([torch.rand(shape, generator=torch.Generator().manual_seed(s)) for s in seeds]) * self.most
"""
BAD = """
import torch
import ipt

class Same(ipt.Generator):
    def sample(self, seeds, shape):
        return torch.zeros(len(seeds), *shape)

def broken():
    raise RuntimeError("out of order")

@ipt.hookimpl
def ipt_generators():
    return [ipt.Component("same", Same, "always the same"), ipt.Component("motion", Same, "taken")]

@ipt.hookimpl
def ipt_priors():
    return [ipt.Component("lost", "bad_plugin:broken", "cannot be built"), "no component"]
"""


def run(*arguments):
    return CliRunner().invoke(cli, ["check", *arguments])


def statuses(result):
    return {(row["component"], row["promise"]): row["status"] for row in json.loads(result.stdout)}


def test_a_component_that_keeps_all_is_shown_in_a_table():
    result = run("generator", "gaussian", "--set", "generator.std=2")
    assert result.exit_code == 0
    head, *rows = result.stdout.splitlines()
    assert head.split() == ["component", "promise", "result", "seconds", "reason"]
    assert [row.split()[2] for row in rows] == ["builds", "shapes", "random-state", "seeds", "distinct", "picklable"]
    assert "6 kept, 0 broken, 0 skipped." in result.stderr


def test_a_broken_promise_is_exit_code_1_with_the_remedy():
    result = run("generator", "defocus", "--set", "generator.radius=3")
    assert result.exit_code == 1
    assert "distinct" in result.stdout and "The draws of seeds 11 and 7 are the same." in result.stdout
    assert "generator defocus, distinct: to fix it, use every seed" in result.stdout
    assert "5 kept, 1 broken, 0 skipped." in result.stderr


def test_a_name_of_several_kinds_is_checked_in_each():
    found = statuses(run("gaussian", "--json"))
    assert {component for component, _ in found} == {"prior gaussian", "generator gaussian"}
    assert set(found.values()) == {"ok", "skipped"}
    rows = json.loads(run("prior", "gaussian", "--json").stdout)
    assert set(rows[0]) == {"component", "promise", "status", "seconds", "reason", "fix"}
    assert {row["component"] for row in rows} == {"prior gaussian"}
    assert next(row for row in rows if row["promise"] == "conditional-mean")["reason"].startswith("no samples")


def test_settings_go_to_a_component_by_its_name_or_its_kind():
    for key in ("prior.std", "gaussian.std"):
        result = run("prior", "gaussian", "--json", "--set", f"{key}=-1")
        (row,) = json.loads(result.stdout)
        assert result.exit_code == 1 and (row["promise"], row["status"]) == ("builds", "broken")
        assert "std above 0" in row["reason"]
    refused = run("prior", "gaussian", "--set", "operator.border=zero")
    assert refused.exit_code == 2 and "settings begin with: prior" in refused.stderr


def test_the_shape_can_be_said():
    result = run("generator", "gaussian", "--shape", "1,5,6", "--json")
    assert result.exit_code == 0
    odd = run("generator", "gaussian", "--shape", "3,5,6", "--json")
    assert odd.exit_code == 1 and statuses(odd)["generator gaussian", "shapes"] == "broken"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("prior box:lo=.5", 2, "prior 'box' has no option 'lo' (prior.lo); did you mean 'low'?"),
        ("prior bx:low=.5", 2, "no prior is called 'bx'; did you mean 'box'?"),
        ("bx:low=.5", 2, "no component or plugin called 'bx:low=.5'; did you mean 'box'?"),
        ("box:low=.5", 2, "no component or plugin called 'box:low=.5'; did you mean 'box'?"),
        ("gausian", 2, "no component or plugin called 'gausian'; did you mean 'gaussian'?"),
        ("prior motion", 2, "no prior is called 'motion'"),
        ("pior gaussian", 2, "there is no kind 'pior'; did you mean 'prior'?"),
        ("a b c", 2, "one component or package at a time"),
        ("motion --shape 3x4", 2, "is not CHANNELS,HEIGHT,WIDTH"),
        ("motion --set radius", 2, "NAME=VALUE"),
        ("", 2, "Missing argument"),
    ],
)
def test_a_slip_gets_one_message(arguments, code, said):
    result = run(*arguments.split())
    assert result.exit_code == code and said in result.stderr and not result.stdout


def test_a_package_that_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "pyproject.toml").touch()
    for name in ("own", "./own/"):
        result = run(name)
        assert result.exit_code == 1 and f"pip install -e {tmp_path}/own\n" in result.stderr


def test_an_operator_made_of_two():
    result = run("operator", "blur+downscale", "--set", "operator.blur.kernel_size=5", "--json")
    assert result.exit_code == 0 and statuses(result)["operator blur+downscale", "linear"] == "ok"


def test_a_good_package(install):
    folder = install("good-plugin", GOOD)
    (folder / "good_parts.py").write_text(GOOD_PARTS)
    result = run("good-plugin", "--json")
    found = statuses(result)
    assert result.exit_code == 0 and set(found.values()) == {"ok"}
    assert {promise for component, promise in found if component == "good-plugin"} == {
        "loads",
        "torch-free",
        "names-free",
    }
    assert ("generator even", "seeds") in found
    assert run("good-plugin", "--set", "even.most=0").exit_code == 1


def test_a_bad_package_is_told_all_that_is_wrong_with_it(install):
    install("bad-plugin", BAD)
    result = run("bad-plugin", "--json")
    broken = {pair for pair, status in statuses(result).items() if status == "broken"}
    assert result.exit_code == 1
    assert broken == {
        ("bad-plugin", "loads"),
        ("bad-plugin", "torch-free"),
        ("bad-plugin", "names-free"),
        ("generator same", "distinct"),
        ("prior lost", "builds"),
    }
    reasons = {(row["component"], row["promise"]): row["reason"] for row in json.loads(result.stdout)}
    assert "out of order" in reasons["prior lost", "builds"]
    assert "yielded a str" in reasons["bad-plugin", "loads"]
    assert f"offered by {OWN} and bad-plugin" in reasons["bad-plugin", "names-free"]


def test_a_name_that_is_taken_is_one_finding(install):
    source = """
import ipt

@ipt.hookimpl
def ipt_operators():
    return [ipt.Component("blur", "thief_parts:Blur", "taken")]
"""
    install("thief-plugin", source)
    broken = {pair for pair, status in statuses(run("thief-plugin", "--json")).items() if status == "broken"}
    assert broken == {("thief-plugin", "names-free")}


NEEDY = """
import ipt

def needy(file: str, size: int = 2):
    raise RuntimeError("out of order")

def fetched():
    from ipt.core.errors import Lacking
    raise Lacking("there is no network")

@ipt.hookimpl
def ipt_generators():
    return [ipt.Component("needy", needy, "of a file"), ipt.Component("far", fetched, "of the network")]
"""


def test_what_lacks_an_option_or_a_file_is_skipped_and_said(install):
    install("needy-plugin", NEEDY)
    result = run("needy-plugin", "--json")
    assert result.exit_code == 0
    reasons = {row["component"]: row["reason"] for row in json.loads(result.stdout) if row["promise"] == "builds"}
    assert reasons["generator needy"].startswith("not checked: generator 'needy' needs 'file': set generator.file")
    assert reasons["generator far"] == "not checked: there is no network"
    assert {status for pair, status in statuses(result).items() if pair[1] == "builds"} == {"skipped"}
    assert "Not checked, for want of what they need: generator needy, generator far." in result.stderr
    # With what it needs, it is tried; named alone, nothing checked is no success.
    assert run("needy-plugin", "--set", "needy.file=a").exit_code == 1
    assert run("needy").exit_code == 1


def test_a_package_that_is_left_out_is_an_error(install, monkeypatch):
    install("good-plugin", GOOD)
    monkeypatch.setenv("IPT_PLUGINS", "")
    result = run("good-plugin")
    assert result.exit_code == 1
    assert "left out by IPT_PLUGINS" in result.stderr and "IPT_PLUGINS=good-plugin" in result.stderr


def test_a_slip_is_reported_before_torch_is_loaded():
    code = (
        "import sys, atexit; atexit.register(lambda: print('torch' in sys.modules)); sys.argv = ['ipt', 'check', 'no'];"
        "from ipt.cli.main import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout.strip() == "False"


FAULTY = """
import numpy as np
import torch
import ipt


class Plain(ipt.ParametricOperator):
    def parameters(self, image_shape):
        return {"gain": ipt.ParameterSpec((1, 1, 1), "factor", range=(0.2, 2))}

    def forward(self, image, gain):
        return gain * image


class Raises(Plain):
    def forward(self, image, gain):
        return torch.cat([gain, image], 1)


class Crops(Plain):
    def forward(self, image, gain):
        return (gain * image)[..., 1:]


class Single(Plain):
    def forward(self, image, gain):
        return (gain * image).float()


class Random(Plain):
    def forward(self, image, gain):
        return gain * image + 0.01 * torch.randn_like(image)


class Ignores(Plain):
    def forward(self, image, gain):
        return image.square()


class Rounds(Plain, ipt.Linear):
    def forward(self, image, gain):
        return torch.from_numpy(np.round((gain * image).detach().numpy(), 2))


class Batch(Plain):
    def forward(self, image, gain):
        return gain * image / image.mean()


class Steps(Plain, ipt.ExactSteps):
    def image_step(self, observation, image, parameters, beliefs):
        return image.mean[0, 0, 0, 0, 0]

    def parameter_step(self, observation, image, parameters, known):
        return None


class Undeclared(Plain):
    def parameters(self, image_shape):
        return {"gain": ipt.ParameterSpec((1, 1, 1), "factor", range=(1, 20))}

    def constrain(self, parameters):
        return {"gain": parameters["gain"].round()}


class Divides(Plain):
    def constrain(self, parameters):
        return {"gain": parameters["gain"] / parameters["gain"].abs()}


class Backwards(Plain):
    def parameters(self, image_shape):
        return {"gain": ipt.ParameterSpec((1, 1, 1), "factor", range=(2, 0.2))}


class Inner(Plain):
    def __init__(self):
        self.curve = lambda value: value


class Echo(ipt.Prior):
    def normalization(self, shape):
        return ipt.Normalization(shape, shape, 0.5, 0.5)

    def denoise(self, noisy, sigma):
        return noisy


class Fails(Echo):
    def denoise(self, noisy, sigma):
        return noisy @ noisy[:, :, :3]


class Normal(Echo):
    def denoise(self, noisy, sigma):
        return noisy / (1 + 4 * sigma**2)


class Overflows(Normal):
    def denoise(self, noisy, sigma):
        weight = torch.exp(noisy / sigma**2)
        return noisy * weight / weight


class Detached(Normal):
    def denoise(self, noisy, sigma):
        return torch.from_numpy(noisy.detach().numpy() / (1 + 4 * sigma**2)).to(noisy)


class Crossed(Normal):
    def posterior(self, noisy, sigma):
        from ipt.linalg.covariances import Diagonalized

        power = torch.full((len(noisy), 1, noisy.shape[-1], noisy.shape[-2]), 0.25 * sigma**2 / (sigma**2 + 0.25))
        return ipt.Posterior(self.denoise(noisy, sigma), Diagonalized(power.to(noisy), lambda v: v.mT, lambda v: v))


class Uphill(ipt.GuidanceRule):
    needs_gradients = False

    def schedule(self, steps=None):
        from ipt.sampling.schedules import Karras

        return Karras(steps or 20)

    def transition(self):
        from ipt.sampling.transitions import Renoise

        return Renoise(1.0)

    def correct(self, step, problem):
        with torch.enable_grad():
            image = step.clean["image"].detach().requires_grad_()
            misfit = problem.residual({**step.clean, "image": image}).square().sum()
            (slope,) = torch.autograd.grad(misfit, image)
        return ipt.Correction(clean={"image": step.clean["image"] + 0.1 * slope})


@ipt.hookimpl
def ipt_guidance():
    yield ipt.Component("uphill", Uphill, "a fault")


@ipt.hookimpl
def ipt_operators():
    for kind in (Raises, Crops, Single, Random, Ignores, Rounds, Batch, Steps, Undeclared, Divides, Backwards, Inner):
        yield ipt.Component(kind.__name__.lower(), kind, "a fault")


@ipt.hookimpl
def ipt_priors():
    for kind in (Echo, Fails, Detached, Crossed, Overflows):
        yield ipt.Component(kind.__name__.lower(), kind, "a fault")
"""
CAUSES = {
    "raises": ("shapes", "Sizes of tensors must match", "correct what the message says"),
    "crops": ("shapes", "image_shape", "override image_shape"),
    "single": ("dtype", "torch.float32 for arguments of torch.float64", "undo a cast"),
    "random": ("random-state", "global generator of torch", "torch.Generator of your own"),
    "ignores": ("used", "the same whatever gain is", "do not declare it"),
    "rounds": ("derivatives", "derivative of forward", "or numpy on the way"),
    "batch": ("batch", "alone and in a batch", "never over the batch"),
    "steps": ("shapes", "IndexError", "correct what the message says"),
    "undeclared": ("derivatives", "derivative of constrain in gain", "ParameterSpec.discrete"),
    "detached": ("derivatives", "derivative of denoise", "differentiable = False"),
    "crossed": ("shapes", "must match the size of tensor", "correct what the message says"),
    "divides": ("constrain-finite", "NaN or infinite", "keep divisors away from 0"),
    "backwards": ("shapes", "low < high", "range=(lowest, highest value)"),
    "inner": ("picklable", "It cannot be pickled", "no lambda"),
    "overflows": ("finite", "denoise", "divide by sigma"),
    "uphill": ("lowers-misfit", "norm of the residual", "a wrong sign"),
    "echo": ("conditional-mean", "as denoise follows noisy", "return an estimate of clean"),
    "fails": ("shapes", "faulty_parts.py, line", "correct what the message says"),
}


@pytest.mark.parametrize("name", CAUSES)
def test_a_fault_is_one_finding_with_its_remedy(name, install):
    install("faulty-parts", FAULTY)
    promise, found, remedy = CAUSES[name]
    result = run(name, "--json")
    (row,) = [each for each in json.loads(result.stdout) if each["status"] == "broken"]
    assert result.exit_code == 1 and row["promise"] == promise
    assert found in row["reason"] and remedy in row["fix"]


def test_a_generator_draws_what_a_prior_describes():
    found = statuses(run("prior", "box", "--generator", "uniform", "--shape", "1,4,4", "--json"))
    assert found["prior box", "conditional-mean"] == "ok"
    other = statuses(run("prior", "box", "--generator", "normal:mean=.8,std=.02", "--shape", "1,4,4", "--json"))
    assert other["prior box", "conditional-mean"] == "broken"
    refused = run("prior", "tilt", "--generator", "motion")
    assert refused.exit_code == 1 and "draws nothing that the prior takes" in refused.stderr
