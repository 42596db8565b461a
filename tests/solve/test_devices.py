"""The device that a solve runs on."""

from __future__ import annotations

import pytest
import torch

from ipt.cli.errors import message_of
from ipt.core.errors import IptError
from ipt.solve.devices import choose_device


@pytest.mark.parametrize(
    ("gpus", "environment", "device"),
    [
        (0, {}, "cpu"),
        (1, {"LOCAL_RANK": "3"}, "cuda"),
        (4, {}, "cuda:0"),
        (4, {"LOCAL_RANK": "3"}, "cuda:3"),
        (4, {"SLURM_LOCALID": "5"}, "cuda:1"),
        (4, {"LOCAL_RANK": "x"}, "cuda"),
    ],
)
def test_auto_is_a_gpu_of_its_own_where_there_are_some(gpus, environment, device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    for name in ("LOCAL_RANK", "SLURM_LOCALID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert choose_device("auto") == device


def test_a_device_that_is_named_must_be_there():
    assert choose_device("cpu") == "cpu"
    with pytest.raises(IptError, match="there is no device 'quantum' here") as caught:
        choose_device("quantum")
    assert "--device auto" in message_of(caught.value)


def test_the_message_names_the_devices_that_there_are(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(IptError, match=r"there is cpu: name one, or use device=auto"):
        choose_device("quantum")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: "H100")
    with pytest.raises(IptError, match=r"there is cpu, cuda:0 \(H100\), cuda:1 \(H100\): name one"):
        choose_device("quantum")
