"""Reading and writing weights: whole or not at all, and nothing in a file is ever run."""

import json
import os
import pickle
from dataclasses import asdict

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ipt.core.errors import IptError
from ipt.priors.loading import load
from ipt.priors.unet import UNetConfig
from ipt.priors.weights import TENSORS, export_state, read, save
from ipt.training.options import TrainingOptions
from ipt.training.sources import ArraySource
from ipt.training.trainer import Trainer


class Touch:
    """A pickle of this creates a file when it is loaded."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def refused(path, *words):
    with pytest.raises(IptError) as caught:
        load(path)
    text = str(caught.value)
    assert len(text.splitlines()) <= 2
    for word in words:
        assert word in text
    return text


def test_a_folder_comes_back_as_it_was(folder, tiny):
    target = folder(3, sizes=[16])
    denoiser, config = tiny(3, sizes=[16])
    weights = read(target)
    assert weights.config == config
    assert len(weights.sha256) == 64
    expected = denoiser.network.state_dict()
    assert weights.state.keys() == expected.keys()
    assert all(torch.equal(weights.state[name], value) for name, value in expected.items())
    assert read(target / TENSORS).config == config


def test_half_precision_on_disk_single_in_memory(folder):
    target = folder(half=True)
    assert {value.dtype for value in load_file(target / TENSORS).values()} == {torch.float16}
    assert {value.dtype for value in read(target).state.values()} == {torch.float32}


def test_saving_leaves_nothing_else_behind(folder):
    assert sorted(os.listdir(folder())) == ["config.json", TENSORS]


@pytest.mark.skipif(os.name == "nt", reason="files have no such modes")
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_written_files_follow_the_umask(tmp_path, tiny, mask):
    before = os.umask(mask)
    try:
        save(tmp_path / "w", *tiny())
    finally:
        os.umask(before)
    for file in (tmp_path / "w").iterdir():
        assert file.stat().st_mode & 0o777 == 0o666 & ~mask, file.name


def test_a_failed_save_keeps_what_was_there(folder, tiny, monkeypatch):
    target = folder()
    before = {name: (target / name).read_bytes() for name in os.listdir(target)}

    def full_disk(tensors, file, metadata):
        file.write_bytes(b"part")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ipt.priors.weights.save_file", full_disk)
    with pytest.raises(IptError, match="No space left"):
        save(target, *tiny())
    assert {name: (target / name).read_bytes() for name in os.listdir(target)} == before


def test_numbers_beyond_half_precision_are_not_saved(tmp_path, tiny):
    denoiser, config = tiny()
    with torch.no_grad():
        denoiser.network.stem.bias[0] = 1e6
    with pytest.raises(IptError, match=r"stem.bias is not finite in torch.float16.*half=False"):
        save(tmp_path / "w", denoiser, config)
    assert not (tmp_path / "w").exists()
    save(tmp_path / "w", denoiser, config, half=False)
    assert load(tmp_path / "w").denoiser.network.stem.bias[0] == 1e6


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path, protocol):
    trap = tmp_path / "trap"
    for name, writer in {
        "zip.pt": lambda value, file: torch.save(value, file, pickle_protocol=protocol),
        "bare.pt": lambda value, file: file.write_bytes(pickle.dumps(value, protocol=protocol)),
    }.items():
        file = tmp_path / name
        writer({"time_embed.0.weight": torch.zeros(2), "payload": Touch(trap)}, file)
        text = refused(file, str(file))
        assert "refused" in text or "damaged" in text
    assert not trap.exists()
    assert "refused" in refused(tmp_path / "zip.pt")
    # The trap does work, where pickles are run.
    torch.load(tmp_path / "zip.pt", weights_only=False)["payload"].close()
    assert trap.exists()


def test_truncated_files(folder, tmp_path):
    target = folder()
    whole = (target / TENSORS).read_bytes()
    for length in (0, 4, len(whole) // 2, len(whole) - 1):
        (target / TENSORS).write_bytes(whole[:length])
        refused(target, str(target / TENSORS), "again")
    file = tmp_path / "network.pt"
    torch.save({"a": torch.zeros(1000)}, file)
    whole = file.read_bytes()
    for length in (0, 4, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        refused(file, str(file), "again")


def test_a_web_page_saved_as_weights(tmp_path):
    file = tmp_path / "network.pt"
    file.write_text("<!DOCTYPE html><html>Not found</html>")
    refused(file, "no torch file", "fetch it again")


def test_what_is_not_there(folder, tmp_path):
    refused(
        tmp_path / "nowhere",
        "there are no weights at",
        "nowhere",
        "give a folder that `ipt train` wrote, or a file of weights",
    )
    refused(tmp_path, "has no config.json")
    target = folder()
    (target / TENSORS).unlink()
    refused(target, f"has no {TENSORS}")
    (tmp_path / "picture.png").write_bytes(b"")
    refused(tmp_path / "picture.png", "picture.png", ".safetensors")


def test_broken_configs(folder, edit_config):
    target = folder()
    for changes, word in [
        ({"architecture": "transformer"}, "transformer"),
        ({"architecture": None}, "architecture"),
        ({"network": None}, "network"),
        ({"network": {"channels": 1, "depth": 3, "multipliers": [1]}}, "depth"),
        ({"network": 7}, "config.json"),
        ({"sigma_data": "much"}, "much"),
        ({"format": 2}, "update ipt"),
        ({"sizes": "large"}, "config.json"),
        ({"scale": 0}, "scale"),
        ({"validation": [1, 2]}, "config.json"),
    ]:
        before = (target / "config.json").read_text()
        edit_config(target, **changes)
        refused(target, word)
        (target / "config.json").write_text(before)
    load(target)
    for text in ("{", "[]", ""):
        (target / "config.json").write_text(text)
        refused(target, "config.json")


def test_parameters_that_do_not_fit_are_named(folder):
    target = folder()
    state = load_file(target / TENSORS)
    state["renamed.weight"] = state.pop("stem.weight")
    state["out.bias"] = torch.zeros(3)
    save_file(state, target / TENSORS)
    refused(target, "1 missing (stem.weight)", "1 unexpected (renamed.weight)", "1 of another shape (out.bias)")


def test_values_that_are_not_numbers(folder):
    target = folder()
    state = load_file(target / TENSORS)
    state["out.bias"][0] = float("nan")
    save_file(state, target / TENSORS)
    refused(target, "NaN", "out.bias")


def test_torch_files_that_are_no_state_dict(tmp_path):
    file = tmp_path / "x.pt"
    stranger = {"a": torch.ones(1)}
    for value, word in [(torch.zeros(2), "Tensor"), ({"epoch": 3}, "epoch"), ({}, "no network"), (stranger, "ADM")]:
        torch.save(value, file)
        refused(file, "x.pt", word)


def test_a_bare_safetensors_file_of_another_network(tmp_path):
    save_file({"conv.weight": torch.ones(2)}, tmp_path / "other.safetensors")
    refused(tmp_path / "other.safetensors", "conv.weight", "config.json")


def test_a_training_state_becomes_a_folder(tmp_path, uncertainty):
    pictures = np.random.default_rng(0).integers(0, 256, (24, 8, 8, 3), dtype=np.uint8)
    options = TrainingOptions(images=16, batch=8, validate_every=16, save_every=16, validation_images=4)
    network = UNetConfig(3, width=16, multipliers=(1, 2))
    trainer = Trainer(network, ArraySource(pictures, held_out=8), options, tmp_path / "run")
    trainer.run()
    export_state(trainer.state_path, tmp_path / "out", name="blobs", sizes=[8])
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["network"] == json.loads(json.dumps(asdict(network)))
    assert (config["name"], config["sizes"], config["images"], config["kind"]) == ("blobs", [8], 16, "image")
    prior = load(tmp_path / "out")
    noisy = torch.randn(2, 3, 8, 8)
    direct = trainer.average(noisy, torch.full((2,), 0.5))
    assert torch.allclose(prior.denoise(noisy, 0.5), direct, atol=3e-3)
    assert uncertainty(prior, 0.5, (3, 8, 8)) == pytest.approx(trainer.history[-1]["validation"][0.5] ** 0.5)
    # The state itself can be loaded as well, in full precision.
    assert torch.allclose(load(trainer.state_path).denoise(noisy, 0.5), direct, atol=1e-5)
    torch.save({"a": torch.ones(1)}, tmp_path / "other.pt")
    with pytest.raises(IptError, match="no state of a training"):
        export_state(tmp_path / "other.pt", tmp_path / "out")


def test_a_detail_shares_the_weights_of_what_it_refines(folder, tmp_path):
    from ipt.priors.refined import RefinedConfig, denoiser_of

    base = read(folder(1, sizes=[16]))
    network = RefinedConfig(
        UNetConfig.from_dict(base.config["network"]),
        UNetConfig(base.config["network"]["channels"], 8, (1, 2)),
        32,
        0.1,
        ((0.1, 0.01), (1.0, 0.1)),
    )
    whole = denoiser_of(network, 0.5)
    whole.network.base.load_state_dict(base.state)
    config = {
        "architecture": "refined",
        "network": network.to_dict(),
        "sigma_data": 0.5,
        "kind": "image",
        "sizes": [16, 32],
    }
    save(base.file.parent.parent / "whole", whole, config, half=False)
    detail = {name: value for name, value in whole.network.state_dict().items() if not name.startswith("base.")}
    place = base.file.parent.parent / "detail"
    place.mkdir()
    save_file(detail, place / TENSORS)
    shared = {"format": 1, **config, "shared": base.file.parent.name}
    (place / "config.json").write_text(json.dumps(shared))
    noisy = torch.randn(1, network.channels, 32, 32)
    assert torch.equal(load(place).denoise(noisy, 1.0), load(place.with_name("whole")).denoise(noisy, 1.0))
    assert read(place).sha256 not in (base.sha256, read(place.with_name("whole")).sha256)
    for name in ("nowhere", "../" + base.file.parent.name, 3):
        (place / "config.json").write_text(json.dumps({**shared, "shared": name}))
        refused(place, "shares the weights of", "put them there")
