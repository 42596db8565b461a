"""ipt-problems: five blind problems, a module each."""

import ipt


@ipt.hookimpl
def ipt_operators() -> list[ipt.Component]:
    return [
        ipt.Component("fog", "ipt_problems.fog:Fog", "fog of unknown density and colour"),
        ipt.Component("tilted-defocus", "ipt_problems.plane:TiltedDefocus", "defocus of an unknown plane"),
        ipt.Component("rig", "ipt_problems.rig:Rig", "a lens of unknown distortion, moved between frames"),
        ipt.Component("bayer", "ipt_problems.bayer:Bayer", "a colour filter array of unknown phase and gains"),
        ipt.Component("hologram", "ipt_problems.hologram:Hologram", "a hologram, its reference from an unknown point"),
    ]


@ipt.hookimpl
def ipt_priors() -> list[ipt.Component]:
    return [ipt.Component("tv", "ipt_problems.tv:TotalVariation", "pictures of little total variation")]


@ipt.hookimpl
def ipt_guidance() -> list[ipt.Component]:
    return [ipt.Component("map", "ipt_problems.tv:MAP", "the most probable image and parameters, without randomness")]
