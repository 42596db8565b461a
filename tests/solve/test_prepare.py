"""What a picture becomes before it is solved."""

from __future__ import annotations

import pytest
import torch

from ipt.core.errors import IptError
from ipt.core.solver import Solver
from ipt.guidance.proximal import Proximal
from ipt.images.files import Picture, decode, encoded
from ipt.linalg.normalization import Normalization
from ipt.linalg.random import image_seed
from ipt.operators.blur import Blur
from ipt.priors.analytic import GaussianPrior
from ipt.solve.prepare import ImageTask, prepare, sample_seeds
from ipt.solve.truth import Truth


class Square(GaussianPrior):
    """Takes colour pictures of 32x32 pixels."""

    def normalization(self, shape: tuple[int, ...]) -> Normalization:
        if tuple(shape) != (3, 32, 32):
            raise ValueError("takes 3 x 32 x 32")
        return super().normalization(shape)


def picture(side: int = 64) -> Picture:
    return Picture(torch.rand(3, side, side, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("choice", ["resize", "crop"])
def test_a_known_kernel_is_scaled_with_its_picture(choice: str) -> None:
    solver = Solver(Blur(), {"image": Square()}, Proximal())
    kernel = torch.eye(17)[None] / 17
    prepared = prepare(solver, ImageTask(picture(), noise=0.01, known={"kernel": kernel}, fit=choice))
    found = prepared.sampling.known["kernel"]
    assert found.shape == (1, 1, 11, 11) and found.sum().item() == pytest.approx(1)
    assert prepared.sampling.solver.operator.kernel_size == (11, 11)
    # The picture's own size leaves it as it is.
    whole = prepare(solver, ImageTask(picture(32), noise=0.01, known={"kernel": kernel}))
    assert torch.equal(whole.sampling.known["kernel"], kernel[None])


def test_what_is_masked_and_what_is_clipped_is_left_out() -> None:
    solver = Solver(Blur(5), {"image": GaussianPrior()}, Proximal())
    pixels = 0.5 * picture(32).pixels
    pixels[:, 20:24, 20:24] = 1.0
    mask = torch.ones(1, 32, 32)
    mask[:, :6, :6] = 0
    found = prepare(solver, ImageTask(Picture(pixels), noise=0.01, mask=mask)).sampling.mask
    assert found is not None and found.shape == (1, 1, 32, 32)
    assert not found[..., :6, :6].any() and not found[..., 20:24, 20:24].any() and found[..., 10:16, :].all()
    trusting = prepare(solver, ImageTask(Picture(pixels), noise=0.01, clipped="none")).sampling
    assert trusting.mask is None and trusting.kind != ((3, 32, 32), False)


@pytest.mark.parametrize(
    "mask",
    [torch.ones(1, 16, 16), torch.ones(32, 32), torch.ones(3, 32, 32), torch.full((1, 32, 32), torch.nan),
     torch.full((1, 32, 32), 255.0)],
    ids=["another size", "no channel", "three channels", "no numbers", "of 0..255"],
)  # fmt: skip
def test_a_mask_that_does_not_fit(mask: torch.Tensor) -> None:
    solver = Solver(Blur(5), {"image": GaussianPrior()}, Proximal())
    with pytest.raises(IptError, match=r"a mask is \(1, 32, 32\) for this picture, 1 where it is to be trusted"):
        prepare(solver, ImageTask(picture(32), noise=0.01, mask=mask))


def test_a_mask_of_nothing_and_one_of_everything() -> None:
    solver = Solver(Blur(5), {"image": GaussianPrior()}, Proximal())
    with pytest.raises(IptError, match="nothing of the picture is left to be trusted"):
        prepare(solver, ImageTask(picture(32), noise=0.01, mask=torch.zeros(1, 32, 32)))
    assert prepare(solver, ImageTask(picture(32), noise=0.01, mask=torch.ones(1, 32, 32))).sampling.mask is None


@pytest.mark.parametrize(("gain", "offset"), [(255.0, 0.0), (1.9, 0.0), (1.0, -0.5), (1e-3, -7.0)])
def test_floats_of_another_range(gain: float, offset: float) -> None:
    solver = Solver(Blur(5), {"image": GaussianPrior()}, Proximal())
    with pytest.raises(IptError, match=r"its floats run from .* scale them to 0\.\.1, as by \(x [-+] "):
        prepare(solver, ImageTask(Picture(gain * picture(32).pixels + offset), noise=0.01))
    # What much noise reaches is nothing of the kind.
    noisy = picture(32).pixels + 0.3 * torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(1))
    prepare(solver, ImageTask(Picture(noisy), noise=0.3))


def camera(bits: int, numbers: torch.Tensor) -> Picture:
    """As it is read from a file of 16 bits."""
    return Picture((numbers * (2**bits - 1)).round() / 65535, depth=16, source="TIFF uint16")


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_a_camera_s_bits_are_one_and_the_same_measurement(bits: int) -> None:
    """With its lamp, its truth, and what is written of it: in 10 or 12 bits they are what they are in 16."""
    solver = Solver(Blur(5), {"image": GaussianPrior()}, Proximal())
    values = 0.6 * picture(32).pixels
    truth = Truth(camera(bits, 0.5 * values))
    values[:, 20:24, 20:24] = 1.0
    prepared = prepare(solver, ImageTask(camera(bits, values), truth=truth))
    sampling = prepared.sampling
    torch.testing.assert_close(sampling.measurement[0], values, atol=1e-3, rtol=0)
    assert sampling.mask is not None and not sampling.mask[..., 20:24, 20:24].any()
    assert prepared.reference is not None
    shown = prepared.reference.pixels[:, :20], (0.5 * values)[:, :20]
    torch.testing.assert_close(*shown, atol=1e-3, rtol=0)
    assert prepared.noise == pytest.approx(prepare(solver, ImageTask(Picture(values))).noise, rel=0.02)
    written = decode(encoded(prepared.measured), "a.png").pixels
    assert torch.equal((written * 65535).round(), (camera(bits, values).pixels * 65535).round())
    assert prepared.task.frames[0].source == ("TIFF uint16" if bits == 16 else f"TIFF uint16, {bits} bits used")


def test_the_brightest_exposure_says_how_many_bits_there_are() -> None:
    solver = Solver(Blur(5), {"image": GaussianPrior()}, Proximal())
    values = picture(32).pixels
    frames = [camera(12, values), camera(12, 0.01 * values)]
    measured = prepare(solver, ImageTask(frames, noise=0.01)).sampling.measurement[0]
    torch.testing.assert_close(measured, torch.cat([values, 0.01 * values]), atol=1e-3, rtol=0)


@pytest.mark.parametrize(("clipped", "left"), [("auto", 0), ("none", 16), (0.9, 0), (1.0, 0)])
def test_highlights_of_floats(clipped: float | str, left: int) -> None:
    """They reach a little beyond white, and with a level beyond them nothing is left out."""
    solver = Solver(Blur(5), {"image": GaussianPrior()}, Proximal())
    values = 0.6 * picture(32).pixels
    values[:, 20:24, 20:24] = 1.05
    floats = Picture(values, depth=16, source="TIFF float32")
    mask = prepare(solver, ImageTask(floats, noise=0.01, clipped=clipped)).sampling.mask
    assert (16 if mask is None else int(mask[..., 20:24, 20:24].sum())) == left


def test_a_mask_is_scaled_with_its_picture() -> None:
    solver = Solver(Blur(5), {"image": Square()}, Proximal())
    mask = torch.ones(1, 64, 64)
    mask[:, 32:] = 0
    found = prepare(solver, ImageTask(picture(), noise=0.01, mask=mask, fit="resize")).sampling.mask
    assert found is not None and found.shape[-2:] == (32, 32)
    assert found[..., :13, :].all() and not found[..., 17:, :].any()


def test_more_samples_keep_those_there_were():
    assert sample_seeds(1, "a.png", 3)[:1] == sample_seeds(1, "a.png", 1) == (image_seed(1, "a.png"),)
    assert len(set(sample_seeds(1, "a.png", 50)) | set(sample_seeds(1, "b.png", 50))) == 100
