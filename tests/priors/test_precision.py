"""The arithmetic of networks by the names that users give."""

from __future__ import annotations

import pytest
import torch

from ipt.core.errors import IptError
from ipt.priors.precision import PRECISIONS, check_range, checked, computing, rounded

CPU = torch.device("cpu")


@pytest.mark.parametrize(("name", "kind"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_layers_compute_in_it(name, kind):
    with computing(name, CPU):
        found = torch.nn.functional.linear(torch.ones(2, 3), torch.ones(4, 3))
    assert found.dtype == kind


@pytest.mark.parametrize(("name", "kind"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_layers_have_their_weights_in_it_and_find_the_same(name, kind):
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.GroupNorm(2, 4))
    images = torch.rand(2, 3, 8, 8)
    with torch.no_grad(), computing("bf16", CPU):
        expected = network(images)
        rounded(network, name, CPU)
        assert torch.equal(network(images), expected)
    assert network[0].weight.dtype == network[0].bias.dtype == kind and network[1].weight.dtype == torch.float32


def test_a_name_that_is_none_is_refused():
    assert [checked(name) for name in PRECISIONS[1:]] == ["fp32", "bf16", "fp16"]
    with pytest.raises(IptError, match="auto, fp32, bf16 or fp16, not 'fp64'"):
        checked("fp64")


@pytest.mark.parametrize(("instructions", "wanted"), [("avx512_bf16", "bf16"), ("amx_tile", "bf16"), ("", "fp32")])
def test_auto_is_bf16_where_the_processor_computes_in_it(monkeypatch, instructions, wanted):
    for name in ("avx512_bf16", "amx_tile"):
        monkeypatch.setattr(torch.cpu, f"_is_{name}_supported", lambda name=name: name == instructions, raising=False)
    assert checked("auto", CPU) == wanted


def test_auto_is_fp32_where_torch_does_not_say(monkeypatch):
    for name in ("avx512_bf16", "amx_tile"):
        monkeypatch.delattr(torch.cpu, f"_is_{name}_supported", raising=False)
    assert checked("auto", "cpu") == checked("auto", "mps") == "fp32"


@pytest.mark.parametrize(("native", "wanted"), [(True, "bf16"), (False, "fp32")])
def test_auto_asks_a_gpu_for_what_it_does_not_emulate(monkeypatch, native, wanted):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native or including_emulation)
    assert checked("auto", "cuda:1") == wanted


def test_only_what_fp16_itself_made_infinite_is_its_fault():
    finite, infinite = torch.ones(1), torch.full((1,), torch.inf)
    check_range(finite, finite, "fp16", "it")
    check_range(infinite, infinite, "fp16", "it")
    check_range(infinite, finite, "bf16", "it")
    with pytest.raises(IptError, match="it leaves the range of fp16"):
        check_range(infinite, finite, "fp16", "it")
