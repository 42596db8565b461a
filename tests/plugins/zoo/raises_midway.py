"""A plugin that raises after the first component."""

import ipt


@ipt.hookimpl
def ipt_priors():
    yield ipt.Component("healthy", dict, "works")
    raise KeyError("second")
