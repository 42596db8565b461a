"""ipt-gamma: two exposures of a scene through a response of unknown exponent and gain."""

import ipt


@ipt.hookimpl
def ipt_operators() -> list[ipt.Component]:
    return [ipt.Component("gamma", "ipt_gamma.operator:Gamma", "two exposures through an unknown exponent and gain")]
