"""A plugin for hooks that do not exist yet; one of its hooks does."""

import ipt

IPT_HOOKS = 99


@ipt.hookimpl
def ipt_schedules():
    return []


@ipt.hookimpl
def ipt_priors(context):
    return []


@ipt.hookimpl
def ipt_generators():
    yield ipt.Component("healthy", dict, "works")
