"""A plugin that wants an argument."""

import ipt


@ipt.hookimpl
def ipt_priors(registry):
    return []
