"""A streak in the picture as where the kernel begins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner, Result

import ipt
from ipt.cli.main import cli
from ipt.core.errors import IptError
from ipt.images import files
from ipt.operators.blur import Blur
from ipt.operators.blur.kernels import ShakeKernels
from ipt.solve.streak import kernel_of

QUICK: dict[str, Any] = {"prior": {"image": "gaussian", "kernel": "gaussian"}, "steps": 6, "noise": 0.01, "effort": 1}
SIDE = 17
LAMPS = ((32, 30), (60, 80), (75, 30))
AROUND = (30 - SIDE // 2 - 11, 32 - SIDE // 2 - 11, SIDE + 8, SIDE + 8)


def night(seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Dark surfaces and three lamps that are clipped, (80, 96, 3), and the kernel."""
    numbers, kernel = torch.Generator().manual_seed(seed), ShakeKernels().sample([seed], (1, SIDE, SIDE))
    size = (80 + SIDE - 1, 96 + SIDE - 1)
    scene = F.interpolate(torch.rand(1, 3, 5, 6, generator=numbers), size, mode="bicubic").clamp(0, 1) * 0.06 + 0.03
    for y, x in LAMPS:
        scene[..., y : y + 2, x : x + 2] += torch.tensor([6.0, 5.0, 4.0])[:, None, None]
    seen = Blur(SIDE).forward(scene, kernel) + 0.005 * torch.randn(1, 3, 80, 96, generator=numbers)
    return (255 * seen.clamp(0, 1)).round()[0].permute(1, 2, 0).numpy().astype(np.uint8), kernel[0, 0].numpy()


def likeness(found: np.ndarray, true: np.ndarray) -> float:
    """Largest correlation over all shifts, 0..1."""
    spectra = [np.fft.rfft2(one, s=(64, 64)) for one in (found, true)]
    product = np.fft.irfft2(spectra[0] * spectra[1].conj(), s=(64, 64))
    return float(product.max() / np.linalg.norm(found) / np.linalg.norm(true))


def patch(kernel: np.ndarray, sign: float = 1) -> torch.Tensor:
    """A streak in a larger patch, off its middle, and something else in a corner."""
    grey = np.full((3, 40, 44), 0.5)
    height, width = kernel.shape
    grey[:, 9 : 9 + height, 12 : 12 + width] += sign * 0.4 * kernel / kernel.max()
    grey[:, 34:36, 2:4] += sign * 0.2
    return torch.from_numpy(grey + 0.002 * np.random.default_rng(0).standard_normal(grey.shape)).float()


@pytest.mark.parametrize("sign", [1, -1])
def test_a_light_and_a_dark_streak_are_the_kernel(sign):
    kernel = ShakeKernels().sample([3], (1, SIDE, SIDE))[0, 0].numpy()
    found = kernel_of(patch(kernel, sign), (24, 32))
    assert found.shape == (1, 1, 24, 32) and float(found.max()) == 1 and float(found.min()) == 0
    assert likeness(found[0, 0].numpy(), kernel) > 0.99
    rows, columns = (found[0, 0].sum(axis) for axis in (1, 0))
    centre = [float((line * torch.arange(len(line))).sum() / line.sum()) for line in (rows, columns)]
    assert centre == pytest.approx([12, 16], abs=0.6)


def test_a_lamp_that_is_pointed_at_brings_the_kernel_which_is_not_found_without():
    given, true = night()
    settings = {"operator.kernel_size": SIDE}
    found = ipt.restore(given, "blur", "natural", streak=AROUND, settings=settings)
    without = ipt.restore(given, "blur", "natural", steps=30, effort=1, settings=settings)
    pointed, blind = (likeness(one.parameters["kernel"][0], true) for one in (found, without))
    assert pointed > 0.88 and blind < 0.75
    assert found.details.record["streak"] == AROUND and found.details.record["region"] is None


def test_a_streak_by_command(tmp_path):
    levels, _ = night()
    files.write(tmp_path / "a.png", torch.from_numpy(levels / 255.0).float().permute(2, 0, 1))
    words = [str(tmp_path / "a.png"), "--prior", "gaussian", "--prior", "kernel=gaussian", "--steps", "6"]
    words += ["--set", f"operator.kernel_size={SIDE}", "--streak"]

    def run(out: str, *words: str) -> Result:
        return CliRunner().invoke(cli, ["solve", "-o", str(tmp_path / out), *words])

    asked = run("out", *words, ",".join(map(str, AROUND)))
    assert asked.exit_code == 0, asked.stderr
    kernel = np.load(tmp_path / "out" / "a.kernel.npy")
    again = run("again", "--config", str(tmp_path / "out" / "run.yaml"))
    assert again.exit_code == 0 and np.array_equal(np.load(tmp_path / "again" / "a.kernel.npy"), kernel)
    refused = run("refused", *words, "90,10,20,20")
    assert refused.exit_code == 1 and "give --streak as x, y, width, height" in refused.stderr


def test_tiles_that_differ_begin_with_the_streak():
    settings = {"operator.kernel_size": SIDE, "operator.tiles": 2}
    found = ipt.restore(night()[0], "shake", streak=AROUND, settings=settings, **QUICK)
    assert found.parameters["kernel"].shape == (4, SIDE, SIDE)


@pytest.mark.parametrize(
    ("streak", "more", "message"),
    [
        ((90, 10, 20, 20), {}, "streak of 20 x 20 px at 90,10 is not within the picture of 96 x 80 px"),
        ((0, 0, 20), {}, "whole pixels"),
        ((60, 10, 12, 12), {}, "nothing in the streak stands out"),
        ((22, 24, 6, 6), {}, "from edge to edge"),
        (AROUND, {"settings": {"operator.kernel_size": 5}}, "larger than the kernel of 5 x 5: set operator.kernel"),
        (AROUND, {"region": (0, 0, 60, 60)}, "leave out one of them"),
        (AROUND, {"known": {"kernel": np.full((3, 3), 1 / 9)}, "prior": {"image": "gaussian"}}, "leave it out"),
        (AROUND, {"operator": "turbulence", "prior": {"image": "gaussian"}, "settings": {}}, "leave it out"),
        (AROUND, {"border": "circular"}, "border=unknown"),
        (AROUND, {"guidance": "dps"}, "guidance=proximal"),
        (AROUND, {"fit": "resize", "prior": {**QUICK["prior"], "image": "faces"}}, "own size"),
    ],
)
def test_a_streak_that_cannot_be_is_one_clear_message(streak, more, message):
    settings = {"operator.kernel_size": SIDE}
    with pytest.raises(IptError, match=message):
        ipt.restore(night()[0], streak=streak, **{**QUICK, "settings": settings, **more})


def test_several_exposures_have_no_streak():
    given = night()[0]
    with pytest.raises(IptError, match="one picture"):
        ipt.restore([given, given], streak=AROUND, settings={"operator.kernel_size": SIDE}, **QUICK)
