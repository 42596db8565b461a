"""One folder, one set of options."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ipt.cli.errors import message_of
from ipt.core.errors import IptError
from ipt.folder import pins
from ipt.plugins.scalars import load_yaml
from ipt.solve.options import PINNED


def test_what_differs_is_refused_with_the_difference(options, tmp_path: Path) -> None:
    wanted = pins.pins(options, {})
    pins.check(tmp_path, wanted, force=False)
    pins.write(tmp_path, wanted)
    written = load_yaml((tmp_path / "run.yaml").read_text())
    assert written["noise"] == 0.02 and {"ipt", "torch", "numpy"} <= set(written[PINNED]["versions"])
    elsewhere = replace(options, input=(Path("/elsewhere"),), recursive=True, device="cuda")
    pins.check(tmp_path, pins.pins(elsewhere, {}), force=False)
    other = replace(options, seed=3, set={"operator.kernel_size": 9}, noise=None)
    with pytest.raises(IptError) as caught:
        pins.check(tmp_path, pins.pins(other, {}), force=False)
    text = message_of(caught.value)
    assert "noise 0.02 -> auto, seed 0 -> 3, set.operator.kernel_size 7 -> 9" in text and "--force" in text
    pins.check(tmp_path, pins.pins(other, {}), force=True)


def test_what_is_the_same_is_left_alone(options, tmp_path: Path) -> None:
    pins.write(tmp_path, pins.pins(options, {}))
    before = (tmp_path / "run.yaml").stat().st_mtime_ns
    pins.write(tmp_path, pins.pins(options, {}))
    assert (tmp_path / "run.yaml").stat().st_mtime_ns == before


def test_a_file_of_somebody_else(options, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("- no options\n")
    with pytest.raises(IptError, match="holds no options of a run"):
        pins.check(tmp_path, pins.pins(options, {}), force=False)
