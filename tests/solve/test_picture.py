"""One picture solved from Python."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from ipt.core.errors import IptError
from ipt.core.operator import ParameterSpec, ParametricOperator
from ipt.core.prior import Prior
from ipt.core.solver import Solver
from ipt.guidance.proximal import Proximal
from ipt.images.files import ROUNDING_NOISE, Picture
from ipt.images.outcomes import Progress
from ipt.linalg.random import image_seed
from ipt.operators.blur import Blur
from ipt.priors.analytic import BoxPrior, GaussianPrior
from ipt.sampling.multiscale import Multiscale
from ipt.sampling.schedules import Karras
from ipt.simulate.simulation import generators_for, simulate
from ipt.solve.noise import LEAST
from ipt.solve.picture import solve_picture
from ipt.solve.prepare import ImageTask
from ipt.solve.truth import Truth

PRIORS = {"image": GaussianPrior(), "kernel": GaussianPrior()}
SOLVER = Multiscale(Solver(Blur(5, border="circular"), PRIORS, Proximal(), Karras(4)))


def picture(channels: int = 3, side: int = 24, source: str = "PNG RGB") -> Picture:
    rows, columns = torch.meshgrid(torch.linspace(0, 9, side), torch.linspace(0, 7, side), indexing="ij")
    waves = torch.stack([0.5 + 0.3 * (rows + i).sin() * (columns * (1 + i)).cos() for i in range(channels)])
    noise = 0.02 * torch.randn(waves.shape, generator=torch.Generator().manual_seed(0))
    return Picture((waves + noise).clamp(0, 1), source=source)


def test_it_is_the_solver_with_the_seed_of_the_picture():
    given = picture()
    result = solve_picture(SOLVER, ImageTask(given, "a.png", noise=0.02, seed=7))
    solution = SOLVER.solve(given.pixels[None], 0.02, seeds=[image_seed(7, "a.png")])
    torch.testing.assert_close(result.picture.pixels, solution.image[0])
    torch.testing.assert_close(result.parameters["kernel"], solution.parameters["kernel"][0])
    assert result.trace == pytest.approx(solution.trace[:, 0].tolist())
    assert result.record["seed"] == image_seed(7, "a.png") and result.record["calls"] == {"image": 4, "kernel": 4}
    predicted = SOLVER.solver.operator.forward(solution.image, **solution.parameters)
    torch.testing.assert_close(result.residual, given.pixels - predicted[0])


def test_samples_are_the_same_in_one_batch_and_in_parts():
    whole = solve_picture(SOLVER, ImageTask(picture(), noise=0.02, samples=3))
    parts = solve_picture(SOLVER, ImageTask(picture(), noise=0.02, samples=3), batch=2)
    torch.testing.assert_close(whole.samples, parts.samples, atol=1e-4, rtol=0)
    torch.testing.assert_close(whole.spread, whole.samples.std(0))
    torch.testing.assert_close(whole.picture.pixels, whole.samples.mean(0))
    assert whole.record["calls"] == parts.record["calls"] == {"image": 12, "kernel": 12}
    assert whole.trace == pytest.approx(parts.trace, rel=1e-3) and len(whole.trace) == 4
    assert float(whole.parameters["kernel"].sum()) == pytest.approx(1, abs=1e-5)


def test_progress_is_told_step_by_step_over_all_parts():
    told: list[Progress] = []
    solve_picture(SOLVER, ImageTask(picture(), noise=0.02, samples=2), batch=1, progress=told.append)
    assert [progress.done for progress in told] == list(range(1, 9)) and {progress.total for progress in told} == {8}
    assert all(progress.residual > 0 for progress in told)


def test_noise_is_estimated_unless_given():
    found = solve_picture(SOLVER, ImageTask(picture(side=64), noise=None))
    assert found.noise == pytest.approx(0.02, rel=0.15) and found.record["noise_from"] == "estimated"
    flat = solve_picture(SOLVER, ImageTask(replace(picture(), pixels=torch.full((3, 24, 24), 0.5))))
    assert flat.noise == LEAST and flat.record["noise_of_input"] == ROUNDING_NOISE
    assert solve_picture(SOLVER, ImageTask(picture(), noise=0.001)).noise == 0.001
    assert solve_picture(SOLVER, ImageTask(picture(), noise=0.3)).record["noise_from"] == "given"


@dataclass(frozen=True)
class Colour(Prior):
    """A Gaussian prior that takes colour pictures of one size only."""

    side: int

    def normalization(self, shape):
        if tuple(shape) != (3, self.side, self.side):
            raise ValueError(f"takes 3 x {self.side} x {self.side}")
        return GaussianPrior().normalization(shape)

    def denoise(self, noisy: Tensor, sigma: float) -> Tensor:
        return GaussianPrior().denoise(noisy, sigma)


@pytest.mark.parametrize("stored", [1, 3], ids=["as grey", "as colour"])
def test_a_grey_picture_comes_back_as_it_was_stored_and_counts_once(stored):
    grey = picture(1)
    grey = grey.with_pixels(grey.pixels.expand(stored, -1, -1))
    levels, channels = [], []

    class Told(Proximal):
        def correct(self, step, problem):
            levels.append(float(problem.observation.noise))
            channels.append(problem.observation.measurement.shape[1])
            return super().correct(step, problem)

    solver = Multiscale(replace(SOLVER.solver, priors={**PRIORS, "image": Colour(24)}, rule=Told()))
    result = solve_picture(solver, ImageTask(grey, noise=0.02))
    found = result.picture.pixels
    assert found.shape == (stored, 24, 24) and result.noise == 0.02 and torch.equal(found, found[:1].expand_as(found))
    assert levels == pytest.approx([0.02] * 4) and set(channels) == {1}


@pytest.mark.parametrize(("choice", "window"), [("resize", (0, 0, 30, 40)), ("crop", (0, 5, 30, 30))])
def test_fitting_scales_the_noise_and_shows_its_window(choice, window):
    given = picture(side=40)
    given = replace(given, pixels=given.pixels[:, :30])
    solver = Multiscale(replace(SOLVER.solver, priors={**PRIORS, "image": Colour(16)}))
    with pytest.raises(IptError, match="fit=resize"):
        solve_picture(solver, ImageTask(given, noise=0.02))
    truth = Truth(given, {"kernel": torch.ones(1, 5, 5) / 25})
    result = solve_picture(solver, ImageTask(given, noise=0.02, fit=choice, truth=truth))
    top, left, height, width = window
    assert result.picture.shape == result.measurement.shape == (3, height, width)
    torch.testing.assert_close(result.measurement.pixels, given.pixels[:, top : top + height, left : left + width])
    # Shrinking averages the noise away; a kernel at another scale is not compared.
    assert result.noise < 0.02 == result.record["noise_of_input"]
    assert "kernel_mnc" not in result.record["metrics"] and "psnr" in result.record["metrics"]
    assert result.residual.shape == (3, 16, 16)


def test_the_truth_measures_the_result():
    clean = picture(side=48)
    made = simulate(clean.pixels, SOLVER.solver.operator, generators_for({"kernel": "motion"}, {}), 0.01, 5)
    measured = replace(clean, pixels=made.measurement)
    truth = Truth(clean, made.parameters)
    known = solve_picture(SOLVER, ImageTask(measured, noise=0.01, known=made.parameters, truth=truth))
    numbers = known.record["metrics"]
    error = float((clean.pixels - measured.pixels.clamp(0, 1)).square().mean())
    assert numbers["psnr_input"] == pytest.approx(-10 * math.log10(error))
    assert "kernel_mnc" not in numbers and {"psnr", "ssim", "psnr_registered"} <= set(numbers)
    blind = solve_picture(SOLVER, ImageTask(measured, noise=0.01, truth=truth))
    assert 0 < blind.record["metrics"]["kernel_mnc"] <= 1 and blind.record["metrics"]["kernel_mse"] > 0
    assert torch.equal(blind.reference.pixels, clean.pixels)


def test_references_that_cannot_be_compared():
    with pytest.raises(IptError, match="same size"):
        solve_picture(SOLVER, ImageTask(picture(), noise=0.02, truth=Truth(picture(side=25))))
    with pytest.raises(IptError, match="grey reference"):
        solve_picture(SOLVER, ImageTask(picture(1), noise=0.02, truth=Truth(picture(3))))
    grey = solve_picture(SOLVER, ImageTask(picture(3), noise=0.02, truth=Truth(picture(1))))
    assert grey.reference.shape == (3, 24, 24)


def test_simulation_draws_everything_from_its_own_streams():
    generators = generators_for({"kernel": "motion"}, {})
    clean = picture().pixels
    one, two = (simulate(clean, SOLVER.solver.operator, generators, 0.01, seed) for seed in (1, 2))
    quiet = simulate(clean, SOLVER.solver.operator, generators, 0, 1)
    torch.testing.assert_close(one.parameters["kernel"], quiet.parameters["kernel"])
    assert not torch.equal(one.parameters["kernel"], two.parameters["kernel"])
    # A solver that is given the same seed starts from other numbers.
    drawn = (one.measurement - quiet.measurement) / 0.01
    start = torch.randn(clean.shape, generator=torch.Generator().manual_seed(image_seed(1, "image")))
    assert abs(float((drawn * start).mean())) < 0.1 and float(drawn.std()) == pytest.approx(1, rel=0.1)
    with pytest.raises(IptError, match="'kernel' has no generator"):
        simulate(clean, SOLVER.solver.operator, {}, 0.01, 1)


class Stacked(ParametricOperator):
    """The picture, and below it the picture times an unknown number."""

    def image_shape(self, measurement_shape):
        channels, height, width = measurement_shape
        return channels, height // 2, width

    def parameters(self, image_shape):
        return {"gain": ParameterSpec((1, 1, 1), "of the lower half", "percent")}

    def forward(self, image, gain):
        return torch.cat([image, gain * image], -2)


STACKED = Multiscale(
    Solver(Stacked(), {"image": GaussianPrior(), "gain": BoxPrior()}, Proximal(), Karras(20, sigma_max=10))
)


def test_a_measurement_of_another_size_than_the_picture():
    clean = picture()
    gain = torch.full((1, 1, 1), 0.4)
    measured = Picture(STACKED.solver.operator.forward(clean.pixels[None], gain=gain[None])[0])
    result = solve_picture(STACKED, ImageTask(measured, noise=0.02, truth=Truth(clean, {"gain": gain})))
    assert result.picture.shape == clean.shape and result.measurement.shape == (3, 48, 24)
    told = result.record["parameters"]["gain"]
    assert told["values"] == pytest.approx([0.4], abs=0.02)
    assert (told["unit"], told["meaning"]) == ("percent", "of the lower half")
    numbers = result.record["metrics"]
    assert numbers["gain_error"] == pytest.approx(abs(told["values"][0] - 0.4), abs=1e-6)
    assert "psnr_input" not in numbers and "gain_mnc" not in numbers and numbers["psnr"] > 30
    with pytest.raises(IptError, match="the reference is 24 x 48 px and the picture 24 x 24"):
        solve_picture(STACKED, ImageTask(measured, noise=0.02, truth=Truth(measured)))


class Only64(GaussianPrior):
    def normalization(self, shape):
        if shape != (3, 64, 64):
            raise IptError("takes 64x64 in colour")
        return super().normalization(shape)


def test_the_prior_is_asked_for_the_picture_not_for_the_measurement():
    solver = Multiscale(
        replace(STACKED.solver, priors={**STACKED.solver.priors, "image": Only64()}, schedule=Karras(2))
    )
    grey = Picture(torch.rand(1, 128, 64, generator=torch.Generator().manual_seed(0)))
    assert solve_picture(solver, ImageTask(grey, noise=0.02)).picture.shape == (1, 64, 64)
    large = Picture(torch.rand(3, 160, 80, generator=torch.Generator().manual_seed(0)))
    assert solve_picture(solver, ImageTask(large, noise=0.02, fit="tile")).picture.shape == (3, 80, 80)
    for choice in ("crop", "resize"):
        with pytest.raises(IptError, match=r"a picture of 80 x 80 px.*fit=tile"):
            solve_picture(solver, ImageTask(large, noise=0.02, fit=choice))
