"""What a benchmark measures of its own work."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

_MEASURED = """
import json
import numpy as np
from ipt.bench.attempts import PeakMemory

before = PeakMemory("cpu")
empty = before.bytes()
block = np.ones(8 * 2**20)
large = before.bytes()
del block
print(json.dumps([empty, large, PeakMemory("cpu").bytes()]))
"""


def test_the_peak_is_of_what_happened_since():
    """In a process of its own: one that has run for long keeps what it frees."""
    done = subprocess.run([sys.executable, "-c", _MEASURED], capture_output=True, text=True, check=True, timeout=120)
    empty, large, after = json.loads(done.stdout)
    if empty is None:
        pytest.skip("this system does not tell")
    assert large - empty > 48 * 2**20 and large - after > 48 * 2**20
