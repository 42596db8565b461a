"""ipt-defocus: blur by a disc of unknown radius."""

import ipt


@ipt.hookimpl
def ipt_operators() -> list[ipt.Component]:
    return [ipt.Component("defocus", "ipt_defocus.operator:Defocus", "blur by a disc of unknown radius")]
