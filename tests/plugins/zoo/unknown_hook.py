"""A plugin that implements a hook that ipt does not have, and one that it has."""

import ipt


@ipt.hookimpl
def ipt_operator():
    return []


@ipt.hookimpl
def ipt_generators():
    yield ipt.Component("healthy", dict, "works")
