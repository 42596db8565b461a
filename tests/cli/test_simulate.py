"""`ipt simulate`, run as people run it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from skimage import data

from ipt.cli.main import cli
from ipt.images import files
from ipt.operators.blur import Blur
from ipt.operators.turbulence import Turbulence
from ipt.operators.turbulence.tilts import TiltKolmogorov

_TINTED = """
import ipt


class Tinted(ipt.ParametricOperator):
    def parameters(self, image_shape):
        return {"tint": ipt.ParameterSpec((image_shape[0], 1, 1), "factor of each channel", prior="box")}

    def forward(self, image, *, tint):
        return image * tint


@ipt.hookimpl
def ipt_operators():
    yield ipt.Component("tinted", Tinted, "each channel by a factor", "nobody, 2024")
"""
SMALL = ("--set", "operator.kernel_size=9")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["simulate", *(str(argument) for argument in arguments)])


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "a.png"
    path.parent.mkdir()
    Image.fromarray(data.chelsea()[40:240, 100:300]).resize((40, 32)).save(path)
    return path


def written(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_measurement_and_the_truth(picture, tmp_path):
    out = tmp_path / "out"
    result = run(picture, "-o", out, *SMALL, "--noise", ".01", "--depth", "16", "--border", "circular", "--json")
    assert result.exit_code == 0, result.stderr
    assert written(out) == {
        "a.png", "run.yaml", "truth/a.png", "truth/a.json", "truth/a.kernel.npy", "truth/a.kernel.png"
    }  # fmt: skip
    clean, measured = files.read(out / "truth" / "a.png"), files.read(out / "a.png")
    assert measured.depth == 16 and torch.equal(clean.pixels, files.read(picture).pixels)
    kernel = torch.from_numpy(np.load(out / "truth" / "a.kernel.npy"))
    assert kernel.shape == (1, 9, 9) and float(kernel.sum()) == pytest.approx(1, abs=1e-5)
    # What the operator makes of the truth differs from the measurement by white noise of the level that was asked for.
    noise = measured.pixels - Blur(border="circular").forward(clean.pixels[None], kernel[None])[0]
    assert float(noise.std()) == pytest.approx(0.01, rel=0.06) and abs(float(noise.mean())) < 0.001
    (record,) = json.loads(result.stdout)["images"]
    assert record["noise"] == 0.01 and record["options"]["border"] == {"value": "circular", "from": "command line"}


def test_the_seed_and_the_name_say_what_is_drawn(picture, tmp_path):
    def made(out: str, *more: object) -> bytes:
        assert run(picture, "-o", tmp_path / out, *SMALL, *more).exit_code == 0
        return (tmp_path / out / "a.png").read_bytes()

    assert made("one") == made("two") != made("three", "--seed", 1)
    again = run("--config", tmp_path / "three" / "run.yaml", "-o", tmp_path / "four")
    assert again.exit_code == 0, again.stderr
    assert (tmp_path / "four" / "a.png").read_bytes() == (tmp_path / "three" / "a.png").read_bytes()


def test_a_picture_as_a_camera_takes_it(tmp_path):
    """Every option of the camera at once: what is recorded makes the same again."""
    path = tmp_path / "in" / "a.png"
    path.parent.mkdir()
    Image.fromarray(data.chelsea()[40:140, 100:220]).save(path)
    camera = ("--cut", "--rotation", "2", "--linear-light", "--exposure", "3", "--jpeg", "90", *SMALL)
    result = run(path, "-o", tmp_path / "out", *camera, "--json")
    assert result.exit_code == 0, result.stderr
    (record,) = json.loads(result.stdout)["images"]
    assert record["camera"] == {"rotation": 2.0, "linear_light": True, "exposure": 3.0, "jpeg": 90}
    assert record["options"]["cut"] == {"value": True, "from": "command line"} and record["depth"] == 8
    ((down, right),) = record["rotation_directions"]
    assert np.hypot(down, right) == pytest.approx(1) and record["clipped"] > 0
    clean, measured = (files.read(tmp_path / "out" / name).pixels for name in ("truth/a.png", "a.png"))
    assert clean.shape == measured.shape == (3, 86, 106), "without what kernel and rotation reach: 4 and 3 px"
    assert list(measured.shape) == record["shape"]
    again = run("--config", tmp_path / "out" / "run.yaml", "-o", tmp_path / "again")
    assert again.exit_code == 0, again.stderr
    assert (tmp_path / "again" / "a.png").read_bytes() == (tmp_path / "out" / "a.png").read_bytes()


def test_each_exposure_turns_its_own_way(picture, tmp_path):
    result = run(picture, "-o", tmp_path / "out", *SMALL, "--frames", 2, "--rotation", 3, "--json")
    assert result.exit_code == 0, result.stderr
    (record,) = json.loads(result.stdout)["images"]
    first, second = record["rotation_directions"]
    assert first != second


def test_no_noise_at_8_bits_is_the_blurred_picture_rounded(picture, tmp_path):
    assert run(picture, "-o", tmp_path / "out", *SMALL, "--noise", "0").exit_code == 0
    clean, measured = files.read(tmp_path / "out" / "truth" / "a.png"), files.read(tmp_path / "out" / "a.png")
    kernel = torch.from_numpy(np.load(tmp_path / "out" / "truth" / "a.kernel.npy"))
    assert measured.depth == 8
    assert (
        Blur(border="reflect").forward(clean.pixels[None], kernel[None])[0] - measured.pixels
    ).abs().max() <= 0.51 / 255


def test_rounding_that_matters_is_said(picture, tmp_path):
    assert "--depth 16" in run(picture, "-o", tmp_path / "one", *SMALL, "--noise", ".001").stderr
    assert "--depth 16" not in run(picture, "-o", tmp_path / "two", *SMALL, "--noise", ".02").stderr
    assert "--depth 16" not in run(picture, "-o", tmp_path / "three", *SMALL, "--noise", ".001", "--depth", 16).stderr


def test_options_of_the_generator_reach_it(picture, tmp_path):
    options = ("--generator", "gaussian", "--set", "generator.std=[2.5, 2.5]", "--set", "generator.anisotropy=[1, 1]")
    assert run(picture, "-o", tmp_path / "out", *SMALL, *options).exit_code == 0
    kernel = np.load(tmp_path / "out" / "truth" / "a.kernel.npy")[0]
    assert kernel[4, 4] / kernel[4, 6] == pytest.approx(np.exp(0.5 * (2 / 2.5) ** 2), rel=1e-4)
    own = ("--generator", "kernel=gaussian", "--set", "kernel.std=2.5", "--set", "kernel.anisotropy=1")
    assert run(picture, "-o", tmp_path / "own", *SMALL, *own).exit_code == 0
    np.testing.assert_array_equal(np.load(tmp_path / "own" / "truth" / "a.kernel.npy")[0], kernel)


def test_turbulence_by_physical_numbers(picture, tmp_path):
    options = ("--operator", "turbulence", *SMALL, "--depth", 16, "--noise", 0)
    camera = ("--set", "generator.d_over_r0=1.5", "--set", "tilt.distance=20000")
    result = run(picture, "-o", tmp_path / "out", *options, *camera, "--json")
    assert result.exit_code == 0, result.stderr
    truth = {f"truth/a.{end}" for end in ("png", "json", "kernel.npy", "kernel.png", "tilt.npy", "tilt.png")}
    assert written(tmp_path / "out") == {"a.png", "run.yaml"} | truth
    (record,) = json.loads(result.stdout)["images"]
    assert record["generators"] == {"kernel": "atmosphere", "tilt": "tilt-kolmogorov"}
    tilt = torch.from_numpy(np.load(tmp_path / "out" / "truth" / "a.tilt.npy"))
    wanted = TiltKolmogorov(1.5, distance=20000.0)
    assert tilt.shape == (2, 40, 48) and 0.3 < float(tilt.std()) / wanted.field.strength < 2
    kernel = torch.from_numpy(np.load(tmp_path / "out" / "truth" / "a.kernel.npy"))
    clean = files.read(tmp_path / "out" / "truth" / "a.png").pixels
    image = torch.nn.functional.pad(clean[None], (4, 4, 4, 4), mode="reflect")
    made = Turbulence().forward(image, kernel=kernel[None], tilt=tilt[None])[0].clamp(0, 1)
    assert (made - files.read(tmp_path / "out" / "a.png").pixels).abs().max() <= 0.51 / 65535 + 1e-6
    again = run("--config", tmp_path / "out" / "run.yaml", "-o", tmp_path / "again")
    assert again.exit_code == 0, again.stderr
    assert (tmp_path / "again" / "a.png").read_bytes() == (tmp_path / "out" / "a.png").read_bytes()


def test_a_generator_for_each_parameter(picture, tmp_path):
    chosen = ("--generator", "tilt=tilt-patches", "--generator", "kernel=gaussian", "--set", "tilt.limit=.1")
    result = run(picture, "-o", tmp_path / "out", "--operator", "turbulence", *SMALL, *chosen, "--json")
    assert result.exit_code == 0, result.stderr
    assert np.abs(np.load(tmp_path / "out" / "truth" / "a.tilt.npy")).max() == pytest.approx(0.1)
    (record,) = json.loads(result.stdout)["images"]
    assert record["generators"] == {"kernel": "gaussian", "tilt": "tilt-patches"}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--operator", "turbulence", "--generator", "motion"], 1, "MotionKernels draws (1, 40, 48) where 'tilt' is"),
        (["--operator", "turbulence", "--set", "tilt.d_over_r0=-3"], 1, "d_over_r0 is a number above 0, not -3"),
        (["--operator", "turbulence", "--set", "tilt.wavelength=550"], 1, "wavelength is in metres"),
        (["--operator", "turbulence", "--set", "tilt.d_over_r0=500"], 1, "leave a picture of 48 x 40 px"),
        (["--generator", "motoin"], 2, "did you mean 'motion'?"),
        (["--generator", "kernle=motion"], 2, "did you mean 'kernel'?"),
        (["--operator", "blurr"], 2, "did you mean 'blur'?"),
        (["--set", "generator.intensty=[0, 1]"], 2, "did you mean 'intensity'?"),
        (["--set", "generatr.intensity=[0, 1]"], 2, "did you mean 'generator'?"),
        (["--set", "generator.intensity=1.5"], 1, "intensity must be an interval within 0..1, not 1.5"),
        (["--set", "operator.kernel_size=64"], 1, "a kernel of 64 x 64 px is larger than the picture of 40 x 32 px"),
        (["--noise", "loud"], 2, "give a standard deviation from 0 up"),
        (["--noise", "-1"], 2, "give a standard deviation from 0 up"),
        (["--noise", "2"], 2, "divide it by 255"),
        (["--noise", "poisson"], 2, "as in --noise poisson:1000"),
        (["--rotation", "60"], 2, "--rotation is an angle of 0 to 45 degrees, not 60"),
        (["--rotation", "much"], 2, "give a number from 0 up, not 'much'"),
        (["--operator", "turbulence", "--rotation", "2"], 2, "drop --rotation, or choose --operator blur"),
        (["--exposure", "0"], 2, "--exposure is a factor above 0"),
        (["--jpeg", "0"], 2, "give a whole number from 1 up"),
        (["--jpeg", "101"], 2, "--jpeg is a quality of 1 to 100, not 101"),
        (["--jpeg", "90", "--depth", "16"], 2, "a JPEG has 8 bits; drop --depth 16, or --jpeg"),
        (["--cut", "--border", "zero", *SMALL], 2, "drop --cut, or take blur or turbulence with --border unknown"),
        (["--cut", "--set", "operator.kernel_size=31"], 1, "the picture is too small to be cut"),
        (["--depth", "12"], 2, "'12' is not one of 'input', '8', '16'"),
    ],
)
def test_what_cannot_be(arguments, code, said, picture, tmp_path):
    result = run(picture, "-o", tmp_path / "out", *arguments)
    assert result.exit_code == code and said in result.stderr, result.stderr
    assert not (tmp_path / "out").exists()


def test_a_parameter_without_a_generator_leaves_no_folder(picture, tmp_path, install):
    install("ipt-tinted", _TINTED)
    tinted = ("--operator", "tinted")
    result = run(picture.parent, "-o", tmp_path / "out", *tinted)
    assert result.exit_code == 1 and "--generator tint=NAME" in result.stderr, result.stderr
    assert not (tmp_path / "out").exists()
    # A folder that was there stays.
    (tmp_path / "out").mkdir()
    assert run(picture, "-o", tmp_path / "out", *tinted).exit_code == 1
    assert list((tmp_path / "out").iterdir()) == []
    assert run(picture, "-o", tmp_path / "out", *tinted, "--generator", "motion").exit_code == 1
    assert list((tmp_path / "out").iterdir()) == []


def test_without_a_picture(tmp_path):
    result = run("-o", tmp_path / "out")
    assert result.exit_code == 2 and "ipt simulate CLEAN -o OUT" in result.stderr


def test_a_folder_with_a_bad_picture(picture, tmp_path):
    (picture.parent / "b.png").write_text("no picture")
    result = run(picture.parent, "-o", tmp_path / "out", *SMALL)
    assert result.exit_code == 3 and "b.png: failed" in result.stderr
    assert "a.png" in written(tmp_path / "out") and "b.png" not in written(tmp_path / "out")


def test_nothing_is_replaced_unasked(picture, tmp_path):
    assert "would replace the clean pictures" in run(picture, "-o", picture.parent, *SMALL).stderr
    assert run(picture, "-o", tmp_path / "out", *SMALL).exit_code == 0
    again = run(picture, "-o", tmp_path / "out", *SMALL, "--seed", 1)
    assert again.exit_code == 1 and "--force" in again.stderr
    assert run(picture, "-o", tmp_path / "out", *SMALL, "--seed", 1, "--force").exit_code == 0


def test_all_or_nothing(picture, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ipt.simulate.dataset.json_text", full)
    result = run(picture, "-o", tmp_path / "out", *SMALL)
    assert result.exit_code == 1 and "no space left on the disk" in result.stderr
    assert not (tmp_path / "out").exists()
