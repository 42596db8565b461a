"""Which prior a picture gets where none is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from ipt.cli.main import cli
from ipt.core.errors import IptError
from ipt.images import files
from ipt.priors import shipped
from ipt.priors.analytic import GaussianPrior
from ipt.solve.defaults import with_usual_prior
from ipt.solve.options import SolveOptions


class Faces(GaussianPrior):
    def normalization(self, shape):
        if tuple(shape) != (3, 64, 64):
            raise IptError("takes 64x64")
        return super().normalization(shape)


@pytest.fixture(autouse=True)
def analytic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "faces", lambda device="cpu", precision="fp32": Faces(0.0, 0.5))
    monkeypatch.setattr(shipped, "natural", lambda device="cpu", precision="fp32": GaussianPrior(0.0, 0.4))
    for name in ("kernel", "kernel_uncentred"):
        monkeypatch.setattr(shipped, name, lambda device="cpu", precision="fp32": GaussianPrior(-0.8, 0.3))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "in"
    place.mkdir()
    torch.manual_seed(0)
    files.write(place / "a.png", torch.rand(1, 64, 64))
    files.write(place / "b.png", torch.rand(3, 64, 64))
    return place


def chosen(**given: Any) -> str:
    found, said = with_usual_prior(SolveOptions(**given))
    assert (found.origins["prior.image"] != "default") == (found.prior["image"] == "natural") == bool(said)
    return found.prior["image"]


def test_pictures_that_faces_takes_keep_it(folder):
    assert chosen(input=folder) == chosen(input=folder / "a.png") == "faces"
    assert chosen(input=None) == "faces"


def test_one_of_another_size_decides_for_its_folder(folder):
    files.write(folder / "c.png", torch.rand(3, 40, 72))
    (folder / "aa.png").write_bytes(b"no picture")
    found, said = with_usual_prior(SolveOptions(input=folder, prior={"kernel": "box"}))
    why = "faces does not take the 72 x 40 px of c.png"
    assert found.prior == {"image": "natural", "kernel": "box"}
    assert said == f"Prior natural, since {why}."
    assert found.record()["prior.image"] == {"value": "natural", "from": f"default: {why}"}
    assert found.record()["prior.kernel"] == {"value": "box", "from": "default"}


@pytest.mark.parametrize("fit", ["error", "crop", "resize", "tile"])
def test_what_is_asked_for_is_left_alone(folder, fit):
    files.write(folder / "c.png", torch.rand(3, 40, 72))
    named = SolveOptions(input=folder, prior={"image": "faces"}, fit=fit)
    assert with_usual_prior(named) == (named, "")
    assert fit == "error" or chosen(input=folder, fit=fit) == "faces"


def test_the_size_that_counts_is_the_image_s(folder, tmp_path):
    small = tmp_path / "small.png"
    files.write(small, torch.rand(3, 32, 32))
    assert chosen(input=small, operator="downscale:2") == "faces"
    assert chosen(input=small, operator="downscale:3") == "natural"
    assert chosen(input=folder, operator="downscale", set={"operator.factor": 2}) == "natural"


def test_it_is_said_recorded_and_run_again(folder, tmp_path):
    files.write(tmp_path / "c.png", torch.rand(3, 40, 72))
    common = ["--steps", "2", "--set", "operator.kernel_size=5"]
    result = CliRunner().invoke(cli, ["solve", str(tmp_path / "c.png"), "-o", str(tmp_path / "out"), *common])
    assert result.exit_code == 0, result.stderr
    assert "Prior natural, since faces does not take the 72 x 40 px of c.png" in result.stderr
    record = json.loads((tmp_path / "out" / "c.json").read_text())
    assert record["fit"]["solved_at"] == [3, 40, 72] and record["options"]["prior.image"]["value"] == "natural"
    again = ["solve", "--config", str(tmp_path / "out" / "run.yaml"), "-o", str(tmp_path / "again")]
    result = CliRunner().invoke(cli, again)
    assert result.exit_code == 0 and "Prior natural" not in result.stderr
    assert (tmp_path / "again" / "c.png").read_bytes() == (tmp_path / "out" / "c.png").read_bytes()
    result = CliRunner().invoke(cli, ["solve", str(tmp_path / "c.png"), "-o", str(tmp_path / "no"), "--prior", "faces"])
    assert result.exit_code == 1 and "--prior natural" in result.stderr
