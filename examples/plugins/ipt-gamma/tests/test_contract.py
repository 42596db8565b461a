"""The promises of the package, as ipt relies on them."""

import pytest
from ipt_gamma.operator import Gamma, exponents

from ipt.testing import generator_checks, operator_checks

CHECKS = [*operator_checks(Gamma()), *generator_checks(exponents(), shape=(1, 1, 1))]


@pytest.mark.parametrize("check", CHECKS)
def test_contract(check):
    check()
