"""Networks as priors: what is read off a file, which sizes they take, and what a call returns."""

import pytest
import torch

from ipt.core.errors import IptError
from ipt.linalg.covariances import Isotropic
from ipt.linalg.normalization import Normalization
from ipt.priors import network
from ipt.priors.adm_config import ADMConfig
from ipt.priors.loading import load
from ipt.priors.network import NetworkPrior

PICTURE = ADMConfig(3, 32, (1, 1, 2, 3, 4), attention=(), head_channels=32)
KERNEL = ADMConfig(1, 32, (1, 2, 3, 4), attention=(2,), head_channels=32)
FIELD = ADMConfig(2, 32, (1, 2), attention=(), head_channels=32, learned_variance=False)


@pytest.mark.parametrize(
    ("sizes", "quantity", "canvas"),
    [
        (None, (17, 17), (20, 20)),
        (None, (16, 5), (16, 8)),
        ([16, 32], (17, 9), (32, 32)),
        ([16, 32], (16, 16), (16, 16)),
    ],
)
def test_a_kernel_is_the_centre_of_a_canvas(folder, sizes, quantity, canvas):
    chart = load(folder(sizes=sizes)).normalization((1, *quantity))
    assert (chart.shape, chart.physical_shape) == ((1, *canvas), (1, *quantity))
    kernel = torch.rand(2, 1, *quantity)
    normalised = chart.normalized(kernel)
    assert torch.allclose(chart.physical(normalised), kernel)
    outside = normalised.sum((-2, -1)) - (2 * kernel - 1).sum((-2, -1))
    empty = float(canvas[0] * canvas[1] - quantity[0] * quantity[1])
    assert torch.allclose(outside, torch.full((2, 1), -empty), atol=1e-3)


def test_a_kernel_larger_than_every_canvas(folder):
    with pytest.raises(IptError, match="weights1 takes up to 32 x 32 px, not 8 x 33"):
        load(folder(sizes=[16, 32])).normalization((1, 33, 8))


@pytest.mark.parametrize(
    ("sizes", "shape", "words"),
    [
        ([64], (3, 48, 48), "64 x 64, not 48 x 48 px"),
        ([64, 128], (3, 64, 128), "64 x 64 or 128 x 128, not 128 x 64 px"),
        (None, (3, 18, 16), "multiples of 4, not 16 x 18 px"),
        (None, (3, 0, 16), "not 16 x 0 px"),
    ],
)
def test_pictures_of_other_sizes_are_refused_with_the_choices(folder, sizes, shape, words):
    with pytest.raises(IptError) as caught:
        load(folder(3, sizes=sizes)).normalization(shape)
    assert words in str(caught.value)
    assert "fit=resize" in str(caught.value) and "fit=tile" in str(caught.value)


def test_pictures_that_fit(folder):
    assert load(folder(3, sizes=[64])).normalization((3, 64, 64)).shape == (3, 64, 64)
    assert load(folder(3)).normalization((3, 12, 40)).shape == (3, 12, 40)
    with pytest.raises(IptError, match="3 channels, and this has 1"):
        load(folder(3)).normalization((1, 64, 64))


@pytest.fixture
def local(tiny):
    """A prior of colour pictures whose network sees only surroundings."""
    return NetworkPrior(*tiny(3, attention=False, norm="pixel"))


@pytest.mark.parametrize("size", [(16, 16), (17, 23), (3, 50), (1, 2)])
def test_a_local_network_takes_every_size(local, size):
    assert local.normalization((3, *size)) == Normalization((3, *size), (3, *size), 0.5, 0.5, zero_outside=True)
    noisy = torch.randn(2, 3, *size)
    clean = local.denoise(noisy, 0.3)
    assert clean.shape == noisy.shape and clean.is_contiguous()
    down, across = -size[0] % 4, -size[1] % 4
    if down < size[0] and across < size[1]:
        mirrored = torch.nn.functional.pad(noisy, (0, across, 0, down), mode="reflect")
        assert torch.allclose(clean, local.denoise(mirrored, 0.3)[..., : size[0], : size[1]], atol=1e-6)
    with pytest.raises(IptError, match="not 16 x 0 px"):
        local.normalization((3, 0, 16))


@pytest.mark.parametrize("size", [(90, 501), (250, 221)])
def test_seams_of_a_large_picture_are_invisible(local, size, monkeypatch):
    noisy = torch.randn(2, 3, *size)
    whole = local.denoise(noisy, 0.3)
    calls = []
    called = NetworkPrior._call_network

    def counted(self, part, sigma):
        calls.append(part.shape[-2] * part.shape[-1])
        return called(self, part, sigma)

    monkeypatch.setattr(NetworkPrior, "_call_network", counted)
    monkeypatch.setattr(network, "_WHOLE", 200**2)
    monkeypatch.setattr(network, "_TILE", 200)
    monkeypatch.setattr(network, "_OVERLAP", 96)
    tiled = local.denoise(noisy, 0.3)
    assert len(calls) > 2 and max(calls) <= 200**2
    assert 0 < (tiled - whole).abs().max() < 1e-4 * (whole - noisy).abs().max()


def test_an_image_alone_and_in_a_batch(folder):
    prior = load(folder(3))
    noisy = torch.randn(4, 3, 16, 16)
    together = prior.denoise(noisy, 0.3)
    for row in range(4):
        assert torch.allclose(prior.denoise(noisy[row : row + 1], 0.3), together[row : row + 1], atol=1e-5)


def test_gradients_flow_to_the_picture_and_not_to_the_weights(folder):
    prior = load(folder(3))
    noisy = torch.randn(1, 3, 8, 8, requires_grad=True)
    prior.denoise(noisy, 0.3).square().sum().backward()
    assert noisy.grad is not None and noisy.grad.abs().min() > 0
    assert all(p.grad is None and not p.requires_grad for p in prior.denoiser.parameters())
    with torch.no_grad():
        assert not prior.denoise(noisy, 0.3).requires_grad


def test_precisions(folder):
    target = folder(3)
    noisy = torch.randn(2, 3, 16, 16)
    single, half = load(target), load(target, precision="bf16")
    exact = single.denoise(noisy, 0.3)
    rough = half.denoise(noisy, 0.3)
    assert rough.dtype == torch.float32
    assert 0 < (rough - exact).abs().max() < 0.05
    assert single.denoise(noisy.double(), 0.3).dtype == torch.float64
    single.denoiser.double()
    double = single.denoise(noisy.double(), 0.3)
    assert torch.allclose(double.float(), exact, atol=1e-5)
    assert not torch.equal(double, exact.double())
    finer = load(target, precision="fp16").denoise(noisy, 0.3)
    assert finer.dtype == torch.float32
    assert 0 < (finer - exact).abs().max() < 0.3 * (rough - exact).abs().max()
    with pytest.raises(IptError, match="fp32, bf16 or fp16, not 'fp64'"):
        load(target, precision="fp64")


def test_a_network_beyond_the_range_of_fp16_says_so(folder):
    target = folder(3)
    noisy = torch.randn(1, 3, 16, 16)
    found = {}
    for precision in ("bf16", "fp16"):
        found[precision] = load(target, precision=precision)
        with torch.no_grad():
            found[precision].denoiser.network.stem.weight.mul_(1e6)
    assert found["bf16"].denoise(noisy, 0.3).isfinite().all()
    with pytest.raises(IptError, match=r"weights3 leaves the range of fp16 .*precision=bf16 or fp32"):
        found["fp16"].denoise(noisy, 0.3)
    # What was no number before is not the network's doing.
    assert found["fp16"].denoise(noisy * torch.nan, 0.3).isnan().any()


def test_a_device_that_is_not_there(folder):
    with pytest.raises(
        IptError, match=r"^'nonsense' is no device that weights\d* could run on: give cpu, cuda or cuda:0$"
    ):
        load(folder(), device="nonsense")


def test_a_precision_that_is_none_is_not_the_configs_fault(folder):
    with pytest.raises(IptError, match=r"^precision is auto, fp32, bf16 or fp16, not 'fp8'$"):
        load(folder(), precision="fp8")


def test_the_variance_is_the_validation_error(folder, uncertainty):
    prior = load(folder())

    def found(sigma):
        return uncertainty(prior, sigma, (1, 16, 16))

    assert [found(s) for s in (0.02, 0.2, 2.0)] == pytest.approx([1e-2, 4e-3**0.5, 0.2])
    assert found(0.002) == pytest.approx(1e-3)
    assert found(80.0) == pytest.approx(0.2)
    assert found(0.2**0.5 * 0.02**0.5) == pytest.approx((1e-2 * 4e-3**0.5) ** 0.5)
    levels = [found(0.01 * 1.1**i) for i in range(100)]
    assert levels == sorted(levels)


def test_the_variance_without_validation_is_the_default(folder, uncertainty):
    assert uncertainty(load(folder(validation={})), 0.5, (1, 16, 16)) == pytest.approx(0.5 / 2**0.5)


def test_only_networks_with_a_configuration(tiny):
    denoiser = tiny()[0]
    denoiser.network.config = None
    with pytest.raises(TypeError, match="UNet or an ADMUNet"):
        NetworkPrior(denoiser, {})


@pytest.mark.parametrize(("config", "pictures"), [(PICTURE, True), (KERNEL, False), (FIELD, False)])
def test_pictures_err_at_low_frequencies_and_kernels_and_fields_everywhere(checkpoint, config, pictures):
    prior = load(checkpoint(config)[0], head_channels=32, schedule="linear")
    noisy = torch.randn(1, config.channels, 16, 16)
    covariance = prior.posterior(noisy, 0.7).covariance
    assert isinstance(covariance, Isotropic) != pictures
    if pictures:
        drawn = covariance.root(torch.randn(400, 3, 16, 16, generator=torch.Generator().manual_seed(0)))
        assert float(drawn.std()) == pytest.approx(float(covariance.variance.sqrt()), rel=0.05)
        power = torch.fft.fft2(drawn).abs().square().mean((0, 1))
        assert power[0, 1] > 5 * power[0, 8]
