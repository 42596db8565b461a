"""ipt-defocus: blur by a disc of unknown radius."""

import ipt


@ipt.hookimpl
def ipt_operators() -> list[ipt.Component]:
    return [ipt.Component("defocus", "ipt_defocus.operator:Defocus", "blur by a disc of unknown radius")]


@ipt.hookimpl
def ipt_priors() -> list[ipt.Component]:
    return [ipt.Component("disc-radius", "ipt_defocus.operator:box", "the radius of a disc: any from .5 to 6 px")]


@ipt.hookimpl
def ipt_generators() -> list[ipt.Component]:
    return [ipt.Component("disc-radius", "ipt_defocus.operator:Radii", "radii of a disc between 1 and 5 px")]
