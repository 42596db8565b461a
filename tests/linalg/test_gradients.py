"""Gradients of pictures."""

from __future__ import annotations

import torch

from ipt.linalg.gradients import squared_gradient


def test_of_a_plane_it_is_the_same_everywhere():
    rows, columns = torch.arange(5.0)[:, None], torch.arange(6.0)
    pictures = torch.stack([3 * rows + 4 * columns, 0 * rows + 2 * columns])[None]
    expected = torch.tensor([25.0, 4.0])[None, :, None, None].expand(1, 2, 5, 6)
    torch.testing.assert_close(squared_gradient(pictures), expected)
