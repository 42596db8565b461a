"""Plugins as they are found: good ones, a zoo of broken ones, and the environment's say."""

from __future__ import annotations

import inspect
import textwrap
from pathlib import Path

import pytest

from ipt import __version__
from ipt.core.errors import IptError
from ipt.plugins import hookspecs
from ipt.plugins.component import KINDS, Component
from ipt.plugins.discovery import OWN_DISTRIBUTION, discover
from ipt.plugins.registry import Plugin

ZOO = Path(__file__).parent / "zoo"
BROKEN = {
    "import_error": "ModuleNotFoundError: No module named 'nowhere_to_be_found'",
    "syntax_error": "SyntaxError",
    "exits": "SystemExit: 3",
    "wrong_signature": "hooks take no arguments",
    "unknown_hook": "no hook ipt_operator; did you mean 'ipt_operators'?",
    "raises": "ipt_priors raised RuntimeError: the moon is wrong",
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
STILL_WORKING = {"unknown_hook", "raises", "raises_midway", "yields_text", "malformed_factory", "bad_name"}


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
    assert survivors == (["healthy"] if animal in STILL_WORKING else [])


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


@pytest.mark.parametrize("hook", KINDS.values())
def test_every_hook_is_documented_with_an_example_that_works(hook, install):
    doc = inspect.getdoc(getattr(hookspecs, hook))
    summary, _, example = doc.partition("\n\n")
    assert summary.endswith(".")
    install("my-package", textwrap.dedent(example))
    registry = discover()
    kinds = {kind for kind, name in KINDS.items() if name == hook}
    added = [entry for entry in registry.entries if entry.owner == "my-package"]
    assert {entry.kind for entry in added} == kinds and len(added) == 1
    assert registry.find(added[0].kind, added[0].name) == added[0]
    assert [plugin.status for plugin in third_party()] == ["loaded"]


def test_hooks_and_kinds_are_the_same_set():
    assert {name for name in vars(hookspecs) if name.startswith("ipt_")} == set(KINDS.values())


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


@pytest.mark.parametrize("name", ["faces", "mine"])
def test_a_name_with_two_owners_is_nobodys(name, install):
    install("one-owner", EXAMPLE.replace("{name}", name))
    others = [OWN_DISTRIBUTION]
    if name == "mine":
        install("two-owner", EXAMPLE.replace("{name}", name))
        others = ["two-owner"]
    registry = discover()
    assert {entry.owner for entry in registry.of_kind("prior") if entry.name == name} == {"one-owner", *others}
    assert all(plugin.status == "loaded" for plugin in registry.plugins)
    with pytest.raises(IptError, match="prior '.*' is offered by .* and ") as caught:
        registry.find("prior", name)
    assert all(owner in str(caught.value) for owner in ["one-owner", *others])
    assert registry.find("prior", "box").owner == OWN_DISTRIBUTION


def test_the_same_name_of_another_kind_is_no_conflict():
    registry = discover()
    assert registry.find("prior", "gaussian").kind == "prior"
    assert registry.find("generator", "gaussian").kind == "generator"


def test_an_unknown_name_gets_a_suggestion_and_the_list():
    with pytest.raises(IptError, match="no guidance is called 'proximel'; did you mean 'proximal'.*known: .*dps"):
        discover().find("guidance", "proximel")
    with pytest.raises(IptError, match="no kind of component called 'priors'; did you mean 'prior'"):
        discover().find("priors", "box")


def test_an_unknown_name_points_at_a_broken_plugin(install):
    install("zoo-raises", source_of("raises"))
    with pytest.raises(IptError, match="zoo-raises. `ipt plugins` says why"):
        discover().find("prior", "of-the-moon")


def test_every_own_factory_can_be_imported():
    for entry in discover().entries:
        assert callable(entry.load()), entry


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        ("nowhere.at.all:Thing", "ModuleNotFoundError"),
        ("json:nothing", "AttributeError"),
        ("json:decoder", "is not callable"),
    ],
)
def test_a_factory_that_cannot_be_imported_names_its_owner(factory, said, install):
    install("late", EXAMPLE.replace('"{name}", dict', f'"late", "{factory}"'))
    assert [plugin.status for plugin in third_party()] == ["loaded"]
    with pytest.raises(IptError, match=said) as caught:
        discover().find("prior", "late").load()
    assert "late" in str(caught.value) and factory in str(caught.value)


def test_a_callable_factory_has_a_name():
    from ipt.plugins.registry import Entry

    assert Entry("prior", Component("x", dict, "a dictionary"), "me").factory_name == "builtins:dict"
