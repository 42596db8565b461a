"""ipt-downscale: fewer pixels behind an anti-alias filter of unknown width."""

import ipt


@ipt.hookimpl
def ipt_operators() -> list[ipt.Component]:
    summary = "fewer pixels behind a Gaussian filter of unknown width"
    return [ipt.Component("blind-downscale", "ipt_downscale.operator:BlindDownscale", summary)]


@ipt.hookimpl
def ipt_priors() -> list[ipt.Component]:
    return [ipt.Component("filter-width", "ipt_downscale.operator:box", "widths of a filter: any from .3 to 3 px")]


@ipt.hookimpl
def ipt_generators() -> list[ipt.Component]:
    return [ipt.Component("filter-width", "ipt_downscale.operator:Widths", "widths of a filter, .6 to 2 px")]
