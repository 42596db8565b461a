"""What a training's state becomes."""

from __future__ import annotations

import json

import pytest
import torch

from ipt.core.errors import IptError
from ipt.operators.blur.kernels import GaussianKernels
from ipt.priors.unet import UNetConfig
from ipt.training.export import export
from ipt.training.options import TrainingOptions
from ipt.training.sources import ArraySource, GeneratorSource
from ipt.training.trainer import Trainer

from .conftest import OPTIONS, gratings


def config(folder) -> dict:
    return json.loads((folder / "config.json").read_text())


def test_grey_pictures_are_no_kernels(make_trainer, tmp_path):
    make_trainer(images=8).run()
    files = export(tmp_path / "out")
    assert [file.name for file in files] == ["config.json", "diffusion_pytorch_model.safetensors", "card.md"]
    assert (config(tmp_path / "out")["kind"], config(tmp_path / "out")["sizes"]) == ("image", [8])
    source = GeneratorSource(GaussianKernels(), sizes=(12, 8))
    make_trainer("kernels", source=source, images=8).run()
    export(tmp_path / "kernels")
    assert (config(tmp_path / "kernels")["kind"], config(tmp_path / "kernels")["sizes"]) == ("kernel", [8, 12])


def test_a_local_network_takes_pictures_of_every_size(tmp_path):
    network = UNetConfig(1, width=8, multipliers=(1, 2), attention=False, norm="pixel")
    options = TrainingOptions(**{**OPTIONS, "images": 8})
    Trainer(network, ArraySource(gratings(), held_out=4), options, tmp_path / "out").run()
    export(tmp_path / "out")
    assert config(tmp_path / "out")["sizes"] is None
    assert "no attention, normalised by pixels;" in (tmp_path / "out" / "card.md").read_text()


def test_a_state_that_does_not_tell_of_its_examples_is_told(make_trainer, tmp_path):
    trainer = make_trainer(images=8)
    trainer.run()
    path = tmp_path / "out" / "state.pt"
    state = torch.load(path, weights_only=True)
    del state["source"], state["examples"]
    torch.save(state, path)
    export(tmp_path / "out")
    assert "Not recorded." in (tmp_path / "out" / "card.md").read_text()
    assert config(tmp_path / "out")["sizes"] is None
    export(tmp_path / "out", source=ArraySource(gratings(), 4, name="stripes"))
    assert "24 pictures of 8 x 8 px in 1 channel (stripes)" in (tmp_path / "out" / "card.md").read_text()
    assert config(tmp_path / "out")["sizes"] == [8]


def test_a_state_before_any_validation_has_a_card_that_says_so(make_trainer, tmp_path):
    trainer = make_trainer()
    for _ in trainer.steps():
        trainer.stop()
    export(tmp_path / "out", "Stripes, made here.")
    card = (tmp_path / "out" / "card.md").read_text()
    assert "4 examples seen of 64 planned" in card and "None was run." in card and "Stripes, made here." in card
    assert config(tmp_path / "out")["validation"] == {}


def test_no_state_is_said_plainly(tmp_path):
    with pytest.raises(IptError, match="train first"):
        export(tmp_path)
    (tmp_path / "state.pt").write_bytes(b"")
    with pytest.raises(IptError, match="not a readable state"):
        export(tmp_path)
