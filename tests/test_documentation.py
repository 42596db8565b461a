"""The README and the pages of docs/ do what they say: their code runs, their plugins load, their commands parse."""

from __future__ import annotations

import glob
import itertools
import re
import shlex
import shutil
import tomllib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import SkipTest

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from ipt.cli.main import cli
from ipt.core.solver import Solver
from ipt.images import files
from ipt.operators.blur import Blur
from ipt.operators.blur.kernels import MotionKernels
from ipt.plugins.building import build, build_component
from ipt.plugins.component import KINDS
from ipt.plugins.discovery import discover
from ipt.priors import shipped
from ipt.priors.analytic import GaussianPrior
from ipt.sampling.multiscale import Multiscale
from ipt.solve.outputs import roles
from ipt.solve.restore import Restored

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PHOTO, LIBRARY = ROOT / "docs" / "photo.md", ROOT / "docs" / "library.md"
PLUGIN = ROOT / "docs" / "plugins.md"
PLUGINS = ROOT / "docs" / "hooks.md"


def blocks(page: Path, language: str, marker: str = "", heading: str = "") -> list[str]:
    """The fenced blocks in a language: all of a page, those right after an HTML comment, or those under a heading."""
    text = page.read_text(encoding="utf-8")
    if heading:
        text = re.split(r"^## ", text.partition(f"\n## {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    before = rf"<!-- {re.escape(marker)} -->\n" if marker else ""
    return re.findall(rf"{before}^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def block(page: Path, language: str, marker: str) -> str:
    (found,) = blocks(page, language, marker)
    return found


def commands(source: str) -> list[list[str]]:
    """The arguments of every `ipt ...` in lines of shell."""
    found = []
    for line in source.splitlines():
        for part in line.split("&&"):
            words = shlex.split(part, comments=True)
            if words and Path(words[0]).name == "ipt":
                found.append(words[1:])
    return found


def inline(page: Path) -> list[list[str]]:
    """The arguments of every `ipt COMMAND ...` within a sentence; without one, `ipt` is the package's name."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`(ipt [^`]+)`", prose)
    return [arguments for span in spans for arguments in commands(" ".join(span.split()))]


PYTHON = {
    f"{page.name} {number}": source
    for page in (README, LIBRARY)
    for number, source in enumerate(blocks(page, "python"), 1)
    if "hookimpl" not in source
}
WHOLE = [arguments for page in (README, *DOCS) for source in blocks(page, "bash") for arguments in commands(source)]
MENTIONED = [arguments for page in (README, *DOCS) for arguments in inline(page)]


@pytest.fixture
def analytic(monkeypatch: pytest.MonkeyPatch, few_steps: None) -> None:
    """Gaussians in place of the shipped networks, and a few steps: what is shown runs in no time."""
    monkeypatch.setattr(shipped, "faces", lambda device="cpu", precision="fp32": GaussianPrior(0.0, 0.5))
    monkeypatch.setattr(shipped, "natural", lambda device="cpu", precision="fp32": GaussianPrior(0.0, 0.5))
    for name in ("kernel", "kernel_uncentred"):
        monkeypatch.setattr(shipped, name, lambda device="cpu", precision="fp32": GaussianPrior(-0.8, 0.3))


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which a reader of the pages would be, with the pictures that they mention."""
    torch.manual_seed(0)
    for name in ("blurred.png", "hazy.png", "dim.png", "night.png"):
        files.write(tmp_path / name, torch.rand(3, 64, 64))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Any:
    result = CliRunner().invoke(cli, [*arguments])
    assert result.exit_code == 0, f"ipt {' '.join(arguments)}: {result.output}"
    return result


# The two set-up commands


def test_the_first_screen_has_the_two_set_up_commands():
    head = "\n".join(README.read_text(encoding="utf-8").splitlines()[:30])
    assert head.count("```bash") == 2 and "<!-- solve command -->" in head and "<!-- test command -->" in head
    solve, test = block(README, "bash", "solve command"), block(README, "bash", "test command")
    for command in (solve, test):
        assert len(command.splitlines()) == 1 and command.startswith("python3 -m venv .venv && .venv/bin/pip install ")
    assert solve.endswith("&& .venv/bin/ipt solve -o out\n")
    assert "'.[test]'" in test and test.endswith("&& .venv/bin/pytest\n")


def test_the_readme_is_one_page():
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 100 and text.count("![") == 1


def test_a_solve_with_the_shipped_priors_leaves_the_files_of_its_page(workplace, few_steps):
    (arguments,) = commands(block(README, "bash", "solve command"))
    run(*arguments, "--samples", "2")
    section = PHOTO.read_text(encoding="utf-8").partition("## What comes out")[2].partition("\n## ")[0]
    promised = set(re.findall(r"`(astronaut\.[^`]+|report\.html|run\.yaml|log/)`", section))
    # What a mask, several exposures, a folder or a failure leave.
    of_others = {f"astronaut.{name}" for name in ("mask.png", "mean.png", "median.png", "failed.json")} | {"log/"}
    assert {path.name for path in (workplace / "out").iterdir()} == promised - of_others and of_others <= promised
    every = roles(["kernel"], samples=2, frames=True, reference=True)
    assert every <= {name.split(".")[1] for name in promised if name.startswith("astronaut.")}
    kernel = np.load(workplace / "out" / "astronaut.kernel.npy")
    assert kernel.dtype == np.float32 and len(kernel.shape) == 3 and len(kernel) == 1
    assert kernel.sum() == pytest.approx(1, abs=1e-4)


def test_run_yaml_runs_again_to_the_same_result(workplace, analytic):
    run("solve", "-o", "out")
    (arguments,) = [words for words in inline(PHOTO) if "out/run.yaml" in words]
    run(*arguments)
    first, again = (workplace / folder / "astronaut.kernel.npy" for folder in ("out", "again"))
    assert first.read_bytes() == again.read_bytes()


# The code


@pytest.mark.parametrize("source", PYTHON.values(), ids=PYTHON.keys())
def test_python_code_runs(source, workplace, analytic):
    names: dict[str, Any] = {}
    exec(compile(source, "documentation", "exec"), names)
    made = [value for value in names.values() if isinstance(value, Solver | Multiscale | Restored)]
    assert made, "each example makes a solver, or uses one"


def test_the_call_of_the_readme_restores(workplace, analytic):
    shown: dict[str, Any] = {}
    exec(compile(block(README, "python", "library: restore"), "README", "exec"), shown)
    assert np.array_equal(files.read("sharp.png").levels()[:, :, 0], shown["result"].picture)


def test_the_two_ways_of_the_library_solve(workplace, analytic):
    shown: dict[str, Any] = {}
    exec(compile(block(LIBRARY, "python", "library: build"), "library", "exec"), shown)
    assert shown["image"].shape == (1, 3, 64, 64) and shown["kernel"].shape == (1, 1, 17, 17)
    written = (shown["image"][0].double().clamp(0, 1) * 255).round() / 255
    assert torch.equal(files.read("sharp.png").pixels, written.float())
    composed: dict[str, Any] = {}
    source = block(LIBRARY, "python", "library: compose")
    exec(compile(source, "library", "exec"), composed)
    assert torch.equal(composed["non_blind"].parameters["kernel"], composed["truth"])
    for text in (source, block(LIBRARY, "python", "library: build")):
        assert len([line for line in text.splitlines() if line and not line.startswith(("import", "from"))]) <= 12


# Plugins


def test_the_plugin_in_ten_lines(workplace, analytic, install):
    source = block(PLUGIN, "python", "plugin module")
    assert len([line for line in source.splitlines() if line.strip()]) <= 10
    project = tomllib.loads(block(PLUGIN, "toml", "plugin metadata"))
    (entry,) = project["project"]["entry-points"]["ipt"].values()
    install(project["project"]["name"], source, module=entry, entry=entry, version=project["project"]["version"])
    listed, shown, _ = [run(*arguments) for arguments in commands(block(PLUGIN, "bash", "plugin commands"))]
    assert re.search(r"ipt-veil +0\.1 +loaded", listed.output)
    assert "a grey veil of unknown strength" in shown.output
    assert {"astronaut.png", "astronaut.veil.npy", "report.html"} <= {
        path.name for path in (workplace / "out").iterdir()
    }


@pytest.fixture(params=KINDS)
def example(request: pytest.FixtureRequest, install: Any) -> str:
    """The kind whose example in docs/hooks.md is installed as a plugin."""
    (source,) = blocks(PLUGINS, "python", heading=f"`{KINDS[request.param]}`")
    install(f"example-{request.param}", source)
    return request.param


def test_the_example_of_every_hook_is_loaded_and_built(example):
    (plugin,) = [plugin for plugin in discover().plugins if plugin.distribution == f"example-{example}"]
    assert (plugin.status, plugin.reason) == ("loaded", "")
    (entry,) = [entry for entry in discover().of_kind(example) if entry.owner == plugin.distribution]
    assert entry.component.summary
    build_component(example, entry.component.name)


def example_solver(install: Any, kind: str, **parts: Any) -> Multiscale:
    (source,) = blocks(PLUGINS, "python", heading=f"`{KINDS[kind]}`")
    install(f"example-{kind}", source)
    return build(**{"prior": "gaussian", "parameters": {"kernel": "box"}, "steps": 3, **parts})


def test_the_operator_example_solves(install, analytic):
    solver = example_solver(install, "operator", operator="gain", parameters={})
    solution = solver.solve(torch.rand(2, 3, 16, 16), noise=0.05)
    assert solution.image.shape == (2, 3, 16, 16) and solution.parameters["gain"].shape == (2, 3, 1, 1)
    assert torch.isfinite(solution.image).all()


def test_the_prior_example_is_the_denoiser_of_its_gaussian(install):
    prior = example_solver(install, "prior", prior="dark").solver.priors["image"]
    exact = GaussianPrior(-0.8, 0.3)
    noisy = torch.randn(2, 3, 8, 8)
    assert torch.allclose(prior.denoise(noisy, 0.7), exact.denoise(noisy, 0.7), atol=1e-6)
    assert prior.normalization((3, 8, 8)) == exact.normalization((3, 8, 8))


def test_the_guidance_example_brings_the_image_nearer_to_the_measurement(install):
    settings = {"operator.border": "circular", "operator.kernel_size": 5}
    known = {"kernel": MotionKernels().sample([1], (1, 5, 5))}
    measurement = Blur(5, "circular").forward(torch.rand(1, 3, 16, 16), kernel=known["kernel"])
    residuals = []
    solver = example_solver(
        install, "guidance", guidance="downhill", parameters={}, known=["kernel"], settings=settings
    )
    for rate in (0.0, 1.0):
        moved = replace(solver.solver, rule=type(solver.solver.rule)(rate=rate))  # type: ignore[call-arg]
        residuals.append(float(moved.solve(measurement, noise=0.01, known=known).residual[0]))
    assert residuals[1] < 0.8 * residuals[0]


def test_the_generator_example_draws_and_serves_as_an_empirical_prior(install):
    settings = {"kernel.generator": "squares", "kernel.count": 20, "operator.kernel_size": 9}
    solver = example_solver(install, "generator", parameters={"kernel": "empirical"}, settings=settings)
    assert solver.solve(torch.rand(1, 3, 16, 16), noise=0.05).parameters["kernel"].shape == (1, 1, 9, 9)
    squares = build_component("generator", "squares")
    drawn = squares.sample([3, 4, 5], (1, 9, 8))
    assert torch.allclose(drawn.sum((1, 2, 3)), torch.ones(3))
    assert torch.equal(drawn[1:2], squares.sample([4], (1, 9, 8)))


def test_the_test_of_the_contract_page_passes(tmp_path, monkeypatch):
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package" / "veil.py").write_text(block(PLUGIN, "python", "plugin module"))
    monkeypatch.syspath_prepend(tmp_path)
    (source,) = blocks(ROOT / "docs" / "contract.md", "python")
    shown: dict[str, Any] = {}
    exec(compile(source, "contract.md", "exec"), shown)
    (mark,) = shown["test_contract"].pytestmark
    for check in mark.args[1]:
        with suppress(SkipTest):
            shown["test_contract"](check)


# The commands


@pytest.mark.parametrize("arguments", [*WHOLE, *MENTIONED], ids=" ".join)
def test_commands_of_the_pages_parse(arguments):
    name, *rest = arguments
    if name.startswith("-"):
        assert name in {option for param in cli.get_params(click.Context(cli)) for option in param.opts}
        return
    command = cli.get_command(click.Context(cli), name)
    assert command is not None, f"there is no command {name}"
    if "--help" in rest:
        return
    # A command named in a sentence may lack what it needs; what it has must be right.
    command.make_context(name, [*rest], resilient_parsing=arguments not in WHOLE)


ELSEWHERE = ("app", "train", "bench", "new-plugin", "weights")
"""Commands that take hours as they are shown, or do not end, and are tried by tests of their own."""
NEEDED = ("haze", "kspace", "veil", "ffhq", "hf:", "deepinv:", "my-", "mine.yaml", "clip.mp4", "--video", "--watch")
"""What the tests of plugins, of the hub, of video and of optional packages bring, or what does not end by itself."""


def feasible(arguments: list[str]) -> bool:
    """Nor what has no INPUT (a solve of its own face, in tests/cli), or asks of what another command has left."""
    alone = arguments[:2] == ["solve", "--operator"] or arguments == ["cite", "out"]
    return (
        arguments[0] not in ELSEWHERE and not alone and not any(need in word for word in arguments for need in NEEDED)
    )


RUNNABLE: dict[str, list[list[str]]] = {}
for page in (README, *DOCS):
    shown = [arguments for source in blocks(page, "bash") for arguments in commands(source) if feasible(arguments)]
    # What an earlier page has shown was run there.
    if fresh := [arguments for arguments in shown if all(arguments not in before for before in RUNNABLE.values())]:
        RUNNABLE[page.name] = fresh
SMALL = "photo.jpg sharp.png photos/a.png more/a.png faces/a.png clean/a.png frames/1.png frames/2.png".split()


@pytest.mark.parametrize("page", RUNNABLE)
def test_the_commands_of_a_page_run(page, workplace, analytic):
    """One after the other, with small pictures under the names that the page gives them."""
    for name in (*SMALL, "hazy.png", "pictures/a.png", "large/a.png"):
        place = workplace / name
        place.parent.mkdir(exist_ok=True)
        side = 80 if name == "large/a.png" else 32
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (side, side, 3), np.uint8)).save(place)
    for arguments in RUNNABLE[page]:
        if "-o" in arguments:
            shutil.rmtree(arguments[arguments.index("-o") + 1], ignore_errors=True)
        run(*[found for word in arguments for found in (sorted(glob.glob(word)) if "*" in word else [word])])


def test_components_in_the_commands_exist():
    sources = [source for page in (README, *DOCS) for source in blocks(page, "python")]
    own = re.findall(r'Component\("([\w-]+)"', "".join(sources))
    known = {entry.component.name for entry in discover().entries}.union(own)
    named = {
        part.partition("=")[2].partition(":")[0] or part.partition(":")[0]
        for words in (*WHOLE, *MENTIONED)
        for option, value in itertools.pairwise(words)
        if option in ("--operator", "--guidance", "--generator")
        for part in value.split("+")
    }
    assert {"veil", "motion"} <= named
    assert named <= known, f"not there: {named - known}"


def test_what_ipt_show_is_said_to_show_exists():
    shown = [words[1:] for words in WHOLE if words[0] == "show" and "veil" not in words]
    assert len(shown) >= 2
    for kind, name in shown:
        assert discover().has(kind, name), f"there is no {kind} {name}"
