"""A plugin that forgets @ipt.hookimpl."""

import ipt


def ipt_priors():
    return [ipt.Component("unseen", dict, "never asked for")]
