"""A set of samples as a prior: the exact denoiser, its floor, and where samples come from."""

import itertools

import numpy as np
import pytest
import torch

from ipt.core.errors import IptError
from ipt.operators.blur.kernels import GaussianKernels
from ipt.priors.empirical import EmpiricalPrior
from ipt.sampling.schedules import Karras
from ipt.sampling.transitions import DDIM


@pytest.fixture
def samples():
    return torch.rand(40, 2, 3, 4, generator=torch.Generator().manual_seed(1))


def test_the_denoiser_is_the_weighted_mean(samples):
    prior = EmpiricalPrior(samples, floor=0.0, normalise="none")
    noisy = torch.randn(5, 2, 3, 4, dtype=torch.float64)
    normalised = 2 * samples.double() - 1
    for sigma in (0.1, 0.5, 4.0):
        distance = (noisy[:, None] - normalised[None]).flatten(2).square().sum(2)
        weights = (-distance / (2 * sigma**2)).softmax(1)
        expected = torch.einsum("bn,nchw->bchw", weights, normalised)
        assert torch.allclose(prior.denoise(noisy, sigma), expected, atol=1e-5)


def test_more_samples_than_a_chunk_holds(monkeypatch, samples):
    noisy = torch.randn(3, 2, 3, 4)
    whole = EmpiricalPrior(samples, normalise="none").denoise(noisy, 1.0)
    monkeypatch.setattr("ipt.priors.empirical._CHUNK", 7)
    assert torch.allclose(EmpiricalPrior(samples, normalise="none").denoise(noisy, 1.0), whole, atol=1e-6)


def test_the_floor(samples, uncertainty):
    noisy = 2 * samples[:1] - 1 + 0.01
    prior = EmpiricalPrior(samples, floor=0.6, normalise="none")
    assert torch.equal(prior.denoise(noisy, 0.01), prior.denoise(noisy, 0.6))
    assert not torch.equal(prior.denoise(noisy, 0.7), prior.denoise(noisy, 0.6))
    low, floor, above = (uncertainty(prior, sigma, (2, 3, 4)) for sigma in (0.01, 0.6, 0.7))
    assert low == floor < above
    collapsed = EmpiricalPrior(samples, floor=0.0, normalise="none").denoise(noisy, 0.01)
    assert torch.allclose(collapsed, 2 * samples[:1] - 1, atol=1e-5)


def test_an_image_alone_and_in_a_batch(samples):
    prior = EmpiricalPrior(samples)
    noisy = torch.randn(4, 2, 3, 4)
    together = prior.denoise(noisy, 0.8)
    for row in range(4):
        assert torch.allclose(prior.denoise(noisy[row : row + 1], 0.8), together[row : row + 1], atol=1e-5)


def test_gradients_flow(samples):
    prior = EmpiricalPrior(samples)
    noisy = torch.randn(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda value: prior.denoise(value, 1.0), noisy, atol=1e-5)


def test_an_unguided_sampler_draws_the_samples_evenly():
    """Without a floor every chain ends on one of the samples, each as often."""
    four = torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]).reshape(4, 1, 1, 2)
    prior = EmpiricalPrior(four, floor=0.0, normalise="none", scale=1.0, offset=0.0)
    numbers = torch.Generator().manual_seed(3)
    sigmas = Karras(60, sigma_max=20.0).sigmas().tolist()
    noisy = sigmas[0] * torch.randn(4000, 1, 1, 2, generator=numbers)
    for sigma, following in itertools.pairwise(sigmas):
        fresh = torch.randn(noisy.shape, generator=numbers)
        noisy = DDIM(1.0)(noisy, prior.posterior(noisy, sigma), sigma, following, fresh)
    distance = (noisy.flatten(1)[:, None] - four.flatten(1)).norm(dim=2)
    assert distance.amin(1).max() < 1e-3
    counts = distance.argmin(1).bincount(minlength=4)
    assert (counts - 1000).abs().max() < 4 * 750**0.5


def test_each_sample_is_scaled_to_its_own_peak():
    kernels = torch.tensor([[0.0, 0.25, 0.75], [0.1, 0.1, 0.0]]).reshape(2, 1, 1, 3)
    prior = EmpiricalPrior(kernels, floor=0.0)
    for near, expected in (([-1.0, -0.3, 1.0], [-1, -1 / 3, 1]), ([1.0, 0.9, -1.0], [1, 1, -1])):
        found = prior.denoise(torch.tensor(near).reshape(1, 1, 1, 3), 1e-2)
        assert found.flatten().tolist() == pytest.approx(expected)
    chart = prior.normalization((1, 1, 3))
    assert chart.physical(torch.tensor([[[[-1.0, -1 / 3, 1.0]]]])).flatten().tolist() == pytest.approx([0, 1 / 3, 1])


def test_a_generator_that_draws_another_shape_is_refused():
    with pytest.raises(IptError, match=r"draws \(1, 9, 8\), what is asked for is \(3, 9, 8\)"):
        EmpiricalPrior(generator=GaussianKernels(), count=5).normalization((3, 9, 8))


def test_a_generator_draws_the_shape_that_is_asked_for(uncertainty):
    prior = EmpiricalPrior(generator=GaussianKernels(), count=50, seed=4)
    for size in (7, 10, 7):
        chart = prior.normalization((1, size, size))
        assert chart.shape == chart.physical_shape == (1, size, size)
        clean = prior.denoise(5 * torch.randn(2, 1, size, size), 5.0)
        assert clean.shape == (2, 1, size, size)
        assert clean.min() >= -1 and clean.max() <= 1
    noisy = torch.randn(1, 1, 7, 7)
    same = EmpiricalPrior(generator=GaussianKernels(), count=50, seed=4).denoise(noisy, 1.0)
    other = EmpiricalPrior(generator=GaussianKernels(), count=50, seed=5).denoise(noisy, 1.0)
    assert torch.equal(prior.denoise(noisy, 1.0), same)
    assert not torch.allclose(same, other, atol=1e-4)
    assert uncertainty(prior, 1.0, (1, 7, 7)) != pytest.approx(0.5 / 1.25**0.5)


def test_files_of_samples(tmp_path, samples):
    noisy = torch.randn(1, 2, 3, 4)
    expected = EmpiricalPrior(samples).denoise(noisy, 1.0)
    np.save(tmp_path / "a.npy", samples.numpy().astype(np.float64))
    np.savez(tmp_path / "b.npz", samples.numpy())
    np.savez(tmp_path / "c.npz", other=np.zeros(3), samples=samples.numpy())
    for name in ("a.npy", "b.npz", "c.npz"):
        assert torch.allclose(EmpiricalPrior(str(tmp_path / name)).denoise(noisy, 1.0), expected, atol=1e-6)
    np.save(tmp_path / "flat.npy", samples[:, 0].numpy())
    assert EmpiricalPrior(tmp_path / "flat.npy").normalization((1, 3, 4)).shape == (1, 3, 4)


def test_files_that_are_no_samples(tmp_path):
    np.save(tmp_path / "objects.npy", np.array([{}, []], dtype=object), allow_pickle=True)
    np.save(tmp_path / "line.npy", np.zeros(5))
    np.save(tmp_path / "none.npy", np.zeros((0, 1, 3, 3)))
    np.save(tmp_path / "zero.npy", np.zeros((2, 1, 3, 3)))
    np.save(tmp_path / "nan.npy", np.full((2, 1, 3, 3), np.nan))
    np.save(tmp_path / "text.npy", np.full((2, 1, 3, 3), "x"))
    np.savez(tmp_path / "empty.npz")
    whole = (tmp_path / "zero.npy").read_bytes()
    (tmp_path / "part.npy").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "nothing.npy").write_bytes(b"")
    for name, words in {
        "objects.npy": "objects.npy is not a readable",
        "line.npy": r"line.npy is \(5,\)",
        "none.npy": "at least one",
        "zero.npy": "positive",
        "nan.npy": "NaN",
        "text.npy": "text.npy is not a readable",
        "empty.npz": "empty.npz is not a readable",
        "part.npy": "part.npy is not a readable",
        "nothing.npy": "nothing.npy is not a readable",
        "missing.npy": "no samples at",
    }.items():
        with pytest.raises(IptError, match=words):
            EmpiricalPrior(tmp_path / name)


def test_impossible_options_are_refused(samples):
    for options, words in [
        ({}, "samples or a generator"),
        ({"samples": samples, "generator": GaussianKernels()}, "samples or a generator"),
        ({"samples": samples, "normalise": "sum"}, "peak or none"),
        ({"samples": samples, "scale": 2.0}, "normalise=none"),
        ({"samples": samples, "normalise": "none", "scale": 0.0}, "not 0"),
        ({"samples": samples, "floor": -1.0}, "floor"),
        ({"samples": samples, "count": 0}, "count"),
    ]:
        with pytest.raises(IptError, match=words):
            EmpiricalPrior(**options)
    with pytest.raises(IptError, match=r"\(2, 3, 4\), what is asked for is \(1, 5, 5\)"):
        EmpiricalPrior(samples).normalization((1, 5, 5))
