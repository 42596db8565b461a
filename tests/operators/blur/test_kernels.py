"""Kernel generators: what every draw is, whatever the size and the batch."""

from __future__ import annotations

import pytest
import torch

from ipt.core.errors import IptError
from ipt.operators.blur.kernels import DefocusKernels, GaussianKernels, MixedKernels, MotionKernels

GENERATORS = {
    "motion": MotionKernels(),
    "motion from straight to tangled": MotionKernels(intensity=(0.0, 1.0)),
    "motion, larger than the canvas": MotionKernels(extent=(3, 200)),
    "gaussian": GaussianKernels(),
    "gaussian, wider than the canvas": GaussianKernels(std=(2, 50), anisotropy=(1, 8)),
    "defocus": DefocusKernels(),
    "defocus, wider than the canvas": DefocusKernels(radius=(2, 100)),
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


@pytest.mark.parametrize(("low", "high"), [(3, 5), (10, 12), (20, 30)])
def test_motion_stays_within_the_extent_that_was_asked_for(low, high):
    # Room for a lopsided path too: none is shrunk to fit. At each end a pixel that is partly covered counts as well.
    found = spans(MotionKernels(extent=(low, high)).sample(range(300), (1, 64, 64)))
    assert found.max() <= high + 2
    assert found.min() >= low - 1


def test_motion_fills_all_extents_up_to_the_canvas():
    found = spans(MotionKernels().sample(range(400), (1, 48, 48)))
    assert found.min() <= 5 and found.max() >= 40
    # Log-uniform: about half of the draws lie below the geometric middle of 3 and 48.
    assert 0.35 < (found <= 12).float().mean() < 0.65


def test_a_tangled_path_leaves_no_gaps():
    """Neighbouring points of the path are never so far apart that a lit pixel has no lit neighbour."""
    kernels = MotionKernels(intensity=(0.9, 1.0), extent=(60, 64)).sample(range(100), (1, 64, 64))
    lit = (kernels > 0).float()
    neighbours = torch.nn.functional.conv2d(lit, torch.ones(1, 1, 3, 3), padding=1) - lit
    assert not ((lit > 0) & (neighbours < 2)).any()


def test_a_straight_path_is_a_line_and_a_tangled_one_is_not():
    def thickness(intensity: float) -> torch.Tensor:
        kernels = MotionKernels((intensity, intensity), extent=(24, 24)).sample(range(50), (1, 48, 48))[:, 0].double()
        place = (torch.arange(48) - 24).double()
        rows, columns = place[:, None].expand(48, 48), place[None].expand(48, 48)
        second = torch.stack(
            [torch.stack([(kernels * a * b).sum((1, 2)) for a in (rows, columns)], -1) for b in (rows, columns)], -1
        )
        return torch.linalg.eigvalsh(second)[:, 0].sqrt()

    assert thickness(0.0).max() < 1
    assert thickness(1.0).median() > 1.5


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


@pytest.mark.parametrize(
    ("one", "both"),
    [
        (MotionKernels(0.5, 9), MotionKernels((0.5, 0.5), (9, 9))),
        (GaussianKernels(2, 1.5), GaussianKernels((2, 2), (1.5, 1.5))),
        (DefocusKernels(3), DefocusKernels((3, 3))),
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
    ],
)
def test_intervals_that_make_no_sense_are_refused(make):
    with pytest.raises(IptError, match="must be an interval within"):
        make()
