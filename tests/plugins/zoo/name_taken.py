"""A plugin that offers a name which is taken, and one which is not."""

import ipt


@ipt.hookimpl
def ipt_priors():
    yield ipt.Component("box", dict, "not the box that people know")
    yield ipt.Component("healthy", dict, "works")
