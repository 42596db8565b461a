"""Which of several draws is the result."""

from __future__ import annotations

import pytest
import torch

from ipt.core.abilities import Assessment
from ipt.core.solver import Solution, Solver
from ipt.guidance.proximal import Proximal
from ipt.operators.blur import Blur
from ipt.priors.analytic import GaussianPrior
from ipt.solve.choice import chosen
from ipt.solve.task import SamplingTask

SOLVER = Solver(Blur(3, "circular"), {"image": GaussianPrior(), "kernel": GaussianPrior()}, Proximal())


def solution(*probabilities, draws=None):
    """Draw n is of the value n all over."""
    count = draws or len(probabilities)
    image = torch.arange(float(count)).reshape(-1, 1, 1, 1).expand(count, 1, 8, 8)
    kernels = torch.eye(9).reshape(9, 1, 3, 3)[:count]
    assessments = [Assessment(value, f"doubt {number}") for number, value in enumerate(probabilities)]
    return Solution(image, image, {"kernel": kernels}, torch.ones(count), torch.ones(1, count), [], {}, assessments)


def task(samples):
    return SamplingTask(SOLVER, torch.zeros(1, 1, 8, 8), 0.01, {}, tuple(range(samples)), reserve=(7, 8))


@pytest.mark.parametrize(
    ("samples", "probabilities", "draws"),
    [
        (1, (0.3,), (0,)),
        (1, (0.3, 0.2, 0.8), (2,)),
        (1, (0.3, 0.4, 0.2), (1,)),
        (3, (0.9, 0.2, 0.6), (0, 2)),
        (3, (0.1, 0.4, 0.2), (1,)),
    ],
)
def test_the_likeliest_or_the_mean_of_the_likely(samples, probabilities, draws):
    found = chosen(task(samples), solution(*probabilities))
    assert found.draws == draws
    assert found.whole.shape == (1, 1, 8, 8) and float(found.whole.mean()) == sum(draws) / len(draws)
    assert found.probability == pytest.approx(sum(probabilities[draw] for draw in draws) / len(draws))
    assert found.doubt == f"doubt {probabilities.index(max(probabilities))}"
    expected = sum(torch.eye(9)[draw] for draw in draws).reshape(1, 1, 3, 3) / len(draws)
    torch.testing.assert_close(found.parameters["kernel"], expected)


def test_where_nothing_tells_it_is_the_mean():
    found = chosen(task(3), solution(draws=3))
    assert found.draws == (0, 1, 2) and found.probability is None and float(found.whole.mean()) == 1
