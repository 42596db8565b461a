"""The steps of `turbulence`: adjoints, derivatives, and what they find."""

from __future__ import annotations

import math

import pytest
import torch

from ipt.core.abilities import Belief
from ipt.core.observation import Observation
from ipt.core.solver import Solver
from ipt.linalg.covariances import Isotropic
from ipt.operators import turbulence_steps
from ipt.operators.blur import Blur
from ipt.operators.frames import Frames
from ipt.operators.turbulence import ORDERS, Turbulence
from ipt.priors.tilt import TiltPrior

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


def optics(order: str, border: str, batch: int = 2) -> turbulence_steps.Optics:
    operator = Turbulence(5, border, order)
    picture = torch.empty(batch, 3, 14, 16, dtype=torch.float64)
    return operator._optics(picture, kernel(batch), smooth(batch, 2, 14, 16, seed=3))


def gaussian(mean, variance, sigma=math.inf):
    return Belief(mean, Isotropic(variance), sigma)


def observed(measurement, variance):
    return Observation(measurement, variance.sqrt())


def constant(value: float, batch: int) -> torch.Tensor:
    return torch.full((batch, 1, 1, 1), value, dtype=torch.float64)


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
    expected = Turbulence(5, border, order).forward(picture, kernel(2), model.tilt)
    torch.testing.assert_close(model.forward(picture), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("order", ORDERS)
def test_the_derivative_in_the_tilt_and_its_adjoint(order, border):
    model, picture = optics(order, border), smooth(2, 3, 14, 16, seed=1)
    along, back = model.derivative(picture)
    change, residual = noise(2, 2, 14, 16, seed=5), noise(2, 3, 14, 16, seed=6)
    operator = Turbulence(5, border, order)
    step = 1e-5
    ahead, behind = (operator.forward(picture, kernel(2), model.tilt + s * step * change) for s in (1, -1))
    torch.testing.assert_close(along(change), (ahead - behind) / (2 * step), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close((along(change) * residual).sum(), (change * back(residual)).sum(), rtol=1e-10, atol=1e-9)


def test_without_a_tilt_the_image_step_is_that_of_blur():
    picture, mean = smooth(2, 3, 24, 24, seed=1) / 4 + 0.5, torch.full((2, 3, 24, 24), 0.5, dtype=torch.float64)
    blur = Blur(5, "circular")
    measured = blur.forward(picture, kernel(2)) + 0.01 * noise(2, 3, 24, 24, seed=2)
    belief = gaussian(mean, constant(0.01, 2), 0.2)
    flat = torch.zeros(2, 2, 24, 24, dtype=torch.float64)
    expected = blur.image_step(observed(measured, constant(1e-4, 2)), belief, {"kernel": kernel(2)}, {})
    for order in ORDERS:
        operator = Turbulence(5, "circular", order)
        found = operator.image_step(
            observed(measured, constant(1e-4, 2)), belief, {"kernel": kernel(2), "tilt": flat}, {}
        )
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_equal_frames_are_one_frame_of_less_noise():
    picture = smooth(1, 3, 16, 16, seed=1) / 4 + 0.5
    operator, tilt = Turbulence(5, "circular"), smooth(1, 2, 16, 16, seed=4)
    measured = operator.forward(picture, kernel(), tilt) + 0.05 * noise(1, 3, 16, 16, seed=2)
    belief = gaussian(torch.full_like(picture, 0.5), constant(0.04, 1), 0.3)
    alone = operator.image_step(observed(measured, constant(0.0004, 1)), belief, {"kernel": kernel(), "tilt": tilt}, {})
    stacked = {"kernel": kernel().repeat(1, 4, 1, 1), "tilt": tilt.repeat(1, 4, 1, 1)}
    together = Frames(operator, 4).image_step(
        observed(measured.repeat(1, 4, 1, 1), constant(0.0016, 1)), belief, stacked, {}
    )
    torch.testing.assert_close(together, alone, rtol=1e-9, atol=1e-9)


def truth(frames: int):
    picture = smooth(1, 3, 32, 32, seed=1, width=1.0) / 5 + 0.5
    tilts = smooth(frames, 2, 32, 32, seed=8, width=4.0)
    operator = Turbulence(5, "circular")
    measured = operator.forward(picture.expand(frames, -1, -1, -1), kernel(frames), tilts)
    return operator, picture, tilts, measured + 0.005 * noise(frames, 3, 32, 32, seed=9)


def error(found: torch.Tensor, tilts: torch.Tensor) -> float:
    return float((found - tilts).square().sum(1).sqrt().mean())


def believed(frames: int, tilt: torch.Tensor) -> Belief:
    prior = TiltPrior(1.0).posterior(tilt / 2, 1.0).prior_covariance.scaled(2.0)
    return Belief(tilt, Isotropic(constant(1.0, frames)), 1.0, prior)


def test_the_tilts_of_several_frames_are_found_given_the_image():
    operator, picture, tilts, measured = truth(6)
    own = tilts - tilts.mean(0)
    found, image = torch.zeros_like(tilts), gaussian(picture, constant(1e-4, 1), 0.005)
    for _ in range(8):
        given, belief = {"kernel": kernel(6)}, {"tilt": believed(6, found)}
        found = operator.parameter_step(observed(measured, constant(2.5e-5, 6)), image, belief, given)["tilt"]
    assert error(found, own) < 0.5 * error(torch.zeros_like(own), own)
    torch.testing.assert_close(found.mean(0), torch.zeros_like(found[0]), rtol=0, atol=1e-9)


def test_a_single_frame_keeps_what_is_smooth_in_the_image():
    operator, picture, tilts, measured = truth(1)
    image = gaussian(picture, constant(1e-4, 1), 0.005)
    belief = {"tilt": believed(1, torch.zeros_like(tilts))}
    found = operator.parameter_step(observed(measured, constant(2.5e-5, 1)), image, belief, {"kernel": kernel()})[
        "tilt"
    ]
    spectrum = torch.fft.rfft2(found).abs()
    assert float(found.abs().max()) > 1e-3, "the rough part is sought"
    torch.testing.assert_close(spectrum[..., 0, 0], torch.zeros(1, 2, dtype=torch.float64), rtol=0, atol=1e-9)


def test_frames_are_told_apart_and_their_priors_see_each_alone():
    operator, picture, tilts, measured = truth(3)
    several = Frames(operator, 3)
    stacked = measured.reshape(1, 9, 32, 32)
    assert several.image_shape((9, 32, 32)) == (3, 32, 32)
    specs = several.parameters((3, 32, 32))
    assert specs["tilt"].shape == (6, 32, 32) and specs["kernel"].shape == (3, 5, 5) and specs["tilt"].copies == 3
    found = several.forward(picture, kernel=kernel().repeat(1, 3, 1, 1), tilt=tilts.reshape(1, 6, 32, 32))
    torch.testing.assert_close(found, stacked, rtol=0, atol=0.03)
    with pytest.raises(ValueError, match="not 3 frames"):
        several.image_shape((8, 32, 32))

    from ipt.guidance.proximal import Proximal
    from ipt.priors.analytic import GaussianPrior

    rule = Proximal()
    solver = Solver(several, {"image": GaussianPrior(), "tilt": TiltPrior(1.0)}, rule, rule.schedule(3))
    known = {"kernel": kernel().repeat(1, 3, 1, 1).float()}
    solution = solver.solve(stacked.float(), 0.005, known=known)
    assert solution.image.shape == (1, 3, 32, 32) and solution.parameters["tilt"].shape == (1, 6, 32, 32)
    assert solution.calls == {"image": 3, "tilt": 3}
