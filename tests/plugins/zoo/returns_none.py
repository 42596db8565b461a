"""A plugin that forgets to return."""

import ipt


@ipt.hookimpl
def ipt_priors():
    [ipt.Component("forgotten", dict, "never seen")]
