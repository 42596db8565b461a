"""Published files are checked against the hub's hash and against what was used first."""

from __future__ import annotations

import hashlib
import json

import pytest
from huggingface_hub import constants

from ipt.core.errors import IptError
from ipt.priors.published import LEDGER, PUBLISHED, recorded, verified

ITEM = PUBLISHED["ffhq"]


def test_the_hash_is_written_down_at_first_use_and_compared_after(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    digest = hashlib.sha256(b"weights").hexdigest()
    # The hub's cache calls a file by its hash.
    place, ledger = tmp_path / digest, tmp_path / LEDGER
    assert recorded(ITEM) is None
    verified(ITEM, place, digest)
    assert recorded(ITEM) == digest and json.loads(ledger.read_text()) == {ITEM.key: digest}
    with pytest.raises(IptError, match=r"is damaged .*\n.*ipt weights get ffhq --again"):
        verified(ITEM, place, "1" * 64)
    ledger.write_text(json.dumps({ITEM.key: "0" * 64}))
    with pytest.raises(IptError, match="not the file that was used first"):
        verified(ITEM, place, digest)
    ledger.write_text("{")
    with pytest.raises(IptError, match=LEDGER):
        verified(ITEM, place, digest)
