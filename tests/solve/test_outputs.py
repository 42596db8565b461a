from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ipt.core.errors import IptError
from ipt.images.files import Picture, read
from ipt.solve import result_files
from ipt.solve.outputs import left_over, roles, settle, write_failure, write_result
from ipt.solve.result import ImageResult


def result(samples: int = 0, side: int = 12) -> ImageResult:
    numbers = torch.Generator().manual_seed(0)
    pictures = torch.rand(max(samples, 1), 3, side, side, generator=numbers)
    kernel = torch.rand(1, 5, 5, generator=numbers)
    return ImageResult(
        picture=Picture(pictures[0], torch.rand(1, side, side, generator=numbers), depth=16),
        measurement=Picture(pictures[0] / 2),
        parameters={"kernel": kernel / kernel.sum(), "tilt": torch.rand(2, side, side, generator=numbers)},
        residual=torch.full((3, side, side), 0.02),
        noise=0.01,
        trace=[0.5, 0.1, 0.02],
        samples=pictures if samples else None,
        drawn={"kernel": torch.rand(samples, 1, 5, 5, generator=numbers), "tilt": torch.rand(samples, 2, side, side)}
        if samples
        else {},
        spread=pictures.std(0) if samples else None,
        record={"seconds": 1.5, "metrics": {"psnr": float("inf")}, "where": Path("a")},
    )


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


PARAMETERS = {"a.kernel.npy", "a.kernel.png", "a.tilt.npy", "a.tilt.png"}
ALWAYS = {"a.png", "a.measurement.png", "a.residual.png", "a.json"} | PARAMETERS


def test_everything_is_written(tmp_path: Path) -> None:
    solved = replace(result(2), reference=Picture(torch.rand(3, 12, 12)))
    path = write_result(tmp_path / "new", "a", solved)
    sampled = {"a.sample1.png", "a.sample2.png", "a.spread.png", "a.spread.npy", "a.reference.png"}
    sampled |= {f"a.sample{number}-{name}.png" for number in (1, 2) for name in ("kernel", "tilt")}
    assert path == tmp_path / "new" / "a.json" and names(path.parent) == ALWAYS | sampled
    picture = read(path.with_suffix(".png"))
    assert picture.depth == 16 and (picture.pixels - solved.picture.pixels).abs().max() < 1e-5
    assert (np.load(path.parent / "a.kernel.npy") == solved.parameters["kernel"].numpy()).all()
    record = json.loads(path.read_text())
    assert (
        record["status"] == "done" and record["residual"] == pytest.approx(0.02) and record["trace"] == [0.5, 0.1, 0.02]
    )
    assert record["metrics"]["psnr"] is None and record["where"] == "a"
    assert set(record["files"].values()) == names(path.parent) - {"a.json"}


def test_a_new_result_replaces_all_of_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "a.notes.txt").touch()
    write_failure(tmp_path, "a", "it was too dark")
    assert json.loads((tmp_path / "a.failed.json").read_text())["reason"] == "it was too dark"
    write_result(tmp_path, "a", result(3))
    write_result(tmp_path, "a", result())
    assert names(tmp_path) == ALWAYS | {"a.notes.txt"}


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_what_is_interrupted_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    write_result(tmp_path, "a", result())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    saved = result_files.write_parameter

    def failing(path: Path, value: torch.Tensor) -> None:
        if "spread" in path.name:
            raise error
        saved(path, value)

    monkeypatch.setattr(result_files, "write_parameter", failing)
    with pytest.raises(IptError if isinstance(error, OSError) else KeyboardInterrupt) as caught:
        write_result(tmp_path, "a", result(2))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    if isinstance(error, OSError):
        assert "no space left" in str(caught.value) and "partial" not in str(caught.value)


def test_a_disk_that_is_full_is_said_without_hidden_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(IptError, match="no space left") as caught:
        write_result(tmp_path, "a", result())
    assert "partial" not in str(caught.value) and not names(tmp_path)


def test_nan_is_not_written(tmp_path: Path) -> None:
    broken = replace(result(), picture=Picture(torch.full((3, 12, 12), float("nan"))))
    with pytest.raises(IptError, match="NaN") as caught:
        write_result(tmp_path, "a", broken)
    assert not names(tmp_path) and str(tmp_path / "a.png") in str(caught.value)


@pytest.mark.parametrize("stopped_at", ["replaced", "a.kernel.npy", "a.png", "a.json"])
def test_the_json_comes_last_and_what_was_stopped_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped_at: str
) -> None:
    several = replace(result(), samples=torch.rand(2, 3, 12, 12), spread=torch.rand(3, 12, 12))
    write_result(tmp_path, "a", several)
    moved = os.replace

    def stopping(source: str, target: str) -> None:
        if Path(target).name == stopped_at and "partial" not in Path(source).name:
            raise KeyboardInterrupt
        moved(source, target)

    newer = replace(result(), record={"input": "newer"})
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", stopping)
        with pytest.raises(KeyboardInterrupt):
            write_result(tmp_path, "a", newer)
    assert ("a.json" in names(tmp_path)) == (stopped_at == "replaced") and left_over(tmp_path, "a")
    settle(tmp_path, ["b"])
    assert left_over(tmp_path, "a")
    settle(tmp_path, ["a"])
    assert names(tmp_path) == ALWAYS and not left_over(tmp_path, "a")
    assert json.loads((tmp_path / "a.json").read_text())["input"] == "newer"


def test_what_was_stopped_before_it_was_complete_is_removed(tmp_path: Path) -> None:
    write_result(tmp_path, "a", result())
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / ".a.x1y2z3w4.partial").mkdir()
    (tmp_path / ".a.x1y2z3w4.partial" / "a.png").write_bytes(b"half")
    for name in ("a.failed.json", "run.yaml", "report.html"):
        (tmp_path / f".{name}.0123abcd.partial").write_bytes(b"half")
    settle(tmp_path, ["a"])
    assert names(tmp_path) == ALWAYS | {".run.yaml.0123abcd.partial", ".report.html.0123abcd.partial"}
    settle(tmp_path, ["a"], pages=True)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("older_first", [True, False])
def test_what_is_another_picture_s_stays(tmp_path: Path, older_first: bool) -> None:
    write_result(tmp_path, "a", result(3))
    if older_first:
        write_result(tmp_path, "a.sample1", result())
        write_result(tmp_path, "a", result())
    else:
        write_result(tmp_path, "a", result())
        write_result(tmp_path, "a.sample1", result())
    assert {"a.sample1.png", "a.sample1.kernel.npy"} <= names(tmp_path)
    assert "a.sample2.png" not in names(tmp_path) and "a.spread.npy" not in names(tmp_path)


@pytest.mark.parametrize("samples", [0, 2])
def test_roles_are_what_is_written(tmp_path: Path, samples: int) -> None:
    solved = replace(
        result(samples),
        reference=Picture(torch.rand(3, 12, 12)) if samples else None,
        mask=torch.ones(1, 12, 12),
    )
    write_result(tmp_path, "a", solved)
    written = {name.removeprefix("a.").rpartition(".")[0] for name in names(tmp_path)} - {""}
    assert written == roles(["kernel", "tilt"], samples, reference=bool(samples)) - {"failed"}
