"""The fetched network: the local file, the cache and its ledger, and no network."""

import json
import socket

import pytest
import torch
from huggingface_hub import constants

from ipt.core.errors import IptError
from ipt.priors import download, hub
from ipt.priors.adm_config import ADMConfig

SMALL = ADMConfig(3, 32, (1, 1, 2, 2, 4, 4), attention=(4,))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and a network that must not be asked."""

    def refuse(*where, **options):
        raise AssertionError(f"asked the network for {where}")

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(download.urllib.request, "getproxies", dict)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return tmp_path / "hub"


@pytest.fixture
def fetched(cache, randomised):
    """The published file's place in the cache, as the hub's own library lays it out, with a small network in it."""
    folder = cache / "models--deepinv--diffunet"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0123abcd")
    file = folder / "snapshots" / "0123abcd" / "diffusion_ffhq_10m.pt"
    file.parent.mkdir(parents=True)
    torch.save(randomised(SMALL).float().state_dict(), file)
    return file


def test_the_first_file_is_recorded_and_the_next_one_checked(cache, fetched):
    prior = hub.ffhq()
    assert (prior.name, prior.sizes, prior.kind) == ("ffhq", (256,), "image")
    ledger = cache / "ipt-sha256.json"
    assert json.loads(ledger.read_text()) == {"deepinv/diffunet/diffusion_ffhq_10m.pt": prior.weights_hash}
    assert hub.ffhq().weights_hash == prior.weights_hash
    state = torch.load(fetched, weights_only=True)
    state["out.2.bias"][0] += 1
    torch.save(state, fetched)
    with pytest.raises(IptError, match="not the file that was used first") as caught:
        hub.ffhq()
    assert "ipt weights get ffhq --again" in str(caught.value)
    # The change was meant.
    ledger.unlink()
    assert hub.ffhq().weights_hash != prior.weights_hash


def test_what_is_not_in_the_cache_is_fetched(cache, fetched, monkeypatch, tmp_path):
    elsewhere = fetched.rename(tmp_path / "download.pt")
    asked = []

    def fetch(item):
        asked.append(item.key)
        return elsewhere

    monkeypatch.setattr(hub, "fetch", fetch)
    assert hub.ffhq().channels == 3 and hub.imagenet().name == "imagenet"
    assert asked == ["deepinv/diffunet/diffusion_ffhq_10m.pt", "deepinv/diffunet/diffusion_openai.pt"]


def test_a_ledger_that_cannot_be_read(cache, fetched):
    (cache / "ipt-sha256.json").write_text("{")
    with pytest.raises(IptError, match=r"ipt-sha256.json"):
        hub.ffhq()


def test_a_local_file_leaves_the_cache_alone(cache, fetched, tmp_path):
    prior = hub.ffhq(path=fetched.rename(tmp_path / "mine.pt"))
    assert prior.normalization((3, 256, 256)).shape == (3, 256, 256)
    assert not (cache / "ipt-sha256.json").exists()
    with pytest.raises(IptError, match="no weights at"):
        hub.ffhq(path=tmp_path / "nothing.pt")


@pytest.mark.parametrize("offline", [True, False])
def test_without_network_the_ways_out_are_told(cache, monkeypatch, offline):
    def nameless(host, port):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    monkeypatch.setattr(socket, "getaddrinfo", nameless)
    with pytest.raises(IptError) as caught:
        hub.ffhq()
    text = str(caught.value)
    assert len(text.splitlines()) == 2
    assert "connect and run again" in text and "prior=ffhq:PATH" in text and "prior=faces256" in text
