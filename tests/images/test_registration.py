"""A camera that moved, told from frames alone, and what all of them show."""

from __future__ import annotations

import pytest
import torch
from skimage import data

from ipt.core.errors import IptError
from ipt.images import registration
from ipt.images.registration import Motion, camera_motion, registered_frames
from ipt.operators.turbulence import Turbulence
from ipt.operators.turbulence.tilts import TiltKolmogorov

SCENE = torch.from_numpy(data.astronaut()).permute(2, 0, 1).float()[:, 20:420, 40:440] / 255
STILL = SCENE[:, 120:280, 120:300]


def _seen(down: int = 0, right: int = 0, degrees: float = 0.0, scale: float = 1.0) -> torch.Tensor:
    """What a camera sees that has to be moved so to see `STILL`, a little noise on it."""
    turned = registration._rotated(SCENE[:, 80:320, 80:340], -degrees, 1 / scale)
    window = turned[:, 40 - down : 200 - down, 40 - right : 220 - right]
    return window + 0.01 * torch.randn(window.shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "motion",
    [Motion(14, -9), Motion(degrees=5.0), Motion(scale=1.08), Motion(-12, 10, -6.0, 0.92)],
    ids=["shifted", "turned", "nearer", "all"],
)
def test_frames_are_brought_onto_the_first(motion):
    frame = _seen(motion.down, motion.right, motion.degrees, motion.scale)
    found = camera_motion(STILL, frame)
    assert (found.down, found.right) == pytest.approx((motion.down, motion.right), abs=2)
    assert found.degrees == pytest.approx(motion.degrees, abs=0.3)
    assert found.scale == pytest.approx(motion.scale, abs=0.015)
    (first, other), (rows, columns), motions = registered_frames([STILL, frame])
    assert first.shape == other.shape and torch.equal(first, STILL[:, rows, columns]) and motions == [Motion(), found]
    assert (first - other)[:, 4:-4, 4:-4].std() < 0.35 * (STILL - frame).std()


def test_what_the_air_does_is_no_motion_of_the_camera():
    scene = STILL[None, :, :128, :128]
    tilts = TiltKolmogorov(3.0).sample(range(3), (2, 128, 128))
    frames = [
        STILL[:, :128, :128],
        *Turbulence(3).warp(scene.expand(3, -1, -1, -1), tilts),
        _seen(3, -2)[:, :128, :128],
    ]
    shown, window, motions = registered_frames(frames)
    assert set(motions) == {Motion()} and window == (slice(0, 128), slice(0, 128))
    assert all(torch.equal(one, frame) for one, frame in zip(shown, frames, strict=True))


def test_frames_with_little_in_common_are_refused():
    first, *others = (SCENE[:, 100 + place : 260 + place, 100:260] for place in (0, -45, 45))
    with pytest.raises(IptError, match="less than half of their sides in common"):
        registered_frames([first, *others])


def test_frames_that_have_nothing_in_common_stay_as_they_are():
    noise = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    assert camera_motion(noise[0], noise[1]) == Motion()
    assert registered_frames([noise[0, :, :40], noise[1, :, :40]])[2] == [Motion(), Motion()]
