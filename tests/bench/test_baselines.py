from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ipt.bench.baselines import baseline
from ipt.bench.cases import Case, cases_of
from ipt.bench.protocol import parsed
from ipt.core.errors import IptError
from ipt.operators.blur import Blur
from ipt.solve.drift import registered
from ipt.solve.metrics import psnr

from .conftest import VALUES


def case(side: int, border: str) -> tuple[Case, Blur]:
    operator = {"name": "blur", "kernel_size": side, "border": border}
    cases = cases_of(parsed({**VALUES, "size": 48, "operator": operator}, "x", "x"))
    assert isinstance(cases.operator, Blur)
    return cases[0], cases.operator


@pytest.mark.parametrize("border", ["circular", "zero"])
@pytest.mark.parametrize("side", [7, 8])
@pytest.mark.parametrize("name", ["wiener", "richardson-lucy"])
def test_the_true_kernel_restores_the_picture_in_its_place(name, side, border):
    """Odd and even kernels have another centre pixel; half a pixel off would be a drift."""
    one, operator = case(side, border)
    restored, parameters = baseline(name, one, operator)
    assert restored.shape == one.clean.shape and parameters == {}
    match = registered(restored, one.clean, 4)
    assert max(map(abs, match.shift)) < 0.2
    inside = (slice(None), slice(8, -8), slice(8, -8))
    gain = psnr(restored[inside].clamp(0, 1), one.clean[inside]) - psnr(one.measurement[inside], one.clean[inside])
    assert gain > 1.5


def test_the_measurement_is_itself_and_has_no_tilt():
    one, operator = case(7, "zero")
    restored, parameters = baseline("measurement", one, operator)
    assert torch.equal(restored, one.measurement) and parameters == {}
    tilted = replace(one, parameters={**one.parameters, "tilt": torch.ones(2, 48, 48)})
    assert not baseline("measurement", tilted, operator)[1]["tilt"].any()


def test_without_a_kernel_there_is_no_deconvolution():
    one, operator = case(7, "zero")
    with pytest.raises(IptError, match="needs a parameter called kernel"):
        baseline("wiener", replace(one, parameters={}), operator)
