"""One picture restored in one call."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from skimage import data

import ipt
from ipt.cli.main import cli
from ipt.core.errors import IptError, Misuse
from ipt.images import files
from ipt.images.outcomes import Progress
from ipt.images.parameters import write_parameter
from ipt.report.report import write_report
from ipt.solve.outputs import read_record, write_result

PRIORS = {"image": "gaussian", "kernel": "gaussian"}
QUICK: dict[str, Any] = {"prior": PRIORS, "steps": 3, "settings": {"operator.kernel_size": 7}}
FLAGS = ("--prior", "gaussian", "--prior", "kernel=gaussian", "--steps", "3", "--set", "operator.kernel_size=7")


def photograph(side: int = 32) -> np.ndarray:
    return np.asarray(Image.fromarray(data.astronaut()[60:184, 163:287]).resize((side, side)))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    Image.fromarray(photograph()).save(path)
    return path


def by_command(picture: Path, out: Path, *flags: str) -> np.ndarray:
    result = CliRunner().invoke(cli, ["solve", str(picture), "-o", str(out), *FLAGS, *flags])
    assert result.exit_code == 0, result.stderr
    return files.read(out / f"{picture.stem}.png").levels()


@pytest.mark.parametrize(
    ("given", "flags"),
    [
        ({}, []),
        ({"seed": 4, "noise": 0.03, "border": "zero"}, ["--seed", "4", "--noise", ".03", "--border", "zero"]),
        ({"samples": 2}, ["--samples", "2"]),
        ({"effort": 1, "clipped": 0.9}, ["--effort", "1", "--clipped", ".9"]),
    ],
    ids=["defaults", "options", "samples", "clipped"],
)
def test_it_is_what_the_command_does(given, flags, saved, tmp_path):
    wanted = by_command(saved, tmp_path / "out", *flags)
    of_file = ipt.restore(saved, **QUICK, **given)
    assert np.array_equal(of_file.picture, wanted) and of_file.picture.dtype == np.uint8
    of_array = ipt.restore(photograph(), name="a.png", **QUICK, **given)
    assert np.array_equal(of_array.picture, wanted)
    record = read_record(tmp_path / "out", "a")
    for found in (of_file, of_array):
        assert (found.verdict, found.probability) == (record["verdict"], record["probability"])
        assert found.noise == record["noise"] and np.allclose(
            found.parameters["kernel"], np.load(tmp_path / "out" / "a.kernel.npy")
        )
        assert float(np.sqrt(np.square(found.residual.astype(float)).mean())) == pytest.approx(record["residual"])


def test_known_parameters_and_masks_are_files_or_arrays(saved, tmp_path):
    kernel = torch.zeros(5, 5)
    kernel[2, 1:4] = 1 / 3
    mask = np.ones((32, 32), bool)
    mask[:9, :9] = False
    write_parameter(tmp_path / "k.npy", kernel)
    Image.fromarray((255 * mask).astype(np.uint8)).save(tmp_path / "mask.png")
    given: dict[str, Any] = {"prior": "gaussian", "steps": 3}
    of_files = ipt.restore(saved, known={"kernel": tmp_path / "k.npy"}, mask=tmp_path / "mask.png", **given)
    # Such as Pillow makes; of these torch warns.
    fixed = mask.astype(float)
    fixed.flags.writeable = False
    for known, trusted in ((kernel, torch.tensor(mask)), (kernel.numpy(), fixed)):
        found = ipt.restore(saved, known={"kernel": known}, mask=trusted, **given)
        assert np.array_equal(found.picture, of_files.picture)
    assert of_files.details.record["trusted"] < 1
    # A mask that a program made may leave out nothing.
    whole = ipt.restore(saved, known={"kernel": kernel}, mask=np.ones((32, 32), bool), **given)
    assert whole.details.record["trusted"] == 1


COLOUR = photograph(24)
GREY = COLOUR[:, :, 1]
ALPHA = np.concatenate([COLOUR, np.full((24, 24, 1), 200, np.uint8)], -1)


@pytest.mark.parametrize("stored", [GREY, GREY[:, :, None], COLOUR, ALPHA], ids=["grey", "channel", "colour", "alpha"])
@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32", "float64", "float16"])
def test_an_array_comes_back_as_it_was(kind, stored):
    scaled = stored / 255 if "float" in kind else stored * (1.0 if kind == "uint8" else 257.0)
    given = scaled.astype(kind)
    found = ipt.restore(given, noise=0.02, **QUICK)
    assert found.picture.shape == given.shape and found.picture.dtype == given.dtype
    distance = np.abs(found.picture.astype(float) - given).mean() / (1.0 if "float" in kind else np.iinfo(kind).max)
    assert 0 < distance < 0.25
    if stored is ALPHA:
        assert np.allclose(found.picture[:, :, 3], given[:, :, 3], rtol=1e-6)
    moved = given if given.ndim == 2 else np.moveaxis(given, -1, 0)
    tensor = ipt.restore(torch.from_numpy(np.ascontiguousarray(moved)), noise=0.02, **QUICK)
    assert isinstance(tensor.picture, torch.Tensor) and isinstance(tensor.parameters["kernel"], torch.Tensor)
    back = tensor.picture.numpy() if given.ndim == 2 else np.moveaxis(tensor.picture.numpy(), 0, -1)
    assert np.array_equal(back, found.picture)


def test_a_tensor_of_a_training_loop():
    given = torch.rand(3, 16, 16, dtype=torch.bfloat16).requires_grad_()
    found = ipt.restore(given, noise=0.05, **QUICK)
    assert found.picture.dtype == torch.bfloat16 and not found.picture.requires_grad


def test_a_file_of_16_bits_and_a_grey_one(tmp_path):
    deep = (photograph(24)[:, :, 0].astype(np.uint16) * 257)[:, :20]
    files.write(tmp_path / "deep.png", files.Picture(torch.from_numpy(deep / np.float32(65535))[None], depth=16))
    found = ipt.restore(tmp_path / "deep.png", **QUICK)
    assert found.picture.dtype == np.uint16 and found.picture.shape == (24, 20)


def test_what_does_not_fit_is_fitted_and_the_prior_is_that_of_the_size():
    wide = np.concatenate([COLOUR, COLOUR], 1)
    priors = {"image": "faces", "kernel": "gaussian"}
    quick = {**QUICK, "prior": priors, "steps": 1, "effort": 1}
    with pytest.raises(IptError, match=r"fit=crop.*prior=natural"):
        ipt.restore(wide, **quick)
    assert ipt.restore(wide, fit="crop", **quick).picture.shape == (24, 24, 3)
    found = ipt.restore(wide, fit="resize", **quick)
    assert found.picture.shape == wide.shape and found.residual.shape == (3, 64, 64)
    found = ipt.restore(wide, **{**quick, "prior": {"kernel": "gaussian"}})
    assert found.details.record["options"]["prior.image"]["value"] == "natural"


def test_progress_and_the_files_of_a_result(saved, tmp_path):
    heard: list[Progress] = []
    found = ipt.restore(saved, progress=heard.append, **{**QUICK, "effort": 1})
    assert [each.done for each in heard] == [1, 2, 3] and heard[-1].total == 3
    out = tmp_path / "out"
    write_result(out, "a", found.details)
    assert np.array_equal(files.read(out / "a.png").levels(), found.picture)
    write_report(out)


@pytest.mark.parametrize("border", ["unknown", "circular"])
def test_the_last_residual_that_progress_hears_is_the_verdict_s(border):
    heard: list[Progress] = []
    settings = {"operator.border": border, "operator.kernel_size": 9}
    given = {"prior": {"image": "gaussian", "kernel": "gaussian"}, "steps": 3, "effort": 1, "noise": 0.02}
    found = ipt.restore(photograph(32), progress=heard.append, settings=settings, **given)
    record = found.details.record
    assert heard[-1].residual == pytest.approx(record["residual_inside"] / found.details.noise, rel=1e-5)
    assert f"{heard[-1].residual:.2f} times" in record["verdict"]


def test_what_is_believed_can_be_seen_on_the_way_and_an_exception_ends_the_solve():
    class Enough(Exception):
        pass

    seen, shares = [], []

    def heard(step: Progress) -> None:
        shares.append(step.share)
        seen.append(step.estimate())
        if step.done == 12:
            raise Enough

    given = {"prior": {"image": "gaussian", "kernel": "gaussian"}, "steps": 6, "effort": 1, "noise": 0.02}
    with pytest.raises(Enough):
        ipt.restore(photograph(96), progress=heard, **given)
    # Nine steps at half the size, with four draws each, and three at full size.
    assert [tuple(one["image"].shape) for one in seen] == [(3, 48, 48)] * 9 + [(3, 96, 96)] * 3
    assert shares == sorted(shares) and shares[8] < 0.9 and shares[-1] == 1
    assert float(seen[-1]["kernel"].sum()) == pytest.approx(1, abs=1e-4)
    assert not torch.equal(seen[-1]["image"], seen[-2]["image"])


def test_exposures_are_a_list_or_a_file_and_what_the_command_makes_of_them(tmp_path):
    frames = [photograph(), photograph()[::-1].copy()]
    (tmp_path / "burst").mkdir()
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / "burst" / f"{number}.png")
    result = CliRunner().invoke(
        cli, ["solve", str(tmp_path / "burst"), "--frames", "-o", str(tmp_path / "out"), *FLAGS, "--noise", ".02"]
    )
    assert result.exit_code == 0, result.stderr
    wanted = files.read(tmp_path / "out" / "burst.png").levels()
    for given in (frames, [tmp_path / "burst" / "0.png", tmp_path / "burst" / "1.png"]):
        found = ipt.restore(given, name="burst", noise=0.02, **QUICK)
        assert np.array_equal(found.picture, wanted) and found.details.frames == 2
    of_folder = ipt.restore(tmp_path / "burst", frames=True, noise=0.02, **QUICK)
    assert np.array_equal(of_folder.picture, wanted)
    for given, more, message in (
        ([frames[0]], {}, "list of two or more"),
        (frames[0], {"frames": True}, "give arrays as a list"),
        ([frames[0], frames[1][:20]], {}, "different sizes"),
    ):
        with pytest.raises(IptError, match=message):
            ipt.restore(given, **more, **QUICK)


def test_each_draw_is_there_and_saved(saved, tmp_path):
    found = ipt.restore(saved, samples=2, **QUICK)
    assert len(found.draws) == 2 and not np.array_equal(found.draws[0].picture, found.draws[1].picture)
    alone = ipt.restore(saved, **{**QUICK, "effort": 1})
    assert np.array_equal(alone.picture, found.draws[0].picture) and not alone.draws
    assert np.allclose(alone.parameters["kernel"], found.draws[0].parameters["kernel"], atol=1e-6)
    written = found.save(tmp_path / "out", "mine")
    assert np.array_equal(files.read(written["sample 2"]).levels(), found.draws[1].picture)
    assert written["result"] == tmp_path / "out" / "mine.png" and written["kernel"].is_file()


def test_floats_outside_are_warned_of():
    given = COLOUR / 255
    given[0, 0] = -0.05
    with pytest.warns(UserWarning, match=r"values from -0.05 to .*taken as they are") as caught:
        ipt.restore(given, **QUICK)
    assert caught[0].filename == __file__


@pytest.mark.filterwarnings("ignore:the picture has values")
@pytest.mark.parametrize(
    ("picture", "given", "words"),
    [
        (COLOUR.astype(float), {}, "its floats run from .* scale them to 0..1"),
        (COLOUR[None], {}, r"shape \(1, 24, 24, 3\).*give one picture"),
        (np.moveaxis(COLOUR, -1, 0), {}, r"24 channels; a numpy array is \(height, width\) or"),
        (COLOUR.astype(np.int64), {}, "of kind int64; give uint8"),
        (np.full((24, 24), np.nan), {}, "NaN or infinite"),
        (COLOUR[:4], {}, "24 x 4 pixels; the least is 8 x 8"),
        ([1, 2], {}, "picture= is a path, or an array .* not a int"),
        ("none.png", {}, "none.png cannot be read"),
        (COLOUR, {"noise": 3}, "noise= is a standard deviation above 0"),
        (COLOUR, {"samples": 0}, "samples= is a whole number from 1 up"),
        (COLOUR, {"seed": -1}, "seed= is a whole number from 0 up, not -1"),
        (COLOUR, {"effort": 0.5}, "effort= is a whole number from 1 up"),
        (COLOUR, {"mask": np.ones((3, 24, 24))}, r"mask= is a file or an array \(height, width\)"),
        (COLOUR, {"mask": np.zeros((24, 24))}, "the mask is dark all over"),
        (COLOUR, {"mask": np.zeros((9, 24))}, "the mask is 24 x 9 px and the picture 24 x 24"),
        (COLOUR, {"known": {"kernel": np.zeros((5, 5))}, "prior": "gaussian"}, "known kernel holds nothing but zeros"),
        (COLOUR, {"operator": "blurr"}, "blurr"),
        (COLOUR, {"fit": "stretch", "prior": "gaussian"}, "fit= is error, resize, crop or tile"),
        (COLOUR, {"precision": "fp8"}, "precision= is auto, "),
        (COLOUR, {"clipped": "often"}, "clipped= is auto, none, or a value"),
    ],
)
def test_mistakes_are_named_by_their_argument(picture, given, words):
    with pytest.raises(IptError, match=words) as caught:
        ipt.restore(picture, **{**QUICK, **given})
    assert "--" not in str(caught.value)
    assert isinstance(caught.value, Misuse) == (("= is" in words) or words == "blurr")


def test_it_is_there_without_torch_being_loaded():
    code = "import sys, ipt; assert 'restore' in dir(ipt) and 'torch' not in sys.modules; ipt.restore, ipt.Restored"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_values_of_another_scale_are_refused_without_a_warning_before():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(IptError, match=r"scale them to 0\.\.1"):
            ipt.restore(
                np.linspace(-0.5, 255, 32 * 32).reshape(32, 32), prior={"image": "gaussian", "kernel": "gaussian"}
            )
