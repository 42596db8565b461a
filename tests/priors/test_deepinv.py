"""deepinv's denoisers as priors: their output in our variable, their options and weights, and what is said without the
library or without a network."""

import sys

import pytest
import torch

from ipt.core.errors import IptError
from ipt.priors.deepinv import DeepinvDenoiser, load

TINY = {"depth": 3, "nf": 8}


@pytest.fixture
def deepinv():
    return pytest.importorskip("deepinv", reason="the optional package deepinv is not installed")


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module of the user's own, `lab`."""

    def write(source):
        (tmp_path / "lab.py").write_text(source)
        monkeypatch.syspath_prepend(str(tmp_path))

    yield write
    sys.modules.pop("lab", None)


# In any installation


def gaussian(x, sigma):
    """The exact denoiser of pixels that are normal with mean .6 and deviation .1, in 0..1."""
    return 0.6 + (x - 0.6) / (1 + (sigma / 0.1) ** 2)


@pytest.mark.parametrize("sigma", [0.05, 0.4, 5.0])
def test_the_denoiser_of_a_gaussian_is_its_conditional_mean_in_our_variable(sigma):
    prior, noisy = DeepinvDenoiser(gaussian), 0.3 * torch.randn(2, 3, 4, 4, dtype=torch.float64)
    # There, mean .2 and deviation .2.
    expected = 0.2 + (noisy - 0.2) * 0.04 / (0.04 + sigma**2)
    assert torch.allclose(prior.denoise(noisy, sigma), expected, atol=1e-12)


def test_the_estimate_stays_within_pictures():
    found = DeepinvDenoiser(lambda x, sigma: x).denoise(torch.tensor([[[[-3.0, 0.5, 4.0]]]]), 1.0)
    assert found.flatten().tolist() == [-1, 0.5, 1]


def test_sizes_and_channels():
    chart = DeepinvDenoiser(gaussian).normalization((3, 7, 9))
    assert (chart.shape, chart.scale, chart.offset) == ((3, 7, 9), 0.5, 0.5)
    for options, told in (
        ({"channels": 3}, "3 channels"),
        ({"sizes": [8]}, "8 x 8"),
        ({"multiple": 4}, "multiples of"),
    ):
        with pytest.raises(IptError, match=told):
            DeepinvDenoiser(gaussian, **{"channels": 1, **options}).normalization((1, 6, 6))
    assert DeepinvDenoiser(gaussian, sizes=8).normalization((3, 8, 8)).physical_shape == (3, 8, 8)


def test_without_deepinv_the_command_that_installs_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "deepinv", None)
    monkeypatch.delitem(sys.modules, "deepinv.models", raising=False)
    with pytest.raises(IptError, match="needs deepinv, which is not installed\npip install deepinv"):
        load("DRUNet")


def test_a_factory_of_one_s_own(module):
    module("def make(in_channels, gain=1.0):\n    return lambda x, sigma: gain * x + 0.0 * in_channels")
    prior = load("lab:make", channels=1, gain=0.5)
    assert torch.allclose(prior.denoise(torch.zeros(1, 1, 2, 2), 0.1), torch.full((1, 1, 2, 2), -0.5))
    assert prior.name == "lab:make"
    with pytest.raises(IptError, match="takes no weights"):
        load("lab:make", pretrained="weights.pth")
    with pytest.raises(IptError, match="no 'nothing' in lab"):
        load("lab:nothing")
    with pytest.raises(IptError, match="there is no module nowhere for nowhere:make: install it"):
        load("nowhere:make")


def test_a_module_that_fails_to_import_says_why(module):
    module("raise RuntimeError('a first line\\nthe reason')")
    with pytest.raises(IptError, match=r"lab is there but cannot be imported \(the reason\)"):
        load("lab:make")
    module("import missing_part")
    with pytest.raises(IptError, match="No module named 'missing_part'"):
        load("lab:make")


def test_weights_that_cannot_be_fetched(module):
    module("def make(pretrained):\n    raise OSError('Name or service not known')")
    with pytest.raises(IptError) as caught:
        load("lab:make")
    assert "could not fetch the weights of lab:make (Name or service not known)" in str(caught.value)
    assert "pretrained=FILE" in str(caught.value)


def test_what_is_fetched_is_read_as_weights_and_what_is_printed_goes_to_stderr(module, tmp_path, capsys):
    torch.save({"layer": print}, tmp_path / "trap.pth")
    module(f"""
import torch
def make(pretrained):
    print("downloading")
    return torch.load({str(tmp_path / "trap.pth")!r}, weights_only=False)
""")
    before = torch.random.get_rng_state()
    with pytest.raises(Exception, match="Weights only load failed"):
        load("lab:make")
    assert capsys.readouterr() == ("", "downloading\n")
    assert torch.equal(torch.random.get_rng_state(), before)


# With deepinv


def test_a_model_is_its_output_in_our_variable(deepinv):
    prior, noisy = load("DnCNN", pretrained=None, **TINY), torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        expected = 2 * prior.denoiser((noisy + 1) / 2, 0.15).clamp(0, 1) - 1
    assert isinstance(prior.denoiser, deepinv.models.DnCNN)
    assert torch.allclose(prior.denoise(noisy, 0.3), expected, atol=1e-6)
    assert prior.denoise(noisy.double(), 0.3).dtype == torch.float64


def test_the_network_is_told_the_level_in_its_own_units(deepinv):
    prior, noisy = load("DRUNet", pretrained=None, nc=(4, 4, 4, 4), nb=1, channels=1), torch.randn(1, 1, 32, 32)
    level = torch.full((1, 1, 32, 32), 0.2)
    with torch.no_grad():
        expected = 2 * prior.denoiser.forward_unet(torch.cat([(noisy + 1) / 2, level], 1)).clamp(0, 1) - 1
    assert torch.allclose(prior.denoise(noisy, 0.4), expected, atol=1e-6)
    assert prior.normalization((1, 32, 32)).shape == (1, 32, 32)


def test_weights_from_a_file(deepinv, tmp_path):
    torch.manual_seed(5)
    trained = deepinv.models.DnCNN(in_channels=3, out_channels=3, pretrained=None, **TINY)
    torch.save(trained.state_dict(), tmp_path / "weights.pth")
    prior, noisy = load("DnCNN", pretrained=tmp_path / "weights.pth", **TINY), torch.randn(1, 3, 8, 8)
    with torch.no_grad():
        assert torch.allclose(prior.denoise(noisy, 0.2), 2 * trained((noisy + 1) / 2, 0.1).clamp(0, 1) - 1, atol=1e-6)
    assert len(prior.weights_hash) == 64
    with pytest.raises(IptError, match="does not fit DnCNN"):
        load("DnCNN", pretrained=tmp_path / "weights.pth", depth=4, nf=8)
    with pytest.raises(IptError, match="no weights at"):
        load("DnCNN", pretrained=tmp_path / "nothing.pth", **TINY)


def test_gradients_flow_and_the_parameters_are_frozen(deepinv):
    prior, noisy = load("DnCNN", pretrained=None, **TINY), torch.zeros(2, 3, 8, 8, requires_grad=True)
    prior.denoise(noisy, 0.5)[0].sum().backward()
    assert noisy.grad[0].abs().max() > 0 and noisy.grad[1].abs().max() == 0
    assert not any(parameter.requires_grad for parameter in prior.denoiser.parameters())


def test_a_denoiser_without_weights(deepinv):
    steps = torch.arange(8.0).div(4).sub(1).expand(1, 1, 8, 8)
    noisy = steps + 0.2 * torch.randn(1, 1, 8, 8)
    found = load("TVDenoiser", channels=1).denoise(noisy, 0.2)
    assert (found - steps).square().mean() < (noisy - steps).square().mean()


def test_there_is_no_such_model(deepinv):
    with pytest.raises(IptError, match=r"no 'DRUNett' in deepinv.models"):
        load("DRUNett")
