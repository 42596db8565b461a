"""ipt-gamma: two exposures of a scene through a response of unknown exponent and gain."""

import ipt


@ipt.hookimpl
def ipt_operators() -> list[ipt.Component]:
    return [ipt.Component("gamma", "ipt_gamma.operator:Gamma", "two exposures through an unknown exponent and gain")]


@ipt.hookimpl
def ipt_priors() -> list[ipt.Component]:
    return [
        ipt.Component("gamma-exponent", "ipt_gamma.operator:any_exponent", "exponents: any from .4 to 2.5"),
        ipt.Component("gamma-gain", "ipt_gamma.operator:any_gain", "gains: any from .4 to 1.2"),
    ]


@ipt.hookimpl
def ipt_generators() -> list[ipt.Component]:
    return [
        ipt.Component("gamma-exponent", "ipt_gamma.operator:exponents", "exponents between .5 and 2"),
        ipt.Component("gamma-gain", "ipt_gamma.operator:gains", "gains between .5 and 1"),
    ]
