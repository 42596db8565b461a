"""Finding a model of diffusers, on disk, in the cache or on huggingface.co; and what is said where there is none."""

import json
import socket
import sys

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from ipt.core.errors import IptError
from ipt.priors import diffusers_folder
from ipt.priors.diffusers import load
from ipt.priors.weights import TENSORS


@pytest.fixture
def folder(tmp_path):
    """A model's files, with nothing much in them."""
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "UNet2DModel"}))
    (tmp_path / "scheduler_config.json").write_text(json.dumps({"_class_name": "DDPMScheduler"}))
    save_file({"weight": torch.zeros(1)}, tmp_path / TENSORS)
    return tmp_path


def test_without_diffusers_the_command_that_installs_it_is_told(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(IptError, match="needs diffusers, which is not installed\npip install diffusers"):
        load(folder)


@pytest.mark.parametrize("missing", ["config.json", "scheduler_config.json", TENSORS])
def test_a_folder_that_is_no_model(folder, missing):
    (folder / missing).unlink()
    with pytest.raises(IptError, match=f"is no whole model of diffusers: it has no {missing}"):
        load(folder)


def test_configs_that_cannot_be_read(folder):
    (folder / "scheduler_config.json").write_text("{")
    with pytest.raises(IptError, match=r"scheduler_config.json is not readable JSON"):
        load(folder)
    (folder / "scheduler_config.json").write_text("[1]")
    with pytest.raises(IptError, match="not a table"):
        load(folder)


def test_latents_and_other_networks_are_refused(folder):
    (folder / "model_index.json").write_text(
        json.dumps({"unet": ["diffusers", "UNet2DModel"], "vqvae": ["diffusers", "VQModel"], "none": [None, None]})
    )
    with pytest.raises(IptError, match="a UNet2DModel with vqvae"):
        load(folder)
    (folder / "model_index.json").unlink()
    (folder / "config.json").write_text(json.dumps({"_class_name": "UNet2DConditionModel"}))
    with pytest.raises(IptError, match="UNet2DConditionModel"):
        load(folder)


def test_neither_a_folder_nor_a_repository():
    for name in ("/nowhere/model", "model", "a/b/c"):
        with pytest.raises(IptError, match="there is no folder"):
            load(name)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """An empty cache, and a server that must not be asked."""

    def refuse(*where):
        raise AssertionError(f"asked the network for {where}")

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("urllib.request.getproxies", dict)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return tmp_path / "hub"


@pytest.mark.parametrize("offline", [True, False])
def test_without_network_both_ways_out_are_told(hub, monkeypatch, offline):
    def nameless(host, port):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    monkeypatch.setattr(socket, "getaddrinfo", nameless)
    with pytest.raises(IptError) as caught:
        load("somebody/something")
    assert len(str(caught.value).splitlines()) == 2
    assert "connect and run again" in str(caught.value) and "prior=hf:FOLDER" in str(caught.value)


def test_what_is_cached_needs_no_network(hub, folder, monkeypatch):
    snapshot = hub / "models--somebody--something" / "snapshots" / "0123abcd"
    snapshot.mkdir(parents=True)
    (hub / "models--somebody--something" / "refs").mkdir()
    (hub / "models--somebody--something" / "refs" / "main").write_text("0123abcd")
    for name in ("config.json", "scheduler_config.json", TENSORS):
        (folder / name).rename(snapshot / name)
    assert diffusers_folder.find("somebody/something").weights == snapshot / TENSORS


def test_what_is_not_cached_is_fetched_and_the_pickle_only_where_there_is_no_other(hub, folder, monkeypatch):
    (folder / TENSORS).rename(folder / "diffusion_pytorch_model.bin")
    asked = []

    def download(repository, allow_patterns, local_files_only):
        if local_files_only:
            raise FileNotFoundError(repository)
        asked.append((repository, [name for name in allow_patterns if "pytorch" in name]))
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port: None)
    assert diffusers_folder.find("somebody/something").weights.suffix == ".bin"
    pickled = "diffusion_pytorch_model.bin"
    assert asked == [
        ("somebody/something", [TENSORS, f"unet/{TENSORS}"]),
        ("somebody/something", [pickled, f"unet/{pickled}"]),
    ]
