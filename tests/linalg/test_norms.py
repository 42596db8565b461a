"""Norms are of each image, whatever the others in its batch."""

from __future__ import annotations

import torch

from ipt.linalg.norms import norm, rms


def test_each_image_has_its_own():
    images = torch.stack([torch.full((2, 3, 6), 2.0), torch.zeros(2, 3, 6)])
    torch.testing.assert_close(norm(images), torch.tensor([12.0, 0.0]))
    torch.testing.assert_close(rms(images), torch.tensor([2.0, 0.0]))
    torch.testing.assert_close(norm(torch.tensor([[3.0, 4.0]])), torch.tensor([5.0]))
