"""Results that would fall on each other."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image
from skimage import data

from ipt.cli.main import cli
from ipt.core.errors import IptError
from ipt.folder.inputs import InputImage, check_files, check_names
from ipt.solve.outputs import roles

QUICK = ("--prior", "gaussian", "--prior", "kernel=gaussian", "--set", "operator.kernel_size=7", "--steps", "3")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["solve", *(str(argument) for argument in (*arguments, *QUICK))])


def saved(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(data.astronaut()[60:184, 163:287]).resize((24, 24)).save(path)


def images(*names: str) -> list[InputImage]:
    return [InputImage(name, Path("/in") / name) for name in names]


@pytest.mark.parametrize("name", ["kernel", "residual", "failed", "spread", "sample1", "sample3", "reference"])
def test_an_input_with_the_name_of_a_result_is_refused(name: str, tmp_path: Path) -> None:
    both = images("a.b.png", f"a.b.{name}.png")
    with pytest.raises(IptError, match=f"a.b.{name} would be a result of a.b.png"):
        check_names(both, both, tmp_path, roles(["kernel"], samples=3, reference=True))
    drawn = name in ("spread", "sample1", "sample3", "reference")
    if drawn:
        check_names(both, both, tmp_path, roles(["kernel"]))


def test_samples_do_not_fall_on_another_picture(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    for name in ("a.png", "a.sample1.png"):
        saved(folder / name)
    refused = run(folder, "-o", out, "--samples", 2)
    assert refused.exit_code == 1 and "a.sample1 would be a result of a.png" in refused.stderr
    assert not out.exists()
    # With one sample each there is nothing to fall on.
    assert run(folder, "-o", out).exit_code == 0
    alone = run(folder / "a.png", "-o", out, "--samples", 2, "--force")
    assert alone.exit_code == 1 and "results of a.sample1 that those of a.png would replace" in alone.stderr
    assert len(alone.stderr.strip().splitlines()) == 1 and "-o" in alone.stderr


def test_a_picture_does_not_fall_on_samples(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    for name in ("a.png", "a.sample1.png"):
        saved(folder / name)
    assert run(folder / "a.png", "-o", out, "--samples", 2).exit_code == 0
    before = (out / "a.sample1.png").read_bytes()
    refused = run(folder / "a.sample1.png", "-o", out, "--samples", 2)
    assert refused.exit_code == 1 and "results of a that those of a.sample1.png would replace" in refused.stderr
    assert (out / "a.sample1.png").read_bytes() == before


def test_fewer_samples_delete_no_other_picture_s_result(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    saved(folder / "a.png")
    assert run(folder, "-o", out, "--samples", 3).exit_code == 0
    assert (out / "a.sample3.png").exists()
    # Now a result of a.png and, solved first, a picture of its own.
    saved(folder / "a.sample1.png")
    assert run(folder, "-o", out, "--force", "--batch", 1).exit_code == 0
    assert not (out / "a.sample3.png").exists()
    assert (out / "a.sample1.png").exists() and (out / "a.sample1.kernel.npy").exists()


def test_files_of_somebody_else_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    check_files(images("b.png"), tmp_path)
    with pytest.raises(IptError, match=r"a.png is there and no result of ipt"):
        check_files(images("a.png"), tmp_path)
