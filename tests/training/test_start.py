"""A training that begins with weights: nothing of what they have learnt, and of what is known of them, is lost."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ipt.core.errors import IptError
from ipt.plugins.discovery import discover
from ipt.priors import shipped
from ipt.priors.adm import ADMUNet
from ipt.priors.adm_config import ADMConfig
from ipt.priors.unet import UNetConfig
from ipt.priors.weights import TENSORS
from ipt.training.export import export
from ipt.training.job import trainer as trainer_of
from ipt.training.options import TrainingOptions
from ipt.training.sources import ArraySource
from ipt.training.start import find
from ipt.training.trainer import Trainer

from .conftest import NETWORK, OPTIONS, gratings


@pytest.fixture
def first(make_trainer, tmp_path) -> Path:
    """The weights of a finished training of 32 examples, without its state."""
    make_trainer("first", images=32, rate=1e-2).run()
    export(tmp_path / "first", "Stripes (CC0).")
    (tmp_path / "first" / "state.pt").rename(tmp_path / "kept.pt")
    return tmp_path / "first"


def described(out: Path, **changes) -> dict:
    """A job as JSON has it, which says nothing of the network."""
    np.save(out.parent / "pictures.npy", gratings())
    source = {"pictures": str(out.parent / "pictures.npy"), "held_out": 4}
    return {"out": str(out), "source": source, "training": OPTIONS, **changes}


def edit(folder: Path, **changes) -> None:
    file = folder / "config.json"
    config = {**json.loads(file.read_text()), **changes}
    file.write_text(json.dumps({name: value for name, value in config.items() if value is not None}))


def state(module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.network.state_dict().items()}


def same(ours, theirs) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_weights_average_count_and_validation_are_those_of_the_start(first, make_trainer):
    started = make_trainer(start=find(str(first)), rate=1e-3)
    weights = {name: value.float() for name, value in load_file(first / TENSORS).items()}
    assert same(state(started.model), weights) and same(state(started.average), weights)
    assert any(value.abs().max() > 0 for name, value in weights.items() if name.startswith("out"))
    assert started.images == 32 and not started.optimizer.state
    config = json.loads((first / "config.json").read_text())
    validation = {float(sigma): error for sigma, error in config["validation"].items()}
    assert started.history == [{"images": 32, "loss": None, "validation": validation}]
    # They are the trainer's own: what it learns changes neither the other nor the start.
    next(started.steps())
    assert not same(state(started.model), weights) and not same(state(started.model), state(started.average))


def test_rate_and_average_count_on_and_the_warm_up_begins_anew(first, make_trainer):
    started = make_trainer(start=find(str(first)), images=64, warmup=8)
    rates, before = [], state(started.average)
    for count, _ in enumerate(started.steps()):
        rates.append(started.optimizer.param_groups[0]["lr"])
        if count == 0:
            keep = 0.5 ** (4 / (0.05 * 36))
            model, after = state(started.model), state(started.average)
            for name, value in after.items():
                torch.testing.assert_close(value, keep * before[name] + (1 - keep) * model[name])
    rise = [0.5] + [1.0] * 7
    assert rates == pytest.approx([1e-3 * r * (1 - (32 + 4 * step) / 64) for step, r in enumerate(rise)])
    assert started.finished and [entry["images"] for entry in started.history] == [32, 64]


def test_the_examples_go_on_where_the_start_left_them(first, make_trainer):
    asked = []

    class Listed(ArraySource):
        def batch(self, seed, number, count):
            asked.append(number)
            return super().batch(seed, number, count)

    make_trainer(source=Listed(gratings(), held_out=4), start=find(str(first)), images=40).run()
    assert asked[:2] == [8, 9]


def test_a_stopped_run_continues_to_the_same_weights_with_and_without_its_start(first, make_trainer):
    begun = find(str(first))
    whole = make_trainer("whole", start=begun, warmup=24)
    whole.run()
    for start in (begun, None, begun):
        part = make_trainer("parts", start=start, warmup=24)
        for count, _ in enumerate(part.steps(), 1):
            if count == 2:
                part.stop()
    last = make_trainer("parts", start=begun, warmup=24)
    assert last.images == 32 + 4 * 6 and last.origin == whole.origin == begun.origin
    last.run()
    assert same(state(last.model), state(whole.model)) and same(state(last.average), state(whole.average))
    assert last.history == whole.history


def test_a_state_is_a_start_too_with_its_average(first, make_trainer, tmp_path):
    kept = torch.load(tmp_path / "kept.pt", weights_only=True)
    begun = find(str(tmp_path / "kept.pt"))
    started = make_trainer(start=begun)
    average = {name.removeprefix("network."): value for name, value in kept["average"].items()}
    assert same(state(started.model), average) and same(state(started.average), average)
    assert begun.origin.images == started.images == 32
    assert begun.origin.data.startswith("24 pictures of 8 x 8 px")
    assert begun.origin.training.startswith("32 examples seen")


def test_another_start_than_before_is_refused_even_as_a_change(first, make_trainer, tmp_path):
    begun, other = find(str(first)), find(str(tmp_path / "kept.pt"))
    make_trainer(start=begun, images=40).run()
    make_trainer("plain", images=8).run()
    for accept in (False, True):
        with pytest.raises(IptError, match=rf"began with first \(sha256 {begun.origin.sha256[:12]}, 32 .*, not with"):
            make_trainer(start=other, images=40, accept_changes=accept)
        with pytest.raises(IptError, match=r"began with random weights, not with first .*\nLeave the start out"):
            make_trainer("plain", start=begun, images=40, accept_changes=accept)
    # The same weights from another place are the same start.
    shutil.copytree(first, tmp_path / "elsewhere")
    assert make_trainer(start=find(str(tmp_path / "elsewhere")), images=40).images == 40


def test_a_state_written_before_starts_were_recorded_continues(make_trainer, tmp_path):
    make_trainer(images=32).run()
    path = tmp_path / "out" / "state.pt"
    older = torch.load(path, weights_only=True)
    del older["start"]
    torch.save(older, path)
    again = make_trainer(images=64)
    again.run()
    whole = make_trainer("whole", images=64)
    whole.run()
    assert again.finished and again.origin is None
    export(tmp_path / "out")
    assert "start" not in json.loads((tmp_path / "out" / "config.json").read_text())
    assert "Started from" not in (tmp_path / "out" / "card.md").read_text()


def test_config_and_card_tell_what_it_started_from(first, make_trainer, tmp_path):
    digest = hashlib.sha256((first / TENSORS).read_bytes()).hexdigest()
    other = ArraySource(gratings(30), held_out=4, name="more stripes")
    started = make_trainer("second", source=other, start=find(str(first)), images=48, validate_every=100)
    for _ in started.steps():
        started.stop()
    export(tmp_path / "second", "More (CC BY).")
    card = (tmp_path / "second" / "card.md").read_text()
    assert "36 examples seen of 48 planned" in card and "after 32 examples seen, as of first; noise" in card
    make_trainer("second", source=other, images=48, validate_every=100).run()
    export(tmp_path / "second", "More (CC BY).")
    config = json.loads((tmp_path / "second" / "config.json").read_text())
    assert (config["images"], config["start"]) == (48, {"name": "first", "sha256": digest, "images": 32})
    card = (tmp_path / "second" / "card.md").read_text()
    data, training = (card.split(f"\n## {name}\n")[1].split("\n## ")[0] for name in ("Data", "Training"))
    assert "(more stripes)" in data.split("What it started from learnt from:")[0] and "\n> Stripes (CC0).\n" in data
    assert f"Started from the weights `first` (sha256 {digest[:12]}), which had seen 32 of" in training
    assert "\n> 32 examples seen of 32 planned" in training and "after 48 examples seen; noise" in card

    # A third stretch, of the first's examples: each is told once, and every start.
    make_trainer("third", start=find(str(tmp_path / "second")), images=64).run()
    export(tmp_path / "third", "Stripes (CC0).")
    card = (tmp_path / "third" / "card.md").read_text()
    for text in ("(an array)", "(more stripes)", "Stripes (CC0).", "More (CC BY).", "learnt from:"):
        assert card.count(text) == 1, text
    assert "`second` (sha256" in card and "\n> Started from the weights `first`" in card and "> >" not in card


def test_network_and_sigma_data_are_those_of_the_start_where_nothing_is_said(first, tmp_path):
    edit(first, sigma_data=0.7)
    said: list[str] = []
    job = described(tmp_path / "out", start=str(first))
    made = trainer_of(job, log=said.append, usual={"width": 99})
    assert made.network == NETWORK and made.options.sigma_data == made.model.sigma_data == 0.7
    assert said == [f"starting from {made.origin}"]
    made.save()
    del job["start"]
    again = trainer_of(job)
    assert again.network == NETWORK and again.options.sigma_data == 0.7 and again.origin == made.origin


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": {"width": 16}}, r"another network \(width: 8 in first, 16 now\)"),
        ({"network": {"multipliers": [1, 2], "attention": False}}, "attention: True in first, False now"),
        ({"training": {**OPTIONS, "sigma_data": 1}}, "sigma_data: 0.5 in first, 1.0 now"),
        ({"training": {**OPTIONS, "images": 32}}, r"first has seen 32 images, and 32 are wanted .* \(images=\)"),
        ({"source": {"generator": "gaussian", "sizes": [8], "channels": 3}}, "draws 1 channel"),
        ({"start": "natral"}, "no prior 'natral' to start from: choose faces, faces256, natural, kernel, a folder"),
        ({"start": "faces"}, "faces has 3 channels, the training examples 1"),
        ({"start": ["faces"]}, "start is the name of a prior or a path"),
    ],
)
def test_a_start_that_does_not_fit_is_refused(first, tmp_path, changes, message):
    with pytest.raises(IptError, match=message) as caught:
        trainer_of(described(tmp_path / "out", **{"start": str(first), **changes}))
    assert len(str(caught.value).splitlines()) <= 2 and not (tmp_path / "out").exists()


def test_weights_that_do_not_tell_enough_are_refused(first, tmp_path):
    torch.save(load_file(first / TENSORS), tmp_path / "bare.pt")
    with pytest.raises(IptError, match=r"bare.pt does not name its network"):
        find(str(tmp_path / "bare.pt"))
    with pytest.raises(IptError, match=r"no config.json"):
        find(str(tmp_path))
    for changes, message in (
        ({"scale": 1.0}, "scale 1 and offset 0.5"),
        ({"images": "many"}, "images 'many', not a whole number"),
        ({"network": {**NETWORK.to_dict(), "width": 16}}, "does not fit the network"),
    ):
        before = json.loads((first / "config.json").read_text())
        edit(first, **changes)
        with pytest.raises(IptError, match=message):
            find(str(first))
        edit(first, **before)


def test_a_network_of_another_kind_is_refused(tmp_path):
    config = ADMConfig(channels=1, width=32, multipliers=(1,), blocks=1, attention=(), head_channels=32)
    save_file({name: value.contiguous() for name, value in ADMUNet(config).state_dict().items()}, tmp_path / TENSORS)
    described = {"format": 1, "architecture": "adm", "network": config.to_dict(), "schedule": "linear"}
    (tmp_path / "config.json").write_text(json.dumps(described))
    with pytest.raises(IptError, match=r"not trained here .ADM."):
        find(str(tmp_path))


def test_weights_that_do_not_tell_what_they_have_seen_begin_from_nothing(first, make_trainer):
    edit(first, images=None, validation=None)
    (first / "card.md").unlink()
    begun = find(str(first))
    assert (begun.origin.images, begun.history, begun.origin.data) == (0, [], "")
    make_trainer(start=begun, images=8).run()


def test_the_trainer_itself_refuses_another_network(first, tmp_path):
    wider = replace(NETWORK, width=16)
    with pytest.raises(IptError, match="width: 8 in first, 16 now"):
        Trainer(wider, ArraySource(gratings(), 4), TrainingOptions(**OPTIONS), tmp_path / "out", start=find(str(first)))


def test_shipped_priors_are_starts_by_their_names(first, tmp_path, monkeypatch):
    factories = {entry.component.name: entry.factory_name for entry in discover().entries}
    ours = {name for name, text in factories.items() if text.startswith("ipt.priors.shipped:")}
    assert ours == {*shipped.NAMES, "kernel-uncentred"}
    natural = find("natural")
    assert natural.network == UNetConfig(3, 64, (1, 2, 2, 3), attention=False, norm="pixel")
    assert natural.origin.images > 0 and "BSDS500" in natural.origin.data and "examples seen" in natural.origin.training
    monkeypatch.setattr(shipped, "files", lambda package: tmp_path / package)
    shutil.copytree(first, tmp_path / "ipt.priors" / "weights" / "kernel")
    assert same(dict(find("kernel").parameters), dict(find(str(first)).parameters))


def test_a_description_needs_safetensors_and_nothing_else(first, tmp_path):
    (tmp_path / "job.json").write_text(json.dumps(described(tmp_path / "out", start=str(first))))
    code = (
        "import sys\nfrom ipt.training.__main__ import main\n"
        f"code = main([{str(tmp_path / 'job.json')!r}])\n"
        "foreign = {'click', 'rich', 'PIL', 'pluggy', 'yaml', 'skimage', 'scipy', 'huggingface_hub'}\n"
        "print('foreign:', sorted(foreign & set(sys.modules)))\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("starting from first (sha256 ") and lines[1].startswith("36 of 64 images")
    assert lines[-1] == "foreign: []"
    assert torch.load(tmp_path / "out" / "state.pt", weights_only=True)["images"] == 64
