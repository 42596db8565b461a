"""Kernel generators: what every draw is, whatever the size and the batch."""

from __future__ import annotations

import pytest
import torch

from ipt.core.errors import IptError
from ipt.operators.blur.kernels import (
    BoxKernels,
    DefocusKernels,
    GaussianKernels,
    LineKernels,
    MixedKernels,
    MotionKernels,
    ShakeKernels,
    ThroughLens,
)

GENERATORS = {
    "motion": MotionKernels(),
    "motion from straight to tangled": MotionKernels(intensity=(0.0, 1.0)),
    "motion, larger than the canvas": MotionKernels(extent=(3, 200)),
    "gaussian": GaussianKernels(),
    "gaussian, wider than the canvas": GaussianKernels(std=(2, 50), anisotropy=(1, 8)),
    "defocus": DefocusKernels(),
    "defocus, wider than the canvas": DefocusKernels(radius=(2, 100)),
    "defocus, stretched and soft": DefocusKernels(anisotropy=(1, 2), edge=(1, 4)),
    "box": BoxKernels(),
    "box, wider than the canvas": BoxKernels(side=(2, 100)),
    "shake": ShakeKernels(),
    "shake, larger than the canvas": ShakeKernels(extent=(3, 200)),
    "line": LineKernels(),
    "line, longer than the canvas": LineKernels(length=(2, 200), bent=0.8),
    "through a lens, larger than the canvas": ThroughLens(ShakeKernels(extent=(3, 200)), (0.5, 2), 0.0, 0.7),
    "mixed": MixedKernels(),
}
each_generator = pytest.mark.parametrize("generator", GENERATORS.values(), ids=GENERATORS.keys())


def centroids(kernels: torch.Tensor) -> torch.Tensor:
    """(B, 2) in pixels from the centre pixel H // 2, W // 2."""
    kernels = kernels[:, 0].double()
    rows, columns = (torch.arange(side) - side // 2 for side in kernels.shape[-2:])
    return torch.stack([(kernels.sum(2) * rows).sum(1), (kernels.sum(1) * columns).sum(1)], dim=1)


def spans(kernels: torch.Tensor) -> torch.Tensor:
    """(B,) the larger side, in pixels, of the box around what is more than a thousandth of the largest entry."""
    on = kernels[:, 0] > 1e-3 * kernels[:, 0].amax((1, 2), keepdim=True)

    def reach(line: torch.Tensor) -> torch.Tensor:
        places = torch.arange(line.shape[1]).expand_as(line)
        return torch.where(line, places, -1).amax(1) - torch.where(line, places, line.shape[1]).amin(1) + 1

    return torch.maximum(reach(on.any(2)), reach(on.any(1)))


def principal_moments(kernels: torch.Tensor) -> torch.Tensor:
    """(B, 2) variances in square pixels across and along the longer axis."""
    kernels = kernels[:, 0].double()
    rows, columns = ((torch.arange(side) - side // 2).double() for side in kernels.shape[-2:])
    down, right = (kernels.sum(2) * rows**2).sum(1), (kernels.sum(1) * columns**2).sum(1)
    mixed = torch.einsum("bhw,h,w->b", kernels, rows, columns)
    middle, half = (down + right) / 2, torch.hypot((down - right) / 2, mixed)
    return torch.stack([middle - half, middle + half], dim=1)


@each_generator
@pytest.mark.parametrize("sides", [range(5, 25), range(25, 45), range(45, 65)], ids=["5-24", "25-44", "45-64"])
def test_kernels_of_every_size_are_valid_and_centred(generator, sides):
    for side in sides:
        kernels = generator.sample(range(6), (1, side, side))
        assert kernels.shape == (6, 1, side, side) and kernels.dtype == torch.float32
        assert (kernels >= 0).all() and torch.isfinite(kernels).all()
        torch.testing.assert_close(kernels.sum((1, 2, 3)), torch.ones(6), atol=1e-5, rtol=0)
        assert centroids(kernels).abs().max() < 1e-3, side


@each_generator
@pytest.mark.parametrize("shape", [(1, 9, 20), (1, 20, 9), (1, 1, 1), (1, 2, 2), (1, 3, 4)], ids=str)
def test_oblong_and_tiny_canvases(generator, shape):
    kernels = generator.sample(range(8), shape)
    assert kernels.shape == (8, *shape) and (kernels >= 0).all()
    torch.testing.assert_close(kernels.sum((1, 2, 3)), torch.ones(8), atol=1e-5, rtol=0)
    assert centroids(kernels).abs().max() < 1e-3


@each_generator
def test_a_kernel_depends_on_its_own_seed_alone(generator):
    seeds = [5, 2**40 + 7, 11, 3]
    together = generator.sample(seeds, (1, 24, 24))
    backwards = generator.sample(seeds[::-1], (1, 24, 24)).flip(0)
    alone = torch.cat([generator.sample([seed], (1, 24, 24)) for seed in seeds])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=0)
    torch.testing.assert_close(together, backwards, atol=1e-6, rtol=0)
    # More than the canvas holds is the whole canvas, so not all of them need differ.
    assert len({tuple(kernel.flatten().tolist()) for kernel in together}) > 2


@each_generator
def test_the_global_random_generator_is_neither_read_nor_moved(generator):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = generator.sample([4, 5], (1, 16, 16))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(generator.sample([4, 5], (1, 16, 16)), first)


def test_gaussian_widths_are_what_was_asked_for():
    kernels = GaussianKernels(std=(2, 2), anisotropy=(1, 1)).sample(range(3), (1, 33, 33))[:, 0].double()
    place = (torch.arange(33) - 16).double()
    for axis in (1, 2):
        torch.testing.assert_close(
            (kernels.sum(axis) * place**2).sum(1), torch.full((3,), 4.0).double(), atol=1e-3, rtol=0
        )

    def spread(anisotropy: tuple[float, float]) -> torch.Tensor:
        kernels = GaussianKernels(std=(3, 3), anisotropy=anisotropy).sample(range(100), (1, 33, 33))[:, 0].double()
        return (kernels.sum(1) * place**2).sum(1) + (kernels.sum(2) * place**2).sum(1)

    # Three times as long as wide: 9 + 1. In between: half of them round, 9 + 9.
    torch.testing.assert_close(spread((3, 3)), torch.full((100,), 10.0).double(), atol=0.05, rtol=0)
    assert 0.3 < (spread((1, 3)) > 17.9).double().mean() < 0.7


def test_defocus_radius_is_what_was_asked_for():
    (kernel,) = DefocusKernels(radius=(6, 6)).sample([0], (1, 21, 21))
    assert float(kernel.amax()) == pytest.approx(1 / (torch.pi * 36), rel=0.03)
    assert spans(kernel[None]).item() == 13


def test_a_soft_and_stretched_disc_is_what_was_asked_for():
    kernels = DefocusKernels(radius=8, anisotropy=2, edge=4).sample(range(20), (1, 33, 33))
    short, long = principal_moments(kernels).unbind(1)
    # A disc has radius ** 2 / 4 along either axis; the edge adds about a twelfth of its width's square.
    torch.testing.assert_close(long, torch.full_like(long, 16 + 4 / 3), atol=0.6, rtol=0)
    torch.testing.assert_close(short, long / 4, atol=0.1, rtol=0)
    falling = (kernels[0, 0, 16] / kernels.amax()).tolist()
    assert sum(0.01 < one < 0.99 for one in falling) >= 4


@pytest.mark.parametrize("aligned", [0.0, 1.0])
def test_the_moments_of_boxes(aligned):
    """A side of s pixels, its edges over one pixel: (s ** 2 + 1) / 12."""
    kernels = BoxKernels(side=12, square=0, aligned=aligned).sample(range(200), (1, 33, 33))
    short, long = principal_moments(kernels).unbind(1)
    torch.testing.assert_close(long, torch.full_like(long, 145 / 12), atol=0.3 if aligned else 0.8, rtol=0)
    assert (12 * short.amin() - 1) < 3 and (12 * short.amax() - 1) > 120
    squares = principal_moments(BoxKernels(side=9, square=1, aligned=aligned).sample(range(50), (1, 33, 33)))
    torch.testing.assert_close(squares, torch.full_like(squares, 82 / 12), atol=0.3, rtol=0)
    if aligned:
        (lit,) = {float(one) for one in BoxKernels(9, 1, 1).sample([1], (1, 33, 33))[0, 0, 12:21, 12:21].flatten()}
        assert lit == pytest.approx(1 / 81, rel=1e-5)


def test_long_thin_boxes_and_squares_are_both_among_them():
    short, long = principal_moments(BoxKernels().sample(range(400), (1, 48, 48))).sqrt().unbind(1)
    assert 0.3 < (short > 0.95 * long).double().mean() < 0.6
    assert (short < 0.25 * long).double().mean() > 0.1
    assert long.amax() > 12 and long.amin() < 1


def test_a_box_that_does_not_fit_is_shrunk_and_keeps_its_corners():
    kernels = BoxKernels(side=100, square=1).sample(range(50), (1, 31, 31))
    short, long = principal_moments(kernels).unbind(1)
    torch.testing.assert_close(short, long, atol=0.2, rtol=0.01)
    # At any angle, a square fills between half of the window and all of it.
    filled = (kernels > 0.5 * kernels.amax((2, 3), keepdim=True)).float().mean((1, 2, 3))
    assert filled.min() > 0.45 and filled.max() == 1


@pytest.mark.parametrize(
    ("one", "both"),
    [
        (MotionKernels(0.5, 9), MotionKernels((0.5, 0.5), (9, 9))),
        (GaussianKernels(2, 1.5), GaussianKernels((2, 2), (1.5, 1.5))),
        (DefocusKernels(3), DefocusKernels((3, 3))),
        (DefocusKernels(3, 1.5, 2), DefocusKernels((3, 3), (1.5, 1.5), (2, 2))),
        (BoxKernels(4), BoxKernels((4, 4))),
        (ShakeKernels(0.2, 9), ShakeKernels((0.2, 0.2), (9, 9))),
        (LineKernels(9, turn=20), LineKernels((9, 9), turn=(20, 20))),
    ],
)
def test_a_single_number_is_an_interval(one, both):
    assert vars(one) == vars(both)
    assert torch.equal(one.sample(range(4), (1, 17, 17)), both.sample(range(4), (1, 17, 17)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: MotionKernels(intensity=(0.5, 2)),
        lambda: MotionKernels(extent=(9, 3)),
        lambda: MotionKernels(extent=(0, 3)),
        lambda: GaussianKernels(std=(0, 3)),
        lambda: GaussianKernels(anisotropy=(0.5, 2)),
        lambda: DefocusKernels(radius=(-1, 3)),
        lambda: DefocusKernels(radius=-1),
        lambda: MotionKernels(intensity=1.5),
        lambda: MotionKernels(intensity=(0.1, 0.2, 0.3)),
        lambda: GaussianKernels(std=(3,)),
        lambda: MotionKernels(intensity=float("nan")),
        lambda: DefocusKernels(anisotropy=0.9),
        lambda: DefocusKernels(edge=0.5),
        lambda: BoxKernels(side=0.5),
        lambda: BoxKernels(square=1.5),
        lambda: BoxKernels(aligned=-1),
        lambda: ShakeKernels(exposure=0),
        lambda: ShakeKernels(extent=(9, 3)),
        lambda: LineKernels(length=0),
        lambda: LineKernels(bent=2),
        lambda: LineKernels(turn=(-10, 10)),
        lambda: ThroughLens(LineKernels(), std=-1),
        lambda: ThroughLens(LineKernels(), sharp=1.1),
        lambda: ThroughLens(LineKernels(), defocused=1.1),
        lambda: ThroughLens(LineKernels(), radius=0),
    ],
)
def test_intervals_that_make_no_sense_are_refused(make):
    with pytest.raises(IptError, match="must be an interval within"):
        make()


def test_what_the_usual_mixture_holds():
    """Each kind as often as is said, and its own draw for the seed; from a point to the whole window."""
    mixed = MixedKernels()
    assert [odds for odds, _ in mixed.parts] == [0.30, 0.20, 0.15, 0.06, 0.17, 0.06, 0.06]
    kernels = mixed.sample(range(600), (1, 48, 48))
    alike = [
        float(((part.sample(range(600), (1, 48, 48)) - kernels).abs().amax((1, 2, 3)) < 1e-6).float().mean())
        for _, part in mixed.parts
    ]
    assert alike == pytest.approx([odds for odds, _ in mixed.parts], abs=0.05) and sum(alike) == pytest.approx(
        1, abs=0.01
    )
    sides = spans(kernels)
    assert (sides <= 8).float().mean() > 0.2 and (sides >= 40).float().mean() > 0.06


@pytest.mark.parametrize(
    ("generator", "row"),
    [
        (MotionKernels(), [0.0, 0.010054, 0.140032, 0.105921, 0.0]),
        (GaussianKernels(), [0.000125, 0.016881, 0.134079, 0.062629, 0.00172]),
        (DefocusKernels(), [0.025391, 0.069921, 0.069921, 0.069921, 0.025391]),
    ],
    ids=["motion", "gaussian", "defocus"],
)
def test_a_seed_draws_what_it_always_drew(generator, row):
    """Published data and protocols name generators and seeds."""
    drawn = generator.sample([7], (1, 9, 9))[0, 0, 3, 2:7]
    torch.testing.assert_close(drawn, torch.tensor(row), atol=1e-5, rtol=0)
