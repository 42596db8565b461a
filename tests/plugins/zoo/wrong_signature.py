"""A plugin that wants an argument in one hook; the other works."""

import ipt


@ipt.hookimpl
def ipt_priors(registry):
    return []


@ipt.hookimpl
def ipt_generators():
    yield ipt.Component("healthy", dict, "works")
