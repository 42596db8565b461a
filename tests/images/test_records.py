"""Records as text, and the names of what results depend on."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import ipt
from ipt.core.errors import IptError
from ipt.images.records import file_hash, identity, json_text, versions, write_run_yaml


def test_run_yaml_reads_back(tmp_path: Path) -> None:
    path = write_run_yaml(tmp_path, {"operator": "blur", "noise": 0.01, "size": (3, 5), "from": Path("a")})
    assert yaml.safe_load(path.read_text()) == {"operator": "blur", "noise": 0.01, "size": [3, 5], "from": "a"}
    assert list(yaml.safe_load(path.read_text())) == ["operator", "noise", "size", "from"]


def test_a_record_is_standard_json() -> None:
    record = {"a": torch.ones(2), "b": np.float32(0.5), "c": math.nan, "d": (1, True, None), "e": Path("f"), 3: "é"}
    text = json_text(record)
    assert json.loads(text) == {"a": [1, 1], "b": 0.5, "c": None, "d": [1, True, None], "e": "f", "3": "é"}
    assert "é" in text and text.endswith("\n")


def test_equal_values_have_one_identity() -> None:
    assert identity({"a": 1, "b": [2]}) == identity({"b": [2], "a": 1}) != identity({"a": 1, "b": [3]})
    assert len(identity({})) == 32


def test_hashes_and_versions(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert file_hash(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
    with pytest.raises(IptError, match="cannot be read"):
        file_hash(tmp_path / "b")
    assert versions()["ipt"] == ipt.__version__ and set(versions()) == {"ipt", "torch", "numpy", "python"}
