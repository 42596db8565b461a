"""Plugins as they are found: good ones, a zoo of broken ones, and the environment's say."""

from __future__ import annotations

import contextlib
import inspect
import re
import textwrap
import unittest
from pathlib import Path

import click
import pytest

import ipt.testing
from ipt import __version__
from ipt.plugins import discovery, hookspecs
from ipt.plugins.building import build_component
from ipt.plugins.component import HOOKS, KINDS
from ipt.plugins.discovery import OWN_DISTRIBUTION, discover
from ipt.plugins.registry import Plugin

ZOO = Path(__file__).parent / "zoo"
PAGE = Path(__file__).parents[2] / "docs" / "hooks.md"
BROKEN = {
    "import_error": "ModuleNotFoundError: No module named 'nowhere_to_be_found'",
    "syntax_error": "SyntaxError",
    "exits": "SystemExit: 3",
    "wrong_signature": "the signature of ipt_priors is wrong: hooks take no arguments, this one takes (",
    "unknown_hook": "no hook ipt_operator; did you mean 'ipt_operators'?",
    "future": "written for version 99 of the hooks, and this ipt",
    "bad_version": "its IPT_HOOKS is '1', not a whole number",
    "name_taken": "prior 'box' is offered by inverse-problem-toolkit too",
    "raises": "ipt_priors raised RuntimeError: the moon is wrong (",
    "raises_midway": "ipt_priors raised KeyError: 'second'",
    "returns_none": "ipt_priors returned None",
    "returns_one": "ipt_priors returned one Component, not a list",
    "returns_text": "ipt_priors returned a str",
    "yields_text": "ipt_priors yielded a str, not an ipt.Component",
    "malformed_factory": "prior 'crooked' has the factory 'no colon here', which is not 'module:attribute'",
    "factory_number": "neither 'module:attribute' nor callable, but a int",
    "bad_name": "a prior is called 'Two Words'",
    "bad_summary": "prior 'mute' has a summary or citation that is not text",
    "unmarked": "ipt_priors is not marked with @ipt.hookimpl",
    "empty": "it implements no hook of ipt",
}
STILL_WORKING = {
    "wrong_signature",
    "unknown_hook",
    "future",
    "bad_version",
    "name_taken",
    "raises",
    "raises_midway",
    "yields_text",
    "malformed_factory",
    "bad_name",
}


def third_party() -> list[Plugin]:
    return [plugin for plugin in discover().plugins if plugin.distribution != OWN_DISTRIBUTION]


def source_of(animal: str) -> str:
    # A file that cannot be parsed would stop the linter, so this one animal lives here.
    return "def broken(:\n" if animal == "syntax_error" else (ZOO / f"{animal}.py").read_text()


def test_every_animal_of_the_zoo_is_looked_at():
    assert {path.stem for path in ZOO.glob("*.py")} | {"syntax_error"} == set(BROKEN)


@pytest.mark.parametrize("animal", BROKEN)
def test_a_broken_plugin_is_listed_with_its_reason_and_breaks_nothing(animal, install):
    alone = discover()
    install(f"zoo-{animal}", source_of(animal))
    registry = discover()
    (plugin,) = third_party()
    assert (plugin.distribution, plugin.version, plugin.status) == (f"zoo-{animal}", "1.2", "broken")
    assert BROKEN[animal] in plugin.reason and "\n" not in plugin.reason
    own = [entry for entry in registry.entries if entry.owner == OWN_DISTRIBUTION]
    assert own == list(alone.entries)
    assert registry.find("operator", "blur").name == "blur"
    survivors = [entry.name for entry in registry.entries if entry.owner == f"zoo-{animal}"]
    assert ("healthy" in survivors) == (animal in STILL_WORKING)


def test_all_broken_plugins_at_once(install):
    for animal in BROKEN:
        install(f"zoo-{animal}", source_of(animal))
    assert {plugin.distribution: plugin.status for plugin in third_party()} == {f"zoo-{a}": "broken" for a in BROKEN}


@pytest.mark.parametrize("entry", ["module with spaces", "zoo_entry:missing", "nowhere.at.all"])
def test_a_broken_entry_point_names_its_owner(entry, install):
    install("zoo-entry", "", entry=entry)
    (plugin,) = third_party()
    assert (plugin.distribution, plugin.status) == ("zoo-entry", "broken")
    assert entry in plugin.reason


def test_unreadable_metadata_still_gives_a_name(install):
    folder = install("zoo-bare", "")
    (folder / "zoo_bare-1.2.dist-info" / "METADATA").unlink()
    (plugin,) = third_party()
    assert plugin.name == "zoo-bare" and plugin.status == "broken"


def test_what_a_plugin_prints_is_not_data(install, capsys):
    install("chatty", "print('hello')\n" + EXAMPLE.replace("{name}", "quiet"))
    assert [plugin.status for plugin in third_party()] == ["loaded"]
    captured = capsys.readouterr()
    assert captured.out == "" and "hello" in captured.err


EXAMPLE = """
import ipt

@ipt.hookimpl
def ipt_priors():
    return [ipt.Component("{name}", dict, "of a test")]
"""


def test_the_own_components_are_a_plugin_too():
    assert discover().plugins == (Plugin("builtins", OWN_DISTRIBUTION, __version__, "loaded"),)


def example_of(hook):
    """The summary and the example in a hook's specification."""
    summary, _, example = inspect.getdoc(getattr(hookspecs, hook)).partition("\n\n")
    return summary, textwrap.dedent(example)


@pytest.mark.parametrize(("kind", "hook"), HOOKS.items())
def test_every_hook_is_specified_with_an_example_that_works(kind, hook, install):
    summary, example = example_of(hook)
    assert summary.endswith(".") and "\n" not in summary
    install("my-package", example)
    registry = discover()
    (entry,) = [entry for entry in registry.entries if entry.owner == "my-package"]
    assert entry.kind == kind and registry.find(kind, entry.name) == entry
    assert [plugin.status for plugin in third_party()] == ["loaded"]
    if kind in KINDS:
        for check in getattr(ipt.testing, f"{kind}_checks")(build_component(kind, entry.name)):
            with contextlib.suppress(unittest.SkipTest):
                check()
    else:
        assert isinstance(entry.load(), click.Command)


@pytest.mark.parametrize("hook", HOOKS.values())
def test_the_page_shows_the_example_of_the_specification(hook):
    below = PAGE.read_text(encoding="utf-8").partition(f"\n## `{hook}`\n")[2]
    section = below.partition("\n## ")[0]
    (shown,) = re.findall(r"^```python\n(.*?)\n```$", section, re.MULTILINE | re.DOTALL)
    assert shown == example_of(hook)[1]


def test_hooks_and_kinds_are_the_same_set():
    assert {name for name in vars(hookspecs) if name.startswith("ipt_")} == set(HOOKS.values())
    assert not set(hookspecs.REMOVED) & set(HOOKS.values())


def test_a_plugin_for_later_hooks_gets_one_message(install):
    install("zoo-future", source_of("future"))
    (plugin,) = third_party()
    version = f"version 99 of the hooks, and this ipt {__version__} has version {hookspecs.VERSION}"
    assert plugin.reason.count("version 99") == 1 and version in plugin.reason
    assert "without ipt_schedules; update inverse-problem-toolkit" in plugin.reason
    assert "no hook" not in plugin.reason


def test_a_plugin_for_these_hooks_may_say_so(install):
    install("current", f"IPT_HOOKS = {hookspecs.VERSION}\n" + EXAMPLE.replace("{name}", "fine"))
    assert [(plugin.status, plugin.reason) for plugin in third_party()] == [("loaded", "")]


def test_a_removed_hook_is_met_with_what_to_do_instead(install, monkeypatch):
    monkeypatch.setattr(hookspecs, "REMOVED", {"ipt_operator": "rename it to ipt_operators"})
    install("zoo-old", source_of("unknown_hook"))
    (plugin,) = third_party()
    assert plugin.reason == "ipt_operator is no longer a hook of ipt: rename it to ipt_operators"
    assert discover().has("generator", "healthy")


def test_an_optional_hook_may_be_one_that_there_is_not(install):
    source = EXAMPLE.replace("{name}", "fine") + "\n@ipt.hookimpl(optionalhook=True)\ndef ipt_schedules(): pass\n"
    install("careful", source)
    assert [(plugin.status, plugin.reason) for plugin in third_party()] == [("loaded", "")]


def test_a_hook_may_have_another_name(install):
    source = EXAMPLE.replace("hookimpl", "hookimpl(specname='ipt_generators')").replace("ipt_priors", "offers")
    install("renamed", source.replace("{name}", "fine"))
    assert discover().has("generator", "fine") and [plugin.status for plugin in third_party()] == ["loaded"]


def test_a_slow_plugin_is_named_and_works(install, monkeypatch):
    monkeypatch.setattr(discovery, "SLOW", 0.05)
    install("sluggish", "import time\ntime.sleep(0.06)\n" + EXAMPLE.replace("{name}", "late"))
    (plugin,) = third_party()
    assert plugin.status == "loaded" and plugin.seconds >= 0.06
    assert plugin.reason.startswith("slow: 0.1 s to load; name factories as 'module:attribute'")
    assert discover().has("prior", "late")


@pytest.mark.parametrize(
    ("selection", "statuses"),
    [
        (None, {"first-one": "loaded", "second-one": "loaded"}),
        ("", {"first-one": "off", "second-one": "off"}),
        (" , ", {"first-one": "off", "second-one": "off"}),
        ("first-one", {"first-one": "loaded", "second-one": "off"}),
        (" First_One , second.one", {"first-one": "loaded", "second-one": "loaded"}),
        ("inverse-problem-toolkit", {"first-one": "off", "second-one": "off"}),
        ("first-one,third", {"first-one": "loaded", "second-one": "off", "third": "missing"}),
    ],
)
def test_the_environment_chooses(selection, statuses, install, monkeypatch):
    install("first-one", EXAMPLE.replace("{name}", "one"))
    install("second-one", EXAMPLE.replace("{name}", "two"))
    if selection is not None:
        monkeypatch.setenv("IPT_PLUGINS", selection)
    assert {plugin.distribution: plugin.status for plugin in third_party()} == statuses
    names = {entry.owner for entry in discover().entries} - {OWN_DISTRIBUTION}
    assert names == {name for name, status in statuses.items() if status == "loaded"}


def test_what_is_off_is_not_imported(install, monkeypatch):
    install("bomb", "raise RuntimeError('imported')")
    monkeypatch.setenv("IPT_PLUGINS", "other")
    assert {plugin.distribution: plugin.status for plugin in third_party()} == {"bomb": "off", "other": "missing"}
