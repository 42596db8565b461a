"""Files and folders as they are typed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result
from PIL import Image

from ipt.cli.main import cli
from ipt.core.errors import IptError
from ipt.folder.finding import find_inputs
from ipt.images import files
from ipt.images.parameters import write_parameter
from ipt.solve.options import SolveOptions

QUICK = ("--prior", "gaussian", "--prior", "kernel=gaussian", "--set", "operator.kernel_size=7", "--steps", "3")


def solve(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["solve", *(str(argument) for argument in (*arguments, *QUICK))])


def saved(*paths: Path) -> None:
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(number).integers(0, 256, (24, 20 + 4 * number, 3), dtype=np.uint8)
        Image.fromarray(random).save(path)


def names(*given: Path, out: Path | None = None, **more: Any) -> list[str]:
    return [image.name for image in find_inputs(SolveOptions(input=given, **more), out)]


def notes(*given: Path, out: Path | None = None, **more: Any) -> list[str]:
    heard: list[str] = []
    find_inputs(SolveOptions(input=given, **more), out, heard.append)
    return heard


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """b.png and a.jpg, trip/a.png and trip/day/c.tif, and what is no picture."""
    top = tmp_path / "photos"
    saved(
        top / "b.png", top / "a.jpg", top / "trip" / "a.png", top / "trip" / "day" / "c.tif", top / ".hidden" / "d.png"
    )
    for name in ("notes.txt", "one.psd", "two.psd", "z.psd", ".DS_Store", "trip/readme"):
        (top / name).touch()
    return top


def test_the_order_is_that_of_the_command_line(tree, tmp_path):
    saved(tmp_path / "z.png")
    assert names(tmp_path / "z.png", tree) == ["z.png", "a.jpg", "b.png"]
    # Given twice, and by another way.
    assert names(tree / "b.png", tree, tree / "trip" / ".." / "b.png") == ["b.png", "a.jpg"]
    assert names() == ["astronaut.png"]


def test_subfolders_are_taken_where_that_is_asked_for(tree):
    assert names(tree, recursive=True) == ["a.jpg", "b.png", "trip/a.png", "trip/day/c.tif"]
    images = find_inputs(SolveOptions(input=(tree,), recursive=True))
    assert [image.stem for image in images] == ["a", "b", "trip-a", "trip-day-c"]
    assert [image.place for image in images] == ["a", "b", "trip/a", "trip/day/c"]


def test_what_is_passed_over_is_said(tree):
    assert notes(tree) == [
        f"Passed over in {tree}: 4 files (notes.txt, one.psd, two.psd, ...) that ipt does not read, "
        "and 1 subfolder (trip) unless recursive=True."
    ]
    (tree / "trip" / "out").mkdir()
    for name in ("run.yaml", "report.html", "a.png"):
        (tree / "trip" / "out" / name).touch()
    (tree / "trip" / "loop").symlink_to(tree)
    (said,) = notes(tree, recursive=True, out=tree / "trip" / "day")
    assert "5 files (notes.txt, one.psd, two.psd, ...)" in said
    assert said.endswith("and 3 subfolders (trip/day, trip/loop, trip/out) that hold results or are links.")
    assert notes(tree / "trip" / "day") == [] and names(tree, recursive=True, out=tree / "trip")[2:] == []


@pytest.mark.parametrize("recursive", [False, True])
def test_what_a_simulation_leaves_beside_its_pictures_is_neither_taken_nor_spoken_of(tmp_path, recursive):
    (tmp_path / "truth").mkdir()
    for place in (tmp_path / "a.png", tmp_path / "truth" / "a.png"):
        Image.new("RGB", (32, 32)).save(place)
    (tmp_path / "run.yaml").touch()
    notes: list[str] = []
    options = SolveOptions(input=(tmp_path,), recursive=recursive)
    assert [one.name for one in find_inputs(options, None, notes.append)] == ["a.png"] and not notes


def test_what_takes_a_package_that_is_missing_is_said_with_its_name(tree, monkeypatch):
    (tree / "raw.NEF").touch()
    (tree / "sky.fits").touch()
    monkeypatch.setattr("ipt.images.choices.find_spec", lambda name: None if name == "rawpy" else name)
    (said,) = notes(tree)
    assert "5 files (notes.txt, one.psd, raw.NEF, ...) that ipt does not read (pip install rawpy for some)" in said
    assert names(tree)[-1] == "sky.fits" and files.inputs(tree)[-1].name == "sky.fits"


@pytest.mark.parametrize(
    ("given", "recursive", "words"),
    [
        (("a.jpg", "a.png"), False, "would both be called 'a' in the results; rename one"),
        (
            ("x/a.png", "y/a.png"),
            False,
            r"would both be called 'a' in the results; give the folder that holds both with recursive=True",
        ),
        (("x", "y"), True, "x/a.png and .*y/a.png would both be called 'a' in the results"),
        (("z",), True, "z/u-v.png and .*z/u/v.png would both be called 'u-v' in the results"),
        (("x", "none"), False, "none does not exist"),
        (("empty",), False, r"holds no pictures; ipt reads .png.*, and its 1 subfolders with recursive=True"),
        (("empty",), True, "holds no pictures, nor do its subfolders"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(given, recursive, words, tmp_path):
    saved(tmp_path / "a.jpg", tmp_path / "a.png", tmp_path / "x" / "a.png", tmp_path / "y" / "a.png")
    saved(tmp_path / "z" / "u-v.png", tmp_path / "z" / "u" / "v.png")
    (tmp_path / "empty" / "below").mkdir(parents=True)
    with pytest.raises(IptError, match=words):
        names(*(tmp_path / name for name in given), recursive=recursive)
    flags = ["--recursive"] if recursive else []
    result = solve(*(tmp_path / name for name in given), "-o", tmp_path / "out", *flags)
    assert result.exit_code == 1 and not (tmp_path / "out").exists() and "recursive=" not in result.stderr


def test_many_files_and_folders_are_one_run(tree, tmp_path):
    saved(tmp_path / "z.png")
    out = tmp_path / "out"
    (tree / "b.png").write_bytes(b"no picture")
    result = solve(tmp_path / "z.png", tree, "-o", out)
    assert result.exit_code == 3 and f"1 of 3 pictures failed; {out}/report.html says why" in result.stderr
    assert "1 subfolder (trip) unless --recursive." in result.stderr
    assert yaml.safe_load((out / "run.yaml").read_text())["input"] == [str(tmp_path / "z.png"), str(tree)]
    # Of many inputs, each picture has only itself in its record.
    record = json.loads((out / "a.json").read_text())
    assert record["options"]["input"]["value"] == record["path"] == str(tree / "a.jpg")
    again = solve("--config", out / "run.yaml", "-o", out)
    assert again.exit_code == 3 and "z.png and 1 more: done before" in again.stderr
    # It goes on with more, fewer, or one of them.
    more = solve(tree / "trip" / "a.png", tmp_path / "z.png", "-o", out)
    assert more.exit_code == 1 and f"{out} has the result of {tree / 'a.jpg'} as 'a'" in more.stderr
    one = solve(tree / "a.jpg", "-o", out)
    assert one.exit_code == 0 and "a.jpg: done before" in one.stderr


def test_a_tree_has_one_folder_of_results_and_goes_on(tree, tmp_path):
    out = tree / "out"
    assert solve(tree, "-o", out).exit_code == 0
    result = solve(tree, "-o", out, "--recursive")
    assert result.exit_code == 0 and "a.jpg and 1 more: done before" in result.stderr, result.stderr
    assert {path.name for path in out.glob("*.json")} == {"a.json", "b.json", "trip-a.json", "trip-day-c.json"}
    assert json.loads((out / "trip-a.json").read_text())["input"] == "trip/a.png"
    assert "trip/a.png" in (out / "report.html").read_text()


def test_the_references_of_a_tree_are_a_tree(tree, tmp_path):
    clean = tmp_path / "clean"
    for path in ("a.jpg", "b.png", "trip/a.png", "trip/day/c.tif"):
        (clean / path).parent.mkdir(parents=True, exist_ok=True)
        (clean / path).write_bytes((tree / path).read_bytes())
    write_parameter(clean / "trip" / "a.kernel.npy", files.read(tree / "b.png").pixels[:1, :7, :7])
    result = solve(tree, "-o", tmp_path / "out", "--recursive", "--reference", clean)
    assert result.exit_code == 0, result.stderr
    assert "kernel_mnc" in json.loads((tmp_path / "out" / "trip-a.json").read_text())["metrics"]


def test_single_pictures_do_not_fall_on_each_other(tree, tmp_path):
    out = tmp_path / "out"
    assert solve(tree / "a.jpg", "-o", out).exit_code == 0
    refused = solve(tree / "trip" / "a.png", "-o", out)
    assert (
        refused.exit_code == 1
        and "would replace; choose another folder (-o), or replace it (--force)" in refused.stderr
    )
    assert solve(tree / "trip" / "a.png", "-o", out, "--force").exit_code == 0
    # A picture that was moved is the same one.
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved" / "a.png").write_bytes((tree / "trip" / "a.png").read_bytes())
    moved = solve(tmp_path / "moved" / "a.png", "-o", out)
    assert moved.exit_code == 0 and "done before" in moved.stderr


def test_several_series(tmp_path):
    for place in ("one", "two"):
        saved(tmp_path / place / "1.png")
        (tmp_path / place / "2.png").write_bytes((tmp_path / place / "1.png").read_bytes())
    result = solve(tmp_path / "one", tmp_path / "two", "--frames", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert json.loads((tmp_path / "out" / "two.json").read_text())["frames"] == 2


@pytest.mark.parametrize(
    "name", [b"caf\xe9", b"m" * 245, ("\u5e74" * 78).encode(), b"a\nb", b"#%41 '\"<b>"], ids=range(5)
)
def test_any_name_is_solved_goes_on_and_is_in_the_report(name, tmp_path):
    source, out = tmp_path / "in", tmp_path / "out"
    saved(source / "a.png", source / "z.png")
    odd = Path(os.fsdecode(os.path.join(os.fsencode(source), name + b".png")))
    odd.write_bytes((source / "a.png").read_bytes())
    result = solve(source, "-o", out, "--save-every", "0", "--json")
    assert result.exit_code == 0, result.stderr
    records = [json.loads(path.read_text(encoding="utf-8")) for path in out.glob("*.json")]
    assert {record["input"] for record in records} == {"a.png", odd.name, "z.png"} and (out / "report.html").exists()
    assert all((out / file).is_file() for record in records for file in record["files"].values())
    again = solve(source, "-o", out)
    assert again.exit_code == 0 and "done before" in again.stderr and "failed" not in again.stderr
    assert solve("--config", out / "run.yaml", "-o", tmp_path / "again").exit_code == 0
    # One that cannot be read is recorded by its name.
    odd.write_bytes(b"nothing")
    assert solve(source, "-o", out).exit_code == 3 and len(list(out.glob("*.failed.json"))) == 1


def test_references_and_simulations_of_long_names_are_found(tmp_path):
    source = tmp_path / "in"
    saved(source / f"{'m' * 245}.png")
    arguments = ["simulate", str(source), "-o", str(tmp_path / "made"), "--set", "operator.kernel_size=7"]
    assert CliRunner().invoke(cli, arguments).exit_code == 0
    for measured, clean in ((tmp_path / "made", tmp_path / "made" / "truth"), (source, source)):
        out = tmp_path / f"out of {measured.name}"
        assert solve(measured, "-o", out, "--reference", clean).exit_code == 0
        (record,) = (json.loads(path.read_text()) for path in out.glob("*.json"))
        assert "psnr" in record["metrics"] and ("kernel_mnc" in record["metrics"]) == (measured != source)


def test_a_link_in_a_circle_as_the_output_is_said(tmp_path):
    saved(tmp_path / "a.png")
    (tmp_path / "loop").symlink_to("loop")
    result = solve(tmp_path / "a.png", "-o", tmp_path / "loop")
    assert (
        result.exit_code == 1
        and "loop is a link that leads nowhere" in result.stderr
        and "unexpected" not in result.stderr
    )
