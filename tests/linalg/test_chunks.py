"""Batches that are worked on in chunks."""

from __future__ import annotations

import torch

from ipt.linalg import chunks
from ipt.operators.turbulence.warp import warp, warp_adjoint, warp_gradient
from ipt.priors import fields
from ipt.priors.tilt import TiltPrior


def test_few_rows_are_worked_on_together_and_large_ones_one_by_one():
    assert chunks.chunks((12, 3, 128, 128)) == [slice(0, 12)]
    assert chunks.chunks((3, 1, 480, 640)) == [slice(0, 1), slice(1, 2), slice(2, 3)]
    halves = chunks.chunks((5, 1, 256, 256))
    assert halves == [slice(0, 4), slice(4, 5)]
    made = chunks.in_chunks(lambda rows: torch.arange(5.0)[rows], (5, 256, 256))
    torch.testing.assert_close(made, torch.arange(5.0))


def test_warps_and_fields_are_the_same_in_parts(monkeypatch):
    numbers = torch.Generator().manual_seed(0)
    image = torch.rand(5, 2, 12, 9, generator=numbers)
    tilt, prior = torch.randn(5, 2, 12, 9, generator=numbers), TiltPrior(iterations=3)

    def made():
        found = prior.posterior(tilt, 0.5)
        warps = [each(image, tilt) for each in (warp, warp_adjoint, warp_gradient)]
        powers = found.prior_covariance.root(torch.ones_like(tilt))
        return [*warps, prior.denoise(tilt, 0.5), found.mean, powers]

    together = made()
    calls = []
    monkeypatch.setattr(chunks, "_AT_ONCE", 2 * 12 * 9)
    monkeypatch.setattr(fields, "in_chunks", lambda each, shape: calls.append(shape) or chunks.in_chunks(each, shape))
    for one, other in zip(together, made(), strict=True):
        torch.testing.assert_close(one, other)
    assert calls and len(chunks.chunks(image.shape)) == 3


def test_of_wide_fields_the_cosine_basis_is_enough(monkeypatch):
    noisy = torch.randn(1, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    exact, rough = TiltPrior(1.0).denoise(noisy, 0.3), TiltPrior(1.0, iterations=0).denoise(noisy, 0.3)
    assert (exact - rough).abs().max() > 1e-3
    monkeypatch.setattr(fields, "_WIDE", 256)
    torch.testing.assert_close(TiltPrior(1.0).denoise(noisy, 0.3), rough)
