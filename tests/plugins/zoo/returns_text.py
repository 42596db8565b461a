"""A plugin that returns text."""

import ipt


@ipt.hookimpl
def ipt_priors():
    return "blur"
