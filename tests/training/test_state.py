"""The state on disk: what reads it, what it refuses, and that it is whole."""

from __future__ import annotations

import pytest
import torch

from ipt.core.errors import IptError


def test_a_state_written_before_examples_were_recorded_continues(make_trainer, tmp_path):
    make_trainer(images=32).run()
    path = tmp_path / "out" / "state.pt"
    state = torch.load(path, weights_only=True)
    del state["source"], state["examples"]
    torch.save(state, path)
    older = make_trainer(images=64)
    older.run()
    assert older.finished
    torch.save({"weights": torch.ones(3)}, path)
    with pytest.raises(IptError, match="not a readable state"):
        make_trainer()
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(IptError, match="Move it away to start a new training"):
        make_trainer()


def test_a_state_that_cannot_be_written_is_an_error_that_names_it(make_trainer, monkeypatch, tmp_path):
    trainer = make_trainer(save_every=8)
    steps = trainer.steps()
    next(steps), next(steps)
    before = (tmp_path / "out" / "state.pt").read_bytes()

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(IptError, match=r"state.pt cannot be written .*No space left"):
        list(steps)
    assert (tmp_path / "out" / "state.pt").read_bytes() == before
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["state.pt"]
