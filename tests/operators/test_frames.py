"""Several measurements of one image, from coarse to fine."""

from __future__ import annotations

from dataclasses import replace

import torch

import ipt
from ipt.core.abilities import Belief, Framed, ability
from ipt.core.observation import Observation
from ipt.guidance import gauss_newton
from ipt.linalg.covariances import Isotropic
from ipt.operators.blur import Blur
from ipt.operators.downscale import Downscale
from ipt.operators.frames import Frames
from ipt.operators.turbulence import Turbulence
from ipt.operators.turbulence import operator as turbulence_operator
from ipt.operators.turbulence import steps as turbulence_steps
from ipt.sampling.multiscale import Multiscale


def test_each_frames_kernel_is_doubled_alone():
    shape = Frames(Blur(24), 3).image_shape((9, 64, 64))
    half = Frames(Blur(24), 3).coarser(shape)
    assert half.operator == Frames(Blur((16, 16), margin=8), 3)
    kernels = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    found = half.enlarged({"kernel": kernels})["kernel"]
    assert found.shape == (2, 3, 24, 24)
    for frame in range(3):
        alone = Blur(24).coarser(shape).enlarged({"kernel": kernels[:, frame : frame + 1]})["kernel"]
        torch.testing.assert_close(found[:, frame : frame + 1], alone)


def test_no_smaller_picture_where_the_operator_has_none():
    for operator in (Frames(Blur(16), 2), Frames(Turbulence(24), 2)):
        assert operator.coarser(operator.image_shape((6, 64, 64))) is None


def test_a_solve_of_frames_begins_with_small_ones():
    settings = {"operator.kernel_size": 24}
    built = ipt.build("blur", "gaussian", parameters={"kernel": "gaussian"}, settings=settings, steps=4)
    solver = Multiscale(replace(built.solver, operator=Frames(built.solver.operator, 2)))
    measurement = torch.rand(1, 2, 48, 40, generator=torch.Generator().manual_seed(2))
    solution = solver.solve(measurement)
    assert [size[:2] for size in solution.sizes] == [(24, 20), (48, 40)]
    assert solution.parameters["kernel"].shape == (1, 2, 24, 24) and solution.image.shape == (1, 1, 48, 40)
    assert solution.whole.shape == (1, 1, 80, 72)


def test_frames_have_the_frame_of_their_operator():
    for operator in (Blur(9), Turbulence(9)):
        shape = Frames(operator, 3).image_shape((9, 20, 22))
        assert shape == operator.image_shape((3, 20, 22))
        assert Frames(operator, 3).frame(shape) == operator.frame(shape) == (slice(4, 24), slice(4, 26))
    assert ability(Frames(Blur(9), 3), Framed) and not ability(Frames(Downscale(2), 3), Framed)


def test_each_frames_mask_is_its_own(monkeypatch):
    """What one frame lacks is told by the other; what lacks in both is of no influence on any."""
    monkeypatch.setattr(turbulence_steps, "_IMAGE_ITERATIONS", 100)
    frames = Frames(Turbulence(5, kernels="each"), 2)
    generator = torch.Generator().manual_seed(3)
    image = torch.rand(1, *frames.image_shape((6, 20, 20)), generator=generator, dtype=torch.float64)
    tilts = 0.3 * torch.randn(1, 4, *image.shape[-2:], generator=generator, dtype=torch.float64)
    kernels = torch.zeros(1, 2, 5, 5, dtype=torch.float64)
    kernels[:, :, 2, 1:4] = 1 / 3
    known = {"kernel": kernels, "tilt": tilts}
    measured = frames.forward(image, **known)
    one = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    mask = torch.ones(1, 6, 20, 20, dtype=torch.float64)
    mask[:, :3, :, :10] = 0
    belief = Belief(torch.full_like(image, 0.5), Isotropic(0.1 * one), 0.5)
    wrong = torch.where(mask.bool(), measured, 7.0)
    found = frames.image_step(Observation(wrong, 0.01 * one, mask), belief, known, {})
    same = frames.image_step(Observation(measured, 0.01 * one, mask), belief, known, {})
    torch.testing.assert_close(found, same, rtol=0, atol=1e-12)
    second = Frames(Turbulence(5, kernels="each"), 1)
    alone = {"kernel": kernels[:, 1:], "tilt": tilts[:, 2:]}
    left = (..., slice(4, 20), slice(2, 8))
    expected = second.image_step(Observation(measured[:, 3:], 0.01 * one), belief, alone, {})
    torch.testing.assert_close(found[left], expected[left], rtol=0, atol=0.05)


def test_what_frames_share_is_one_parameter_that_all_of_them_see():
    frames = Frames(Turbulence(5), 3)
    shape = frames.image_shape((9, 20, 22))
    specs = frames.parameters(shape)
    assert specs["kernel"].shape == (1, 5, 5) and specs["kernel"].copies == 1
    assert specs["tilt"].shape == (6, 24, 26) and specs["tilt"].copies == 3
    assert frames.shared == {"kernel"} and not Frames(Turbulence(5, kernels="each"), 3).shared
    generator = torch.Generator().manual_seed(4)
    image, tilt = torch.rand(2, *shape, generator=generator), torch.randn(2, 6, 24, 26, generator=generator)
    kernel = frames.constrain({"kernel": torch.rand(2, 1, 5, 5, generator=generator)})["kernel"]
    assert kernel.shape == (2, 1, 5, 5)
    measured = frames.forward(image, kernel=kernel, tilt=tilt)
    for number in range(3):
        own = Turbulence(5).forward(image, kernel=kernel, tilt=tilt[:, 2 * number : 2 * number + 2])
        torch.testing.assert_close(measured[:, 3 * number : 3 * number + 3], own)


def test_a_shared_kernel_of_equal_frames_is_that_of_one_with_less_noise(monkeypatch):
    """Their noise averages out, and the error of the one scene behind them does not; where steps find it."""
    monkeypatch.setattr(turbulence_operator, "_KEPT", 0.0)
    generator = torch.Generator().manual_seed(5)
    operator, count = Turbulence(5, "circular"), 4
    image = torch.rand(1, 1, 32, 32, generator=generator, dtype=torch.float64)
    true = torch.ones(1, 1, 5, 5, dtype=torch.float64) / 25
    one = {"tilt": torch.zeros(1, 2, 32, 32, dtype=torch.float64)}
    measured = operator.forward(image, kernel=true, **one)
    level = torch.full((1, 1, 1, 1), 0.02, dtype=torch.float64)
    picture = Belief(image, Isotropic(0.01 * torch.ones_like(level)), 0.1)
    kernel = Belief(torch.rand(1, 1, 5, 5, generator=generator, dtype=torch.float64), Isotropic(level), 0.3)
    alone = operator.parameter_step(Observation(measured, level / 2), picture, {"kernel": kernel}, one)["kernel"]
    several = Observation(measured.repeat(1, count, 1, 1), level)
    tilts = {"tilt": torch.zeros(1, 2 * count, 32, 32, dtype=torch.float64)}
    shared = Frames(operator, count).parameter_step(several, picture, {"kernel": kernel}, tilts)["kernel"]
    # In single precision, of a peak of 1, with as many roundings as there are threads: 1.3e-6 was seen.
    torch.testing.assert_close(shared, alone, rtol=0, atol=3e-6)
    noisy = operator.parameter_step(Observation(measured, level), picture, {"kernel": kernel}, one)["kernel"]
    assert (noisy - alone).abs().max() > 1e-3


def test_a_parameter_is_shared_by_operators_without_steps_for_frames():
    """The generic step finds it, of all frames together; the operator's own, of one frame, is not asked."""

    class Shared(Blur):
        def parameters(self, image_shape):
            return {name: replace(spec, shared=True) for name, spec in super().parameters(image_shape).items()}

    frames = Frames(Shared(3, "circular"), 2)
    generator = torch.Generator().manual_seed(6)
    image, level = torch.rand(1, 1, 16, 16, generator=generator), torch.full((1, 1, 1, 1), 0.01)
    belief = {"kernel": Belief(torch.ones(1, 1, 3, 3), Isotropic(level), 0.3)}
    measured = frames.forward(image, kernel=torch.full((1, 1, 3, 3), 1 / 9))
    observation = Observation(measured, level)
    assert frames.parameter_step(observation, Belief(image, Isotropic(level)), belief, {}) is None
    found = gauss_newton.parameter_step(frames, observation, Belief(image, Isotropic(level)), belief, {})
    assert found["kernel"].shape == (1, 1, 3, 3)
