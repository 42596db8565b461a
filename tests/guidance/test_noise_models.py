"""Noise that is not of one level: where it is larger, or the signal is, a measurement says less."""

from __future__ import annotations

import pytest
import torch

from ipt.core.abilities import Belief
from ipt.core.observation import Observation
from ipt.core.operator import ParameterSpec, ParametricOperator
from ipt.core.solver import Solver
from ipt.guidance import gauss_newton
from ipt.guidance.dps import DPS
from ipt.guidance.proximal import Proximal
from ipt.linalg.covariances import Isotropic
from ipt.operators.blur import Blur
from ipt.operators.blur.kernels import GaussianKernels
from ipt.priors.analytic import GaussianPrior
from ipt.sampling.schedules import VP, Karras
from ipt.solve.example import face
from ipt.solve.noise import estimate_poisson

SIDE = 5


def numbers(*shape, seed):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


class Mixed(ParametricOperator):
    """y = M x, pixels mixed at random."""

    matrix = 0.7 * torch.eye(SIDE**2, dtype=torch.float64) + numbers(SIDE**2, SIDE**2, seed=0) / 12

    def parameters(self, image_shape):
        return {}

    def forward(self, image):
        return (image.flatten(1) @ self.matrix.T).reshape(image.shape)


class Light(ParametricOperator):
    def parameters(self, image_shape):
        return {"light": ParameterSpec((1, 1, 1), "light")}

    def forward(self, image, light):
        return light * image


def test_gauss_newton_is_exact_with_a_map_of_levels_and_a_mask():
    operator, truth = Mixed(), numbers(2, 1, SIDE, SIDE, seed=1)
    levels = 0.02 + 0.5 * numbers(1, 1, SIDE, SIDE, seed=2).abs()
    mask = torch.ones(1, 1, SIDE, SIDE)
    mask[..., 1] = 0
    observation = Observation.checked(
        operator.forward(truth) + levels * numbers(2, 1, SIDE, SIDE, seed=3), levels, mask
    )
    mean = torch.zeros_like(truth)
    found = gauss_newton.image_step(
        operator, observation, Belief(mean, Isotropic.like(mean, 0.8)), {}, cg_iterations=50
    )
    weight = (mask / levels.square()).flatten()
    normal = operator.matrix.T @ (weight[:, None] * operator.matrix) + torch.eye(SIDE**2) / 0.8**2
    right = (observation.measurement.flatten(1) * weight) @ operator.matrix
    torch.testing.assert_close(found.flatten(1), torch.linalg.solve(normal, right.T).T, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("border", ["circular", "unknown"])
def test_blur_takes_more_from_what_is_less_noisy(border):
    blur, kernel = Blur(7, border=border), GaussianKernels(std=(0.7, 0.8)).sample([0], (1, 7, 7))
    shape = blur.image_shape((1, 32, 32))
    image = 0.5 + 0.25 * numbers(1, *shape, seed=5).float()
    levels = torch.full((1, 1, 32, 32), 0.01)
    levels[..., 16:] = 0.3
    measurement = blur.forward(image, kernel)
    measurement = measurement + levels * torch.randn(measurement.shape, generator=torch.Generator().manual_seed(1))
    solver = Solver(blur, {"image": GaussianPrior(0.0, 0.5)}, Proximal(clip=False), Karras(20))

    def error(noise):
        """Root mean square, of the less noisy half."""
        found = solver.solve(measurement, noise, {"kernel": kernel}).image
        inside = image[(..., *blur.frame(shape))]
        return float((found - inside)[..., 2:12].square().mean().sqrt())

    alone = error(0.01)
    assert error(levels) < 1.2 * alone < 0.7 * error(float(levels.square().mean().sqrt()))


@pytest.mark.parametrize(
    ("rule", "schedule"), [(Proximal(), Karras(20)), (DPS(scale=0.3), VP(300))], ids=["proximal", "dps"]
)
def test_the_counts_of_the_dark_are_trusted_more(rule, schedule):
    image = torch.full((1, 1, 24, 24), 0.04)
    image[..., 12:] = 0.9
    peak = 200.0
    counts = torch.poisson(peak * image, torch.Generator().manual_seed(0)) / peak
    solver = Solver(Light(), {"image": GaussianPrior(0.0, 0.8)}, rule, schedule)
    known = {"light": torch.ones(1, 1, 1, 1)}

    def error(noise, gain):
        found = solver.solve(counts, noise, known, gain=gain)
        return float((found.image - image)[..., :12].square().mean().sqrt()), float(found.residual)

    dark, residual = error(0.0, 1 / peak)
    even, _ = error(float((image / peak).mean().sqrt()), 0.0)
    assert dark < 0.8 * even
    problem = solver.problem(counts, 0.0, known, gain=1 / peak)
    # In units of the noise it is explained as far as it is noise; `dps` leaves more, as ever.
    assert isinstance(rule, DPS) or residual < 1.5 * float(problem.observation.noise)


@pytest.mark.parametrize(("peak", "read"), [(100.0, 0.0), (1000.0, 0.0), (300.0, 0.03)])
def test_poisson_noise_is_estimated(peak, read):
    clean = Blur(9, border="reflect").forward(face(96)[None], GaussianKernels(std=(1.5, 1.6)).sample([0], (1, 9, 9)))[0]
    generator = torch.Generator().manual_seed(2)
    noisy = torch.poisson(peak * clean, generator) / peak + read * torch.randn(clean.shape, generator=generator)
    floor, gain = estimate_poisson(noisy)
    for signal in (0.2, 0.7):
        assert floor + gain * signal == pytest.approx(read**2 + signal / peak, rel=0.3)
