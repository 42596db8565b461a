"""Frames one after the other: frozen flow, exposure time, strength by Cn2, and a thing that moves."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from ipt.cli.main import cli
from ipt.core.errors import IptError
from ipt.images import files
from ipt.operators.turbulence import Turbulence
from ipt.operators.turbulence.atmosphere import AtmosphericKernels, Camera
from ipt.operators.turbulence.tilts import TiltKolmogorov
from ipt.simulate.clip import simulate_frames
from ipt.simulate.simulation import parameter_seed


def test_the_wind_carries_the_field_along():
    field = TiltKolmogorov(wind=(1.0, -2.0))
    frames = field.sequence(3, 4, (2, 12, 16))
    assert frames.shape == (4, 1, 2, 12, 16) and TiltKolmogorov().sequence(3, 4, (2, 12, 16)) is None
    for earlier, later in zip(frames[:-1, 0], frames[1:, 0], strict=True):
        # Down by one, left by two.
        torch.testing.assert_close(later[:, 1:, :-2], earlier[:, :-1, 2:])
    half = TiltKolmogorov(wind=0.5).sequence(3, 3, (2, 12, 16))[:, 0]
    torch.testing.assert_close(half[2][..., 1:], half[0][..., :-1])


@pytest.mark.parametrize("pixel", [None, 60.0])
def test_the_structure_function_in_time_is_that_in_space_along_the_wind(pixel):
    """E |u(t + n) - u(t)|^2 = 2 (C(0) - C(n wind)), C published (`ipt.linalg.tilts`): Taylor's hypothesis."""
    generator = TiltKolmogorov(2.0, pixel=pixel, wind=(0.0, 3.0))
    drawn = torch.cat([generator.sequence(seed, 6, (2, 4, 4)) for seed in range(400)], 1).double()
    for lag in (1, 5):
        found = (drawn[lag] - drawn[0]).square().mean((0, 2, 3))
        zero = torch.zeros(1, dtype=torch.float64)
        covariance = generator.field.covariance
        change = 2 * (covariance(zero, zero) - covariance(zero, zero + 3.0 * lag))[..., 0].diagonal()
        torch.testing.assert_close(found, change, rtol=0.15, atol=0)


def test_an_exposure_is_the_mean_of_what_is_seen_while_the_shutter_is_open():
    generator = TiltKolmogorov(4.0, wind=6.0, shutter=0.5)
    instants = generator.sequence(1, 2, (2, 20, 24))
    assert instants.shape == (2, 7, 2, 20, 24)
    # From the first to the last, half of the wind's way.
    torch.testing.assert_close(instants[0, -1][..., 3:], instants[0, 0][..., :-3])
    operator, clean = Turbulence(3, "circular"), torch.rand(3, 20, 24, generator=torch.Generator().manual_seed(1))
    kernels = AtmosphericKernels(0.5, pixel=20.0)
    made, moving = simulate_frames(clean, operator, {"kernel": kernels, "tilt": generator}, 0.0, 5, 2)
    assert moving is None and made[0].parameters["tilt"].shape == (2, 20, 24)
    assert torch.equal(made[0].parameters["kernel"], made[1].parameters["kernel"])
    drawn = generator.sequence(parameter_seed(5, "tilt"), 2, (2, 20, 24))[1]
    kernel = made[1].parameters["kernel"].expand(7, -1, -1, -1)
    seen = operator.forward(clean.expand(7, -1, -1, -1), kernel=kernel, tilt=drawn)
    torch.testing.assert_close(made[1].measurement, seen.mean(0))
    torch.testing.assert_close(made[1].parameters["tilt"], drawn.mean(0))


def test_strength_by_cn2():
    """Of a spherical wave r0 is 2.1 rho0, rho0 = (.55 Cn2 k^2 L)^(-3/5) (Andrews, Phillips, Laser Beam Propagation)."""
    wave = 2 * np.pi / 550e-9
    expected = 0.1 / (2.1 * (0.55 * 1e-14 * wave**2 * 1000) ** -0.6)
    assert Camera().ratio(1e-14, 1000.0) == pytest.approx(expected, rel=0.01)
    assert (
        TiltKolmogorov(cn2=1e-14).d_over_r0 == AtmosphericKernels(cn2=1e-14).d_over_r0[0] == Camera().ratio(1e-14, 1e3)
    )
    # The wander of the whole does not grow with the aperture: variance of D^(-1/3).
    assert TiltKolmogorov(cn2=1e-14, distance=2000.0).field.strength > TiltKolmogorov(cn2=1e-14).field.strength


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cn2": 0.0}, "cn2 is a number above 0"),
        ({"wind": (1.0, 2.0, 3.0)}, "wind is in pixels from frame to frame"),
        ({"shutter": 1.5}, "shutter is the share of time"),
    ],
)
def test_what_cannot_be_is_refused(options, said):
    with pytest.raises(IptError, match=said):
        TiltKolmogorov(**options)


def test_a_thing_moves_and_the_truth_says_where(tmp_path):
    scene = torch.rand(1, 24, 32, generator=torch.Generator().manual_seed(2))
    Image.fromarray((255 * scene[0]).byte().numpy()).save(tmp_path / "a.png")
    made = ("simulate", tmp_path / "a.png", "-o", tmp_path / "sim", "--operator", "turbulence", "--noise", 0)
    small = ("--set", "operator.kernel_size=3", "--set", "kernel.d_over_r0=.01", "--set", "tilt.d_over_r0=.001")
    arguments = [*made, *small, "--set", "kernel.pixel=20", "--frames", 4, "--moving", 5]
    result = CliRunner().invoke(cli, [str(one) for one in arguments])
    assert result.exit_code == 0, result.stderr
    places = np.load(tmp_path / "sim" / "truth" / "a.moving.npy")
    assert places.shape == (4, 1, 24, 32)
    middles = [np.argwhere(place[0]).mean(0) for place in places]
    assert np.diff(middles, axis=0) == pytest.approx(np.array([[0, 5]] * 3))
    still = files.read(tmp_path / "sim" / "truth" / "a.png").pixels
    torch.testing.assert_close(still, files.read(tmp_path / "a.png").pixels)
    for number, place in enumerate(torch.from_numpy(places), 1):
        seen = files.read(tmp_path / "sim" / "a" / f"{number:02}.png").pixels
        blurred = torch.nn.functional.max_pool2d(place.float(), 5, 1, 2)
        off = (seen - still).abs()
        assert off[blurred == 0].mean() < 0.5 * off[place > 0].mean()


def test_frames_make_a_video(tmp_path):
    pytest.importorskip("av")
    from ipt.images.video import Clip

    Image.new("RGB", (20, 16), "red").save(tmp_path / "a.png")
    common = ["simulate", str(tmp_path / "a.png"), "-o", str(tmp_path / "sim"), "--operator", "turbulence"]
    small = ["--set", "operator.kernel_size=5", "--set", "generator.d_over_r0=.5", "--video", "30"]
    result = CliRunner().invoke(cli, [*common, *small, "--frames", "3", "--json"])
    assert result.exit_code == 0, result.stderr
    clip = Clip.of(tmp_path / "sim" / "a.mkv")
    assert (clip.count, clip.rate, clip.shape) == (3, 30, (3, 16, 20))
    assert json.loads(result.stdout)["images"][0]["frames"] == 3
    again = CliRunner().invoke(cli, [*common, *small, "--frames", "3"])
    assert again.exit_code == 1 and "a.mkv is there already" in again.stderr
    refused = CliRunner().invoke(cli, [*common, *small, "--force"])
    assert refused.exit_code == 2 and "are of several exposures" in refused.stderr
