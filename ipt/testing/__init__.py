"""The contract kit: what operators, priors, guidance rules and generators promise, as checks that tests can run.

    @pytest.mark.parametrize("check", operator_checks(MyOperator()))
    def test_contract(check):
        check()

A check is called without arguments. It raises AssertionError where its promise is broken, saying which, what was
measured and how to fix it, and unittest.SkipTest where it does not apply. Nothing here needs pytest.
"""

from ipt.testing.generators import generator_checks
from ipt.testing.guidance import guidance_checks
from ipt.testing.operators import operator_checks
from ipt.testing.priors import prior_checks
from ipt.testing.promises import Check

__all__ = ["Check", "generator_checks", "guidance_checks", "operator_checks", "prior_checks"]
