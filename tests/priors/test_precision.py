"""The arithmetic of networks by the names that users give."""

from __future__ import annotations

import pytest
import torch

from ipt.core.errors import IptError
from ipt.priors.precision import PRECISIONS, check_range, checked, computing

CPU = torch.device("cpu")


@pytest.mark.parametrize(("name", "kind"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_layers_compute_in_it(name, kind):
    with computing(name, CPU):
        found = torch.nn.functional.linear(torch.ones(2, 3), torch.ones(4, 3))
    assert found.dtype == kind


def test_a_name_that_is_none_is_refused():
    assert [checked(name) for name in PRECISIONS] == ["fp32", "bf16", "fp16"]
    with pytest.raises(IptError, match="fp32, bf16 or fp16, not 'fp64'"):
        checked("fp64")


def test_only_what_fp16_itself_made_infinite_is_its_fault():
    finite, infinite = torch.ones(1), torch.full((1,), torch.inf)
    check_range(finite, finite, "fp16", "it")
    check_range(infinite, infinite, "fp16", "it")
    check_range(infinite, finite, "bf16", "it")
    with pytest.raises(IptError, match="it leaves the range of fp16"):
        check_range(infinite, finite, "fp16", "it")
