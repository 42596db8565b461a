"""Options from their sources."""

from __future__ import annotations

import pytest

from ipt.core.errors import IptError
from ipt.solve.options import COMMAND_LINE, DEFAULT, SOLVE, OptionError, layer_of_environment, layer_of_file, merged


def test_layers_are_merged_pair_by_pair():
    layers = [
        (COMMAND_LINE, {"prior": ("kernel=box",), "set": ("guidance.scale=.3",)}),
        ("file", {"prior": {"image": "ffhq", "kernel": "gaussian"}, "set": {"guidance": {"scale": 1, "zeta": 2}}}),
    ]
    options = merged(SOLVE, layers)
    assert options["prior"] == {"image": "ffhq", "kernel": "box"}
    assert options["set"] == {"guidance.scale": 0.3, "guidance.zeta": 2}
    origins = {name: entry["from"] for name, entry in options.record().items()}
    assert origins["prior.kernel"] == origins["set.guidance.scale"] == COMMAND_LINE
    assert origins["prior.image"] == origins["set.guidance.zeta"] == "file"
    assert origins["operator"] == DEFAULT


def test_what_is_written_reads_back_the_same(tmp_path):
    from ipt.images.records import write_run_yaml

    given = {"prior": ["faces", "kernel=empirical:k.npz"], "set": ["operator.kernel_size=[9, 11]"], "noise": ".02"}
    options = merged(SOLVE, [(COMMAND_LINE, {**given, "input": "a.png"})])
    path = write_run_yaml(tmp_path, options.plain())
    assert merged(SOLVE, [layer_of_file(path)]).values == options.values


def test_what_means_an_image_and_what_a_pair():
    def prior(text: str) -> dict[str, str]:
        return merged(SOLVE, [(COMMAND_LINE, {"prior": (text,)})])["prior"]

    assert prior("runs/lr=3/weights") == {"image": "runs/lr=3/weights"}
    assert prior("image=box") == {"image": "box"}
    assert prior("tilt=box") == {"image": "faces", "tilt": "box"}


def test_paths_that_are_there_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bank.npy").touch()
    (tmp_path / "faces").mkdir()
    given = {"prior": ("faces", "kernel=empirical:bank.npy"), "set": ("prior.path=bank.npy", "guidance.rule=dps")}
    options = merged(SOLVE, [(COMMAND_LINE, given)])
    # A bare word is a name, whatever lies in this folder.
    assert options["prior"] == {"image": "faces", "kernel": f"empirical:{tmp_path / 'bank.npy'}"}
    assert options["set"] == {"prior.path": str(tmp_path / "bank.npy"), "guidance.rule": "dps"}


def test_the_environment(monkeypatch):
    monkeypatch.setenv("IPT_PRIOR", "box; kernel=gaussian")
    monkeypatch.setenv("IPT_SEED", "4")
    monkeypatch.setenv("IPT_STEPS", "")
    monkeypatch.setenv("IPT_INPUT", "a.png")
    options = merged(SOLVE, layer_of_environment(SOLVE))
    assert options["prior"] == {"image": "box", "kernel": "gaussian"}
    assert options["seed"] == 4 and options["steps"] is None and options["input"] is None


def test_the_border_is_an_option_of_the_operator():
    assert merged(SOLVE, [(COMMAND_LINE, {"border": "zero"})]).settings() == {"operator.border": "zero"}
    both = merged(SOLVE, [(COMMAND_LINE, {"border": "zero", "set": ("operator.border=reflect",)})])
    with pytest.raises(IptError, match="border is given twice"):
        both.settings()


@pytest.mark.parametrize(
    "given",
    [
        {"operator": 3},
        {"operator": ""},
        {"prior": 5},
        {"prior": {"kernel": None}},
        {"known": {"kernel": ""}},
        {"set": 3},
        {"seed": True},
        {"seed": -1},
        {"seed": "1e3"},
        {"noise": True},
        {"noise": "inf"},
        {"precision": "fp64"},
    ],
)
def test_values_of_the_wrong_kind_are_refused_with_their_origin(given):
    with pytest.raises(OptionError, match="from some file") as caught:
        merged(SOLVE, [("some file", given)])
    assert caught.value.origin == "some file"


def test_an_empty_file_gives_nothing(tmp_path):
    (tmp_path / "c.yaml").write_text("")
    assert merged(SOLVE, [layer_of_file(tmp_path / "c.yaml")]).values == merged(SOLVE, []).values
