"""The promises of the package, as ipt relies on them."""

import pytest
from ipt_problems.bayer import Bayer
from ipt_problems.fog import Fog
from ipt_problems.hologram import Hologram
from ipt_problems.plane import TiltedDefocus
from ipt_problems.rig import Rig
from ipt_problems.tv import MAP, TotalVariation

from ipt.testing import guidance_checks, operator_checks, prior_checks

CHECKS = [
    *operator_checks(Fog()),
    *operator_checks(TiltedDefocus(), image_shape=(1, 16, 16)),
    *operator_checks(Rig(), image_shape=(1, 16, 16)),
    *operator_checks(Bayer(), image_shape=(3, 16, 24)),
    *operator_checks(Hologram(), image_shape=(1, 16, 16)),
    *guidance_checks(MAP()),
]
# Total variation gives the most probable picture, not a mean.
PRIOR = [
    check for check in prior_checks(TotalVariation(), shape=(1, 12, 12)) if check.promise.name != "conditional-mean"
]


@pytest.mark.parametrize("check", [*CHECKS, *PRIOR], ids=lambda check: f"{check.component} {check.promise.name}")
def test_contract(check):
    check()
