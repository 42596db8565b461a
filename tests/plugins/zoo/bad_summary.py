"""A plugin with no summary."""

import ipt


@ipt.hookimpl
def ipt_priors():
    yield ipt.Component("mute", dict, None)
