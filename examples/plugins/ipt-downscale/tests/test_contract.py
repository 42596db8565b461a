"""The promises of the package, as ipt relies on them."""

import pytest
from ipt_downscale.operator import BlindDownscale

from ipt.testing import operator_checks


@pytest.mark.parametrize("check", operator_checks(BlindDownscale()))
def test_contract(check):
    check()
