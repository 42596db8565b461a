"""A plugin that yields text among components."""

import ipt


@ipt.hookimpl
def ipt_priors():
    yield "blur"
    yield ipt.Component("healthy", dict, "works")
