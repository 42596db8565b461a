"""`ipt list`, `ipt show` and `ipt plugins`, and the frame they run in."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import ipt
from ipt.cli.main import COMMANDS, cli
from ipt.plugins import builtins
from ipt.plugins.component import KINDS
from ipt.plugins.discovery import discover

HEAVY = ("torch", "numpy", "scipy", "skimage", "PIL", "huggingface_hub", "safetensors", "docstring_parser")
SUMMARY_KEYS = {"kind", "name", "summary", "owner", "factory", "citation", "conflict"}

PLUGIN = """
import ipt

@ipt.hookimpl
def ipt_priors():
    yield ipt.Component("clouds", "clouds_prior:make", "skies", "Luke Howard, On the Modifications of Clouds, 1803")
    yield ipt.Component("box", "clouds_prior:make", "the same name as a built-in")

def make(size: int, colour="grey", **more):
    \"\"\"A cloud.

    Args:
        size: of the cloud [m].

    Raises:
        ValueError: it rains.

    References:
        Luke Howard.
    \"\"\"
"""


def run(*arguments: str):
    return CliRunner().invoke(cli, arguments)


def process(*arguments: str) -> subprocess.CompletedProcess:
    """The command in a Python of its own, which then says on its last line of stderr what heavy modules it loaded."""
    code = (
        "import sys, atexit\n"
        f"atexit.register(lambda: print([m for m in {HEAVY} if m in sys.modules], file=sys.stderr))\n"
        "from ipt.cli.main import main\n"
        "main()\n"
    )
    paths = [str(Path(ipt.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environment, timeout=60
    )


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """What the command shows on a terminal of 80 columns."""
    pty = pytest.importorskip("pty")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm-256color")
    ours, theirs = pty.openpty()
    subprocess.run([sys.executable, "-m", "ipt", *arguments], stdout=theirs, stderr=theirs, timeout=60)
    os.close(theirs)
    shown = b""
    # Linux ends the reading of a closed terminal with an error rather than with nothing.
    with contextlib.suppress(OSError):
        while part := os.read(ours, 65536):
            shown += part
    os.close(ours)
    return shown.decode()


@pytest.mark.parametrize("arguments", ["--help", "--version", "list", "list --json", "plugins", "nonsense"])
def test_discovery_is_quick_and_imports_nothing_heavy(arguments):
    start = time.monotonic()
    done = process(*arguments.split())
    assert time.monotonic() - start < 10
    assert done.stderr.splitlines()[-1] == "[]"
    assert done.returncode == (2 if arguments == "nonsense" else 0)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_imports_nothing_heavy(name):
    done = process(name, "--help")
    assert done.returncode == 0 and done.stdout.startswith(f"Usage: ipt {name}")
    assert done.stderr.splitlines()[-1] == "[]"


def test_import_ipt_is_light_and_its_public_names_are_there():
    code = f"import sys, ipt; ipt.hookimpl, ipt.Component, ipt.build; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert all(getattr(ipt, name) is not None for name in ipt.__all__)
    assert set(ipt.__all__) <= set(dir(ipt))
    with pytest.raises(AttributeError, match="no attribute 'biuld'"):
        _ = ipt.biuld


def test_python_m_ipt_is_the_command():
    done = subprocess.run([sys.executable, "-m", "ipt", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"ipt {ipt.__version__}\n"


def test_help_names_every_command():
    text = run("--help").stdout
    for name, (_, summary) in COMMANDS.items():
        assert name in text and summary.split(",")[0] in text
    assert run("-h").stdout == text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_be_imported_and_explains_itself(name):
    command = cli.get_command(click.Context(cli), name)
    assert isinstance(command, click.Command) and command.name == name and command.help
    assert run(name, "--help").exit_code == 0


def test_list_shows_every_component():
    result = run("list")
    assert result.exit_code == 0 and result.stderr == ""
    rows = [line.split()[:2] for line in result.stdout.splitlines()[1:]]
    expected = [[entry.kind, entry.name] for entry in discover().entries]
    assert sorted(rows) == sorted(expected) and [kind for kind, _ in rows] == sorted(
        (kind for kind, _ in rows), key=list(KINDS).index
    )


@pytest.mark.parametrize("kind", [*KINDS, "priors", "operators", "generators"])
def test_list_of_one_kind(kind):
    entries = json.loads(run("list", kind, "--json").stdout)
    assert {entry["kind"] for entry in entries} == {kind.removesuffix("s")}
    assert all(set(entry) == SUMMARY_KEYS and entry["conflict"] == [] for entry in entries)
    assert len(entries) == len(discover().of_kind(kind.removesuffix("s")))


def test_list_marks_a_conflict(install):
    install("clouds-prior", PLUGIN)
    assert "[cannot be used: offered by inverse-problem-toolkit and clouds-prior]" in run("list", "prior").stdout
    marked = [entry for entry in json.loads(run("list", "--json").stdout) if entry["conflict"]]
    assert [(entry["name"], entry["owner"]) for entry in marked] == [("box", "clouds-prior")]
    # A name of ipt's own stays ipt's.
    assert "from inverse-problem-toolkit" in run("show", "prior", "box").stdout


def test_list_hints_at_broken_plugins_on_standard_error(install):
    install("rotten", "raise RuntimeError('rotten')")
    result = run("list", "--json")
    assert result.exit_code == 0 and json.loads(result.stdout)
    assert result.stderr == "Broken: rotten. `ipt plugins` says why.\n"


def test_plugins_in_json(install):
    install("rotten", "raise RuntimeError('to the core')", version="0.3")
    install("clouds-prior", PLUGIN)
    plugins = {plugin["distribution"]: plugin for plugin in json.loads(run("plugins", "--json").stdout)}
    assert plugins["inverse-problem-toolkit"]["status"] == "loaded"
    assert plugins["clouds-prior"].pop("seconds") < 10
    assert plugins["clouds-prior"] == {
        "name": "clouds-prior",
        "distribution": "clouds-prior",
        "version": "1.2",
        "status": "broken",
        "reason": "prior 'box' is offered by inverse-problem-toolkit too, whose it stays",
    }
    assert plugins["rotten"]["status"] == "broken" and plugins["rotten"]["version"] == "0.3"
    assert plugins["rotten"]["reason"] == "rotten cannot be loaded: RuntimeError: to the core"
    assert "RuntimeError: to the core" in run("plugins").stdout


def test_show_a_third_party_component(install):
    install("clouds-prior", PLUGIN)
    shown = json.loads(run("show", "prior", "clouds", "--json").stdout)
    assert set(shown) == SUMMARY_KEYS | {"options", "open", "card", "description", "raises", "references"}
    assert shown["owner"] == "clouds-prior" and shown["factory"] == "clouds_prior:make" and shown["open"]
    assert shown["options"] == [
        {"name": "size", "type": "int", "default": None, "required": True, "help": "of the cloud [m]."},
        {"name": "colour", "type": "", "default": "grey", "required": False, "help": ""},
    ]
    assert (shown["description"], shown["raises"]) == ("A cloud.", {"ValueError": "it rains."})
    text = run("show", "priors", "clouds").stdout
    for part in (
        "after Luke Howard.",
        "\nA cloud.\n",
        "ValueError: it rains.",
        "prior clouds: skies",
        "clouds-prior",
        "Luke Howard",
        "--set prior.",
        "(required)",
        "the cloud [m].",
    ):
        assert part in text


def test_show_a_model_card(install):
    folder = install("clouds-prior", PLUGIN)
    card = folder / "weights" / "clouds" / "card.md"
    card.parent.mkdir(parents=True)
    card.write_text("# Clouds\n\nTrained on [skies].\n", encoding="utf-8")
    assert json.loads(run("show", "prior", "clouds", "--json").stdout)["card"] == card.read_text()
    assert "Trained on [skies]." in run("show", "prior", "clouds").stdout
    card.write_text("12<!-- clouds.seen -->\nskies\n\n<!-- table clouds -->\n\n| a |\n", encoding="utf-8")
    assert json.loads(run("show", "prior", "clouds", "--json").stdout)["card"] == "12\nskies\n\n| a |\n"


BUILT_IN = [(kind, component.name) for kind, hook in KINDS.items() for component in getattr(builtins, hook)()]


@pytest.mark.parametrize(("kind", "name"), BUILT_IN)
def test_every_built_in_can_be_shown(kind, name):
    shown = json.loads(run("show", kind, name, "--json").stdout)
    # What deepinv's own classes take is theirs to say.
    assert shown["name"] == name and shown["open"] == (name == "deepinv")
    text = run("show", kind, name).stdout
    assert all(option["name"] in text for option in shown["options"])
    assert not [option["name"] for option in shown["options"] if not option["help"]]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["show", "prior", "krnel"], 2, "Error: no prior is called 'krnel'; did you mean 'kernel'? known: "),
        (["list", "prio"], 2, "did you mean 'prior'?"),
        (["show", "prior"], 2, "Missing argument 'NAME'"),
        (["lst"], 2, "there is no command 'lst'; did you mean 'list'? commands: solve"),
        (["--nonsense"], 2, "No such option"),
        (["list", "--jsno"], 2, "No such option"),
    ],
)
def test_mistakes_have_a_message_and_a_code(arguments, code, said):
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (code, "") and said in result.stderr


def test_a_pipe_gets_whole_lines_without_colour():
    done = process("list")
    assert "\x1b" not in done.stdout and max(map(len, done.stdout.splitlines())) > 80
    assert not any(line.endswith(" ") for line in done.stdout.splitlines())


def test_a_terminal_gets_lines_that_fit(monkeypatch):
    shown = on_a_terminal(monkeypatch, "list")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert plain != shown and max(map(len, plain.splitlines())) <= 80
    assert all(name in plain for _, name in BUILT_IN)


@pytest.mark.parametrize(("value", "coloured"), [("", True), ("1", False)])
def test_no_color_is_honoured(value, coloured, monkeypatch):
    monkeypatch.setenv("NO_COLOR", value)
    shown = on_a_terminal(monkeypatch, "show", "prior", "krnel")
    assert "Error: " in re.sub(r"\x1b\[[0-9;]*m", "", shown)
    # 30 to 37 and 90 to 97 are colours; bold is none.
    assert bool(re.search(r"\x1b\[(?:\d+;)*[39][0-7]", shown)) is coloured
