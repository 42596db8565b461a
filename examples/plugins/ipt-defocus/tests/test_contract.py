"""The promises of the package, as ipt relies on them."""

import pytest
from ipt_defocus.operator import Defocus, Radii

from ipt.testing import generator_checks, operator_checks

CHECKS = [*operator_checks(Defocus()), *generator_checks(Radii(), shape=(1, 1, 1))]


@pytest.mark.parametrize("check", CHECKS)
def test_contract(check):
    check()
