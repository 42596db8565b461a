"""The promises of the package, as ipt relies on them."""

import pytest
from ipt_mri_motion.operator import Motion
from ipt_mri_motion.walk import RandomWalk, Walks

from ipt.testing import generator_checks, operator_checks, prior_checks

SHAPE = (1, 24, 1)
SAMPLES = Walks().sample(range(256), SHAPE)
CHECKS = [
    *operator_checks(Motion()),
    *prior_checks(RandomWalk(), samples=SAMPLES),
    *generator_checks(Walks(), shape=SHAPE),
]


@pytest.mark.parametrize("check", CHECKS)
def test_contract(check):
    check()
