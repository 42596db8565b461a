"""A plugin that returns a component, not a list of them."""

import ipt


@ipt.hookimpl
def ipt_priors():
    return ipt.Component("lonely", dict, "not in a list")
