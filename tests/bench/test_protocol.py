from __future__ import annotations

import copy
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from ipt.bench.protocol import BASELINES, ComponentSpec, built_in, load, parsed
from ipt.core.errors import IptError
from ipt.plugins.building import build_component
from ipt.plugins.discovery import discover
from ipt.plugins.scalars import dump_yaml

from .conftest import VALUES


def changed(path: str, value: Any) -> dict[str, Any]:
    values = copy.deepcopy(VALUES)
    *way, last = path.split("/")
    place = values
    for key in way:
        place = place[key]
    place[last] = value
    return values


@pytest.mark.parametrize("name", ["small", "paper-deblur-motion", "paper-deblur-gaussian", "paper-turbulence"])
def test_built_in_protocols_can_be_read(name):
    assert name in built_in()
    protocol = load(name)
    assert protocol.summary and protocol.name == name
    kinds = {spec.baseline or spec.guidance for spec in protocol.solvers}
    assert kinds == {*BASELINES, "dps", "proximal"}
    assert any(spec.guidance == "dps" and "kernel" in spec.known for spec in protocol.solvers)


def test_the_papers_data():
    for name in ("paper-deblur-motion", "paper-deblur-gaussian", "paper-turbulence"):
        protocol = load(name)
        assert (protocol.size, protocol.noise, protocol.pictures) == (256, 0.01, "")
        assert protocol.operator.options == {"kernel_size": 64, "border": "zero"}
        steps = {spec.steps for spec in protocol.solvers if spec.guidance == "dps"}
        assert steps == {1000}
    assert load("paper-deblur-motion").generators["kernel"] == ComponentSpec("motion", {"intensity": 0.5})
    assert load("paper-deblur-gaussian").generators["kernel"].options["std"] == 3


@pytest.mark.parametrize("name", built_in())
def test_the_parts_of_the_built_in_protocols_exist(name):
    protocol = load(name)
    operator = build_component("operator", protocol.operator.name, protocol.operator.options)
    if not protocol.recipe:
        assert set(operator.parameters((3, protocol.size, protocol.size))) == set(protocol.generators)
    for part in protocol.generators.values():
        build_component("generator", part.name, part.options)
    registry = discover()
    for spec in protocol.solvers:
        assert spec.baseline or registry.has("guidance", spec.guidance)
        assert all(registry.has("prior", prior) for prior in protocol.priors_of(spec).values())


def test_the_page_shows_a_protocol_and_names_them_all():
    text = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    protocol = parsed(yaml.safe_load(shown), "shown", "docs/benchmarks.md")
    assert [spec.name for spec in protocol.solvers][1:3] == ["proximal", "unknown-border"]
    assert all(f"| `{name}` |" in text for name in built_in())
    assert all(f"`{name}`" in text or f"baseline: {name}" in text for name in BASELINES)


@pytest.mark.parametrize("name", ["small", "paper-turbulence"])
def test_what_is_written_is_read_back(name):
    protocol = load(name)
    again = parsed(yaml.safe_load(yaml.safe_dump(protocol.plain(), sort_keys=False)), name, name)
    assert again == protocol


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("solver", {}, "unknown key 'solver'; did you mean 'solvers'"),
        ("solvers/blind/guidence", "dps", "solvers.blind has an unknown key 'guidence'; did you mean 'guidance'"),
        ("solvers/blind", {"baseline": "weiner"}, "no baseline 'weiner'; did you mean 'wiener'"),
        ("solvers/blind", {"baseline": "wiener", "steps": 3}, "takes no options; drop steps"),
        ("solvers/blind/steps", 0, "solvers.blind.steps is a whole number from 1 up, not 0"),
        ("solvers/blind/known", "kernel", r"list of parameters, as in \[kernel\]"),
        ("solvers/a b", {}, "letters, digits, - and _"),
        ("solvers", {}, "has no solvers"),
        ("size", 4, "size is a whole number from 8 up"),
        ("count", True, "count is a whole number"),
        ("noise", 0, "noise is a standard deviation above 0"),
        ("noise", float("nan"), "noise is a standard deviation above 0"),
        ("noise", None, "has no noise"),
        ("operator", {"kernel_size": 7}, "operator has no name"),
        ("generators/kernel", [1], "generators.kernel holds names and values"),
        ("priors", {"image": 3}, "priors.image is text, not 3"),
    ],
)
def test_what_cannot_be(path, value, said):
    with pytest.raises(IptError, match=said) as raised:
        parsed(changed(path, value), "x", "x.yaml")
    assert "x.yaml" in str(raised.value) and "\n" not in str(raised.value)


def test_files(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(VALUES))
    assert load(str(path)).name == "mine"
    path.write_text("a: [")
    with pytest.raises(IptError, match=r"mine\.yaml is not YAML: line 1, column 5: .*; correct it there$"):
        load(str(path))
    with pytest.raises(IptError, match="no YAML file, 'smal'; did you mean 'small'"):
        load("smal")


def test_the_command_line_goes_before_the_protocol(tiny):
    other = tiny.changed(pictures="faces", priors={"image": "box"}, count=2, steps=7, solvers=["known", "measurement"])
    assert [spec.name for spec in other.solvers] == ["known", "measurement"]
    assert [spec.steps for spec in other.solvers] == [7, None]
    assert other.count == 2 and other.pictures.endswith("/faces")
    assert other.priors_of(other.solvers[0]) == {"image": "box"}, "a known parameter has no prior"
    with pytest.raises(IptError, match="no solver 'blnd'; did you mean 'blind'"):
        tiny.changed(solvers=["blnd"])


def test_a_solvers_own_prior_gives_way_to_the_command_line():
    protocol = parsed(changed("solvers/blind/priors", {"image": "box", "kernel": "box"}), "x", "x.yaml")
    (spec,) = protocol.changed(priors={"image": "empirical"}, solvers=["blind"]).solvers
    assert spec.priors == {"kernel": "box"}


def test_a_solvers_operator(tiny):
    turbulence = load("paper-turbulence")
    specs = {spec.name: spec for spec in turbulence.solvers}
    assert turbulence.operator_of(specs["proximal"]) == turbulence.operator
    assert turbulence.operator_of(specs["proximal-blur-alone"]) == ComponentSpec(
        "blur", {"kernel_size": 64, "border": "zero"}
    )
    (spec,) = tiny.changed(solvers=["known"]).solvers
    assert tiny.operator_of(spec) == ComponentSpec("blur", {"kernel_size": 7, "border": "unknown"})


@pytest.mark.parametrize(
    ("said", "found"), [("faces", "{beside}/faces"), ("/x/y", "/x/y"), ("shipped", "shipped"), ("", "")]
)
def test_the_pictures_of_a_file_are_beside_it(tiny, tmp_path, monkeypatch, said, found):
    path = tmp_path / "own" / "mine.yaml"
    path.parent.mkdir()
    path.write_text(dump_yaml(replace(tiny, pictures=said).plain()))
    monkeypatch.chdir(tmp_path)
    assert load("own/mine.yaml").pictures == found.format(beside=path.parent)
