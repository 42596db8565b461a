"""The promises of the package, as ipt relies on them."""

import pytest
from ipt_defocus.operator import Defocus

from ipt.testing import operator_checks


@pytest.mark.parametrize("check", operator_checks(Defocus()))
def test_contract(check):
    check()
