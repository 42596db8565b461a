"""Several exposures of one scene: `ipt simulate --frames N` and `ipt solve --frames`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from skimage import data

from ipt.cli.main import cli
from ipt.images import files
from ipt.solve.example import face
from ipt.solve.metrics import endpoint_error, kernel_mnc, psnr

TURBULENCE = ("--operator", "turbulence", "--set", "operator.kernel_size=7")
QUICK = (*TURBULENCE, "--prior", "gaussian", "--prior", "kernel=gaussian", "--steps", "2")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    Image.fromarray(data.astronaut()[60:184, 163:287]).resize((20, 16)).save(path)
    return path


@pytest.fixture
def simulated(clean: Path, tmp_path: Path) -> Path:
    result = run("simulate", clean, "-o", tmp_path / "sim", *TURBULENCE, "--frames", 3, "--depth", 16)
    assert result.exit_code == 0, result.stderr
    return tmp_path / "sim"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_simulated_exposures_have_parameters_of_their_own(simulated):
    assert names(simulated) == {"a", "truth", "run.yaml"} and names(simulated / "a") == {"01.png", "02.png", "03.png"}
    kernels, tilts = (np.load(simulated / "truth" / f"a.{name}.npy") for name in ("kernel", "tilt"))
    assert kernels.shape == (1, 7, 7) and tilts.shape == (3, 2, 22, 26)
    assert np.abs(tilts[0] - tilts[1]).max() > 0
    assert json.loads((simulated / "truth" / "a.json").read_text())["frames"] == 3


def test_exposures_are_replaced_only_on_demand_and_only_exposures(clean, simulated):
    again = ("simulate", clean, "-o", simulated, *TURBULENCE, "--frames", 2)
    assert run(*again).exit_code == 1
    assert run(*again, "--force").exit_code == 0 and names(simulated / "a") == {"01.png", "02.png"}
    (simulated / "a" / "notes.txt").touch()
    refused = run(*again, "--force")
    assert refused.exit_code == 1 and "other files than exposures" in refused.stderr
    assert "notes.txt" in names(simulated / "a")


def test_a_failure_leaves_no_exposures(clean, tmp_path, monkeypatch):
    write = files.write

    def fails(path, picture):
        if path.name == "02.png":
            raise OSError("full")
        write(path, picture)

    monkeypatch.setattr(files, "write", fails)
    assert run("simulate", clean, "-o", tmp_path / "sim", *TURBULENCE, "--frames", 3).exit_code == 1
    assert not (tmp_path / "sim").exists()


def test_frames_make_one_picture_that_is_measured_against_the_truth(simulated, tmp_path):
    out, truth = tmp_path / "out", simulated / "truth"
    result = run("solve", simulated / "a", "--frames", "-o", out, *QUICK, "--reference", truth)
    assert result.exit_code == 0, result.stderr
    endings = ("json", "png", "measurement.png", "mean.png", "median.png", "reference.png", "residual.png")
    parameters = {f"a.{name}.{ending}" for name in ("kernel", "tilt") for ending in ("npy", "png")}
    assert names(out) == {f"a.{ending}" for ending in endings} | parameters | {"report.html", "run.yaml"}
    kernels, tilts = (np.load(out / f"a.{name}.npy") for name in ("kernel", "tilt"))
    assert kernels.shape == (1, 7, 7) and tilts.shape == (3, 2, 22, 26)
    assert kernels.sum() == pytest.approx(1, abs=1e-5)
    record = json.loads((out / "a.json").read_text())
    assert record["frames"] == 3 and record["shape"] == [3, 16, 20] and record["sizes"]["tilt"] == [2, 22, 26]
    true_kernels, true_tilts = (np.load(truth / f"a.{name}.npy") for name in ("kernel", "tilt"))
    metrics = record["metrics"]
    assert metrics["tilt_error"] == pytest.approx(np.mean([*map(endpoint_error, tilts, true_tilts)]), rel=1e-4)
    assert metrics["kernel_mnc"] == pytest.approx(kernel_mnc(kernels, true_kernels), rel=1e-4)
    frames = [files.read(simulated / "a" / f"0{number}.png").pixels for number in (1, 2, 3)]
    reference = files.read(truth / "a.png").pixels
    assert metrics["psnr_mean"] == pytest.approx(psnr(sum(frames) / 3, reference), rel=1e-5)
    assert metrics["psnr_input"] == pytest.approx(psnr(frames[0], reference), rel=1e-5)
    page = (out / "report.html").read_text()
    assert "3 frames" in page and "median of the frames" in page
    # The tilts' pictures stand beside one another.
    with Image.open(out / "a.tilt.png") as sheet:
        assert sheet.width > 3 * 256
    assert "done before" in run("solve", "--config", out / "run.yaml", "-o", out).stderr


def test_a_changed_frame_is_solved_again(simulated, tmp_path):
    again = ("solve", simulated / "a", "--frames", "-o", tmp_path / "out", *QUICK, "--json")
    (first,) = json.loads(run(*again).stdout)["images"]
    files.write(simulated / "a" / "02.png", files.read(simulated / "a" / "01.png"))
    (second,) = json.loads(run(*again).stdout)["images"]
    assert (first["status"], second["status"]) == ("done", "done")
    assert first["input_sha256"] != second["input_sha256"]


def test_known_tilts_of_each_frame(simulated, tmp_path):
    tilts = simulated / "truth" / "a.tilt.npy"
    result = run("solve", simulated / "a", "--frames", "-o", tmp_path / "out", *QUICK, "--known", f"tilt={tilts}")
    assert result.exit_code == 0, result.stderr
    assert np.array_equal(np.load(tmp_path / "out" / "a.tilt.npy"), np.load(tilts))


def test_pages_of_a_grey_tiff_with_a_prior_for_colour_and_tiles(tmp_path, monkeypatch):
    from ipt.priors import shipped
    from ipt.priors.analytic import GaussianPrior

    class Colour(GaussianPrior):
        def normalization(self, shape):
            if tuple(shape) != (3, 16, 16):
                raise ValueError("takes 3 x 16 x 16")
            return super().normalization(shape)

    monkeypatch.setattr(shipped, "faces", lambda device="cpu", precision="fp32": Colour())
    pages = [Image.fromarray(data.camera()[100:124, 200 + shift : 220 + shift]) for shift in range(14)]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    for choice in ("tile", "resize", "crop"):
        out = tmp_path / choice
        more = (*TURBULENCE, "--prior", "kernel=gaussian", "--steps", 2, "--fit", choice)
        result = run("solve", tmp_path / "stack.tif", "--frames", "-o", out, *more)
        assert result.exit_code == 0, result.stderr
        height = 20 if choice == "crop" else 24
        assert files.read(out / "stack.png").shape == files.read(out / "stack.mean.png").shape == (1, height, 20)
        assert len(np.load(out / "stack.tilt.npy")) == 14
        assert "of the first 12 frames" in (out / "report.html").read_text()


def nothing_written(folder: Path) -> bool:
    return not folder.exists() or not names(folder)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--known", "tilt={0}"), "nowhere above"),
        (("--set", "operator.kernel_size=31"), "a kernel of 31 x 31 px is larger than the picture"),
        (("--shard", "1/2"), "leave it out"),
    ],
)
def test_what_cannot_be_solved_leaves_nothing(simulated, tmp_path, more, said):
    tiny = tmp_path / "tiny.npy"
    np.save(tiny, np.full((2, 16, 20), 1e-6))
    usual = QUICK if "--set" not in more else (*TURBULENCE[:2], *QUICK[len(TURBULENCE) :])
    arguments = [*usual, *(argument.format(tiny) for argument in more)]
    result = run("solve", simulated / "a", "--frames", "-o", tmp_path / "out", *arguments)
    assert result.exit_code == 1 and said in result.stderr and "Traceback" not in result.stderr
    assert nothing_written(tmp_path / "out")


def test_the_output_is_no_folder_of_frames_and_the_frames_are_not_one(simulated, tmp_path):
    inside = run("solve", simulated / "a", "--frames", "-o", simulated / "a", *QUICK)
    assert inside.exit_code == 1 and "replace the inputs" in inside.stderr
    counted = run("solve", simulated / "a", "--frames", 3, "-o", tmp_path / "out", *QUICK)
    assert counted.exit_code == 2 and "the exposures of an INPUT are counted; give --frames" in counted.stderr
    file = run("solve", simulated / "a" / "01.png", "--frames", "-o", tmp_path / "out", *QUICK)
    assert file.exit_code == 1 and "leave out --frames" in file.stderr


TINTED = """
import ipt


class Tinted(ipt.ParametricOperator):
    def parameters(self, image_shape):
        return {
            "tint": ipt.ParameterSpec((3, 1, 1), "of the glass", range=(0.3, 0.9), shared=True),
            "light": ipt.ParameterSpec((1, 1, 1), "of the exposure", range=(0.6, 1.1)),
        }

    def forward(self, image, tint, light):
        return light * tint * image


@ipt.hookimpl
def ipt_operators():
    yield ipt.Component("tinted", Tinted, "glass before every exposure")
"""


def works(*arguments: object) -> None:
    done = run(*arguments)
    assert done.exit_code == 0, done.output


def test_what_exposures_share_is_drawn_written_and_compared_once(install, tmp_path, monkeypatch):
    install("tinted-glass", TINTED)
    monkeypatch.chdir(tmp_path)
    files.write("face.png", files.Picture(face(32), depth=16))
    works("simulate", "face.png", "-o", "dim", "--operator", "tinted", "--frames", "3", "--noise", ".01")
    tints = np.load("dim/truth/face.tint.npy")
    assert tints.shape == (3, 1, 1)
    assert np.load("dim/truth/face.light.npy").shape == (3, 1, 1, 1)
    # What is written as the truth is read as known, also of another number of exposures.
    known = ("--known", "tint=dim/truth/face.tint.npy")
    solve = ("solve", "dim/face", "--frames", "--operator", "tinted", "--noise", ".01")
    reference = ("--reference", "dim/truth/face.png")
    quick = ("--prior", "gaussian", "--steps", "6")
    for out, given in {"blind": (), "told": known}.items():
        works(*solve, *reference, "-o", out, *quick, *given)
        record = json.loads((tmp_path / out / "face.json").read_text())
        assert np.load(f"{out}/face.tint.npy").shape == (3, 1, 1)
        assert np.load(f"{out}/face.light.npy").shape == (3, 1, 1, 1)
        assert {f"{name}_error" for name in ("light", *(["tint"] if not given else []))} <= record["metrics"].keys()
        assert record["verdict"].startswith("fits")
    # The example does the same.
    works("solve", "-o", "example", "--frames", "2", "--operator", "tinted", *quick)
    assert np.load("example/astronaut.tint.npy").shape == (3, 1, 1)
    assert "tint_error" in json.loads((tmp_path / "example" / "astronaut.json").read_text())["metrics"]
    (tmp_path / "dim" / "face" / "03.png").unlink()
    works(*solve, *reference, "-o", "two", *quick, *known)


def test_a_camera_that_moved_is_held_still_and_the_truth_follows(tmp_path):
    scene = data.astronaut()[100:260, 120:300]
    (tmp_path / "burst").mkdir()
    for number, (down, right) in enumerate([(0, 0), (0, 12), (9, 3)], 1):
        Image.fromarray(scene[20 + down : 84 + down, 30 + right : 102 + right]).save(
            tmp_path / "burst" / f"{number}.png"
        )
    Image.fromarray(scene[20:84, 30:102]).save(tmp_path / "truth.png")
    quick = (*QUICK, "--reference", tmp_path / "truth.png")
    result = run("solve", tmp_path / "burst", "--frames", "-o", tmp_path / "out", *quick, "--json")
    assert result.exit_code == 0, result.stderr
    (record,) = json.loads(result.stdout)["images"]
    assert [(one["down"], one["right"]) for one in record["camera"]] == [(0, 0), (0, -12), (-9, -3)]
    assert record["shape"] == [3, 64 - 9, 72 - 12]
    assert record["metrics"]["psnr_mean"] > 40, "they show the same"
