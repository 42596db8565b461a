"""`ipt train`, from pictures to a prior that can be used."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from ipt.cli.main import cli
from ipt.cli.train import train
from ipt.priors.loading import load
from ipt.training.options import TrainingOptions
from ipt.training.validation import VALIDATION_SIGMAS

SMALL = (
    "--width",
    "8",
    "--set",
    "network.multipliers=[1, 2]",
    "--set",
    "training.validation_images=4",
    "--device",
    "cpu",
)
FILES = ["card.md", "config.json", "diffusion_pytorch_model.safetensors"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["train", *map(str, arguments)])


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(12):
        pixels = np.random.default_rng(index).integers(0, 256, (20, 24, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:02}.png")
    return folder


def test_pictures_become_a_prior(pictures, tmp_path):
    out = tmp_path / "prior"
    command = (
        "-o",
        out,
        "--from",
        pictures,
        "--size",
        16,
        "--images",
        64,
        "--batch",
        8,
        *SMALL,
        "--about",
        "Noise (CC0).",
    )
    done = run(*command)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines() == [str(out / name) for name in ("config.json", FILES[2], "card.md")]
    assert "converting 12 pictures" in done.stderr and "Done: use it with --prior" in done.stderr
    assert re.search(r"64 of 64 images \(100 %\), loss \d", done.stderr)
    assert [row.split()[0] for row in done.stderr.splitlines() if " dB" in row] == [f"{s:g}" for s in VALIDATION_SIGMAS]
    config = json.loads((out / "config.json").read_text())
    assert (config["name"], config["sizes"], config["kind"], config["images"]) == ("prior", [16], "image", 64)
    card = (out / "card.md").read_text()
    for part in (
        "12 pictures of 16 x 16 px",
        "Noise (CC0).",
        "64 examples seen",
        "width 8",
        "| 0.02 |",
        "first 1 held out",
    ):
        assert part in card
    assert not re.search(r"20\d\d-\d\d", card)

    prior = load(out)
    state = torch.load(out / "state.pt", weights_only=True)
    noisy = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    from ipt.training.job import trainer

    source = {"pictures": str(pictures), "size": 16}
    network = {"width": 8, "multipliers": [1, 2]}
    training = {"images": 64, "batch": 8, "validation_images": 4}
    trained = trainer({"out": str(out), "source": source, "network": network, "training": training})
    assert trained.images == state["images"] == 64
    for sigma in (0.05, 1.0, 20.0):
        with torch.no_grad():
            wanted = trained.average(noisy * sigma, torch.full((2,), sigma))
        torch.testing.assert_close(prior.denoise(noisy * sigma, sigma), wanted, atol=2e-3, rtol=2e-3)

    before = {name: (out / name).read_bytes() for name in FILES}
    again = run(*command)
    assert again.exit_code == 0 and "continuing" in again.stderr and "converting" not in again.stderr
    assert {name: (out / name).read_bytes() for name in FILES} == before


def test_whole_photographs_become_a_prior_of_any_size(pictures, tmp_path):
    Image.fromarray(np.full((17, 90, 3), 200, np.uint8)).save(pictures / "other.png")
    local = ("--set", "network.attention=false", "--set", "network.norm=pixel")
    out = tmp_path / "prior"
    done = run("-o", out, "--from", pictures, "--crops", 16, "--images", 32, "--batch", 8, *SMALL, *local)
    assert done.exit_code == 0, done.stderr
    assert json.loads((out / "config.json").read_text())["sizes"] is None
    assert "Crops of 16 x 16 px of 13 photographs (pictures) in 3 channels" in (out / "card.md").read_text()
    assert load(out).denoise(torch.zeros(1, 3, 24, 40), 1.0).shape == (1, 3, 24, 40)


def test_a_generator_becomes_a_prior_with_json(tmp_path):
    out = tmp_path / "blur"
    options = (
        "--generator",
        "gaussian",
        "--set",
        "generator.std=[0.5, 1]",
        "--size",
        8,
        "--images",
        32,
        "--rate",
        "2e-3",
    )
    done = run("-o", out, *options, *SMALL, "--json")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["out"] == str(out) and len(told["files"]) == 3 and told["images"] == 32
    assert list(told["validation"]) == [f"{sigma:g}" for sigma in VALIDATION_SIGMAS]
    config = json.loads((out / "config.json").read_text())
    assert (config["sizes"], config["kind"]) == ([8], "kernel")
    assert "Drawn by the generator gaussian (std=(0.5, 1)) at 8 pixels" in (out / "card.md").read_text()
    assert load(out).normalization((1, 5, 7)).shape == (1, 8, 8)


def test_a_training_starts_from_the_weights_of_another(tmp_path):
    first, out = tmp_path / "first", tmp_path / "second"
    drawn = ("--generator", "gaussian", "--size", 8, "--set", "training.validation_images=4", "--device", "cpu")
    assert run("-o", first, "--generator", "gaussian", "--size", 8, "--images", 32, *SMALL).exit_code == 0
    digest = hashlib.sha256((first / FILES[2]).read_bytes()).hexdigest()
    common = ("-o", out, *drawn, "--start-from", first)
    for options, told in (
        (("--width", 48), "width: 8 in first, 48 now"),
        (("--set", "network.patch=1"), "patch: 2 in first, 1 now"),
        (("--images", 32), "first has seen 32 images, and 32 are wanted in all"),
        (("--start-from", "nothing"), "choose faces, faces256, natural, kernel, a folder of weights"),
        (("--start-from", "natural", "--size", 16), "natural has 3 channels, the training examples 1"),
    ):
        wrong = run(*common, *options)
        assert wrong.exit_code == (2 if "nothing" in options else 1), wrong.stderr
        assert told in wrong.stderr and len(wrong.stderr.splitlines()) <= 3, wrong.stderr
        assert not (out / "state.pt").exists()
    done = run(*common, "--images", 64)
    assert done.exit_code == 0, done.stderr
    assert f"starting from first (sha256 {digest[:12]}, 32 images seen)" in done.stderr
    config = json.loads((out / "config.json").read_text())
    assert (config["network"]["width"], config["images"], config["start"]["sha256"]) == (8, 64, digest)
    assert f"`first` (sha256 {digest[:12]}), which had seen 32" in (out / "card.md").read_text()
    assert load(out).normalization((1, 5, 7)).shape == (1, 8, 8)
    # Going on needs neither the start nor its network; another start is refused.
    longer = run("-o", out, *drawn, "--images", 96)
    assert longer.exit_code == 0 and "continuing" in longer.stderr and "96 of 96" in longer.stderr, longer.stderr
    other = run("-o", out, *drawn, "--images", 96, "--start-from", out, "--change")
    assert other.exit_code == 1 and f"began with first (sha256 {digest[:12]}" in other.stderr


def test_a_third_partys_generator_is_found(tmp_path, install):
    install(
        "clouds",
        "import ipt\n"
        "from ipt.operators.blur.kernels import DefocusKernels\n"
        "@ipt.hookimpl\n"
        "def ipt_generators():\n"
        "    yield ipt.Component('discs', 'ipt.operators.blur.kernels:DefocusKernels', 'discs')\n",
    )
    done = run("-o", tmp_path / "out", "--generator", "discs", "--size", 8, "--images", 32, *SMALL)
    assert done.exit_code == 0, done.stderr
    assert "ipt.operators.blur.kernels:DefocusKernels" in (tmp_path / "out" / "card.md").read_text()


def test_other_options_are_refused_with_the_difference(tmp_path):
    common = ("-o", tmp_path / "out", "--generator", "gaussian", "--size", 8, "--images", 32, *SMALL)
    assert run(*common).exit_code == 0
    for options, told in (
        (("--rate", 0.5), "rate: 0.001 before, 0.5 now"),
        (("--set", "training.ema=0.1"), "ema: 0.05 before, 0.1 now"),
        (("--width", 16), "width: 8 before, 16 now"),
        (("--size", 12), "sizes: [8] before, [12] now"),
    ):
        done = run(*common, *options)
        assert done.exit_code == 1 and done.stdout == ""
        assert told in done.stderr and len(done.stderr.splitlines()) <= 3
    assert run(*common, "--rate", 0.002, "--images", 64, "--change").exit_code == 0


def test_the_state_is_exported_without_training(tmp_path):
    common = ("-o", tmp_path / "out", "--generator", "gaussian", "--size", 8, "--images", 32, *SMALL)
    assert run(*common).exit_code == 0
    for name in FILES:
        (tmp_path / "out" / name).unlink()
    done = run("-o", tmp_path / "out", "--export")
    assert done.exit_code == 0 and set(FILES) <= {file.name for file in (tmp_path / "out").iterdir()}
    missing = run("-o", tmp_path / "nothing", "--export")
    assert missing.exit_code == 1 and "train first" in missing.stderr and not (tmp_path / "nothing").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ there")
def test_ctrl_c_saves_and_says_how_to_continue(tmp_path):
    common = ["train", "-o", str(tmp_path / "out"), "--generator", "gaussian", "--size", "8", *SMALL]
    command = [sys.executable, "-m", "ipt", *common, "--images", "4000000"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stderr is not None and "of 4,000,000 images" in child.stderr.readline()
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 130 and out == ""
    assert "Run the same command again to continue" in err and "Traceback" not in err
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["state.pt"]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ((), 2, "give either --from PATH or --generator NAME"),
        (("--from", "a", "--generator", "b"), 2, "give either"),
        (("--from", "a", "--set", "generator.std=3"), 2, "needs --generator"),
        (("--generator", "motion", "--held-out", "3"), 2, "--held-out is for pictures"),
        (("--generator", "motion", "--crops", "16"), 2, "--crops is for pictures"),
        (("--from", "a", "--crops", "16", "--size", "16"), 2, "instead of --size"),
        (("--from", "missing", "--crops", "16"), 1, "missing does not exist"),
        (("--generator", "motion", "--set", "width=3"), 2, "network.NAME=VALUE"),
        (("--generator", "motion", "--set", "network.width"), 2, "as in network.width=32"),
        (("--generator", "motion", "--images", "0"), 2, "--images"),
        (("--generator", "motion", "--precision", "fp16"), 2, "--precision"),
        (("--generator", "moton"), 2, "did you mean 'motion'?"),
        (("--generator", "motion", "--set", "network.wdth=3"), 2, "network has no option 'wdth'"),
        (("--generator", "motion", "--set", "training.ema=lots"), 2, "training.ema is a number, not 'lots'"),
        (("--generator", "motion", "--set", "generator.speed=3"), 1, "refuses its options"),
        (("--generator", "motion", "--rate", "-1"), 2, "training.rate is a number above 0"),
        (("--generator", "motion", "--device", "tpu9"), 1, "no device 'tpu9'"),
        (("--generator", "motion", "--size", "9"), 1, "multiples of 8, the training examples are 9 x 9 px"),
        (("--generator", "motion", "--channels", "3"), 1, "draws 1 channel, not 3"),
        (("--from", "missing"), 1, "missing does not exist"),
        (("--from", "."), 1, "holds no pictures"),
    ],
)
def test_wrong_commands_are_told_so(tmp_path, monkeypatch, arguments, code, told):
    monkeypatch.chdir(tmp_path)
    done = run("-o", tmp_path / "out", *arguments)
    assert done.exit_code == code, done.stderr
    assert told in done.stderr and done.stdout == "" and "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
    if code == 1:
        assert len(done.stderr.splitlines()) <= 3


def test_few_pictures_small_pictures_and_a_file_in_the_way(pictures, tmp_path):
    for arguments, told in (
        (("-o", tmp_path / "a", "--from", pictures, "--size", 32), "12 of 12 pictures are too small"),
        (("-o", tmp_path / "b", "--from", pictures, "--size", 16, "--held-out", 12), "none is left to train on"),
        (("-o", pictures / "00.png", "--from", pictures, "--size", 16), "is a file"),
    ):
        done = run(*arguments, *SMALL)
        assert done.exit_code != 0 and told in done.stderr


def test_a_training_that_diverges_says_so(tmp_path):
    done = run("-o", tmp_path / "out", "--generator", "gaussian", "--size", 8, "--images", 320, "--rate", 1e30, *SMALL)
    assert done.exit_code == 1
    assert "the training diverged" in done.stderr and "smaller rate" in done.stderr
    assert not (tmp_path / "out" / "config.json").exists()


def test_on_a_terminal_there_is_a_bar_and_a_table(tmp_path):
    pty = pytest.importorskip("pty")
    command = [
        sys.executable,
        "-m",
        "ipt",
        "train",
        "-o",
        str(tmp_path / "out"),
        "--generator",
        "gaussian",
        "--size",
        "8",
    ]
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "NO_COLOR": "1"}
    child = subprocess.Popen(
        [*command, "--images", "64", *SMALL], stdout=subprocess.PIPE, stderr=theirs, env=environment, text=True
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
    out, _ = child.communicate(timeout=60)
    os.close(ours)
    text = shown.decode()
    assert child.returncode == 0 and len(out.splitlines()) == 3
    assert "━" in text and "64/64 images" in text
    assert "validation after 64 images" in text and "PSNR" in text


def test_defaults_are_those_of_the_library():
    defaults = {parameter.name: parameter.default for parameter in train.params}
    for name in ("images", "batch", "rate", "precision", "seed"):
        assert defaults[name] == getattr(TrainingOptions(), name)


def test_help_and_its_module_import_no_torch():
    code = "import sys, ipt.cli.train; sys.exit(bool({'torch', 'numpy', 'PIL', 'rich'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
