"""A plugin whose component has a space in its name."""

import ipt


@ipt.hookimpl
def ipt_priors():
    yield ipt.Component("Two Words", dict, "cannot be typed")
    yield ipt.Component("healthy", dict, "works")
