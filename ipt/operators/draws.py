"""Random numbers of generators, a row for each seed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def uniform_and_normal(seeds: Sequence[int], uniforms: int, normals: int) -> tuple[Tensor, Tensor]:
    """A row of uniform and a row of normal numbers for each seed, (B, uniforms) and (B, normals)."""
    rows = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(int(seed))
        rows.append((torch.rand(uniforms, generator=generator), torch.randn(normals, generator=generator)))
    return torch.stack([u for u, _ in rows]), torch.stack([n for _, n in rows])
