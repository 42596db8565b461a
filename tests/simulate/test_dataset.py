"""The folder with measurements and truths, made from Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from ipt.core.errors import IptError
from ipt.images import files
from ipt.images.outcomes import Outcome
from ipt.simulate.dataset import simulate_all
from ipt.simulate.options import SimulateOptions


class Listener:
    """Remembers what it heard."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def begin(self, name: str, number: int, total: int, count: int = 1) -> None:
        self.heard.append(f"{name} {number}/{total}")

    def step(self, progress: object) -> None:
        raise AssertionError("nothing is solved")

    def end(self, outcome: Outcome) -> None:
        self.heard.append(outcome.status)

    def note(self, text: str) -> None:
        self.heard.append(text)


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    folder = tmp_path / "clean"
    folder.mkdir()
    for number, name in enumerate(("a.png", "b.png")):
        files.write(folder / name, torch.rand(3, 24, 20, generator=torch.Generator().manual_seed(number)))
    return folder


def options(clean: Path, **more: Any) -> SimulateOptions:
    return SimulateOptions(**{"input": clean, "set": {"operator.kernel_size": 5}, "noise": 0.05, **more})


def written(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_folder(clean, tmp_path):
    listener = Listener()
    outcomes = list(simulate_all(options(clean), str(tmp_path / "out"), False, listener))
    assert listener.heard == ["a.png 1/2", "done", "b.png 2/2", "done"]
    assert [outcome.name for outcome in outcomes] == ["a.png", "b.png"]
    each = ("{}.png", "truth/{}.png", "truth/{}.json", "truth/{}.kernel.npy", "truth/{}.kernel.png")
    assert written(tmp_path / "out") == {"run.yaml", *(name.format(stem) for name in each for stem in "ab")}
    record = json.loads((tmp_path / "out" / "truth" / "a.json").read_text())
    assert record == json.loads(json.dumps(outcomes[0].record)) and record["shape"] == [3, 24, 20]
    assert yaml.safe_load((tmp_path / "out" / "run.yaml").read_text())["noise"] == 0.05


def test_exposures_have_a_folder_and_parameters_of_their_own(clean, tmp_path):
    out = tmp_path / "out"
    list(simulate_all(options(clean / "a.png", frames=3), str(out), False, Listener()))
    assert {path.name for path in (out / "a").iterdir()} == {"01.png", "02.png", "03.png"}
    kernels = np.load(out / "truth" / "a.kernel.npy")
    assert kernels.shape == (3, 1, 5, 5) and not np.array_equal(kernels[0], kernels[1])
    # A smaller set takes the place of the larger one, which goes as a whole.
    list(simulate_all(options(clean / "a.png", frames=2), str(out), True, Listener()))
    assert {path.name for path in (out / "a").iterdir()} == {"01.png", "02.png"}


def test_an_interrupted_measurement_leaves_nothing(clean, tmp_path, monkeypatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ipt.simulate.dataset.json_text", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(simulate_all(options(clean), str(tmp_path / "out"), False, Listener()))
    assert not (tmp_path / "out").exists()


def test_what_a_camera_of_12_bits_took_stays_that(tmp_path):
    numbers = np.random.default_rng(0).integers(0, 4096, (24, 20)).astype(np.uint16)
    Image.fromarray(numbers).save(tmp_path / "a.png")
    list(simulate_all(options(tmp_path / "a.png", noise=0.0), str(tmp_path / "out"), False, Listener()))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / "truth" / "a.png")), numbers)
    assert 1000 < np.asarray(Image.open(tmp_path / "out" / "a.png")).mean() < 3000


def test_rounding_that_matters_is_noted(clean, tmp_path):
    listener = Listener()
    list(simulate_all(options(clean / "a.png", noise=0.001), str(tmp_path / "out"), False, listener))
    assert any("depth=16 keeps it" in text for text in listener.heard)


@pytest.mark.parametrize(("frames", "name", "reason"), [
    (None, "a.png", r"a.png is there already; choose another folder \(out=\), or replace it \(force=True\)"),
    (2, "a/notes.txt", "holds other files than exposures"),
])  # fmt: skip
def test_files_of_others_are_left_alone(clean, tmp_path, frames, name, reason):
    place = tmp_path / "out" / name
    place.parent.mkdir(parents=True)
    place.write_text("mine")
    with pytest.raises(IptError, match=reason):
        list(simulate_all(options(clean, frames=frames), str(tmp_path / "out"), False, Listener()))
    assert place.read_text() == "mine" and not list((tmp_path / "out" / "truth").glob("*"))


def test_measurements_do_not_replace_clean_pictures(clean):
    with pytest.raises(IptError, match="would replace the clean pictures"):
        list(simulate_all(options(clean), str(clean), True, Listener()))
