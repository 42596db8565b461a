"""Frames of one scene: what of them is trusted, and how much."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ipt.core.solver import Solver
from ipt.guidance.proximal import Proximal
from ipt.images.files import Picture
from ipt.operators.turbulence import Turbulence
from ipt.priors.analytic import GaussianPrior
from ipt.priors.tilt import TiltPrior
from ipt.sampling.multiscale import Multiscale
from ipt.sampling.schedules import Karras
from ipt.solve.outputs import write_result
from ipt.solve.picture import solve_picture
from ipt.solve.prepare import ImageTask, prepare

SIDE = 48


def frames(kind: str) -> list[Picture]:
    """Six of a scene of blobs; one of them defocused, or a square moving in front of it."""
    random = torch.Generator().manual_seed(1)
    rough = torch.rand(1, 1, SIDE // 4, SIDE // 4, generator=random)
    scene = F.interpolate(rough, (SIDE, SIDE), mode="bicubic")[0].clamp(0.1, 0.9)
    made = []
    for number in range(6):
        one = scene + 0.01 * torch.randn(scene.shape, generator=random)
        if kind == "defocused" and number == 2:
            one = F.avg_pool2d(F.pad(one, (1,) * 4, mode="reflect"), 3, 1)
        if kind == "moving":
            one[:, 18:28, 2 + 7 * number : 12 + 7 * number] = 0.5 * (number % 2)
        made.append(Picture(one))
    return made


def solver() -> Solver:
    priors = {"image": GaussianPrior(), "kernel": GaussianPrior(), "tilt": TiltPrior()}
    return Solver(Turbulence(5), priors, Proximal())


def test_a_worse_frame_is_noisier_and_nothing_is_said_of_equals() -> None:
    worse = prepare(solver(), ImageTask(frames("defocused"), noise=0.01)).sampling
    assert isinstance(worse.noise, Tensor) and worse.noise.shape == (1, 6, SIDE, SIDE)
    assert worse.mask is None or worse.mask.mean() > 0.95
    levels = worse.noise[0, :, 0, 0]
    assert levels[2] > 0.012 and (levels[[0, 1, 3, 4, 5]] == 0.01).all()
    equal = prepare(solver(), ImageTask(frames("equal"), noise=0.01)).sampling
    assert equal.noise == 0.01 and equal.mask is None
    # A known kernel leaves the frames as they are.
    kernel = torch.zeros(1, 5, 5)
    kernel[:, 2, 2] = 1
    told = prepare(solver(), ImageTask(frames("defocused"), noise=0.01, known={"kernel": kernel})).sampling
    assert told.noise == 0.01


def test_what_moves_is_left_out_frame_by_frame_and_shown(tmp_path: Path) -> None:
    few = replace(solver(), schedule=Karras(2))
    result = solve_picture(Multiscale(few), ImageTask(frames("moving"), noise=0.01))
    assert result.mask is not None and result.mask.shape == (6, SIDE, SIDE)
    for number, mask in enumerate(result.mask):
        own = (slice(18, 28), slice(2 + 7 * number, 12 + 7 * number))
        assert mask[own].mean() < 0.2 and mask[36:].mean() > 0.9
    told = result.record["exposures"]
    assert len(told) == 6 and all(0.7 < one["trusted"] < 0.98 for one in told)
    assert all(one["noise"] == pytest.approx(0.01) for one in told)
    write_result(tmp_path, "a", result)
    sheet = np.asarray(Image.open(tmp_path / "a.mask.png").convert("RGB")).astype(int)
    assert ((sheet[..., 0] - sheet[..., 2]) > 80).mean() > 0.01 and sheet.shape[1] > 4 * 256
