"""`ipt solve`, run as people run it, with analytic priors so that a solve takes a fraction of a second."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml
from click.testing import CliRunner, Result
from PIL import Image

from ipt.cli.errors import with_options
from ipt.cli.main import cli
from ipt.solve.options import SolveOptions

PRIORS = ("--prior", "gaussian", "--prior", "kernel=gaussian")
QUICK = (*PRIORS, "--steps", "3", "--set", "operator.kernel_size=7")

KNOWN = ("--prior", "gaussian", "--steps", "3", "--known")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_is_written(picture, tmp_path):
    result = run("solve", picture, "-o", tmp_path / "out", *QUICK)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    assert names(tmp_path / "out") == {
        "a.png", "a.kernel.npy", "a.kernel.png", "a.measurement.png", "a.residual.png", "a.json",
        "run.yaml", "report.html",
    }  # fmt: skip
    kernel = np.load(tmp_path / "out" / "a.kernel.npy")
    assert kernel.shape == (1, 7, 7) and kernel.min() >= 0 and kernel.sum() == pytest.approx(1, abs=1e-5)
    assert size(tmp_path / "out" / "a.png") == (32, 32)
    record = json.loads((tmp_path / "out" / "a.json").read_text())
    assert record["calls"] == {"image": 3, "kernel": 3}
    assert record["options"]["steps"] == {"value": 3, "from": "command line"}
    assert record["options"]["guidance"] == {"value": "proximal", "from": "default"}
    assert record["options"]["set.operator.kernel_size"]["value"] == 7
    assert len(record["trace"]) == 3 and record["seconds"] > 0 and set(record["versions"]) > {"ipt", "torch"}
    assert record["noise_from"] == "estimated"
    assert f"noise {record['noise_of_input']:.4f} estimated" in result.stderr
    assert with_options(record["verdict"]) in result.stderr


def test_a_picture_with_little_noise_is_said_to_be_taken_for_one_with_more(tmp_path):
    (tmp_path / "in").mkdir()
    Image.new("RGB", (24, 24), (90, 120, 150)).save(tmp_path / "in" / "a.png")
    result = run("solve", tmp_path / "in" / "a.png", "-o", tmp_path / "out", *QUICK)
    assert "noise 0.0011 estimated, 0.0070 assumed" in result.stderr, result.stderr
    record = json.loads((tmp_path / "out" / "a.json").read_text())
    assert record["noise"] == 0.007 and record["noise_of_input"] == pytest.approx(0.00113, abs=1e-5)


def test_run_yaml_runs_again_to_the_same_result_from_anywhere(picture, tmp_path, monkeypatch):
    monkeypatch.chdir(picture.parent)
    assert run("solve", "a.png", "-o", tmp_path / "one", *QUICK, "--seed", 5, "--noise", ".02").exit_code == 0
    monkeypatch.chdir("/")
    result = run("solve", "--config", tmp_path / "one" / "run.yaml", "-o", tmp_path / "two")
    assert result.exit_code == 0, result.stderr
    for name in ("a.png", "a.kernel.npy", "run.yaml"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    other = run("solve", "--config", tmp_path / "one" / "run.yaml", "-o", tmp_path / "three", "--seed", 6)
    assert other.exit_code == 0
    assert (tmp_path / "one" / "a.png").read_bytes() != (tmp_path / "three" / "a.png").read_bytes()


def test_without_input_the_example_is_solved_and_compared(tmp_path):
    result = run("solve", "-o", tmp_path, *PRIORS, "--steps", 2, "--json")
    assert result.exit_code == 0, result.stderr
    assert "Eileen Collins" in result.stderr and "degraded here by blur" in result.stderr
    (record,) = json.loads(result.stdout)["images"]
    assert record["status"] == "done" and record["noise"] == 0.01
    assert {"psnr", "psnr_input", "psnr_registered", "ssim", "kernel_mnc"} <= set(record["metrics"])
    assert (tmp_path / "astronaut.reference.png").is_file()
    assert record == {**json.loads((tmp_path / "astronaut.json").read_text()), "status": "done"}


def test_a_known_kernel_a_reference_and_the_truth_beside_it(picture, tmp_path):
    made = run("simulate", picture, "-o", tmp_path / "m", "--set", "operator.kernel_size=7", "--noise", ".005")
    assert made.exit_code == 0, made.stderr
    measurement, truth = tmp_path / "m" / "a.png", tmp_path / "m" / "truth"
    blind = run("solve", measurement, "-o", tmp_path / "blind", *QUICK, "--reference", truth, "--json")
    assert blind.exit_code == 0, blind.stderr
    assert 0 < json.loads(blind.stdout)["images"][0]["metrics"]["kernel_mnc"] <= 1
    known = run(
        "solve", measurement, "-o", tmp_path / "known", "--prior", "gaussian", "--steps", 40, "--json",
        "--reference", truth / "a.png", "--known", f"kernel={truth / 'a.kernel.npy'}",
    )  # fmt: skip
    assert known.exit_code == 0, known.stderr
    (record,) = json.loads(known.stdout)["images"]
    assert "kernel_mnc" not in record["metrics"] and record["calls"] == {"image": 40}
    assert record["metrics"]["psnr"] > json.loads(blind.stdout)["images"][0]["metrics"]["psnr"]
    used, given = np.load(tmp_path / "known" / "a.kernel.npy"), np.load(truth / "a.kernel.npy")
    np.testing.assert_allclose(used, given, atol=1e-7)


def test_samples_are_written_with_their_mean_and_spread(picture, tmp_path):
    out = tmp_path / "out"
    assert run("solve", picture, "-o", out, *QUICK, "--samples", 3, "--noise", ".05").exit_code == 0
    samples = np.stack([np.asarray(Image.open(out / f"a.sample{i}.png"), float) for i in (1, 2, 3)])
    mean = np.asarray(Image.open(out / "a.png"), float)
    # Where no sample was clipped, the mean of the files is the file of the mean, to rounding.
    inside = ((samples > 0) & (samples < 255)).all(0)
    assert inside.sum() > 100 and np.abs(samples.mean(0) - mean)[inside].max() <= 1
    assert np.load(out / "a.spread.npy").shape == (3, 32, 32) and np.load(out / "a.spread.npy").max() > 0
    assert run("solve", picture, "-o", tmp_path / "one", *QUICK, "--noise", ".05").exit_code == 0
    assert np.abs(np.asarray(Image.open(tmp_path / "one" / "a.png"), float) - samples[0]).max() <= 1


def test_precedence(picture, tmp_path, monkeypatch):
    config = tmp_path / "c.yaml"
    config.write_text("steps: 9\nseed: 9\nsamples: 2\nprior: {image: box, kernel: box}\nset: {guidance: {zeta: 0.9}}\n")
    monkeypatch.setenv("IPT_SEED", "8")
    monkeypatch.setenv("IPT_STEPS", "8")
    monkeypatch.setenv("IPT_PRIOR", "gaussian")
    result = run("solve", picture, "-o", tmp_path / "out", "--config", config, "--steps", "2", "--json")
    assert result.exit_code == 0, result.stderr
    options = json.loads(result.stdout)["images"][0]["options"]
    assert options["steps"] == {"value": 2, "from": "command line"}
    assert options["seed"] == {"value": 8, "from": "environment (IPT_SEED)"}
    assert options["samples"] == {"value": 2, "from": f"config ({config})"}
    assert options["prior.image"] == {"value": "gaussian", "from": "environment (IPT_PRIOR)"}
    assert options["prior.kernel"] == {"value": "box", "from": f"config ({config})"}
    assert options["set.guidance.zeta"] == {"value": 0.9, "from": f"config ({config})"}
    assert options["fit"] == {"value": "error", "from": "default"}


def test_in_a_folder_a_bad_picture_is_written_down_and_the_others_go_on(tmp_path, saved):
    saved(tmp_path / "in" / "a.png")
    saved(tmp_path / "in" / "c.png")
    whole = (tmp_path / "in" / "c.png").read_bytes()
    (tmp_path / "in" / "b.png").write_bytes(whole[: len(whole) // 2])
    out = tmp_path / "out"
    result = run("solve", tmp_path / "in", "-o", out, *QUICK, "--json")
    assert result.exit_code == 3
    assert "b.png: failed:" in result.stderr and "1 of 3 pictures failed" in result.stderr
    assert [image["status"] for image in json.loads(result.stdout)["images"]] == ["done", "failed", "done"]
    assert "cut short" in json.loads((out / "b.failed.json").read_text())["reason"]
    assert {"a.json", "c.json"} < names(out) and not {"b.json", "b.png"} & names(out)
    assert not [name for name in names(out) if name.startswith(".")]

    # Mended, the run goes on where it was: only what is missing is solved.
    before = {name: (out / name).stat().st_mtime_ns for name in ("a.json", "c.json")}
    (tmp_path / "in" / "b.png").write_bytes(whole)
    again = run("solve", tmp_path / "in", "-o", out, *QUICK, "--json")
    assert again.exit_code == 0
    assert [image["status"] for image in json.loads(again.stdout)["images"]] == ["skipped", "done", "skipped"]
    assert before == {name: (out / name).stat().st_mtime_ns for name in before} and "b.failed.json" not in names(out)


def test_done_pictures_are_solved_again_when_anything_that_matters_differs(picture, tmp_path, saved):
    def status(*more: object) -> str:
        result = run("solve", picture, "-o", tmp_path / "out", *QUICK, "--json", *more)
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)["images"][0]["status"]

    assert [status(), status(), status("--force")] == ["done", "skipped", "done"]
    # Neither where nor in what company it is solved.
    assert status("--device", "cpu", "--batch", 3, "--save-every", 1) == "skipped"
    saved(picture, 40)
    assert [status(), status()] == ["done", "skipped"]
    (tmp_path / "out" / "a.kernel.npy").unlink()
    assert [status(), status()] == ["done", "skipped"]


def test_other_options_in_the_same_folder_are_refused_with_the_difference(picture, tmp_path):
    def solved(*more: object) -> Result:
        return run("solve", picture, "-o", tmp_path / "out", *QUICK, "--json", *more)

    assert solved().exit_code == 0
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    for more, said in [
        (("--seed", 1), "seed 0 -> 1."),
        (("--set", "guidance.zeta=.5"), "set.guidance.zeta none -> 0.5."),
        (("--steps", 4, "--guidance", "dps"), "guidance proximal -> dps, steps 3 -> 4."),
        (("--samples", 2, "--fit", "crop"), "samples 1 -> 2, fit error -> crop."),
        (("--reference", picture), f"reference none -> {str(picture)[:60]}"),
    ]:
        refused = solved(*more)
        assert refused.exit_code == 1 and said in refused.stderr and "--force" in refused.stderr, refused.stderr
        assert len(refused.stderr.splitlines()) == 2
    assert before == {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    forced = solved("--seed", 1, "--force")
    assert forced.exit_code == 0 and json.loads(forced.stdout)["images"][0]["status"] == "done"
    assert solved("--seed", 1).exit_code == 0 and "seed 1 -> 0" in solved().stderr


@pytest.mark.parametrize(
    ("part", "name", "value", "said"),
    [("versions", "torch", "1.1", "versions.torch 1.1 -> "), ("weights", "image", "abc", "weights.image abc -> none")],
)
def test_other_versions_and_weights_are_refused(part, name, value, said, picture, tmp_path):
    def solved(*more: object) -> Result:
        return run("solve", picture, "-o", tmp_path / "out", *QUICK, *more)

    assert solved().exit_code == 0
    path = tmp_path / "out" / "run.yaml"
    there = yaml.safe_load(path.read_text())
    there["pinned"][part][name] = value
    there["pinned"]["versions"]["python"] = "3.0"
    path.write_text(yaml.safe_dump(there))
    refused = solved()
    assert refused.exit_code == 1 and said in refused.stderr and "python" not in refused.stderr
    assert solved("--force").exit_code == 0 and solved().exit_code == 0
    path.write_text("- nothing of ours\n")
    refused = solved()
    assert refused.exit_code == 1 and "run.yaml holds no options" in refused.stderr


def test_a_picture_that_does_not_fit_the_prior(tmp_path, saved):
    bank = np.random.default_rng(0).random((4, 3, 24, 24)).astype(np.float32)
    np.save(tmp_path / "bank.npy", bank)
    prior = ("--prior", f"empirical:{tmp_path / 'bank.npy'}", "--prior", "kernel=gaussian")
    picture = saved(tmp_path / "in" / "a.png", 32)
    common = ("solve", picture, *prior, "--steps", 2, "--set", "operator.kernel_size=5")
    refused = run(*common, "-o", tmp_path / "out")
    assert refused.exit_code == 1
    assert all(f"--fit {choice}" in refused.stderr for choice in ("resize", "crop", "tile"))
    resized = run(*common, "-o", tmp_path / "resized", "--fit", "resize", "--json")
    assert resized.exit_code == 0, resized.stderr
    assert json.loads(resized.stdout)["images"][0]["fit"]["solved_at"] == [3, 24, 24]
    assert size(tmp_path / "resized" / "a.png") == (32, 32)


def test_a_grey_16_bit_picture_keeps_its_kind(tmp_path):
    values = np.linspace(0, 65535, 32 * 32).reshape(32, 32).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "g.png")
    bank = np.random.default_rng(0).random((4, 3, 32, 32)).astype(np.float32)
    np.save(tmp_path / "bank.npy", bank)
    prior = ("--prior", f"empirical:{tmp_path / 'bank.npy'}", "--prior", "kernel=gaussian")
    result = run("solve", tmp_path / "g.png", "-o", tmp_path / "out", *prior, "--steps", 2)
    assert result.exit_code == 0, result.stderr
    with Image.open(tmp_path / "out" / "g.png") as written:
        assert written.mode.startswith("I;16") and written.size == (32, 32)


def test_files_of_somebody_else_are_not_replaced(picture, tmp_path, saved):
    result = run("solve", picture, "-o", picture.parent, *QUICK)
    assert result.exit_code == 1 and "would replace the inputs" in result.stderr
    out = tmp_path / "out"
    saved(out / "a.png", 10)
    theirs = (out / "a.png").read_bytes()
    refused = run("solve", picture, "-o", out, *QUICK)
    assert refused.exit_code == 1 and "--force" in refused.stderr
    assert (out / "a.png").read_bytes() == theirs and names(out) == {"a.png"}
    assert run("solve", picture, "-o", out, *QUICK, "--force").exit_code == 0
    assert (out / "a.png").read_bytes() != theirs


def test_results_are_not_taken_for_inputs(picture, tmp_path):
    assert run("solve", picture, "-o", tmp_path / "out", *QUICK).exit_code == 0
    result = run("solve", tmp_path / "out", "-o", tmp_path / "again", *QUICK)
    assert result.exit_code == 1 and "would be a result of a.png" in result.stderr


def test_an_output_folder_that_cannot_be_written_is_found_before_solving(picture, tmp_path, monkeypatch):
    def solved(*_: object, **__: object) -> None:
        raise AssertionError("it was solved before the folder was tried")

    monkeypatch.setattr("ipt.folder.pipeline.solve_tasks", solved)
    (tmp_path / "file").write_text("")
    result = run("solve", picture, "-o", tmp_path / "file" / "out", *QUICK)
    assert result.exit_code == 1 and "-o" in result.stderr and len(result.stderr.splitlines()) == 1
    assert run("solve", picture, "-o", tmp_path / "file", *QUICK).exit_code == 1


def test_a_full_disk(picture, tmp_path, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("ipt.images.atomic.os.fsync", full)
    out = tmp_path / "out"
    for place in (picture, picture.parent):
        result = run("solve", place, "-o", out, *QUICK)
        assert result.exit_code == 1, result.stderr
        assert "no space left on the disk" in result.stderr and len(result.stderr.splitlines()) == 1
        assert (names(out) if out.exists() else set()) <= ({"log"} if place.is_dir() else set())


def test_ctrl_c_in_the_middle(picture, tmp_path):
    # Far more steps than are waited for; the first picture's files would be seen if they were written early.
    endless = ("--steps", "100000", "-o", tmp_path / "out")
    # As the installed command does it. With `python -m`, Python itself ends by the signal, which a shell tells as 130
    # too, where it came while code from a string ran: a dataclass or a named tuple that an import was about to make.
    entry = "from ipt.cli.main import main; main()"
    command = [sys.executable, "-c", entry, "solve", picture, *PRIORS, *endless]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "out").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    # On a terminal click's empty line ends the one with ^C in it.
    assert stderr.strip() == "Interrupted. The same command continues from what is done and saved." and stdout == ""
    assert not (tmp_path / "out").exists()


def test_a_solve_that_diverges(picture, tmp_path):
    guidance = ("--guidance", "dps", "--set", "guidance.scale=1e30", "--steps", "10")
    result = run("solve", picture, "-o", tmp_path / "out", *PRIORS, *guidance)
    assert result.exit_code == 1 and "the solve diverged" in result.stderr
    assert not (tmp_path / "out").exists()


def test_help_imports_no_torch():
    probe = (
        "import sys\nfrom click.testing import CliRunner\nfrom ipt.cli.main import cli\n"
        "for name in ('solve', 'simulate'):\n"
        "    assert CliRunner().invoke(cli, [name, '--help']).exit_code == 0\n"
        "heavy = {'torch', 'numpy', 'skimage', 'PIL'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_option_is_in_the_help_and_in_run_yaml(picture, tmp_path):
    names = [option.name for option in fields(SolveOptions) if option.name != "origins"]
    said = run("solve", "--help").stdout
    assert all(f"--{name}" in said for name in names if name != "input")
    assert run("solve", picture, "-o", tmp_path / "out", *QUICK).exit_code == 0
    written = yaml.safe_load((tmp_path / "out" / "run.yaml").read_text())
    assert list(written) == [*names, "pinned"]


def test_a_measurement_smaller_than_its_picture(picture, tmp_path):
    operator = ("--operator", "blur+downscale:2", "--set", "operator.kernel_size=7")
    simulated = run("simulate", picture, "-o", tmp_path / "sim", *operator, "--depth", "16")
    assert simulated.exit_code == 0 and size(tmp_path / "sim" / "a.png") == (16, 16)
    solve = ("solve", tmp_path / "sim" / "a.png", "-o", tmp_path / "out", *operator, "--steps", "2")
    result = run(*solve, *PRIORS, "--reference", tmp_path / "sim" / "truth")
    assert result.exit_code == 0, result.stderr
    assert size(tmp_path / "out" / "a.png") == size(tmp_path / "out" / "a.reference.png") == (32, 32)
    assert size(tmp_path / "out" / "a.measurement.png") == size(tmp_path / "out" / "a.residual.png") == (16, 16)
    metrics = json.loads((tmp_path / "out" / "a.json").read_text())["metrics"]
    assert {"psnr", "kernel_mnc"} <= set(metrics) and "psnr_input" not in metrics
    # The input lies on the result, enlarged.
    assert 'class="compare"' in (tmp_path / "out" / "report.html").read_text()
    smaller = run(*solve, *PRIORS, "--force", "--reference", tmp_path / "sim" / "a.png")
    assert smaller.exit_code == 1 and "16 x 16 px and the picture 32 x 32" in smaller.stderr


@pytest.mark.parametrize("choice", ["error", "resize", "crop"])
def test_a_smaller_measurement_is_not_resized_for_the_prior(picture, tmp_path, choice, saved):
    arguments = ("--operator", "downscale:2", "--prior", "faces", "--steps", "1", "--fit", choice)
    result = run("solve", saved(tmp_path / "in" / "b.png", 16), "-o", tmp_path / "out", *arguments)
    assert result.exit_code == 1 and "32 x 32 px, which the prior does not take" in result.stderr
    assert "--fit tile" in result.stderr and "--fit resize" not in result.stderr


def test_a_mask_and_a_picture_of_the_kernel(picture, tmp_path):
    mask = np.full((32, 32), 255, dtype=np.uint8)
    mask[:8] = 0
    Image.fromarray(mask).save(tmp_path / "mask.png")
    Image.fromarray(np.eye(5, dtype=np.uint8) * 255).save(tmp_path / "k.png")
    given = ("--mask", tmp_path / "mask.png", "--known", f"kernel={tmp_path / 'k.png'}", "--clipped", "none")
    result = run("solve", picture, "-o", tmp_path / "out", "--prior", "gaussian", "--steps", 3, *given)
    assert result.exit_code == 0, result.stderr
    record = json.loads((tmp_path / "out" / "a.json").read_text())
    assert record["trusted"] == 0.75 and record["options"]["clipped"] == {"value": "none", "from": "command line"}
    assert "in red what was not trusted: 25 % of the input" in (tmp_path / "out" / "report.html").read_text()
    with Image.open(tmp_path / "out" / "a.mask.png") as written:
        assert np.array_equal(np.asarray(written), mask)
    kernel = np.load(tmp_path / "out" / "a.kernel.npy")
    assert kernel[0] == pytest.approx(np.eye(5) / 5, abs=1e-6)


@pytest.mark.parametrize("suffix", ["npy", "png"])
def test_a_known_kernel_is_scaled_with_the_picture(tmp_path, suffix):
    """A picture of 96 px becomes one of 64, and a row of 12 px one of 8."""
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (96, 96, 3), np.uint8)).save(tmp_path / "a.png")
    kernel = np.zeros((13, 13))
    kernel[6, :12] = 1
    if suffix == "npy":
        np.save(tmp_path / "k.npy", kernel)
    else:
        Image.fromarray((255 * kernel).astype(np.uint8)).save(tmp_path / "k.png")
    given = ("--prior", "faces", "--fit", "resize", "--steps", 2, "--known", f"kernel={tmp_path / f'k.{suffix}'}")
    result = run("solve", tmp_path / "a.png", "-o", tmp_path / "out", *given)
    assert result.exit_code == 0, result.stderr
    record = json.loads((tmp_path / "out" / "a.json").read_text())
    side = record["fit"]["solved_at"][-1]
    found = np.load(tmp_path / "out" / "a.kernel.npy")[0]
    columns = np.arange(len(found)) - len(found) // 2
    mean = (found.sum(0) * columns).sum()
    spread = np.sqrt((found.sum(0) * (columns - mean) ** 2).sum())
    assert found.sum() == pytest.approx(1, abs=1e-5) and spread == pytest.approx(12 * side / 96 / 12**0.5, rel=0.1)


@pytest.mark.parametrize(("clipped", "share"), [("auto", 0.9), ("none", 1.0), ("0.5", 0.9)])
def test_a_lamp_of_a_camera_of_12_bits(tmp_path, clipped, share):
    numbers = np.random.default_rng(0).integers(0, 1500, (32, 32)).astype(np.uint16)
    numbers[8:12, 8:12] = 4095
    tifffile.imwrite(tmp_path / "a.tif", numbers)
    np.save(tmp_path / "k.npy", np.eye(3) / 3)
    given = (*KNOWN, f"kernel={tmp_path / 'k.npy'}", "--clipped", clipped, "--noise", ".01")
    result = run("solve", tmp_path / "a.tif", "-o", tmp_path / "out", *given)
    assert result.exit_code == 0, result.stderr
    assert "12 bits used" in result.stderr
    record = json.loads((tmp_path / "out" / "a.json").read_text())
    assert record["trusted"] == 1.0 if share == 1 else record["trusted"] < 1 - 15 / 1024
    assert np.asarray(Image.open(tmp_path / "out" / "a.png")).max() <= 4095
