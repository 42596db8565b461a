"""The steps of `turbulence`: what they solve, and what they find."""

from __future__ import annotations

import math

import pytest
import torch

from ipt.core.abilities import Belief
from ipt.core.observation import Observation
from ipt.core.solver import Solver
from ipt.linalg import chunks
from ipt.linalg.covariances import Isotropic
from ipt.operators.blur import Blur, kernel_error
from ipt.operators.blur import steps as blur_steps
from ipt.operators.blur.uncertainty import error_spectrum
from ipt.operators.frames import Frames
from ipt.operators.turbulence import ORDERS, Turbulence
from ipt.operators.turbulence import operator as turbulence_operator
from ipt.operators.turbulence import steps as turbulence_steps
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


def gaussian(mean, variance, sigma=math.inf):
    return Belief(mean, Isotropic(variance), sigma)


def observed(measurement, variance):
    return Observation(measurement, variance.sqrt())


def constant(value: float, batch: int) -> torch.Tensor:
    return torch.full((batch, 1, 1, 1), value, dtype=torch.float64)


@pytest.mark.parametrize("border", ["circular", "reflect", "unknown"])
@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("sure", [False, True])
def test_without_a_tilt_the_image_step_is_that_of_blur(border, holes, sure, monkeypatch):
    """Both solve the same system, which blur's does in one step where nothing lacks. There is more noise than is said,
    so that blur's takes none of it away."""
    blur = Blur(5, border)
    shape = blur.image_shape((3, 24, 24))
    picture, mean = smooth(2, *shape, seed=1) / 4 + 0.5, torch.full((2, *shape), 0.5, dtype=torch.float64)
    measured = blur.forward(picture, kernel(2)) + 0.1 * noise(2, 3, 24, 24, seed=2)
    mask = (noise(2, 1, 24, 24, seed=5) > -1).double() if holes else None
    seen = Observation(measured, constant(0.01, 2), mask)
    belief, flat = gaussian(mean, constant(0.01, 2), 0.2), torch.zeros(2, 2, *shape[1:], dtype=torch.float64)
    beliefs = {} if sure else {"kernel": gaussian(kernel(2), constant(0.01, 2), 0.1)}
    monkeypatch.setattr(blur_steps, "_IMAGE_ITERATIONS", (100, 100))
    monkeypatch.setattr(blur_steps, "_TOLERANCE", 0.0)
    monkeypatch.setattr(blur_steps, "_ENOUGH", 0.0)
    monkeypatch.setattr(turbulence_steps, "_IMAGE_ITERATIONS", 100)
    monkeypatch.setattr(turbulence_steps, "_TOLERANCE", 0.0)
    expected = blur.image_step(seen, belief, {"kernel": kernel(2)}, beliefs)
    for order in ORDERS:
        found = Turbulence(5, border, order).image_step(seen, belief, {"kernel": kernel(2), "tilt": flat}, beliefs)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("border", ["circular", "reflect", "unknown"])
def test_the_image_step_solves_its_normal_equations(border, order, monkeypatch):
    """Of two frames with masks of their own, against dense matrices, luminance alone."""
    monkeypatch.setattr(turbulence_steps, "_IMAGE_ITERATIONS", 300)
    monkeypatch.setattr(turbulence_steps, "_TOLERANCE", 0.0)
    operator = Turbulence((3, 4), border, order)
    shape = operator.image_shape((1, 9, 8))
    pixels = shape[1] * shape[2]
    kernels = torch.rand(2, 1, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    given = operator.constrain({"kernel": kernels, "tilt": smooth(2, 2, *shape[1:], seed=3)})
    mean, level = smooth(1, *shape, seed=1) / 4 + 0.5, 0.3
    measured = operator.forward((mean + 0.1 * noise(1, *shape)).expand(2, -1, -1, -1), **given)
    mask = (noise(2, 1, 9, 8, seed=5) > -1).double()
    stds = torch.tensor([0.01, 0.03], dtype=torch.float64).reshape(2, 1, 1, 1)
    found = operator.image_step(Observation(measured, stds, mask), gaussian(mean, constant(0.01, 1), level), given, {})
    units = torch.eye(pixels, dtype=torch.float64).reshape(pixels, *shape)
    padded = operator.blur.padded(mean, kernels)
    whole = padded.extend(units)
    error = error_spectrum(padded, gaussian(mean, constant(0.01, 1), level), mean)
    normal = whole.flatten(1) @ padded.filtered(whole, 1 / error).flatten(1).T
    right = torch.zeros(pixels, dtype=torch.float64)
    for frame in range(2):
        own = {name: value[frame : frame + 1].expand(pixels, -1, -1, -1) for name, value in given.items()}
        matrix = (mask[frame] * operator.forward(units, **own)).flatten(1).T / stds[frame].item()
        rest = mask[frame] * (measured[frame] - operator.forward(mean, **{k: v[:1] for k, v in own.items()})[0])
        normal += matrix.T @ matrix
        right += matrix.T @ rest.flatten() / stds[frame].item()
    expected = mean + torch.linalg.solve(normal, right).reshape(mean.shape)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("border", ["circular", "unknown"])
@pytest.mark.parametrize("order", ORDERS)
def test_what_was_not_measured_has_no_influence(order, border):
    operator = Turbulence(5, border, order, kernels="each")
    shape = operator.image_shape((3, 16, 18))
    image, tilts = smooth(1, *shape, seed=1) / 4 + 0.5, smooth(2, 2, *shape[1:], seed=4)
    measured = operator.forward(image.expand(2, -1, -1, -1), kernel(2), tilts) + 0.01 * noise(2, 3, 16, 18, seed=2)
    mask = (noise(2, 1, 16, 18, seed=5) > -1).double()
    mask[0, :, 4:9, 5:9] = 0
    belief = gaussian(image + 0.02 * noise(*image.shape, seed=6), constant(0.01, 1), 0.1)
    beliefs = {
        "kernel": gaussian(kernel(2) + 0.02, constant(0.01, 2), 0.1),
        "tilt": believed(2, 0.5 * tilts),
    }
    valid = operator.constrain({name: one.mean for name, one in beliefs.items()})

    def steps(seen, one=slice(None)):
        observation = Observation(seen, constant(0.01, 2), mask)
        found = operator.parameter_step(observation, belief, beliefs, {})
        return operator.image_step(observation, belief, valid, beliefs), found["kernel"], found["tilt"]

    expected = steps(measured)
    for wrong in (0.0, 1e3):
        for one, found in zip(expected, steps(torch.where(mask.bool(), measured, wrong)), strict=True):
            torch.testing.assert_close(found, one, rtol=0, atol=1e-12 if wrong == 0 else 1e-10)
    for one, found in zip(expected, steps(measured + 0.05 * mask), strict=True):
        assert (found - one).abs().max() > 1e-4


def test_a_kernel_of_turbulence_is_no_path(monkeypatch):
    """It is 0 nowhere, so that it may be wrong anywhere, of grey pictures too."""
    operator, image = Turbulence(5, "circular"), smooth(1, 1, 16, 18, seed=1) / 4 + 0.5
    tilt = smooth(1, 2, 16, 18, seed=4)
    observation = observed(operator.forward(image, kernel(), tilt) + 0.05, constant(0.0001, 1))
    belief, beliefs = gaussian(image, constant(0.01, 1), 0.1), {"kernel": gaussian(kernel(), constant(0.01, 1), 0.1)}
    found = []
    for narrow in (0, 24):
        monkeypatch.setattr(kernel_error, "_NARROW", narrow)
        found.append(operator.image_step(observation, belief, {"kernel": kernel(), "tilt": tilt}, beliefs))
    assert torch.equal(*found) and (found[0] - image).abs().max() > 1e-4


def test_equal_frames_are_one_frame_of_less_noise():
    picture = smooth(1, 3, 16, 16, seed=1) / 4 + 0.5
    operator, tilt = Turbulence(5, "circular"), smooth(1, 2, 16, 16, seed=4)
    measured = operator.forward(picture, kernel(), tilt) + 0.05 * noise(1, 3, 16, 16, seed=2)
    belief = gaussian(torch.full_like(picture, 0.5), constant(0.04, 1), 0.3)
    alone = operator.image_step(observed(measured, constant(0.0004, 1)), belief, {"kernel": kernel(), "tilt": tilt}, {})
    stacked = {"kernel": kernel(), "tilt": tilt.repeat(1, 4, 1, 1)}
    together = Frames(operator, 4).image_step(
        observed(measured.repeat(1, 4, 1, 1), constant(0.0016, 1)), belief, stacked, {}
    )
    torch.testing.assert_close(together, alone, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("frames_at_once", [1, 2])
def test_frames_of_an_image_are_the_same_in_parts(frames_at_once, monkeypatch):
    operator, shape = Turbulence(5), Turbulence(5).image_shape((3, 16, 18))
    tilts = smooth(6, 2, *shape[1:], seed=4)
    measured = smooth(6, 3, 16, 18, seed=2) / 4 + 0.5
    belief = gaussian(smooth(2, *shape, seed=1) / 4 + 0.5, constant(0.01, 2), 0.2)
    beliefs = {"kernel": gaussian(kernel(2), constant(0.01, 2), 0.1), "tilt": believed(6, tilts)}
    valid = {"kernel": kernel(2), "tilt": tilts}
    whole = operator.image_step(observed(measured, constant(0.01, 6)), belief, valid, beliefs)
    monkeypatch.setattr(chunks, "_AT_ONCE", frames_at_once * shape[1] * shape[2])
    found = operator.image_step(observed(measured, constant(0.01, 6)), belief, valid, beliefs)
    torch.testing.assert_close(found, whole)


def test_the_kernel_of_large_frames_is_found_where_edges_are_most(monkeypatch):
    """What is changed elsewhere has no influence, what is changed there has."""
    monkeypatch.setattr(turbulence_operator, "_SIDE", 32)
    operator = Turbulence(5, kernels="each")
    shape = operator.image_shape((1, 48, 64))
    picture = 0.5 + 0.02 * smooth(1, *shape, seed=1, width=1.0)
    picture[..., 20:, 36:] += smooth(1, 1, shape[1] - 20, shape[2] - 36, seed=2, width=1.0) / 4
    flat, given = torch.zeros(3, 2, *shape[1:], dtype=torch.float64), kernel(3)
    measured = operator.forward(picture.expand(3, -1, -1, -1), given, flat) + 0.002 * noise(3, 1, 48, 64)
    beliefs = {"kernel": gaussian(torch.full_like(kernel(3), 0.3), constant(0.1, 3), 0.3)}

    def step(seen):
        observation = observed(seen, constant(4e-6, 3))
        image = gaussian(picture, constant(1e-4, 1), 0.01)
        return operator.constrain(operator.parameter_step(observation, image, beliefs, {"tilt": flat}))["kernel"]

    expected = step(measured)
    torch.testing.assert_close(expected, kernel(3), rtol=0, atol=0.02)
    for columns, same in ((slice(0, 24), True), (slice(40, 64), False)):
        changed = measured.clone()
        changed[..., columns] += 0.1 * noise(3, 1, 48, columns.stop - columns.start, seed=3)
        assert torch.allclose(step(changed), expected) == same


@pytest.mark.parametrize(("level", "kept"), [(0.9, False), (0.5, True)])
def test_the_kernel_that_frames_share_stays_as_their_spectrum_tells(level, kept):
    """Images at higher levels belong to a solve that did not begin with a kernel."""
    operator, shape = Turbulence(5), Turbulence(5).image_shape((1, 24, 24))
    picture, flat = smooth(1, *shape, seed=1) / 4 + 0.5, torch.zeros(3, 2, *shape[1:], dtype=torch.float64)
    measured = operator.forward(picture.expand(3, -1, -1, -1), kernel(3), flat)
    told = kernel() + 0.05
    beliefs = {"kernel": gaussian(told, constant(0.1, 1), 0.3)}
    found = operator.parameter_step(
        observed(measured, constant(1e-4, 3)), gaussian(picture, constant(0.01, 1), level), beliefs, {"tilt": flat}
    )
    assert torch.equal(found["kernel"], told) == kept


def test_edges_out_of_place_are_told_from_an_error_of_the_picture():
    picture = smooth(1, 1, 64, 64, seed=1, width=2.0) / 4 + 0.5
    operator, flat = Turbulence(5, "circular"), torch.zeros(8, 2, 64, 64, dtype=torch.float64)
    inside, usual = torch.ones(8, 1, 64, 64, dtype=torch.float64), torch.full((8, 1, 1, 1), 1e-6, dtype=torch.float64)
    optics = operator._optics(picture, kernel(), flat)
    seen = optics.forward(picture.expand(8, -1, -1, -1))
    slope = torch.stack(torch.gradient(seen, dim=(-2, -1))).square().sum(0)
    error = 0.1 * smooth(1, 1, 64, 64, seed=5, width=2.0).expand(8, -1, -1, -1)
    moved = operator.forward(picture.expand(8, -1, -1, -1), kernel(8), 0.7 * smooth(8, 2, 64, 64, seed=3, width=8.0))
    for residual, least, most in ((error, -1, 0.01), (moved - seen, 0.3, 0.7), (moved - seen + error, 0.3, 0.7)):
        away = turbulence_steps._edge_displacement(optics, residual, inside, slope, usual, 8)
        assert least < float(away.mean()) < most


def truth(frames: int):
    picture = smooth(1, 3, 32, 32, seed=1, width=1.0) / 5 + 0.5
    tilts = smooth(frames, 2, 32, 32, seed=8, width=4.0)
    operator = Turbulence(5, "circular", kernels="each")
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
