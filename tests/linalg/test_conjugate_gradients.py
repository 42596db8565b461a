"""Conjugate gradients on a batch of small systems."""

from __future__ import annotations

import torch

from ipt.linalg.conjugate_gradients import conjugate_gradients


def _systems(batch=4, size=8):
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(batch, size, size, dtype=torch.float64, generator=generator)
    matrix = root @ root.mT + 0.5 * torch.eye(size, dtype=torch.float64)
    # Very different scales: a scalar shared by the batch would be wrong for all but one.
    matrix = matrix * torch.tensor([1e-6, 1.0, 30.0, 1e6], dtype=torch.float64)[:batch, None, None]
    return matrix, torch.randn(batch, size, dtype=torch.float64, generator=generator)


def _solve(matrix, right, iterations, precondition=None, start=None):
    start = torch.zeros_like(right) if start is None else start
    return conjugate_gradients(lambda x: (matrix @ x[..., None])[..., 0], right, start, iterations, precondition)


def test_exact_after_as_many_iterations_as_unknowns():
    matrix, right = _systems()
    torch.testing.assert_close(_solve(matrix, right, 8), torch.linalg.solve(matrix, right), rtol=1e-7, atol=0)


def test_the_error_in_the_matrix_norm_never_grows():
    matrix, right = _systems()
    exact = torch.linalg.solve(matrix, right)
    energies = []
    for iterations in range(8):
        error = _solve(matrix, right, iterations) - exact
        energies.append((error * (matrix @ error[..., None])[..., 0]).sum(1))
    assert (torch.stack(energies).diff(dim=0) < 0).all()


def test_the_exact_inverse_as_preconditioner_needs_one_iteration():
    matrix, right = _systems()
    inverse = torch.linalg.inv(matrix)
    found = _solve(matrix, right, 1, lambda r: (inverse @ r[..., None])[..., 0])
    torch.testing.assert_close(found, torch.linalg.solve(matrix, right), rtol=1e-9, atol=0)


def test_a_system_alone_and_in_a_batch():
    matrix, right = _systems()
    together = _solve(matrix, right, 5)
    for index in range(4):
        alone = _solve(matrix[index : index + 1], right[index : index + 1], 5)
        torch.testing.assert_close(alone[0], together[index], rtol=1e-10, atol=0)


def test_the_solution_stays_when_started_there_and_when_iterated_beyond():
    matrix, right = _systems()
    exact = torch.linalg.solve(matrix, right)
    for found in (_solve(matrix, right, 3, start=exact), _solve(matrix, right, 100)):
        assert torch.isfinite(found).all()
        torch.testing.assert_close(found, exact, rtol=1e-7, atol=0)
    assert torch.equal(_solve(matrix, torch.zeros_like(right), 5), torch.zeros_like(right))


def test_complex_systems_are_solved_in_the_real_inner_product():
    """Spectra: a Hermitian matrix, and a real mask between two transforms, which is symmetric over the reals alone."""
    generator = torch.Generator().manual_seed(1)
    root = torch.randn(2, 6, 6, dtype=torch.complex128, generator=generator)
    matrix = root @ root.mH + torch.eye(6)
    right = torch.randn(2, 6, dtype=torch.complex128, generator=generator)
    found = conjugate_gradients(lambda x: (matrix @ x[..., None])[..., 0], right, torch.zeros_like(right), 12)
    torch.testing.assert_close(found, torch.linalg.solve(matrix, right), rtol=1e-9, atol=1e-12)
    # x -> x + 3 Re(x): symmetric for Re <a, b>, and no complex matrix.
    found = conjugate_gradients(lambda x: x + 3 * x.real, right, torch.zeros_like(right), 2)
    torch.testing.assert_close(found, torch.complex(right.real / 4, right.imag))
