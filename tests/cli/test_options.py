"""Options from their sources: what becomes of them, and who is said to have given them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import click
import pytest
from click.testing import CliRunner
from click.types import FuncParamType

from ipt.cli.main import cli
from ipt.folder.options import ExecutionOptions
from ipt.folder.shards import Shard
from ipt.images.records import write_run_yaml
from ipt.simulate.options import SimulateOptions
from ipt.solve.options import SolveOptions

Given = Callable[..., Any]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Given:
    """given("solve", "--seed", 3): what the command passes on, or the error that it reports."""
    monkeypatch.setenv("IPT_PLUGINS", "")
    passed: list[Any] = []

    def take(*arguments: Any) -> list[Any]:
        passed.append(arguments)
        return []

    monkeypatch.setattr("ipt.folder.run.solve_all", take)
    monkeypatch.setattr("ipt.simulate.dataset.simulate_all", take)

    def run(*arguments: Any) -> Any:
        passed.clear()
        result = CliRunner().invoke(cli, [*(str(argument) for argument in arguments), "-o", "nowhere"])
        if result.exit_code:
            assert result.exit_code == 2 and not passed, result.stderr
            return result.stderr
        return passed[0][0]

    run.execution = lambda *arguments: run("solve", *arguments) and passed[0][1]  # type: ignore[attr-defined]
    return run


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        (tmp_path / "c.yaml").write_text(text)
        return tmp_path / "c.yaml"

    return write


def test_defaults_are_those_of_the_dataclasses(given):
    assert given("solve") == SolveOptions() and given.execution() == ExecutionOptions()
    assert given("simulate", "/a.png") == SimulateOptions(Path("/a.png"), origins={"input": "command line"})


def test_values_have_their_types(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = "a.png --noise .02 --steps 9 --seed 3 --samples 2 --frames --border zero --reference truth --known k=k.npy"
    options = given("solve", *words.split(), "--set", "a.b=[1, x]", "--fit", "tile", "--precision", "bf16")
    assert replace(options, origins={}) == SolveOptions(
        input=(tmp_path / "a.png",),
        noise=0.02,
        steps=9,
        seed=3,
        samples=2,
        frames=True,
        border="zero",
        reference=tmp_path / "truth",
        known={"k": tmp_path / "k.npy"},
        set={"a.b": (1, "x")},
        fit="tile",
        precision="bf16",
    )
    execution = given.execution("--batch", "4", "--save-every", "0", "--shard", "3/64", "--engine", "ray", "--force")
    assert execution == ExecutionOptions(4, 0.0, Shard(3, 64, "as asked"), "ray", True)


@pytest.mark.parametrize(
    ("words", "frames", "place"),
    [
        ("--frames", True, None),
        ("--frames a", True, "/a"),
        ("a --frames", True, "/a"),
        ("--frames --seed 3", True, None),
        ("--frames 8", 8, None),
        ("--frames=8 a", 8, "/a"),
        ("--frames -- 8", True, "/8"),
        ("--frames=false a", False, "/a"),
        ("--seed 3 a -- ", False, "/a"),
    ],
)
def test_what_follows_frames_and_is_no_number_is_the_input(monkeypatch, words, frames, place):
    monkeypatch.chdir("/")
    command = cli.get_command(click.Context(cli), "solve")
    assert command is not None
    found = command.make_context("solve", ["-o", "nowhere", *words.split()]).params
    assert found["frames"] is frames if isinstance(frames, bool) else found["frames"] == frames
    assert found["input"] == ((Path(place),) if place else ())


def test_frames_in_yaml(given, file):
    assert given("solve", "--config", file("frames: true\n")).frames is True
    assert given("solve", "--config", file("frames: 8\n")).frames == 8
    assert "a whole number from 2 up" in given("solve", "--frames", "1")


def test_sources_are_merged_pair_by_pair(given, file, monkeypatch):
    monkeypatch.setenv("IPT_PRIOR", "kernel=flat; tilt=box;")
    text = "prior: {image: ffhq, kernel: gaussian}\nset: {guidance: {scale: 1, zeta: 2}}\n"
    words = ("--prior", "kernel=box", "--set", "guidance.scale=.3")
    options = given("solve", "--config", file(text), *words)
    assert options.prior == {"image": "ffhq", "kernel": "box", "tilt": "box"}
    assert options.set == {"guidance.scale": 0.3, "guidance.zeta": 2}
    origins = {name: entry["from"] for name, entry in options.record().items()}
    assert origins["prior.kernel"] == origins["set.guidance.scale"] == "command line"
    assert origins["prior.image"] == origins["set.guidance.zeta"] == f"config ({file(text)})"
    assert origins["prior.tilt"] == "environment (IPT_PRIOR)"
    assert origins["operator"] == "default"


def test_precedence(given, file, monkeypatch):
    config = ("--config", file("seed: 1\nsteps: 1\nsamples: 1\nborder: null\ninput: /b.png\n"))
    monkeypatch.setenv("IPT_SEED", "2")
    monkeypatch.setenv("IPT_STEPS", "2")
    options = given("solve", *config, "--seed", 3)
    assert (options.seed, options.steps, options.samples, options.border) == (3, 2, 1, None)
    assert options.origins == {
        "seed": "command line",
        "steps": "environment (IPT_STEPS)",
        "samples": f"config ({config[1]})",
        "input": f"config ({config[1]})",
    }
    assert options.input == (Path("/b.png"),) and given("solve", "/a.png", *config).input == (Path("/a.png"),)
    several = given("solve", "--config", file("input: [/b.png, /c]\n")).input
    assert several == (Path("/b.png"), Path("/c")) and given("solve", "/a", "/b").input == (Path("/a"), Path("/b"))
    assert "give a path, not 5" in given("solve", "--config", file("input: 5\n"))
    assert given("simulate", "--config", file("input: /b.png\ndepth: '8'\n")).depth == "8"


def test_what_the_environment_does_not_say(given, monkeypatch):
    for name in ("INPUT", "OUT", "SET", "KNOWN", "FRAMES", "REFERENCE", "SHARD", "CONFIG", "FORCE", "AS_JSON", "DEPTH"):
        monkeypatch.setenv(f"IPT_{name}", "1")
    monkeypatch.setenv("IPT_STEPS", "")
    assert given("solve") == SolveOptions() and given.execution() == ExecutionOptions()
    monkeypatch.setenv("IPT_NOISE", "auto")
    monkeypatch.setenv("IPT_GENERATOR", "motion")
    assert given("simulate", "/a.png") == SimulateOptions(Path("/a.png"), origins={"input": "command line"})


def test_what_is_written_reads_back_the_same(given, tmp_path):
    words = ("--prior", "faces", "--prior", "kernel=empirical:k.npz", "--set", "operator.kernel_size=[9, 11]")
    options = given("solve", "/a.png", *words, "--noise", "2e-2", "--set", "x.y=1e-7", "--border", "010")
    again = given("solve", "--config", write_run_yaml(tmp_path, options.plain()))
    assert replace(again, origins={}) == replace(options, origins={})


def test_what_means_an_image_and_what_a_pair(given):
    assert given("solve", "--prior", "runs/lr=3/weights").prior == {"image": "runs/lr=3/weights"}
    assert given("solve", "--prior", "image=box").prior == {"image": "box"}
    assert given("solve", "--prior", "tilt=box").prior == {"tilt": "box"}


def test_paths_that_are_there_become_absolute(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("bank.npy", "physics.py"):
        (tmp_path / name).touch()
    (tmp_path / "faces").mkdir()
    words = ("--prior", "faces", "--prior", "kernel=empirical:bank.npy", "--set", "prior.path=bank.npy")
    options = given("solve", *words, "--set", "guidance.rule=dps", "--operator", "blur + deepinv:physics.py")
    # A bare word is a name, whatever lies in this folder.
    assert options.prior == {"image": "faces", "kernel": f"empirical:{tmp_path / 'bank.npy'}"}
    assert options.set == {"prior.path": str(tmp_path / "bank.npy"), "guidance.rule": "dps"}
    assert options.operator == f"blur+deepinv:{tmp_path / 'physics.py'}"
    assert given("solve", "--operator", "blur+downscale:2").operator == "blur+downscale:2"


@pytest.mark.parametrize(("text", "value"), [("010", 10), ("0100", 100), ("008", 8), ("+7", 7)])
def test_whole_numbers_are_decimal(given, file, monkeypatch, text, value):
    def found(*words: Any) -> tuple[int, Any]:
        options = given("solve", *words)
        return options.seed, options.set["operator.kernel_size"]

    setting = ("--set", f"operator.kernel_size={text}")
    assert found("--seed", text, *setting) == (value, value)
    assert found("--config", file(f"seed: {text}\nset: {{operator: {{kernel_size: {text}}}}}\n")) == (value, value)
    monkeypatch.setenv("IPT_SEED", text)
    assert found(*setting) == (value, value)


@pytest.mark.parametrize("text", ["1.5e-1", ".15", "0.15", "15e-2", "1.5E-1"])
def test_numbers_are_numbers_everywhere(given, file, text):
    assert given("solve", "--noise", text).noise == 0.15
    assert given("solve", "--config", file(f"noise: {text}\nset: {{a.b: {text}}}\n")).noise == 0.15
    assert given("solve", "--config", file(f"set: {{a.b: {text}}}\n")).set == {"a.b": 0.15}


@pytest.mark.parametrize(
    "text",
    [
        "operator: 3",
        "operator: ''",
        "prior: 5",
        "prior: {kernel: null}",
        "known: {kernel: ''}",
        "set: 3",
        "seed: true",
        "seed: -1",
        "seed: 1e3",
        "seed: 0x10",
        "noise: true",
        "noise: .inf",
        "precision: fp64",
        "frames: perhaps",
        "batch: 0",
        "shard: 5/4",
        "nose: .1",
        "out: here",
        "force: true",
    ],
)
def test_values_of_the_wrong_kind_are_refused_with_their_origin(given, file, text):
    message = given("solve", "--config", file(f"{text}\n"))
    assert f"config ({file(text)})" in message and len(message[message.index("Error:") :].splitlines()) == 1


def test_an_empty_file_gives_nothing(given, file):
    assert given("solve", "--config", file("")) == SolveOptions()


@pytest.mark.parametrize(
    ("command", "kinds"), [("solve", (SolveOptions, ExecutionOptions)), ("simulate", (SimulateOptions,))]
)
def test_an_option_has_one_type_from_its_reader_to_its_field(command, kinds):
    found = cli.get_command(click.Context(cli), command)
    assert found is not None and found.callback is not None
    arguments = get_type_hints(found.callback)
    fields = {name: kind for each in kinds for name, kind in get_type_hints(each).items()}
    readers = {param.name: param.type.func for param in found.params if isinstance(param.type, FuncParamType)}
    assert {"noise", "seed", "set", "border"} <= set(readers) <= set(fields)
    for name, reader in readers.items():
        # None where nothing is given, which is no business of the reader's, or where a word stands for it.
        types = [without_none(kind) for kind in (get_type_hints(reader)["return"], arguments[name], fields[name])]
        # What may be given several times is read one by one.
        if name == "input" and command == "solve":
            types[0] = tuple[types[0], ...]
        assert types[0] == types[1] == types[2], name


def without_none(kind: Any) -> Any:
    """What a type is besides None; mappings as dictionaries."""
    rest = kind
    if type(None) in get_args(kind):
        rest = reduce(or_, [each for each in get_args(kind) if each is not type(None)])
    return dict[get_args(rest)] if get_origin(rest) in (dict, Mapping) else rest
