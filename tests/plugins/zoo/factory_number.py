"""A plugin whose factory is a number."""

import ipt


@ipt.hookimpl
def ipt_priors():
    yield ipt.Component("crooked", 3, "cannot be called")
