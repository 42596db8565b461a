"""Which prior a picture gets where none is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from click.testing import CliRunner, Result

from ipt.cli.main import cli
from ipt.core.errors import IptError
from ipt.images import files
from ipt.priors import shipped
from ipt.priors.analytic import GaussianPrior
from ipt.solve.defaults import UsualPrior
from ipt.solve.options import SolveOptions

QUICK = ("--steps", "2", "--set", "operator.kernel_size=5")


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
    """a.png and b.png, which faces takes, and c.png, which it does not."""
    place = tmp_path / "in"
    place.mkdir()
    torch.manual_seed(0)
    files.write(place / "a.png", torch.rand(1, 64, 64))
    files.write(place / "b.png", torch.rand(3, 64, 64))
    files.write(place / "c.png", torch.rand(3, 40, 72))
    return place


def solve(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["solve", *(str(argument) for argument in (*arguments, *QUICK))])


def prior_of(path: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads(path.read_text())["options"]["prior.image"]
    return found


def chosen(size: tuple[int, int] | None, **given: Any) -> str:
    usual = UsualPrior(SolveOptions(**given))
    shape = None if size is None else (3, *size)
    found = usual.options_for("a.png", shape)
    natural = found.prior["image"] == "natural"
    assert (found.origins["prior.image"] != "default") == natural == bool(usual.reason("a.png", shape))
    return found.prior["image"]


def test_the_size_of_a_picture_chooses():
    assert chosen((64, 64)) == chosen(None) == "faces" and chosen((40, 72)) == "natural"


def test_the_reason_is_recorded():
    found = UsualPrior(SolveOptions(prior={"kernel": "box"})).options_for("c.png", (3, 40, 72))
    assert found.prior == {"image": "natural", "kernel": "box"}
    why = "faces does not take the 72 x 40 px of c.png"
    assert found.record()["prior.image"] == {"value": "natural", "from": f"default: {why}"}
    assert found.record()["prior.kernel"] == {"value": "box", "from": "default"}


@pytest.mark.parametrize("fit", ["error", "crop", "resize", "tile"])
def test_what_is_asked_for_is_left_alone(fit):
    named = SolveOptions(prior={"image": "faces"}, fit=fit)
    assert UsualPrior(named).options_for("c.png", (3, 40, 72)) is named and not UsualPrior(named).reason(
        "c", (3, 40, 72)
    )
    assert fit == "error" or chosen((40, 72), fit=fit) == "faces"


def test_the_size_that_counts_is_the_image_s():
    assert chosen((32, 32), operator="downscale:2") == "faces"
    assert chosen((32, 32), operator="downscale:3") == "natural"
    assert chosen((64, 64), operator="downscale", set={"operator.factor": 2}) == "natural"
    # A shape that the operator does not take is reported when it is solved.
    refusing = UsualPrior(SolveOptions(operator="downscale:2"))
    assert not refusing.reason("a.png", (64, 64)) and not refusing.is_by_size((64, 64))


def test_each_picture_of_a_folder_has_its_own(folder, tmp_path):
    (folder / "d.png").write_bytes(b"no picture")
    out = tmp_path / "out"
    result = solve(folder, "-o", out)
    assert result.exit_code == 3, result.stderr
    note = "Prior natural for each picture that needs it, since faces does not take the 72 x 40 px of c.png."
    assert note in result.stderr
    assert "Prior faces, by the size of a.png: a picture of something else needs --prior natural." in result.stderr
    assert [prior_of(out / f"{name}.json")["value"] for name in "abc"] == ["faces", "faces", "natural"]
    assert prior_of(out / "a.json")["from"] == "default"
    # What differs from picture to picture is no option of the run.
    assert yaml.safe_load((out / "run.yaml").read_text())["prior"] == {}
    assert "skipped" not in solve(folder, "-o", out).stderr and len(list(out.glob("*.failed.json"))) == 1


def test_single_pictures_of_several_sizes_share_a_folder(folder, tmp_path):
    out = tmp_path / "out"
    for name in ("a.png", "c.png", "b.png"):
        result = solve(folder / name, "-o", out)
        assert result.exit_code == 0, result.stderr
    assert [prior_of(out / f"{name}.json")["value"] for name in "abc"] == ["faces", "faces", "natural"]
    again = solve(folder, "-o", out)
    assert again.exit_code == 0 and "a.png and 2 more: done before" in again.stderr


def test_it_is_said_recorded_and_run_again(folder, tmp_path):
    result = solve(folder / "c.png", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert "Prior natural, since faces does not take the 72 x 40 px of c.png" in result.stderr
    assert "Prior faces" not in result.stderr
    assert json.loads((tmp_path / "out" / "c.json").read_text())["fit"]["solved_at"] == [3, 40, 72]
    again = CliRunner().invoke(
        cli, ["solve", "--config", str(tmp_path / "out" / "run.yaml"), "-o", str(tmp_path / "again")]
    )
    assert again.exit_code == 0, again.stderr
    assert (tmp_path / "again" / "c.png").read_bytes() == (tmp_path / "out" / "c.png").read_bytes()
    result = solve(folder / "c.png", "-o", tmp_path / "no", "--prior", "faces")
    assert result.exit_code == 1 and "--prior natural" in result.stderr
