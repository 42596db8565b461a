"""ipt-downscale: fewer pixels behind an anti-alias filter of unknown width."""

import ipt


@ipt.hookimpl
def ipt_operators() -> list[ipt.Component]:
    summary = "fewer pixels behind a Gaussian filter of unknown width"
    return [ipt.Component("blind-downscale", "ipt_downscale.operator:BlindDownscale", summary)]
