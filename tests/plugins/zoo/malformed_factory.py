"""A plugin with a factory that is not module:attribute."""

import ipt


@ipt.hookimpl
def ipt_priors():
    yield ipt.Component("crooked", "no colon here", "cannot be imported")
    yield ipt.Component("healthy", dict, "works")
