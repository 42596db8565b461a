"""Checks that the options of several priors have in common."""

from __future__ import annotations

import math

from ipt.core.errors import IptError


def check_affine(scale: float, offset: float) -> None:
    """IptError where physical = offset + scale * normalized is no invertible map of finite numbers."""
    if not math.isfinite(scale) or scale == 0 or not math.isfinite(offset):
        raise IptError(
            f"a normalization needs a finite scale that is not 0 and a finite offset, not {scale} and {offset}"
        )
