"""The priors that ship with the package."""

import math
import shutil

import numpy as np
import pytest
import torch
from skimage import data

from ipt.core.errors import IptError
from ipt.operators.blur.kernels import MotionKernels
from ipt.priors import network, shipped
from ipt.solve.example import face


@pytest.fixture
def installation(tmp_path, monkeypatch):
    """A folder that stands for the installed package ipt.priors."""
    monkeypatch.setattr(shipped, "files", lambda package: tmp_path / package)
    return tmp_path / "ipt.priors"


def test_weights_of_the_installation_are_loaded(installation, folder):
    shutil.copytree(folder(1), installation / "weights" / "kernel")
    shutil.copytree(folder(3, sizes=[16]), installation / "weights" / "faces")
    shutil.copytree(folder(3, sizes=None, attention=False, norm="pixel"), installation / "weights" / "natural")
    kernel, faces = shipped.kernel(), shipped.faces(device="cpu", precision="bf16")
    assert shipped.natural().normalization((3, 31, 57)).shape == (3, 31, 57)
    assert (kernel.name, kernel.channels, kernel.precision) == ("kernel", 1, "fp32")
    assert (faces.name, faces.channels, faces.precision) == ("faces", 3, "bf16")
    assert kernel.denoise(torch.randn(1, 1, 8, 8), 1.0).shape == (1, 1, 8, 8)


def test_an_installation_without_weights(installation):
    for make in (shipped.kernel, shipped.faces, shipped.faces256, shipped.natural):
        with pytest.raises(IptError, match=rf"'{make.__name__}' are not in this installation.*prior=FOLDER"):
            make()


@pytest.mark.parametrize("sigma", [0.002, 0.02, 0.5, 10.0, 80.0])
@pytest.mark.parametrize(
    ("name", "shape"), [("faces", (1, 3, 64, 64)), ("faces", (1, 3, 128, 128)), ("kernel", (2, 1, 16, 16))]
)
def test_fp16_is_close_at_every_noise_level(name, shape, sigma):
    """Measured: within .0021 of fp32, .0004 root mean square, less at small sigma; gradients of this size, .4 %."""
    single, half = (getattr(shipped, name)(precision=precision) for precision in ("fp32", "fp16"))
    numbers = torch.Generator().manual_seed(0)
    clean = torch.rand(shape, generator=numbers) - 0.5
    noisy = (clean + sigma * torch.randn(shape, generator=numbers)).requires_grad_()
    weights = torch.nn.functional.normalize(torch.randn(shape, generator=numbers).flatten(), dim=0).reshape(shape)
    found, slopes = [], []
    for prior in (single, half):
        found.append(prior.denoise(noisy, sigma))
        slopes.append(torch.autograd.grad((found[-1] * weights).sum(), noisy)[0])
    assert found[1].dtype == torch.float32 and found[1].isfinite().all() and slopes[1].isfinite().all()
    assert 0 < (found[1] - found[0]).abs().max() < 0.005 * min(1, sigma / 0.2)
    assert (slopes[1] - slopes[0]).norm() < 0.01 * slopes[0].norm()


@pytest.mark.parametrize("side", [80, 96, 128])
def test_the_kernel_prior_knows_wide_kernels(side):
    """At the levels at which a wide kernel meets a canvas of its size, it is denoised about as well as a narrow one."""
    prior = shipped.kernel_uncentred()
    shares = []
    for length in (64, side):
        tracks = MotionKernels((0.2, 1.0), (0.8 * length, 0.95 * length)).sample(range(6), (1, length, length))
        chart = prior.normalization((1, length, length))
        clean = chart.normalized(tracks / tracks.amax((1, 2, 3), keepdim=True))
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
        left = prior.denoise(clean + 0.15 * noise, 0.15) - clean
        shares.append(float(left.square().sum() / (clean + 1).square().sum()))
    assert shares[0] < 0.1 and shares[1] < 1.5 * shares[0]
    with pytest.raises(IptError, match="takes up to 128 x 128 px, not 130 x 130"):
        prior.normalization((1, 130, 130))


@pytest.mark.parametrize("side", [64, 128])
@pytest.mark.parametrize(("sigma", "gain"), [(0.1, 3), (0.5, 9), (2.0, 14)])
def test_faces_denoises_a_face_at_both_sizes(side, sigma, gain, uncertainty):
    clean = face(side)[None] * 2 - 1
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    prior = shipped.faces()
    error = (prior.denoise(clean + sigma * noise, sigma) - clean).square().mean().sqrt()
    assert 20 * math.log10(sigma / error) > gain
    assert error == pytest.approx(uncertainty(prior, sigma, clean.shape[1:]), rel=0.7)


def test_faces_knows_more_of_the_larger_picture(uncertainty):
    prior = shipped.faces()
    for sigma in (0.1, 0.5, 2.0, 10.0):
        assert uncertainty(prior, sigma, (3, 128, 128)) < uncertainty(prior, sigma, (3, 64, 64))


@pytest.mark.parametrize("side", [64, 128])
def test_faces256_is_faces_at_its_sizes(side, uncertainty):
    ours, theirs = shipped.faces256(), shipped.faces()
    noisy = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    assert torch.equal(ours.denoise(noisy, 0.7), theirs.denoise(noisy, 0.7))
    found, expected = (uncertainty(prior, 0.7, (3, side, side)) for prior in (ours, theirs))
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(("sigma", "gain"), [(0.1, 4), (0.5, 12), (2.0, 18)])
def test_faces256_denoises_a_face(sigma, gain):
    prior = shipped.faces256()
    clean = face(256)[None] * 2 - 1
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    error = (prior.denoise(clean + sigma * noise, sigma) - clean).square().mean().sqrt()
    assert 20 * math.log10(sigma / error) > gain
    with pytest.raises(IptError, match="takes 64 x 64 or 128 x 128 or 256 x 256, not 96 x 96 px"):
        prior.normalization((3, 96, 96))


@pytest.fixture
def photograph():
    """(1, 3, 101, 150) in -1..1, a part of a cat: nothing that the prior was trained on."""
    pixels = data.chelsea()[90:191, 130:280].transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(pixels))[None].float() / 127.5 - 1


@pytest.mark.parametrize(("sigma", "gain"), [(0.05, 1.5), (0.2, 6), (0.6, 9)])
def test_natural_denoises_a_photograph_of_any_size(photograph, sigma, gain, uncertainty):
    noise = torch.randn(photograph.shape, generator=torch.Generator().manual_seed(0))
    prior = shipped.natural()
    clean = prior.denoise(photograph + sigma * noise, sigma)
    error = (clean - photograph).square().mean().sqrt()
    assert 20 * math.log10(sigma / error) > gain
    assert error == pytest.approx(uncertainty(prior, sigma, photograph.shape[1:]), rel=0.7)


def test_natural_keeps_grey_pictures_grey(photograph):
    grey = photograph.mean(1, keepdim=True)
    noise = torch.randn(grey.shape, generator=torch.Generator().manual_seed(0))
    clean = shipped.natural().denoise((grey + 0.2 * noise).expand(-1, 3, -1, -1), 0.2)
    assert (clean - clean.mean(1, keepdim=True)).square().mean().sqrt() < 0.05
    # The noise is in all channels alike, which a prior of colours does not expect.
    assert (clean.mean(1, keepdim=True) - grey).square().mean().sqrt() < 0.15


@pytest.mark.parametrize("sigma", [0.2, 5.0])
def test_natural_in_tiles_shows_no_seams(sigma, monkeypatch):
    # Two tiles that overlap by no more than they must.
    noisy = torch.randn(1, 3, 272, 768, generator=torch.Generator().manual_seed(0)) * sigma
    prior = shipped.natural()
    whole = prior.denoise(noisy, sigma)
    monkeypatch.setattr(network, "_WHOLE", 272 * 512)
    monkeypatch.setattr(network, "_TILE", 512)
    tiled = prior.denoise(noisy, sigma)
    # A tenth of what one step of 8 bits is.
    assert 0 < (tiled - whole).abs().max() < 0.1 * 2 / 255
