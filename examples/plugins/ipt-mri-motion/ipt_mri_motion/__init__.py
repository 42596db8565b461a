"""ipt-mri-motion: a scan whose patient moves between readouts."""

import ipt


@ipt.hookimpl
def ipt_operators() -> list[ipt.Component]:
    summary = "an MRI scan whose patient moves between readouts"
    return [ipt.Component("mri-motion", "ipt_mri_motion.operator:Motion", summary)]


@ipt.hookimpl
def ipt_priors() -> list[ipt.Component]:
    return [ipt.Component("random-walk", "ipt_mri_motion.walk:RandomWalk", "a random walk about its mean, exact")]


@ipt.hookimpl
def ipt_generators() -> list[ipt.Component]:
    return [ipt.Component("random-walk", "ipt_mri_motion.walk:Walks", "random walks about their mean")]
