"""The promises of the package, as ipt relies on them."""

import pytest
from ipt_downscale.operator import BlindDownscale, Widths

from ipt.testing import generator_checks, operator_checks

CHECKS = [*operator_checks(BlindDownscale()), *generator_checks(Widths(), shape=(2, 1, 1))]


@pytest.mark.parametrize("check", CHECKS)
def test_contract(check):
    check()
