"""`shake`: the case of one tile is `blur`, and what it promises holds for many."""

from __future__ import annotations

import math

import pytest
import torch

from ipt.core.abilities import Belief, Coarsenable, ability
from ipt.core.errors import IptError
from ipt.core.observation import Observation
from ipt.linalg.covariances import Isotropic
from ipt.operators.blur import BORDERS, Blur
from ipt.operators.frames import Frames
from ipt.operators.shake import Shake
from ipt.operators.shake.steps import common
from ipt.operators.shake.trajectories import CameraShake
from ipt.testing import operator_checks

FRAME, SIDES = (32, 40), (7, 7)


def random(*shape, seed=0):
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def kernels(tiles, batch=2, seed=5):
    shake = CameraShake(extent=5.0, rotation=8.0, frame=FRAME)
    return shake.sample(range(seed, seed + batch), (tiles * tiles, *SIDES)).double()


def belief(mean, sigma):
    return Belief(mean, Isotropic(torch.full((len(mean), 1, 1, 1), sigma**2).double()), sigma)


@pytest.mark.parametrize("border", BORDERS)
def test_one_tile_is_blur(border):
    shake, blur = Shake(1, SIDES, border), Blur(SIDES, border)
    shape = blur.image_shape((3, *FRAME))
    assert shake.image_shape((3, *FRAME)) == shape
    assert shake.parameters(shape) == blur.parameters(shape)
    image, kernel = random(2, *shape), kernels(1)
    measured = blur.forward(image, kernel)
    assert torch.equal(shake.forward(image, kernel), measured)
    observation = Observation(measured, torch.full((2, 1, 1, 1), 0.01).double())
    arguments = (observation, belief(image, 0.1), {"kernel": belief(kernel, 0.1)}, {})
    assert torch.equal(shake.parameter_step(*arguments)["kernel"], blur.parameter_step(*arguments)["kernel"])
    arguments = (observation, belief(image, 0.1), {"kernel": kernel}, {"kernel": belief(kernel, 0.1)})
    assert torch.equal(shake.image_step(*arguments), blur.image_step(*arguments))
    moved = (shake.canonicalize(image, {"kernel": kernel}), blur.canonicalize(image, {"kernel": kernel}))
    assert torch.equal(moved[0][0], moved[1][0]) and torch.equal(moved[0][1]["kernel"], moved[1][1]["kernel"])


@pytest.mark.parametrize("border", BORDERS)
def test_equal_kernels_blur_as_one_does(border):
    shake, blur = Shake(3, SIDES, border), Blur(SIDES, border)
    image, kernel = random(2, *blur.image_shape((3, *FRAME))), kernels(1)
    assert torch.allclose(shake.forward(image, kernel.repeat(1, 9, 1, 1)), blur.forward(image, kernel), atol=1e-12)


def test_equal_kernels_make_the_same_image_step():
    shake, blur = Shake(2, SIDES), Blur(SIDES)
    image, kernel = random(1, *blur.image_shape((3, *FRAME))), kernels(1, 1)
    observation = Observation(blur.forward(image, kernel), torch.full((1, 1, 1, 1), 0.01).double())
    start = belief(0 * image + 0.5, 0.3)
    found = shake.image_step(observation, start, {"kernel": kernel.repeat(1, 4, 1, 1)}, {})
    wanted = blur.image_step(observation, start, {"kernel": kernel}, {})
    assert (found - wanted).abs().max() < 2e-3 < (wanted - start.mean).abs().max()


@pytest.mark.parametrize(
    "check",
    [
        check
        for border in ("unknown", "circular", "reflect")
        for check in operator_checks(Shake(2, SIDES, border), image_shape=Blur(SIDES, border).image_shape((3, 24, 32)))
    ],
    ids=str,
)
def test_contract(check):
    check()


def test_the_kernels_are_found_with_the_picture_known():
    """From one kernel for all, with noise, to kernels that follow the camera's turn."""
    shake = Shake(3, SIDES)
    image = random(2, *shake.image_shape((3, 64, 64)))
    true = CameraShake(extent=5.0, rotation=6.0, frame=(64, 64)).sample([3, 4], (9, *SIDES)).double()
    noise = torch.randn(2, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    observation = Observation(shake.forward(image, true) + 0.01 * noise, torch.full((2, 1, 1, 1), 0.01).double())
    same = true.mean(1, keepdim=True).repeat(1, 9, 1, 1)
    peaked = same / same.amax((-2, -1), keepdim=True)
    found = shake.parameter_step(observation, belief(image, 0.05), {"kernel": belief(peaked, 0.3)}, {})["kernel"]
    found = shake.constrain({"kernel": found})["kernel"]
    assert (found - true).norm() < 0.5 * (same - true).norm()


def test_one_image_step_undoes_a_turn_that_blur_does_not():
    shake = Shake(3, SIDES)
    smooth = torch.nn.functional.avg_pool2d(random(1, *shake.image_shape((1, 64, 64))), 3, 1, 1)
    true = CameraShake(extent=5.0, rotation=8.0, frame=(64, 64)).sample([3], (9, *SIDES)).double()
    observation = Observation(shake.forward(smooth, true), torch.full((1, 1, 1, 1), 0.003).double())
    start = belief(0 * smooth + smooth.mean(), 0.2)
    rows, columns = shake.frame(tuple(smooth.shape[1:]))

    def error(found):
        return float((found - smooth)[..., rows, columns].norm())

    found = shake.image_step(observation, start, {"kernel": true}, {})
    uniform = Blur(SIDES).image_step(observation, start, {"kernel": true[:, 4:5]}, {})
    assert error(found) < 0.6 * error(uniform)


def test_a_coarser_picture_has_one_kernel_with_which_all_tiles_begin():
    shake = Shake(2, (24, 24))
    coarser = ability(shake, Coarsenable).coarser(shake.image_shape((3, 96, 96)))
    assert isinstance(coarser.operator, Blur)
    found = coarser.enlarged({"kernel": random(1, 1, 16, 16)})["kernel"]
    assert found.shape == (1, 4, 24, 24)
    assert torch.equal(found, found[:, :1].expand_as(found))


def test_several_frames_have_kernels_of_their_own():
    frames = Frames(Shake(2, SIDES), 2)
    image = random(1, *frames.image_shape((6, *FRAME)))
    each = kernels(2)
    specs = frames.parameters(tuple(image.shape[1:]))
    assert specs["kernel"].shape == (8, *SIDES) and specs["kernel"].copies == 8
    measured = frames.forward(image, kernel=each.reshape(1, 8, *SIDES))
    wanted = [Shake(2, SIDES).forward(image, one[None]) for one in each]
    assert torch.allclose(measured, torch.cat(wanted, dim=1))


@pytest.mark.parametrize(("side", "tiles"), [(24, 2), (256, 4), (400, 6), (2000, 8)])
def test_there_is_a_kernel_for_every_64_pixels(side, tiles):
    specs = Shake(kernel_size=5, border="circular").parameters((3, side, 2 * side))
    assert specs["kernel"].shape == (tiles**2, 5, 5)


def test_known_kernels_say_how_many_tiles_there_are():
    assert Shake(kernel_size=3).resized({"kernel": torch.zeros(1, 9, 5, 7)}) == Shake(3, (5, 7))
    with pytest.raises(IptError, match="8 known kernels are no square grid"):
        Shake().resized({"kernel": torch.zeros(1, 8, 5, 7)})


def test_the_more_the_prior_weighs_the_nearer_to_it_are_the_kernels():
    shake, true = Shake(2, SIDES), kernels(2, 1)
    image = random(1, *shake.image_shape((3, *FRAME)))
    observation = Observation(shake.forward(image, true), torch.full((1, 1, 1, 1), 0.05).double())
    other = kernels(2, 1, seed=9)
    believed = other / other.amax((-2, -1), keepdim=True)

    def away(weight):
        step = Shake(2, SIDES, prior_weight=weight).parameter_step
        found = step(observation, belief(image, 0.07), {"kernel": belief(believed, 0.05)}, {})["kernel"]
        return float((found - believed).norm())

    assert away(1.0) > 1.1 * away(4.0) > 1.2 * away(20.0)
    with pytest.raises(IptError, match=r"operator\.prior_weight is a number above 0"):
        Shake(prior_weight=0.0)


@pytest.mark.parametrize("tiles", [0, 9, 2.0, True])
def test_tiles_are_few(tiles):
    with pytest.raises(IptError, match=r"operator\.tiles is a whole number"):
        Shake(tiles)


def test_a_picture_has_room_for_its_tiles():
    with pytest.raises(IptError, match="too small for 8 x 8 tiles"):
        Shake(8, (3, 3), "circular").parameters((1, 24, 24))


def test_the_picture_moves_with_all_kernels():
    shake = Shake(2, (9, 9))
    true = CameraShake(extent=5.0, rotation=0.0, frame=FRAME).sample([3], (4, 9, 9)).double().roll(1, -1)
    image = torch.nn.functional.avg_pool2d(random(1, *shake.image_shape((1, *FRAME))), 5, 1, 2)
    found, parameters = shake.canonicalize(image, {"kernel": true})
    columns = torch.arange(9).double() - 4
    centroids = (parameters["kernel"].sum(2) * columns).sum(-1)
    assert centroids.abs().max() < 0.1
    before, after = shake.forward(image, true), shake.forward(found, parameters["kernel"])
    assert (after - before)[..., 8:-8, 8:-8].abs().max() < 0.1 * before.std() and math.isfinite(float(found.sum()))


def test_a_kernel_that_is_wider_than_believed_is_found_however_much_the_belief_weighs():
    """Part of a wide kernel is missed in every tile's belief, so that the belief of all is no surer than of one."""

    def spots(*weights):
        kernel = torch.zeros(1, 4, 15, 15).double()
        kernel[:, :, 7, [3, 4, 5, 10, 11]] = torch.tensor(weights).double()
        return kernel / kernel.sum((-2, -1), keepdim=True)

    def width(kernel):
        share = kernel[:, 0].sum(1) / kernel[:, 0].sum()
        place = torch.arange(15).double()
        return float((share * (place - (share * place).sum()).square()).sum().sqrt())

    true, believed = spots(0.0, 1.0, 1.0, 0.6, 0.6), spots(0.3, 1.0, 1.0, 0.0, 0.0).roll(2, 3)
    image = torch.nn.functional.avg_pool2d(random(1, *Shake(2, 15).image_shape((3, 64, 64))), 3, 1, 1)
    noise = torch.randn(1, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    measured = Shake(2, 15).forward(image, true) + 0.03 * noise
    observation = Observation(measured, torch.full((1, 1, 1, 1), 0.03).double())
    beliefs = {"kernel": belief(believed / believed.amax(), 0.1)}
    found = Shake(2, 15, prior_weight=100.0).parameter_step(observation, belief(image, 0.3), beliefs, {})["kernel"]
    assert width(believed) < 0.3 * width(true) and width(found) > 0.8 * width(true)


def test_kernels_do_not_part_while_the_image_is_noisy():
    shake, true = Shake(2, SIDES), kernels(2, 1)
    image = random(1, *shake.image_shape((3, *FRAME)))
    observation = Observation(shake.forward(image, true), torch.full((1, 1, 1, 1), 0.01).double())
    believed = true / true.amax((-2, -1), keepdim=True)

    def found(level):
        return shake.parameter_step(observation, belief(image, level), {"kernel": belief(believed, 0.05)}, {})["kernel"]

    early, late = found(0.2), found(0.05)
    assert (early == early[:, :1]).all()
    assert not torch.allclose(late, late[:, :1], atol=0.01)
    # And the image step with them is that of one kernel.
    parameters = {"kernel": shake.constrain({"kernel": early})["kernel"]}
    beliefs = {"kernel": belief(believed, 0.05)}
    several = shake.image_step(observation, belief(image, 0.2), parameters, beliefs)
    one = {"kernel": parameters["kernel"][:, :1]}
    shared = {"kernel": common(beliefs["kernel"])}
    torch.testing.assert_close(several, shake.blur.image_step(observation, belief(image, 0.2), one, shared))


def test_kernels_are_judged_by_their_mean_and_by_what_all_of_them_leave():
    image = random(1, *Shake(1, SIDES).image_shape((3, *FRAME)))
    rivals = {"kernel": kernels(1, 2)}

    def judged(operator, kernel):
        observation = Observation(operator.forward(image, kernel) + 0.01, torch.full((1, 1, 1, 1), 0.01).double())
        return operator.assess(observation, image, {"kernel": kernel}, rivals, lambda noisy, level: noisy)

    assert judged(Shake(1, SIDES), kernels(1, 1)) == judged(Blur(SIDES), kernels(1, 1)) != []
    (several,) = judged(Shake(2, SIDES), kernels(1, 1).repeat(1, 4, 1, 1))
    (one,) = judged(Blur(SIDES), kernels(1, 1))
    assert several.evidence == pytest.approx(one.evidence, abs=1e-4)
    (differing,) = judged(Shake(2, SIDES), kernels(2, 1))
    # The luminance of three channels that are wrong alike, over the noise of their mean.
    assert differing.evidence["residual"] == pytest.approx(0.5 * math.log(3), abs=1e-6)
