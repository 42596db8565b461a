"""Clean pictures, and the true parameters beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ipt.core.errors import IptError
from ipt.images.files import write
from ipt.solve.truth import read_truth, truth_file


def test_the_truth_of_a_name(tmp_path: Path) -> None:
    write(tmp_path / "a.png", torch.rand(3, 16, 16))
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.png").read_bytes())
    assert truth_file(tmp_path, "a", ".jpg").name == "a.jpg" and truth_file(tmp_path, "a").name == "a.png"
    assert truth_file(tmp_path / "a.png", "other") == tmp_path / "a.png"
    with pytest.raises(IptError, match="has no picture called b"):
        truth_file(tmp_path, "b")


def test_parameters_that_are_there_are_read(tmp_path: Path) -> None:
    write(tmp_path / "a.png", torch.rand(3, 16, 16))
    np.save(tmp_path / "a.kernel.npy", np.ones((5, 5)))
    truth = read_truth(tmp_path / "a.png", ["kernel", "tilt"])
    assert truth.picture.shape == (3, 16, 16) and set(truth.parameters) == {"kernel"}
