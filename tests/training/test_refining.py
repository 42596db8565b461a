"""Training the detail beyond a prior of half the side."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from ipt.cli.main import cli
from ipt.core.errors import IptError
from ipt.priors.loading import load
from ipt.priors.refined import RefinedConfig, lost_by_averaging
from ipt.training.export import export
from ipt.training.job import trainer as trainer_of

from .conftest import NETWORK, OPTIONS, gratings

DETAIL = {"width": 8, "multipliers": [1, 2], "attention": False}


@pytest.fixture
def base(make_trainer, tmp_path) -> Path:
    """The weights of a finished training on pictures of 8x8."""
    make_trainer("base", images=32, rate=1e-2).run()
    export(tmp_path / "base", "Stripes (CC0).")
    return tmp_path / "base"


def job(folder: Path, name: str, side: int = 16, **changes) -> dict:
    file = folder / f"pictures{side}.npy"
    np.save(file, gratings(side=side))
    return {
        "out": str(folder / name),
        "source": {"pictures": str(file), "held_out": 4},
        "network": DETAIL,
        "training": {**OPTIONS, "rate": 1e-2},
        **changes,
    }


def parameters(trainer, part: str) -> dict[str, torch.Tensor]:
    state = trainer.average.network.state_dict()
    return {name: value.clone() for name, value in state.items() if name.startswith(f"{part}.")}


def same(ours, theirs) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_detail_learns_and_the_base_stays(base, tmp_path):
    trainer = trainer_of(job(tmp_path, "fine", refine=str(base)))
    config = trainer.network
    assert isinstance(config, RefinedConfig) and config.base == NETWORK and config.side == 16
    held_out = torch.from_numpy(gratings(side=16)[:4]).permute(0, 3, 1, 2).float() / 127.5 - 1
    assert config.lost == pytest.approx(lost_by_averaging(held_out))
    untrained, detail, coarse = trainer.validate(), parameters(trainer, "detail"), parameters(trainer, "base")
    weights = load(base).denoiser.network.state_dict()
    assert same({f"base.{name}": value for name, value in weights.items()}, coarse)
    trainer.run()
    assert same(parameters(trainer, "base"), coarse) and not same(parameters(trainer, "detail"), detail)
    trained = trainer.history[-1]["validation"]
    assert sum(trained[sigma] for sigma in (0.2, 0.5, 1.0)) < sum(untrained[sigma] for sigma in (0.2, 0.5, 1.0))


def uncertainty(prior, sigma, side):
    posterior = prior.posterior(torch.zeros(1, 1, side, side), sigma)
    return float(posterior.covariance.variance.sqrt())


def test_what_is_written_serves_both_sizes(base, tmp_path):
    trainer = trainer_of(job(tmp_path, "fine", refine=str(base)))
    trainer.run()
    export(tmp_path / "fine", "Finer stripes (CC0).")
    prior, coarse = load(tmp_path / "fine"), load(base)
    noisy = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(prior.denoise(noisy, 0.4), coarse.denoise(noisy, 0.4))
    assert uncertainty(prior, 0.7, 8) == pytest.approx(uncertainty(coarse, 0.7, 8))
    noisy = torch.randn(2, 1, 16, 16)
    ours = trainer.average(noisy, torch.full((2,), 0.4))
    torch.testing.assert_close(prior.denoise(noisy, 0.4), ours, atol=2e-3, rtol=0)
    config = json.loads((tmp_path / "fine" / "config.json").read_text())
    assert config["sizes"] == [8, 16] and config["base"]["images"] == 32 and config["kind"] == "image"
    card = (tmp_path / "fine" / "card.md").read_text()
    for told in (
        "Finer stripes (CC0).",
        "> Stripes (CC0).",
        "at 8 x 8 px: U-Net",
        "detail at 16 x 16 px: U-Net",
        "Refines the",
    ):
        assert told in card


def test_it_is_continued_without_naming_the_base_again(base, tmp_path):
    whole = trainer_of(job(tmp_path, "whole", refine=str(base)))
    whole.run()
    stopped = trainer_of(job(tmp_path, "parts", refine=str(base)))
    for report in stopped.steps():
        if report.images == 24:
            stopped.stop()
    again = trainer_of(job(tmp_path, "parts", network={}))
    assert again.images == 24
    again.run()
    assert same(parameters(again, "detail"), parameters(whole, "detail"))
    assert again.history[-1] == whole.history[-1]


def test_another_base_than_the_states_is_refused(base, make_trainer, tmp_path):
    trainer_of(job(tmp_path, "fine", refine=str(base))).save()
    make_trainer("other", images=32, seed=5).run()
    export(tmp_path / "other")
    with pytest.raises(IptError, match=r"refines base .*, not other"):
        trainer_of(job(tmp_path, "fine", refine=str(tmp_path / "other")))
    assert trainer_of(job(tmp_path, "fine", refine=str(base))).images == 0


def test_a_training_can_begin_with_refined_weights(base, tmp_path):
    first = trainer_of(job(tmp_path, "fine", refine=str(base)))
    first.run()
    export(tmp_path / "fine")
    longer = {**OPTIONS, "images": 128}
    second = trainer_of(job(tmp_path, "longer", start=str(tmp_path / "fine"), network={}, training=longer))
    assert second.images == 64 and second.network == first.network
    halved = {name: value.half().float() for name, value in parameters(first, "detail").items()}
    assert same(parameters(second, "detail"), halved)
    # Pictures of the base's side go on with the base.
    coarse = trainer_of(job(tmp_path, "coarse", 8, start=str(tmp_path / "fine"), network={}, training=longer))
    assert coarse.network == NETWORK and coarse.images == 32
    assert same(dict(coarse.average.network.state_dict()), load(base).denoiser.network.state_dict())


@pytest.mark.parametrize(
    ("side", "message"),
    [(12, "multiple of 8, not 12"), (24, "refines pictures of 16 x 16 px, the training examples are 24 x 24 px")],
)
def test_pictures_of_another_side(base, tmp_path, side, message):
    trainer_of(job(tmp_path, "fine", refine=str(base))).run()
    export(tmp_path / "fine")
    changes = {"refine": str(base)} if side == 12 else {"start": str(tmp_path / "fine"), "network": {}}
    with pytest.raises(IptError, match=message):
        trainer_of(job(tmp_path, "odd", side, **changes))


def test_what_is_refined_is_refined_in_turn(base, tmp_path):
    """Twice the side once more: the weights of all three, each with what is known of it, and training on with any."""
    trainer_of(job(tmp_path, "fine", refine=str(base))).run()
    export(tmp_path / "fine")
    trainer = trainer_of(job(tmp_path, "finer", 32, refine=str(tmp_path / "fine")))
    coarse = parameters(trainer, "base")
    trainer.run()
    assert same(parameters(trainer, "base"), coarse)
    export(tmp_path / "finer", "Still finer stripes (CC0).")
    prior, fine = load(tmp_path / "finer"), load(tmp_path / "fine")
    assert prior.sizes == (8, 16, 32)
    for side in (8, 16):
        noisy = torch.randn(2, 1, side, side)
        torch.testing.assert_close(prior.denoise(noisy, 0.4), fine.denoise(noisy, 0.4))
        assert uncertainty(prior, 0.7, side) == pytest.approx(uncertainty(fine, 0.7, side))
    card = (tmp_path / "finer" / "card.md").read_text()
    for told in (
        "3 networks",
        "at 8 x 8 px: U-Net",
        "detail at 16 x 16 px: U-Net",
        "detail at 32 x 32 px: U-Net",
        "Still finer",
    ):
        assert told in card
    again = trainer_of(job(tmp_path, "finer", 32, network={}))
    assert again.finished and again.network == trainer.network
    longer = {**OPTIONS, "images": 128}
    for side, name in ((32, "finer"), (16, "fine"), (8, "base")):
        told = {"start": str(tmp_path / "finer"), "network": {}, "training": longer}
        on = trainer_of(job(tmp_path, f"on{side}", side, **told))
        alone = trainer_of(job(tmp_path, f"alone{side}", side, **{**told, "start": str(tmp_path / name)}))
        assert on.origin.name == name and on.network == alone.network
        assert same(dict(on.average.network.state_dict()), dict(alone.average.network.state_dict()))


def test_the_detail_goes_on_upon_another_base(base, make_trainer, tmp_path):
    first = trainer_of(job(tmp_path, "fine", refine=str(base)))
    first.run()
    export(tmp_path / "fine")
    make_trainer("better", images=96, rate=1e-2).run()
    export(tmp_path / "better")
    options = {**OPTIONS, "images": 128}
    wanted = {"start": str(tmp_path / "fine"), "refine": str(tmp_path / "better"), "network": {}, "training": options}
    second = trainer_of(job(tmp_path, "moved", **wanted))
    halved = {name: value.half().float() for name, value in parameters(first, "detail").items()}
    assert second.images == 64 and same(parameters(second, "detail"), halved)
    weights = load(tmp_path / "better").denoiser.network.state_dict()
    coarse = {f"base.{name}": value for name, value in weights.items()}
    assert same(parameters(second, "base"), coarse)
    errors = json.loads((tmp_path / "better" / "config.json").read_text())["validation"]
    assert dict(second.network.errors) == {float(sigma): error for sigma, error in errors.items()}
    assert not second.history and second.network.errors != first.network.errors
    second.run()
    assert same(parameters(second, "base"), coarse) and not same(parameters(second, "detail"), halved)
    again = trainer_of(job(tmp_path, "moved", **wanted))
    assert again.finished and again.base.name == "better" and again.origin.name == "fine"
    with pytest.raises(IptError, match="base refines nothing, so there is no detail"):
        trainer_of(job(tmp_path, "none", start=str(base), refine=str(base)))


def test_the_command(base, tmp_path):
    np.save(tmp_path / "fine.npy", gratings(side=16))
    told = ["-o", str(tmp_path / "fine"), "--from", str(tmp_path / "fine.npy"), "--held-out", "4", "--device", "cpu"]
    sized = ["--images", "8", "--batch", "4", "--width", "8", "--set", "network.multipliers=[1, 2]"]
    done = CliRunner().invoke(cli, ["train", *told, *sized, "--refine", str(base)])
    assert done.exit_code == 0 and "refining base (sha256" in done.stderr
    assert load(tmp_path / "fine").sizes == (8, 16)
    further = ["-o", str(tmp_path / "further"), *told[2:], "--images", "16", "--batch", "4"]
    done = CliRunner().invoke(cli, ["train", *further, "--refine", str(base), "--start-from", str(tmp_path / "fine")])
    assert done.exit_code == 0 and "starting from fine (sha256" in done.stderr
    assert load(tmp_path / "further").config["base"]["name"] == "base"
