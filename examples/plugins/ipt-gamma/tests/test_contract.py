"""The promises of the package, as ipt relies on them."""

import pytest
from ipt_gamma.operator import Gamma

from ipt.testing import operator_checks


@pytest.mark.parametrize("check", operator_checks(Gamma()))
def test_contract(check):
    check()
