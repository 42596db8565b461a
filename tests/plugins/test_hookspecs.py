"""Components that were written for an earlier version of the hooks: the message says what is now what."""

from __future__ import annotations

import pytest

import ipt
from ipt.core.errors import IptError
from ipt.plugins.building import build_component
from ipt.plugins.hookspecs import GONE, VERSION, outdated

SOURCE = """
import ipt

class First(ipt.Prior):
    def chart(self, shape):
        return shape

    def denoise(self, noisy, sigma):
        return noisy

class Both(First):
    def normalization(self, shape):
        return ipt.Normalization(shape, shape)

    def uncertainty(self, sigma):
        return sigma

class Today(ipt.Prior):
    def normalization(self, shape):
        return ipt.Normalization(shape, shape)

    def denoise(self, noisy, sigma):
        return noisy

@ipt.hookimpl
def ipt_priors():
    return [ipt.Component(kind.__name__.lower(), kind, "of some version") for kind in (First, Both, Today)]
"""


class Halved(ipt.ParametricOperator):
    linear = True

    def parameters(self, image_shape):
        return {}

    def forward(self, image):
        return image / 2


class Exact(Halved, ipt.Linear, ipt.ExactSteps):
    linear = None

    def image_step(self, observation, image, parameters, beliefs):
        return None

    def parameter_step(self, observation, image, parameters, known):
        return None


def test_what_a_class_still_has_of_the_first_version():
    assert outdated(Halved) == (
        f"it was written for version 1 of the hooks, and this ipt has version {VERSION}: "
        "its `linear` is now a base class, ipt.Linear"
    )
    # The steps of today have the names of those of then: with the base class they are today's.
    assert "image_step" in GONE and "image_step" not in outdated(Exact)


@pytest.mark.parametrize("kind", [ipt.Prior, ipt.ParametricOperator, ipt.GuidanceRule])
def test_the_classes_of_today_are_none_of_the_first_version(kind):
    assert outdated(kind) == ""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("first", r"cannot be built: it was written for version 1 .*: its `chart` is now `normalization\(shape\)`"),
        ("both", r"cannot be used: it was written for version 1 .*; its `uncertainty` is now the covariance of"),
    ],
)
def test_an_older_plugin_is_refused_with_what_to_change(name, said, install):
    install("ipt-older", SOURCE)
    with pytest.raises(IptError, match=said) as caught:
        build_component("prior", name)
    assert "ipt-older" in str(caught.value)
    assert build_component("prior", "today").denoise(1, 0.5) == 1
