"""EDM's preconditioning, by its paper's equations."""

from __future__ import annotations

import pytest
import torch

from ipt.priors.edm import EDMDenoiser, loss_weight, preconditioned


def test_it_is_equation_7_and_table_1():
    noisy, sigma, data = torch.randn(3, 2, 4, 4).double(), torch.tensor([0.01, 0.5, 20.0]).double(), 0.4
    seen = []

    def network(image, label):
        seen.append((image, label))
        return image.tanh()

    found = preconditioned(network, noisy, sigma, data)
    ((image, label),) = seen
    level = sigma[:, None, None, None]
    torch.testing.assert_close(image, noisy / (data**2 + level**2).sqrt())
    torch.testing.assert_close(label, sigma.log() / 4)
    skip, out = data**2 / (level**2 + data**2), level * data / (level**2 + data**2).sqrt()
    torch.testing.assert_close(found, skip * noisy + out * image.tanh())


def test_a_network_of_nothing_is_the_wiener_filter_of_white_data():
    class Nothing(torch.nn.Module):
        def forward(self, image, label):
            return torch.zeros_like(image)

    noisy = torch.randn(2, 1, 4, 4)
    found = EDMDenoiser(Nothing(), 0.5)(noisy, torch.tensor([0.5, 1e-4]))
    torch.testing.assert_close(found, noisy * torch.tensor([0.5, 1.0])[:, None, None, None])


def test_the_standard_deviation_may_be_one_an_example():
    noisy, sigma, data = torch.randn(2, 1, 4, 4), torch.tensor([0.3, 0.7]), torch.tensor([0.2, 0.9])
    together = preconditioned(lambda image, label: image.sin(), noisy, sigma, data)
    for row in range(2):
        one = slice(row, row + 1)
        alone = preconditioned(lambda image, label: image.sin(), noisy[one], sigma[one], float(data[row]))
        torch.testing.assert_close(together[one], alone)


@pytest.mark.parametrize("sigma", [0.01, 0.5, 30.0])
def test_the_loss_of_a_network_of_nothing_is_one_at_every_level(sigma):
    error = sigma**2 * 0.25 / (sigma**2 + 0.25)
    assert float(loss_weight(torch.tensor(sigma), 0.5)) * error == pytest.approx(1)
