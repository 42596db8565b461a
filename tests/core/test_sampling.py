"""The rest of a schedule, from a level on."""

from __future__ import annotations

import pytest
import torch

from ipt.core.sampling import Schedule
from ipt.sampling.schedules import Tail


class Given(Schedule):
    def sigmas(self):
        return torch.tensor([4.0, 2.0, 1.0, 0.5, 0.0], dtype=torch.float64)


@pytest.mark.parametrize(
    ("start", "levels"),
    [
        (10.0, [4.0, 2.0, 1.0, 0.5, 0.0]),
        (2.0, [2.0, 1.0, 0.5, 0.0]),
        (1.9, [1.0, 0.5, 0.0]),
        (0.1, [0.5, 0.0]),
        (0.0, [0.5, 0.0]),
    ],
)
def test_it_begins_at_the_first_level_that_is_no_higher_and_has_a_step(start, levels):
    assert Tail(Given(), start).sigmas().tolist() == levels
