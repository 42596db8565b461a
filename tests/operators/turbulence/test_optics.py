"""What the air does to a picture as linear maps: their adjoints and derivatives, and what a residual counts."""

from __future__ import annotations

import math

import pytest
import torch

from ipt.core.observation import Observation
from ipt.operators.turbulence import ORDERS, Turbulence
from ipt.operators.turbulence.optics import Optics, Weight

BORDERS = ("circular", "zero", "reflect", "replicate", "unknown")


def noise(*shape: int, seed: int = 0, dtype=torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def smooth(*shape: int, seed: int = 0, width: float = 3.0) -> torch.Tensor:
    """Smooth noise of standard deviation 1 an image."""
    frequency = torch.hypot(torch.fft.fftfreq(shape[-2])[:, None], torch.fft.rfftfreq(shape[-1]))
    filtered = torch.fft.rfft2(noise(*shape, seed=seed)) * torch.exp(-2 * (math.pi * width * frequency) ** 2)
    field = torch.fft.irfft2(filtered, s=shape[-2:])
    return field / field.square().mean((-3, -2, -1), keepdim=True).sqrt()


def kernel(batch: int = 1) -> torch.Tensor:
    place = torch.arange(5, dtype=torch.float64) - 2
    bell = torch.exp(-place.square() / 2)
    return (bell[:, None] * bell / bell.sum() ** 2).expand(batch, 1, 5, 5)


def optics(order: str, border: str, batch: int = 2) -> Optics:
    """Of images of 14x16, whatever of them is measured."""
    operator = Turbulence(5, border, order)
    picture = torch.empty(batch, 3, 14, 16, dtype=torch.float64)
    return operator._optics(picture, kernel(batch), smooth(batch, 2, 14, 16, seed=3))


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("order", ORDERS)
def test_the_adjoint_of_the_linear_part(order, border):
    model, picture, residual = optics(order, border), noise(2, 3, 14, 16, seed=1), noise(2, 3, 14, 16, seed=2)
    ahead = (model.forward(picture) * residual).sum()
    torch.testing.assert_close((picture * model.adjoint(residual)).sum(), ahead, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("order", ORDERS)
def test_the_steps_model_is_the_operators_forward(order, border):
    model, picture = optics(order, border), noise(2, 3, 14, 16, seed=1)
    operator = Turbulence(5, border, order)
    expected = operator.forward(picture, kernel(2), model.tilt)
    found = model.forward(picture)[(..., *operator.frame((3, 14, 16)))]
    assert found.shape == ((2, 3, 10, 12) if border == "unknown" else (2, 3, 14, 16))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("order", ORDERS)
def test_the_adjoint_of_what_is_measured_and_weighed(order, border):
    """Frame, mask and noise in one: <W M x, r> = <x, M' W r>, and nothing of a residual counts where none is."""
    model, operator = optics(order, border), Turbulence(5, border, order)
    rows, columns = operator.frame((3, 14, 16))
    mask = (noise(2, 1, rows.stop - rows.start, columns.stop - columns.start, seed=4) > -0.8).double()
    measured = noise(2, 3, *mask.shape[-2:], seed=7)
    spectrum = 0.01 * (1 + torch.rand(2, 3, *model.transfer.shape[-2:], dtype=torch.float64))
    disturbance = smooth(2, 1, 14, 16, seed=9).abs()
    weight = Weight.of(
        model, Observation(measured, torch.full((2, 1, 1, 1), 0.1).double(), mask), spectrum, disturbance
    )
    picture, residual = noise(2, 3, 14, 16, seed=1), noise(2, 3, 14, 16, seed=2)
    ahead = (weight(model.forward(picture)) * residual).sum()
    torch.testing.assert_close((picture * model.adjoint(weight(residual))).sum(), ahead, rtol=1e-10, atol=1e-8)
    inside = torch.zeros(2, 1, 14, 16, dtype=torch.float64)
    inside[..., rows, columns] = mask
    assert torch.equal(weight(residual), weight(inside * residual)) and weight(residual).abs().max() > 1
    assert (weight(residual) * (1 - inside)).abs().max() == 0


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("order", ORDERS)
def test_the_derivative_in_the_tilt_and_its_adjoint(order, border):
    model, picture = optics(order, border), smooth(2, 3, 14, 16, seed=1)
    along, back = model.derivative(picture)
    change, residual = noise(2, 2, 14, 16, seed=5), noise(2, 3, 14, 16, seed=6)
    operator = Turbulence(5, border, order)
    step = 1e-5
    ahead, behind = (operator.forward(picture, kernel(2), model.tilt + s * step * change) for s in (1, -1))
    found = along(change)[(..., *operator.frame((3, 14, 16)))]
    torch.testing.assert_close(found, (ahead - behind) / (2 * step), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close((along(change) * residual).sum(), (change * back(residual)).sum(), rtol=1e-10, atol=1e-9)
