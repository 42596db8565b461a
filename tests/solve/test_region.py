"""The parameters found in a region, and all of the picture solved with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from skimage import data

import ipt
from ipt.cli.main import cli
from ipt.core.errors import IptError
from ipt.core.solver import Solver
from ipt.guidance.proximal import Proximal
from ipt.images import files
from ipt.operators.blur import Blur
from ipt.operators.compose import compose
from ipt.operators.downscale import Downscale
from ipt.operators.shake import Shake
from ipt.priors.analytic import GaussianPrior
from ipt.sampling import regional
from ipt.solve.region import textured
from ipt.solve.verdict import verdict

PRIORS = {"image": "gaussian", "kernel": "gaussian"}
QUICK: dict[str, Any] = {"prior": PRIORS, "steps": 6, "noise": 0.01, "effort": 1}
SIZE = {"operator.kernel_size": 9}


def blurred(rows: int = 90, columns: int = 120) -> np.ndarray:
    kernel = torch.zeros(1, 1, 9, 9)
    kernel[0, 0, 4, 1:8] = 1 / 7
    sharp = torch.from_numpy(data.astronaut()[: rows + 8, 100 : 108 + columns] / 255).float().permute(2, 0, 1)[None]
    found = Blur(kernel_size=9).forward(sharp, kernel)[0].permute(1, 2, 0)
    return found.numpy()


def test_the_whole_picture_begins_with_the_region_s_parameters_and_corrects_them():
    heard = []
    found = ipt.restore(blurred(), region=(30, 20, 48, 40), settings=SIZE, progress=heard.append, **QUICK)
    alone = ipt.restore(blurred()[20:60, 30:78], settings=SIZE, **QUICK)
    record = found.details.record
    assert record["region"] == [30, 20, 48, 40] and found.picture.shape == (90, 120, 3)
    assert [size[:2] for size in record["solved_sizes"]] == [[40, 48], [90, 120]]
    steps = [size[2] for size in record["solved_sizes"]]
    assert steps[0] == 6 > steps[1] and len(found.details.trace) == sum(steps)
    # The region is solved as a picture of its own, and judged as one; the rest of the picture has its say as well.
    assert found.details.trace[:6] == pytest.approx(list(alone.details.trace), rel=1e-4)
    assert found.probability == alone.probability
    apart = np.abs(found.parameters["kernel"] - alone.parameters["kernel"]).max()
    assert 1e-4 < apart < 0.2 and found.parameters["kernel"].shape == (1, 9, 9)
    assert [each.done for each in heard] == list(range(1, sum(steps) + 1)) and heard[0].total == sum(steps)
    shares = [each.share for each in heard]
    assert shares == sorted(shares) and shares[5] < 0.5 and shares[-1] == 1


def test_the_verdict_is_told_of_a_region(monkeypatch):
    def watched(*given, **more):
        heard.append(more["from_region"])
        return verdict(*given, **more)

    heard: list[bool] = []
    monkeypatch.setattr("ipt.solve.result.verdict", watched)
    ipt.restore(blurred(), region=(30, 20, 48, 40), settings=SIZE, **QUICK)
    ipt.restore(blurred(), settings=SIZE, **QUICK)
    assert heard == [True, False]


def test_a_region_leaves_a_picture_sharper_and_the_same_by_command(tmp_path):
    measured = blurred()
    found = ipt.restore(
        measured, region=(20, 10, 60, 60), name="a.png", settings={**SIZE, "guidance.coarse_to_fine": True}, **QUICK
    )
    gradients = [np.abs(np.diff(one, axis=1)).mean() for one in (measured, found.picture)]
    assert gradients[1] > 1.2 * gradients[0]
    levels = (255 * torch.from_numpy(measured)).round() / 255
    files.write(tmp_path / "a.png", levels.permute(2, 0, 1))
    flags = ["--region", "20,10,60,60", "--noise", ".01", "--steps", "6", "--effort", "1"]
    flags += ["--set", "operator.kernel_size=9", "--prior", "gaussian", "--prior", "kernel=gaussian"]
    out = tmp_path / "out"
    for again in (0, 1):
        result = CliRunner().invoke(cli, ["solve", str(tmp_path / "a.png"), "-o", str(out), *flags])
        assert result.exit_code == 0, result.stderr
        assert ("done before" in result.stderr) == bool(again)
    kernel = np.load(out / "a.kernel.npy")
    assert np.abs(kernel - found.parameters["kernel"]).max() < 0.02
    config = CliRunner().invoke(cli, ["solve", "--config", str(out / "run.yaml"), "-o", str(tmp_path / "again")])
    assert config.exit_code == 0, config.stderr
    assert np.array_equal(np.load(tmp_path / "again" / "a.kernel.npy"), kernel)


@pytest.mark.parametrize(
    ("region", "more", "message"),
    [
        ((100, 0, 40, 40), {}, r"40 x 40 px at 100,0 is not within the picture of 120 x 90 px"),
        ((0, 0, 40, 0), {}, "is not within"),
        ((0, 0, 40), {}, "whole pixels"),
        ((0, 0, 40.5, 40), {}, "whole pixels"),
        ("here", {}, "auto, half, none or"),
        ((0, 0, 12, 40), {}, r"12 x 40 px is too small for a kernel of 9 x 9: give region= at least 18 x 18 px"),
        ((0, 0, 40, 40), {"border": "circular"}, "border=unknown"),
        ((0, 0, 40, 40), {"fit": "resize", "prior": {**PRIORS, "image": "faces"}}, "own size"),
        ((0, 0, 40, 40), {"guidance": "dps"}, "guidance=proximal"),
        ((0, 0, 64, 64), {"operator": "turbulence", "prior": {"image": "gaussian"}}, "'tilt' is a map"),
        ((0, 0, 40, 40), {"mask": np.indices((90, 120)).sum(0) > 90}, "nothing in the region is trusted"),
    ],
)
def test_a_region_that_cannot_be_is_one_clear_message(region, more, message):
    with pytest.raises(IptError, match=message):
        ipt.restore(blurred(), region=region, settings=SIZE, **{**QUICK, **more})


def test_all_of_the_picture_is_no_region():
    given = blurred(40, 40)
    found = ipt.restore(given, region=(0, 0, 40, 40), settings=SIZE, **QUICK)
    assert found.details.record["region"] is None
    assert np.array_equal(found.picture, ipt.restore(given, region="auto", settings=SIZE, **QUICK).picture)


def test_a_region_is_chosen_where_there_is_texture_in_every_direction_and_nothing_is_left_out():
    picture, numbers = torch.full((1, 120, 160), 0.5), torch.Generator().manual_seed(0)
    picture[:, :40, :40] += 0.2 * torch.rand(1, 40, 40, generator=numbers)
    picture[:, 70:110, 100:140] += 0.15 * torch.rand(1, 40, 40, generator=numbers)
    # Lines of one direction, stronger than the weaker texture.
    picture[:, :30, 90:140] += 0.15 * torch.hann_window(30)[:, None] * (torch.arange(50) % 4 < 2)
    x, y, width, height = textured(picture, None, 40)
    assert (width, height) == (40, 40) and x <= 8 and y <= 8
    mask = torch.ones(1, 120, 160)
    mask[:, 10:30, 10:30] = 0
    x, y, _, _ = textured(picture, mask, 40)
    assert abs(x - 100) <= 8 and abs(y - 70) <= 8
    assert textured(picture.flip(1, 2), None, 40)[0] >= 112


def test_a_region_has_one_kernel_with_which_every_tile_of_all_of_the_picture_begins():
    settings = {**SIZE, "operator.tiles": 3}
    found = ipt.restore(blurred(), operator="shake", region=(30, 20, 48, 40), settings=settings, **QUICK)
    alone = ipt.restore(blurred()[20:60, 30:78], operator="shake", settings={**SIZE, "operator.tiles": 1}, **QUICK)
    steps = found.details.record["solved_sizes"][0][2]
    assert found.details.trace[:steps] == pytest.approx(list(alone.details.trace), rel=1e-4)
    kernels = found.parameters["kernel"]
    assert kernels.shape == (9, 9, 9) and found.picture.shape == (90, 120, 3)
    # They go on from there, each for itself.
    assert 1e-4 < np.abs(kernels - alone.parameters["kernel"]).max() < 0.2
    assert np.abs(kernels - kernels.mean(0)).max() > 1e-5


def test_exposures_whose_kernels_differ_from_place_to_place_begin_with_those_of_a_region():
    pictures = [blurred(), blurred()[::-1].copy()]
    settings = {**SIZE, "operator.tiles": 2}
    found = ipt.restore(pictures, operator="shake", region=(30, 20, 48, 40), settings=settings, **QUICK)
    assert found.parameters["kernel"].shape == (8, 9, 9) and found.picture.shape == (90, 120, 3)


def test_tiles_before_another_part_have_a_region_s_kernel_too():
    operator = compose(Shake(2, 9), Downscale(2))
    solver = Solver(operator, {"image": GaussianPrior(), "kernel": GaussianPrior()}, Proximal())
    regional.check(solver, (3, 40, 40), (3, 90, 120))
    found = {"kernel": torch.zeros(1, 1, 9, 9)}
    assert regional.of_region(solver).operator.parameters((3, 88, 88))["kernel"].shape == (1, 9, 9)
    level = regional.remainder(solver, torch.zeros(1, 3, 90, 120), torch.tensor(0.01), None, found)
    assert level.problem.specs["kernel"].shape == (4, 9, 9)
    assert regional.first_state(level, [0], found).noisy["kernel"].shape == (1, 4, 9, 9)


def test_what_was_not_measured_begins_as_what_is_around_it():
    given = np.full((90, 120, 3), 0.6, np.float32)
    mask = np.ones((90, 120))
    mask[40:60, 70:100] = 0
    given[40:60, 70:100] = 0
    solver = ipt.build("blur", "gaussian", parameters={"kernel": "gaussian"}, settings=SIZE).solver
    measurement, trusted = torch.from_numpy(given).permute(2, 0, 1)[None], torch.from_numpy(mask).float()[None, None]
    level = regional.remainder(
        solver, measurement, torch.full((1, 1, 1, 1), 0.01), trusted, {"kernel": torch.ones(1, 1, 9, 9) / 81}
    )
    state = regional.first_state(level, [0], {"kernel": torch.ones(1, 1, 9, 9)})
    image = level.problem.normalizations["image"].physical(state.clean["image"])
    assert image.shape == (1, 3, 98, 128) and (image - 0.6).abs().max() < 0.01
