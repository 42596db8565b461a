"""The proximal rule's general steps against answers that are known: dense solutions of linear problems, and the truth
where a parameter is constrained or the operator has kinks."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from ipt.core.abilities import Belief
from ipt.core.observation import Observation
from ipt.core.operator import ParameterSpec, ParametricOperator
from ipt.guidance.gauss_newton import image_step, parameter_step
from ipt.linalg.covariances import Isotropic

SCALAR = ParameterSpec((1, 1, 1), "a number")


class Linear(ParametricOperator):
    """Linear in the image, and in its parameters: smear(image) * gain + bias, the bias one of every row and column."""

    def parameters(self, image_shape):
        return {"gain": SCALAR, "bias": ParameterSpec((1, *image_shape[1:]), "an offset of every pixel")}

    def forward(self, image, gain, bias):
        return gain * (0.7 * image + 0.3 * image.roll(1, -1)) + bias


class Mixture(ParametricOperator):
    """A mean of shifted images, weights (B, 3) positive with sum 1."""

    def parameters(self, image_shape):
        return {"weights": ParameterSpec((3,), "shares")}

    def forward(self, image, weights):
        shifted = torch.stack([image.roll(by, -1) for by in range(3)], 1)
        return (weights[..., None, None, None] * shifted).sum(1)

    def constrain(self, parameters):
        positive = parameters["weights"].clamp(min=0)
        return {**parameters, "weights": positive / positive.sum(1, keepdim=True).clamp(min=1e-8)}


class Warp(ParametricOperator):
    """A shift in pixels, by torch's grid_sample, which has a kink at every whole pixel, no shift among them."""

    def parameters(self, image_shape):
        return {"shift": ParameterSpec((2,), "right and down", "pixels")}

    def forward(self, image, shift):
        turn = torch.eye(2, dtype=image.dtype).expand(len(image), 2, 2)
        sides = torch.tensor([image.shape[-1], image.shape[-2]], dtype=image.dtype)
        grid = F.affine_grid(torch.cat([turn, (2 * shift / sides)[..., None]], 2), image.shape, align_corners=False)
        return F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)


def uniform(*shape, seed=0, dtype=torch.float64):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def column(value, batch, dtype=torch.float64):
    return torch.full((batch, 1, 1, 1), value, dtype=dtype)


def gaussian(mean, variance, sigma=math.inf, covariance=None):
    return Belief(mean, covariance or Isotropic(variance), sigma)


def observed(measurement, variance):
    return Observation(measurement, variance.sqrt())


def about(mean, std):
    return gaussian(mean, torch.full((len(mean), *[1] * (mean.ndim - 1)), std**2, dtype=mean.dtype))


def dense(matrix, measurement, variance, mean, deviation):
    """argmin ||y - M u||^2 / variance + ||(u - mean) / deviation||^2, of one image."""
    precision = matrix.T @ matrix / variance + torch.diag(deviation**-2)
    return torch.linalg.solve(precision, matrix.T @ measurement / variance + mean / deviation**2)


def test_the_image_step_is_the_dense_solution():
    batch, shape = 3, (1, 3, 4)
    valid = {"gain": 0.5 + uniform(batch, 1, 1, 1), "bias": uniform(batch, *shape, seed=1)}
    measurement, mean = uniform(batch, *shape, seed=2), uniform(batch, *shape, seed=3)
    noise, variance = 0.01 + uniform(batch, 1, 1, 1, seed=4), 0.01 + uniform(batch, *shape, seed=5)
    found = image_step(Linear(), observed(measurement, noise), gaussian(mean, variance), valid, 1, 40)
    basis = torch.eye(12, dtype=torch.float64).reshape(12, *shape)
    for index in range(batch):
        matrix = Linear().forward(basis, valid["gain"][index], 0 * basis).reshape(12, 12).T
        data = (measurement - valid["bias"])[index].flatten()
        wanted = dense(matrix, data, noise[index].item(), mean[index].flatten(), variance[index].flatten().sqrt())
        torch.testing.assert_close(found[index].flatten(), wanted, rtol=0, atol=1e-10)


def test_the_parameter_step_is_the_dense_solution_for_all_unknowns_jointly():
    batch, shape = 2, (1, 3, 4)
    picture, measurement = uniform(batch, *shape), uniform(batch, *shape, seed=1)
    beliefs = {
        "bias": gaussian(uniform(batch, *shape, seed=2), 1e-4 + 1e-3 * uniform(batch, *shape, seed=3)),
        "gain": about(0.5 + uniform(batch, 1, 1, 1, seed=4), 30.0),
    }
    noise = 0.01 + 0.1 * uniform(batch, 1, 1, 1, seed=5)
    image = gaussian(picture, 0.01 + uniform(batch, 1, 1, 1, seed=6))
    found = parameter_step(Linear(), observed(measurement, noise), image, beliefs, {}, 1, 60)
    smeared = Linear().forward(picture, 1.0, 0.0)
    # The pattern of signs as it is fixed: a generator of its own, seeded with 0.
    signs = 2 * torch.randint(0, 2, (12,), generator=torch.Generator().manual_seed(0)).double().reshape(shape) - 1
    for index in range(batch):
        gain = beliefs["gain"].mean[index].item()
        shaken = Linear().forward(signs[None], gain, 0.0).square().mean()
        variance = (noise[index] + image.covariance.variance[index] * shaken).item()
        matrix = torch.cat([torch.eye(12, dtype=torch.float64), smeared[index].reshape(12, 1)], 1)
        mean = torch.cat([beliefs[name].mean[index].flatten() for name in beliefs])
        spread = torch.cat(
            [beliefs["bias"].covariance.variance[index].flatten(), beliefs["gain"].covariance.variance[index].flatten()]
        )
        wanted = dense(matrix, measurement[index].flatten(), variance, mean, spread.sqrt())
        torch.testing.assert_close(found["bias"][index].flatten(), wanted[:12], rtol=0, atol=1e-9)
        torch.testing.assert_close(found["gain"][index].flatten(), wanted[12:], rtol=1e-8, atol=0)


def test_parameters_are_found_through_their_constraint():
    """Weights on the simplex, of shape (B, 3), beliefs of another scale than they end up with."""
    picture, true = uniform(3, 1, 6, 6), torch.tensor([[0.6, 0.3, 0.1], [0.2, 0.2, 0.6], [0.1, 0.8, 0.1]]).double()
    measurement = Mixture().forward(picture, true)
    belief = {"weights": about(torch.full((3, 3), 2.0, dtype=torch.float64), 2.0)}
    found = parameter_step(Mixture(), observed(measurement, column(1e-6, 3)), about(picture, 1e-9), belief, {}, 8)
    assert found["weights"].shape == (3, 3)
    torch.testing.assert_close(Mixture().constrain(found)["weights"], true, rtol=0, atol=1e-3)


def test_a_shift_is_found_through_grid_sample():
    rows, columns = torch.meshgrid(*[torch.linspace(0, 3, 12, dtype=torch.float64)] * 2, indexing="ij")
    picture = (0.5 + 0.25 * (rows.sin() + (1.3 * columns).cos())).expand(2, 1, 12, 12)
    true = torch.tensor([[0.7, -0.4], [-0.3, 0.9]], dtype=torch.float64)
    measurement = Warp().forward(picture, true)
    belief = {"shift": about(torch.zeros(2, 2, dtype=torch.float64), 1.0)}
    found = parameter_step(Warp(), observed(measurement, column(1e-6, 2)), about(picture, 1e-9), belief, {}, 6)
    torch.testing.assert_close(found["shift"], true, rtol=0, atol=1e-2)
