"""Components by kind and name, and who offers them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ipt.core.errors import IptError
from ipt.plugins.component import Component
from ipt.plugins.discovery import OWN_DISTRIBUTION, discover
from ipt.plugins.registry import Entry

ZOO = Path(__file__).parent / "zoo"
EXAMPLE = """
import ipt

@ipt.hookimpl
def ipt_priors():
    return [ipt.Component("{name}", dict, "of a test")]
"""


def test_a_name_with_two_owners_is_nobodys(install):
    install("one-owner", EXAMPLE.replace("{name}", "mine"))
    install("two-owner", EXAMPLE.replace("{name}", "mine"))
    registry = discover()
    owners = {entry.owner for entry in registry.of_kind("prior") if entry.name == "mine"}
    assert owners == {"one-owner", "two-owner"}
    faulty = {plugin.distribution: plugin.reason for plugin in registry.plugins if plugin.status == "broken"}
    assert faulty.keys() == owners and faulty["one-owner"] == "prior 'mine' is offered by two-owner too"
    with pytest.raises(IptError, match="prior 'mine' is offered by one-owner and two-owner"):
        registry.find("prior", "mine")
    assert registry.find("prior", "box").owner == OWN_DISTRIBUTION


def test_a_name_of_ipt_itself_stays_its_own(install):
    install("usurper", EXAMPLE.replace("{name}", "faces"))
    registry = discover()
    assert registry.find("prior", "faces").owner == OWN_DISTRIBUTION
    faulty = {plugin.distribution: plugin.reason for plugin in registry.plugins if plugin.status == "broken"}
    assert faulty == {"usurper": f"prior 'faces' is offered by {OWN_DISTRIBUTION} too, whose it stays"}
    notes = {entry.owner: registry.conflict(entry) for entry in registry.of_kind("prior") if entry.name == "faces"}
    assert notes.pop(OWN_DISTRIBUTION) == "" and "cannot be used" in notes.pop("usurper") and not notes


def test_a_name_that_is_not_there_may_be_of_a_plugin_that_is_left_out(install, monkeypatch):
    install("zoo-off", EXAMPLE.replace("{name}", "mine"))
    monkeypatch.setenv("IPT_PLUGINS", "zoo-of")
    with pytest.raises(IptError, match="no prior is called 'mine'") as caught:
        discover().find("prior", "mine")
    assert "Left out by IPT_PLUGINS, so perhaps it is theirs: zoo-off." in str(caught.value)
    assert "Named in IPT_PLUGINS, but not installed: zoo-of." in str(caught.value)


def test_the_same_name_of_another_kind_is_no_conflict():
    registry = discover()
    assert registry.find("prior", "gaussian").kind == "prior"
    assert registry.find("generator", "gaussian").kind == "generator"


def test_an_unknown_name_gets_a_suggestion_and_the_list():
    with pytest.raises(IptError, match=r"no guidance is called 'proximel'; did you mean 'proximal'.*known: .*dps"):
        discover().find("guidance", "proximel")
    with pytest.raises(IptError, match="no kind of component called 'priors'; did you mean 'prior'"):
        discover().find("priors", "box")


def test_an_unknown_name_points_at_a_broken_plugin(install):
    install("zoo-raises", (ZOO / "raises.py").read_text())
    with pytest.raises(IptError, match=r"zoo-raises. `ipt plugins` says why"):
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
    assert {plugin.status for plugin in discover().plugins} == {"loaded"}
    with pytest.raises(IptError, match=said) as caught:
        discover().find("prior", "late").load()
    assert "late" in str(caught.value) and factory in str(caught.value)
    # Its author may be the one who reads it.
    assert said == "is not callable" or "Correct it, where it is yours; else update late" in str(caught.value)


def test_a_callable_factory_has_a_name():
    assert Entry("prior", Component("x", dict, "a dictionary"), "me").factory_name == "builtins:dict"
