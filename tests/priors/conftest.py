"""Small networks and folders of weights for the tests of priors."""

import json

import pytest
import torch

from ipt.priors.adm import ADMUNet
from ipt.priors.edm import EDMDenoiser
from ipt.priors.unet import UNet, UNetConfig
from ipt.priors.weights import save


@pytest.fixture(autouse=True)
def the_same_numbers_every_time():
    torch.manual_seed(0)


@pytest.fixture
def uncertainty():
    """(prior, sigma, shape) -> root mean square of what its posterior leaves uncertain of an entry."""

    def found(prior, sigma, shape):
        noisy = torch.zeros(1, *shape, device=getattr(prior, "device", "cpu"))
        return float(prior.posterior(noisy, sigma).covariance.variance.double().mean().sqrt())

    return found


@pytest.fixture
def randomised():
    """An ADM network of a configuration, in float64 and in none of its layers zero."""

    def make(config, seed=0):
        torch.manual_seed(seed)
        network = ADMUNet(config).double()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        return network

    return make


@pytest.fixture
def checkpoint(tmp_path, randomised):
    """A torch file as guided diffusion writes it, and its network."""

    def make(config, name="checkpoint.pt"):
        network = randomised(config).float()
        torch.save(network.state_dict(), tmp_path / name)
        return tmp_path / name, network

    return make


@pytest.fixture
def tiny():
    """An EDM denoiser of the given number of channels, in none of its layers zero, and the config that describes it."""

    def make(channels=1, attention=True, norm="group", **config):
        torch.manual_seed(1)
        network = UNetConfig(channels, width=16, multipliers=(1, 2), patch=2, attention=attention, norm=norm)
        denoiser = EDMDenoiser(UNet(network), 0.5)
        with torch.no_grad():
            for parameter in denoiser.parameters():
                parameter.add_(0.02 * torch.randn_like(parameter))
        described = {
            "format": 1,
            "architecture": "unet",
            "network": network.to_dict(),
            "sigma_data": 0.5,
            "scale": 0.5,
            "offset": 0.5,
            "sizes": None,
            "kind": {1: "kernel", 2: "field"}.get(channels, "image"),
            "validation": {"0.02": 1e-4, "0.2": 4e-3, "2.0": 0.04},
        }
        return denoiser, {**described, **config}

    return make


@pytest.fixture
def folder(tmp_path, tiny):
    """A folder of weights of the given number of channels."""

    def make(channels=1, half=False, **config):
        denoiser, described = tiny(channels, **config)
        target = tmp_path / f"weights{channels}"
        save(target, denoiser, described, half=half)
        return target

    return make


@pytest.fixture
def edit_config():
    """Change entries of a folder's config.json; None takes one out."""

    def edit(folder, **changes):
        file = folder / "config.json"
        config = {**json.loads(file.read_text()), **changes}
        file.write_text(json.dumps({name: value for name, value in config.items() if value is not None}))

    return edit
