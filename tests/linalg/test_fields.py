"""Stationary fields against their dense covariance on a small frame."""

from __future__ import annotations

import pytest
import torch

from ipt.linalg.fields import cosines, doubled, filtered
from ipt.linalg.tilts import KolmogorovTilt, PatchTilt

FRAME = (7, 10)
FIELDS = {
    "Kolmogorov": KolmogorovTilt(1.5, 0.2),
    "smooth": KolmogorovTilt(1.0, 0.03),
    "rough": KolmogorovTilt(0.5, 2.0),
    "patches": PatchTilt(2.0, 1.0),
}
each_field = pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS.keys())


def dense(field, frame=FRAME):
    """The covariance of a field's entries in the order of (2, H, W) flattened."""
    rows, columns = torch.meshgrid(*(torch.arange(side, dtype=torch.float64) for side in frame), indexing="ij")
    rows, columns = rows.flatten(), columns.flatten()
    lags = rows[:, None] - rows, columns[:, None] - columns
    return field.covariance(*lags).permute(0, 2, 1, 3).reshape(2 * len(rows), 2 * len(rows))


@each_field
def test_the_covariance_is_symmetric_and_positive(field):
    found = dense(field)
    torch.testing.assert_close(found, found.T)
    assert torch.linalg.eigvalsh(found).min() > 0
    assert field.rms == pytest.approx(field.strength)


@each_field
def test_the_embedding_applies_the_covariance(field):
    values = torch.randn(3, 2, *FRAME, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = filtered(field.embedding(FRAME), values, doubled(FRAME))
    torch.testing.assert_close(found.flatten(1), values.flatten(1) @ dense(field), rtol=0, atol=1e-11)


@each_field
def test_cosine_power_is_the_variance_of_the_coefficients(field):
    basis = torch.kron(*(cosines(side) for side in FRAME))
    torch.testing.assert_close(basis @ basis.T, torch.eye(len(basis), dtype=torch.float64), rtol=0, atol=1e-12)
    both = torch.block_diag(basis, basis)
    wanted = (both @ dense(field) @ both.T).diagonal().reshape(2, *FRAME)
    torch.testing.assert_close(field.cosine_power(FRAME), wanted, rtol=0, atol=1e-11)
