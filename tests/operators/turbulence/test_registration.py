"""Tilts of several exposures from these alone, and a solve that begins there."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import ipt
from ipt.core.observation import Observation
from ipt.operators.frames import Frames
from ipt.operators.turbulence import Turbulence
from ipt.operators.turbulence.registration import register
from ipt.operators.turbulence.tilts import TiltKolmogorov
from ipt.sampling.multiscale import Multiscale


def _exposures(count=4, side=48):
    """A scene of blobs, its exposures by Kolmogorov tilts, and these."""
    generator = torch.Generator().manual_seed(1)
    rough = torch.rand(1, 1, side // 4, side // 4, generator=generator)
    scene = torch.nn.functional.interpolate(rough, (side, side), mode="bicubic").clamp(0, 1)
    tilts = TiltKolmogorov(2.0).sample(range(count), (2, side, side))
    return scene, Turbulence(3).warp(scene.expand(count, -1, -1, -1), tilts), tilts


def test_tilts_are_found_by_registration():
    scene, exposures, true = _exposures()
    registered = register(exposures, 0.01)
    mean, found = registered.scene, registered.tilts
    assert found.shape == true.shape and mean.shape == scene.shape[1:]
    inside = (..., slice(6, -6), slice(6, -6))
    wanted = (true - true.mean(0))[inside]
    error = (found[inside] - wanted).square().mean().sqrt()
    assert error < 0.25 * wanted.square().mean().sqrt()
    # What the exposures show, moved back, agrees better than as they are.
    blurred = (exposures.mean(0) - scene[0])[inside].square().mean()
    common = Turbulence(3).warp(scene, true.mean(0, keepdim=True))[0]
    assert (mean - common)[inside].square().mean() < 0.25 * blurred


def test_the_operator_begins_with_what_registration_finds():
    _, exposures, _ = _exposures()
    frames = Frames(Turbulence(5), 4)
    found = frames.initial(Observation(exposures.flatten(0, 1)[None], torch.full((1, 1, 1, 1), 0.01)))
    assert found["image"].shape == (1, 1, 52, 52) and found["tilt"].shape == (1, 8, 52, 52)
    assert found["kernel"].shape == (1, 1, 5, 5) and found["kernel"].max() == 1
    # One exposure does not show its tilt.
    alone = Turbulence(5).initial(Observation(exposures[:1], torch.full((1, 1, 1, 1), 0.01)))
    assert torch.equal(alone["image"][..., 2:-2, 2:-2], exposures[:1]) and not alone["tilt"].any()


@pytest.mark.parametrize("rule", ["proximal", "dps"])
def test_a_solve_begins_there_with_less_noise(rule):
    _, exposures, true = _exposures()
    built = ipt.build("turbulence", "gaussian", rule, settings={"operator.kernel_size": 5}, steps=12)
    solver = Multiscale(replace(built.solver, operator=Frames(built.solver.operator, 4)))
    measurement = exposures.flatten(0, 1)[None]
    (level,) = solver.problem(measurement, 0.01)
    if rule == "dps":
        assert level.initial is None
        return
    assert level.solver.sigmas()[0] <= 1.0 < solver.solver.sigmas()[0]
    # Four exposures have half the noise of one.
    assert level.solver.sigmas()[-2] == pytest.approx(solver.solver.sigmas()[-2] / 2)
    solution = solver.solve(measurement, 0.01)
    tilt = solution.parameters["tilt"][0].unflatten(0, (4, 2))[..., 2:-2, 2:-2]
    wanted = true - true.mean(0)
    assert (tilt - tilt.mean(0) - wanted).square().mean() < 0.15 * wanted.square().mean()
    states = list(solver.steps((level,), [7]))
    again = list(solver.steps((level,), [7], states[1]))
    torch.testing.assert_close(again[-1].noisy["tilt"], states[-1].noisy["tilt"])


def test_what_is_known_is_kept_and_the_rest_begins_with_what_follows_from_it():
    scene, exposures, true = _exposures()
    operator, observation = (
        Frames(Turbulence(5), 4),
        Observation(exposures.flatten(0, 1)[None], torch.full((1, 1, 1, 1), 0.01)),
    )
    known = {"tilt": torch.nn.functional.pad(true, (2,) * 4).flatten(0, 1)[None]}
    found = operator.initial(observation, known)
    assert torch.equal(found["tilt"][..., 2:-2, 2:-2], known["tilt"][..., 2:-2, 2:-2])
    inside = (..., slice(8, -8), slice(8, -8))
    assert (found["image"] - torch.nn.functional.pad(scene, (2,) * 4))[inside].square().mean() < 5e-4
    built = ipt.build("turbulence", "gaussian", settings={"operator.kernel_size": 5}, steps=4, known=("tilt",))
    solver = Multiscale(replace(built.solver, operator=operator))
    (level,) = solver.problem(exposures.flatten(0, 1)[None], 0.01, known)
    assert level.solver.sigmas()[0] <= 1.0 and level.initial.keys() == {"image", "kernel"}
