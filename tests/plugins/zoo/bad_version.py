"""A plugin that states the version of its hooks as text."""

import ipt

IPT_HOOKS = "1"


@ipt.hookimpl
def ipt_generators():
    yield ipt.Component("healthy", dict, "works")
