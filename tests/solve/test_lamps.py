"""Lamps keep their light: where a camera clips, a picture is white again, and nothing else of it changes."""

from __future__ import annotations

import pytest
import torch

from ipt.operators.blur import Blur
from ipt.operators.frames import Frames
from ipt.operators.turbulence import Turbulence
from ipt.solve.lamps import Seen, lit

SPOTS = ((20, 14), (34, 60))


def _scene(height: int = 56, width: int = 80):
    """A dark picture, and the same with two lamps of 3x3 px far above white."""
    ramp = torch.linspace(0.1, 0.3, width).expand(1, 3, height, width).clone()
    lamps = ramp.clone()
    for row, column in SPOTS:
        lamps[..., row - 1 : row + 2, column - 1 : column + 2] = 9
    return ramp, lamps


def _seen(operator, parameters, lamps, reach):
    measured = operator.forward(lamps, **parameters)
    clipped = measured >= 1
    spots = clipped.to(measured).amax(1, keepdim=True)
    spots = torch.nn.functional.max_pool2d(spots, 2 * reach + 1, 1, reach)
    return Seen(measured.clamp(max=1), torch.ones_like(spots), clipped, spots)


def _inside(picture, operator):
    rows, columns = operator.frame(tuple(picture.shape[1:]))
    return picture[..., rows, columns]


def test_a_streak_of_clipped_light_becomes_the_lamp_that_it_comes_from():
    operator, kernel = Blur((1, 9)), torch.full((1, 1, 1, 9), 1 / 9)
    plain, lamps = _scene()
    seen = _seen(operator, {"kernel": kernel}, lamps, 4)
    found, wanted = (
        _inside(one, operator) for one in (lit(operator, plain, {"kernel": kernel}, seen), lamps.clamp(max=1))
    )
    bright = wanted[0, 0] > 0.9
    assert bool((found[0, :, bright] > 0.9).all())
    error = (found - wanted).square().mean().sqrt()
    assert error < (_inside(plain, operator) - wanted).square().mean().sqrt() / 3
    untouched = (torch.nn.functional.max_pool2d(seen.lamps, (1, 9), 1, (0, 4)) == 0).expand_as(found)
    assert torch.equal(found[untouched], _inside(plain, operator)[untouched])
    assert float(found.max()) <= 1


def test_parts_of_a_picture_are_as_all_of_it(monkeypatch):
    """Lamps far from each other are found apart, where the parameters hold everywhere."""
    from ipt.solve import lamps as module

    operator, kernel = Blur((1, 9)), torch.full((1, 1, 1, 9), 1 / 9)
    plain, lamps = _scene()
    seen, given = _seen(operator, {"kernel": kernel}, lamps, 4), {"kernel": kernel}
    assert len(list(module._parts(operator, plain, given, seen.lamps))) == 2
    apart = lit(operator, plain, given, seen)
    monkeypatch.setattr(module, "_parts", lambda *_: [(operator, slice(0, 48), slice(0, 72), seen.lamps)])
    torch.testing.assert_close(apart, lit(operator, plain, given, seen), rtol=0, atol=0.02)


def test_what_is_not_clipped_says_how_much_light_there_is():
    """A window that all of its pixels show below white gets no more than they say."""
    operator, kernel = Blur((3, 3)), torch.full((1, 1, 3, 3), 1 / 9)
    plain, _ = _scene()
    measured = operator.forward(plain, kernel=kernel)
    spots = torch.zeros_like(measured[:, :1])
    spots[..., 10:20, 10:20] = 1
    seen = Seen(measured, torch.ones_like(spots), torch.zeros_like(measured, dtype=torch.bool), spots)
    torch.testing.assert_close(lit(operator, plain, {"kernel": kernel}, seen), plain, rtol=0, atol=1e-5)


@pytest.mark.parametrize("count", [1, 3])
def test_panes_seen_through_turbulence_are_white_again(count):
    """The pane is clipped in all exposures; the solve has filled it with what surrounds it."""
    operator = Frames(Turbulence(3), count)
    bell = torch.tensor([0.2, 0.6, 0.2])
    kernel = (bell[:, None] * bell)[None, None]
    plain = torch.full((1, 1, 28, 30), 0.3)
    rough = torch.randn(1, 2 * count, 3, 3, generator=torch.Generator().manual_seed(0))
    tilt = torch.nn.functional.interpolate(rough, (28, 30), mode="bicubic")
    lamps = plain.clone()
    lamps[..., 10:18, 10:18] = 1.5
    seen = _seen(operator, {"kernel": kernel, "tilt": tilt}, lamps, 1)
    found = lit(operator, plain, {"kernel": kernel, "tilt": tilt}, seen)
    assert float(found[..., 11:17, 11:17].min()) > 0.95
    assert torch.equal(found[..., :6, :], plain[..., :6, :])
