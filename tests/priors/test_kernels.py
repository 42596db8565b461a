"""What is known of the mean of blur kernels, and that estimates of the kernel prior keep to it."""

from __future__ import annotations

import pytest
import torch

from ipt.operators.blur.centring import off_centre
from ipt.operators.blur.kernels import GaussianKernels, MixedKernels
from ipt.priors.kernels import are_kernels, centred, without_pedestal
from ipt.priors.shipped import kernel, kernel_uncentred


@pytest.fixture(scope="module")
def true():
    return MixedKernels().sample(range(12), (1, 24, 24))


def test_what_is_centred_and_not_negative_stays(true):
    torch.testing.assert_close(centred(true), true, atol=1e-6, rtol=1e-4)


def test_negative_entries_go_and_the_centroid_comes_back(true):
    moved = true.roll((1, -2), (-2, -1)) + 0.02 * true.amax() * torch.randn_like(true)
    found = centred(moved)
    assert found.min() >= 0 and (found[moved <= 0] == 0).all()
    assert off_centre(moved.clamp(min=0)).norm(dim=1).min() > 0.3
    assert off_centre(found).norm(dim=1).max() < 0.02


def test_it_is_nearer_than_any_other_in_its_own_measure(true):
    """Weighted by 1 / entry, among kernels of the same support with a centred centroid."""
    moved = (true * (1 + 0.1 * torch.arange(24) / 24)).double()
    found = centred(moved)
    change = torch.randn_like(moved) * found * 0.01
    change = centred(found + change) - found
    inside = moved > 0

    def distance(kernels):
        return ((kernels - moved)[inside].square() / moved[inside]).sum()

    assert distance(found + change) > distance(found)
    assert distance(found) < distance(true.double())


@pytest.mark.parametrize("shape", [(1, 1, 9, 9), (2, 1, 8, 5)])
def test_lines_points_and_nothing(shape):
    line = torch.zeros(shape)
    line[..., shape[-1] // 2] = 1
    line[..., 0, :] = 0
    found = centred(line)
    assert torch.isfinite(found).all() and (found[..., shape[-1] // 2 + 1 :] == 0).all()
    assert off_centre(found).abs().max() < 0.05
    point = torch.zeros(shape)
    point[..., shape[-2] // 2, shape[-1] // 2] = 1
    torch.testing.assert_close(centred(point), point)
    assert torch.equal(centred(torch.zeros(shape)), torch.zeros(shape))


def test_each_kernel_for_itself(true):
    moved = true.roll(1, -1)
    torch.testing.assert_close(centred(moved)[3:4], centred(moved[3:4]))


def test_gradients(true):
    kernels = (true[:2, :, 8:17, 8:17].double() + 0.01).requires_grad_()
    assert torch.autograd.gradcheck(lambda one: centred(one.roll(1, -1)), kernels, atol=1e-6)


@pytest.mark.parametrize(("level", "faint"), [(0.07, 0.0), (0.08, 0.002)])
def test_faint_entries_go_where_the_noise_is_low(level, faint):
    estimate = torch.tensor([1.0, 0.004, 0.002, -0.1, 0.0]).expand(2, 1, 1, 5)
    estimate = torch.stack([estimate[0], 10 * estimate[1]])
    wanted = torch.tensor([1.0, 0.004, faint, 0.0, 0.0])
    found = without_pedestal(estimate, level)
    torch.testing.assert_close(found[:, 0, 0], torch.stack([wanted, 10 * wanted]))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(("level", "most"), [(0.01, 0.001), (0.035, 0.02), (0.07, 0.06)])
def test_a_narrow_kernel_stays_narrow_behind_little_noise(precision, level, most):
    """Of its mass 8 to 25 % were a pedestal all over the window."""
    prior = kernel_uncentred(precision=precision)
    chart = prior.normalization((1, 64, 64))
    narrow = GaussianKernels((1.0, 1.0), (1.0, 1.0)).sample([0], (1, 64, 64))
    noise = torch.randn(narrow.shape, generator=torch.Generator().manual_seed(1))
    noisy = chart.normalized(narrow / narrow.max()) + 2 * level * noise
    found = chart.physical(prior.denoise(noisy, 2 * level))
    share = found / found.sum()
    assert 1 - share[..., 20:45, 20:45].sum() < most
    areas = [float(one.sum().square() / one.square().sum()) for one in (found, narrow)]
    assert areas[0] == pytest.approx(areas[1], rel=0.3)


def test_which_examples_are_kernels(true):
    assert are_kernels([true, true[:, :, 4:-3, 4:-3] * 0 + 1 / 289])
    assert not are_kernels([true, true.roll(1, -1)])
    assert not are_kernels([true - 0.01]) and not are_kernels([true.expand(-1, 2, -1, -1)])


@pytest.mark.parametrize("sigma", [0.05, 0.5, 2.0, 80.0])
def test_the_kernel_prior_leaves_no_negative_mass_and_no_drift(sigma, true):
    prior = kernel()
    chart = prior.normalization((1, 24, 24))
    normalised = chart.normalized(true / true.amax((-3, -2, -1), keepdim=True))
    noise = torch.randn_like(normalised)
    found = chart.physical(prior.denoise(normalised + sigma * noise, sigma))
    assert found.min() > -1e-6
    assert off_centre(found).norm(dim=1).max() < 0.05
    free = chart.physical(kernel_uncentred().denoise(normalised + sigma * noise, sigma))
    assert free.min() > -1e-6
    torch.testing.assert_close(found, centred(free), atol=1e-5, rtol=0)
