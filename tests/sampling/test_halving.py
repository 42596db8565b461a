"""A measurement at half its sides, and where its own size begins from there."""

from __future__ import annotations

import pytest
import torch

import ipt
from ipt.core.observation import Observation
from ipt.guidance.dps import DPS
from ipt.linalg.resampling import halved
from ipt.operators.blur import Blur
from ipt.operators.blur.centring import off_centre
from ipt.operators.blur.continuations import extent
from ipt.plugins.building import build_component
from ipt.sampling import halving
from ipt.sampling.levels import halved_observation


def smooth(height: int, width: int) -> torch.Tensor:
    down, across = torch.meshgrid(torch.arange(height) / 20, torch.arange(width) / 30, indexing="ij")
    return (0.5 + 0.3 * down.sin() * across.cos()).expand(1, 3, -1, -1).contiguous()


@pytest.mark.parametrize(("height", "width"), [(80, 96), (81, 97)])
@pytest.mark.parametrize("margins", [(8, 16), (4, 16), (12, 16)])
def test_an_image_at_twice_its_sides_lies_where_the_measurement_does(height, width, margins):
    small, large = margins
    operator = Blur(9, margin=large)
    # A picture that continues beyond the frame, at half its sides.
    scene = smooth(height + 2 * 2 * small, width + 2 * 2 * small)
    half = halved(scene)
    frame = (slice(small, small + -(-height // 2)), slice(small, small + -(-width // 2)))
    found = halving.enlarged_image(half, frame, operator, (3, height, width))
    assert found.shape == (1, 3, height + 2 * large, width + 2 * large)
    rows, columns = operator.frame(tuple(found.shape[1:]))
    true = scene[..., 2 * small : 2 * small + height, 2 * small : 2 * small + width]
    assert (found[..., rows, columns] - true).abs().max() < 0.01
    # What neither knows is the nearest pixel.
    if large > 2 * small:
        assert torch.equal(found[..., 0, :], found[..., large - 2 * small, :])


@pytest.mark.parametrize("tiles", [1, 3])
@pytest.mark.parametrize("given", [None, 13])
def test_kernels_are_twice_as_large_and_stay_where_they_are(tiles, given):
    kernels = torch.zeros(1, tiles**2, 8, 8)
    kernels[:, :, 3, 4:6] = 0.5
    blur = Blur(given)
    found = blur.enlarged({"kernel": kernels}, (3, 100, 120), solved=True)
    assert found.operator == ("blur" if tiles == 1 else "shake")
    side = given or 16
    assert found.start["kernel"].shape == (1, tiles**2, side, side)
    each, small = found.start["kernel"].flatten(0, 1)[:, None], kernels.flatten(0, 1)[:, None]
    assert torch.allclose(off_centre(each), 2 * off_centre(small), atol=1e-5)
    operator = build_component("operator", found.operator, found.options)
    assert operator.parameters(operator.image_shape((3, 100, 120)))["kernel"].shape == (tiles**2, side, side)


def test_no_window_becomes_wider_than_the_prior_takes():
    kernels = {"kernel": torch.ones(1, 4, 96, 40)}
    found = Blur().enlarged(kernels, (3, 800, 800), solved=True)
    assert found.start["kernel"].shape == (1, 4, 128, 80) and found.options["kernel_size"] == (128, 80)
    found = Blur().enlarged(kernels, (3, 800, 800), solved=False)
    assert found.start["kernel"].shape == (1, 4, 192, 80) and found.options["kernel_size"] == (192, 80)


def test_wide_kernels_hide_detail():
    line = torch.zeros(1, 1, 9, 64)
    line[..., 4, 10:42] = 1 / 32
    assert extent(line) == pytest.approx(32, abs=0.1)
    assert Blur().hides_detail({"kernel": line}, 1) and not Blur().hides_detail({"kernel": line}, 4)
    assert not Blur().hides_detail({"kernel": line[..., 30:54] / 0.375}, 1)


def test_a_given_window_and_margin_are_halved():
    assert Blur(13, margin=9).at_half() == Blur((7, 7), margin=5)
    assert Blur((12, 21)).at_half() == Blur((6, 11))
    assert Blur().at_half() == Blur()


def test_what_is_not_trusted_is_not_trusted_at_half_the_sides():
    picture, mask = torch.rand(1, 3, 10, 10), torch.ones(1, 1, 10, 10)
    mask[..., :4, :4] = 0
    mask[..., 4, 4] = 0
    picture[..., 4, 4] = 100.0
    found = halved_observation(Observation.checked(picture, 0.01, mask))
    assert found.mask is not None and not found.mask[..., :2, :2].any() and bool((found.mask[..., 2:, :] == 1).all())
    rest = (picture[..., 4, 5] + picture[..., 5, 4] + picture[..., 5, 5]) / 3
    assert torch.allclose(found.measurement[..., 2, 2], rest)


def test_a_rule_that_cannot_begin_at_a_level_cannot_continue():
    solver = ipt.build(operator="blur", prior="gaussian", parameters={"kernel": "gaussian"}, guidance="dps").solver
    assert isinstance(solver.rule, DPS) and halving.continued(solver) is None
