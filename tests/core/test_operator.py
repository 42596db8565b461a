"""What an operator is by default."""

from __future__ import annotations

import pytest
import torch

from ipt.core.operator import Generator, ParameterSpec, ParametricOperator


class Gain(ParametricOperator):
    def parameters(self, image_shape):
        return {"gain": ParameterSpec((1, 1, 1), "a factor")}

    def forward(self, image, gain):
        return gain * image


def test_any_parameters_are_valid_and_a_measurement_is_as_large_as_its_image():
    given = {"gain": torch.full((2, 1, 1, 1), -3.0)}
    found = Gain().constrain(given)
    assert found == given and found is not given
    assert Gain().image_shape((3, 5, 7)) == (3, 5, 7)


def test_a_parameter_is_one_unknown_without_a_unit_prior_or_generator():
    spec = ParameterSpec((1, 1, 1), "a factor")
    assert (spec.unit, spec.prior, spec.generator, spec.copies, spec.noise_ratio) == ("", "", "", 1, 0.125)


@pytest.mark.parametrize("kind", [ParametricOperator, Generator])
def test_what_an_author_must_write(kind):
    with pytest.raises(TypeError, match="abstract"):
        kind()
