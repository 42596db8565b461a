"""Commands that plugins add to `ipt`, through the real command, and plugins that are broken, as it meets them."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from ipt.cli.main import COMMANDS, cli
from ipt.images import files
from ipt.plugins import hookspecs

ZOO = Path(__file__).parents[1] / "plugins" / "zoo"

PLUGIN = """
import click
import ipt

@click.command()
@click.option("--times", default=1, help="How often.")
def greet(times):
    "Say hello."
    click.echo(" ".join(["hello"] * times))
    return 3 if times > 2 else 0

@click.group()
def party():
    "Commands of its own."

party.add_command(greet)

@click.command()
def broken():
    raise KeyError("cake")

@click.command()
def refused():
    from ipt.core.errors import IptError
    raise IptError("no cake\\nbake one")

def plain():
    pass

@ipt.hookimpl
def ipt_commands():
    for name in ("greet", "party", "broken", "refused", "plain"):
        yield ipt.Component(name, f"party_plugin:{name}", f"summary of {name}")
    yield ipt.Component("absent", "party_plugin:absent", "summary of absent")
"""


SLOW = """
import time
import ipt

time.sleep(1.05)

@ipt.hookimpl
def ipt_priors():
    yield ipt.Component("patient", dict, "worth the wait")
"""


def process(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "ipt", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )


def run(*arguments: str):
    return CliRunner().invoke(cli, arguments)


def offering(name: str) -> str:
    """A plugin that offers a command of that name."""
    return f"import ipt\n\n@ipt.hookimpl\ndef ipt_commands():\n    yield ipt.Component({name!r}, 'a:b', 'other')\n"


def test_a_command_of_a_plugin_is_in_the_help_and_runs(install):
    install("party-plugin", PLUGIN)
    shown = process("--help")
    assert "Commands of plugins:\n  greet    summary of greet\n" in shown.stdout and shown.stderr == ""
    assert all(f"  {name} " in shown.stdout for name in COMMANDS)
    assert "Usage: ipt greet [OPTIONS]" in process("greet", "--help").stdout
    done = process("greet", "--times", "3")
    assert (done.stdout, done.returncode) == ("hello hello hello\n", 3)
    assert process("party", "greet").stdout == "hello\n"


def test_the_overview_without_plugins_has_no_such_section():
    assert "Commands of plugins" not in run("--help").stdout


def test_a_command_that_is_off_is_not_there(install, monkeypatch):
    install("party-plugin", PLUGIN)
    monkeypatch.setenv("IPT_PLUGINS", "")
    assert "greet" not in run("--help").stdout
    refused = run("greet")
    assert refused.exit_code == 2 and "there is no command 'greet'" in refused.stderr


def test_an_unknown_command_is_met_with_those_of_plugins_and_the_broken(install):
    install("party-plugin", PLUGIN)
    install("rotten", "raise RuntimeError('rotten')")
    refused = run("gret")
    assert refused.exit_code == 2 and "did you mean 'greet'? commands: solve" in refused.stderr
    assert "Broken, so perhaps it is theirs: rotten." in refused.stderr


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("broken", "Error: command 'broken' of party-plugin failed: KeyError: 'cake'\nSet IPT_TRACEBACK=1"),
        ("refused", "Error: no cake\nbake one\n"),
        ("plain", "command 'plain' of party-plugin is not a click command: party_plugin:plain is a function"),
        ("absent", "command 'absent' of party-plugin cannot be imported from party_plugin:absent: AttributeError"),
    ],
)
def test_a_broken_command_says_whose_it_is(name, said, install):
    install("party-plugin", PLUGIN)
    done = run(name)
    assert (done.exit_code, done.stdout) == (1, "") and said in done.stderr
    assert run("list").exit_code == 0


def test_a_usage_error_in_a_plugins_command_is_one(install):
    install("party-plugin", PLUGIN)
    done = run("greet", "--tines", "3")
    assert done.exit_code == 2 and "--times" in done.stderr


def test_a_command_of_ipt_cannot_be_taken(install):
    install("thief", offering("list"))
    assert run("list", "operator").stdout.startswith("kind ")
    assert "other" not in run("--help").stdout
    (plugin,) = [one for one in json.loads(run("plugins", "--json").stdout) if one["name"] == "thief"]
    assert plugin["status"] == "broken"
    assert plugin["reason"] == "command 'list' is offered by inverse-problem-toolkit too, whose it stays"


def test_a_command_with_two_owners_is_nobodys(install):
    install("party-plugin", PLUGIN)
    install("rival", offering("greet"))
    done = run("greet")
    assert done.exit_code == 1 and "command 'greet' is offered by party-plugin and rival" in done.stderr
    assert "[cannot be used: offered by party-plugin and rival]" in " ".join(run("--help").stdout.split())
    reasons = {one["name"]: one["reason"] for one in json.loads(run("plugins", "--json").stdout)}
    assert reasons["party-plugin"] == "command 'greet' is offered by rival too"
    assert reasons["rival"] == "command 'greet' is offered by party-plugin too"
    assert run("party", "greet").stdout == "hello\n"


def test_the_command_of_the_specification_prints_the_size_of_a_picture(install, tmp_path):
    install("sizes", textwrap.dedent(inspect.getdoc(hookspecs.ipt_commands).partition("\n\n")[2]))
    files.write(tmp_path / "a.png", torch.rand(3, 8, 12))
    done = run("size", str(tmp_path / "a.png"))
    assert (done.stdout, done.stderr) == ("12 x 8 px\n", "")


# Broken plugins, as the real command meets them


@pytest.mark.parametrize(
    ("animal", "reason"),
    [
        ("import_error", "No module named 'nowhere_to_be_found'"),
        ("wrong_signature", "the signature of ipt_priors is wrong"),
        ("unknown_hook", "ipt has no hook ipt_operator"),
        ("future", "written for version 99 of the hooks"),
        ("raises", "ipt_priors raised RuntimeError: the moon is wrong"),
        ("yields_text", "ipt_priors yielded a str, not an ipt.Component"),
        ("name_taken", "prior 'box' is offered by inverse-problem-toolkit too"),
        ("exits", "SystemExit: 3"),
    ],
)
def test_a_broken_plugin_is_named_and_ipt_works(animal, reason, install):
    install(f"zoo-{animal}", (ZOO / f"{animal}.py").read_text())
    done = process("plugins")
    (row,) = [line for line in done.stdout.splitlines() if line.startswith(f"zoo-{animal} ")]
    assert done.returncode == 0 and done.stderr == ""
    assert row.split()[2] == "broken" and reason in row
    listed = process("list")
    assert listed.returncode == 0 and "operator   blur " in listed.stdout
    assert listed.stderr == f"Broken: zoo-{animal}. `ipt plugins` says why.\n"


def test_a_very_slow_plugin_is_named_and_works(install):
    install("zoo-slow", SLOW)
    start = time.monotonic()
    (row,) = [line for line in process("plugins").stdout.splitlines() if line.startswith("zoo-slow ")]
    assert time.monotonic() - start > 1
    _, _, status, seconds, reason = row.split(maxsplit=4)
    assert status == "loaded" and float(seconds) > 1 and reason.startswith("slow: 1.")
    assert json.loads(process("list", "prior", "--json").stdout)[-1]["name"] == "patient"


@pytest.mark.parametrize(
    ("selection", "named"),
    [("", []), ("zoo-one", ["one"]), ("zoo-one,zoo-two", ["one", "two"]), (None, ["one", "three", "two"])],
)
def test_the_environment_chooses_what_is_loaded(selection, named, install):
    source = "import ipt\n\n@ipt.hookimpl\ndef ipt_generators():\n    yield ipt.Component('{}', dict, 'x')\n"
    for name in ("one", "two", "three"):
        install(f"zoo-{name}", source.format(name))
    chosen = {} if selection is None else {"IPT_PLUGINS": selection}
    listed = json.loads(process("list", "generator", "--json", **chosen).stdout)
    assert [entry["name"] for entry in listed if entry["owner"].startswith("zoo-")] == named
