"""A plugin that raises in one hook; the other works."""

import ipt


@ipt.hookimpl
def ipt_priors():
    raise RuntimeError("the moon\nis wrong")


@ipt.hookimpl
def ipt_generators():
    yield ipt.Component("healthy", dict, "works")
