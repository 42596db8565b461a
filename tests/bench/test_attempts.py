from __future__ import annotations

import numpy as np
import pytest

from ipt.bench.attempts import PeakMemory


def test_the_peak_is_of_what_happened_since():
    before = PeakMemory("cpu")
    if before.bytes() is None:
        pytest.skip("this system does not tell")
    block = np.ones(8 * 2**20)
    large = before.bytes()
    assert large is not None and block.nbytes == 64 * 2**20
    del block
    after = PeakMemory("cpu").bytes()
    assert after is not None and large - after > 48 * 2**20
