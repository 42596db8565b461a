"""A check that the values of a picture lie about 0..1, and not in another range such as 0..255."""

from __future__ import annotations

import numpy as np

from ipt.core.errors import IptError

_NEARLY = 0.1
"""How far noise may reach beyond 0..1; with another scale or offset a larger share than `_MOST_BEYOND` lies beyond."""
_MOST_BEYOND = 0.01
_NEVER = 1.0
"""How far no single value of a picture lies beyond 0..1."""


def check_range(values: np.ndarray, noise: float = 0.0) -> None:
    """Check that floats lie about 0..1; arrays with values that are not finite pass.

    Args:
        values: The floats, of any shape.
        noise: Standard deviation of their noise, if it is known to be large.

    Raises:
        ValueError: A value is far outside, or more than a hundredth of them is outside.
    """
    if not np.isfinite(values).all():
        return
    low, high = float(values.min()), float(values.max())
    near, far = _NEARLY + 4 * noise, _NEVER + 8 * noise
    beyond = float(((values < -near) | (values > 1 + near)).mean())
    if low < -far or high > 1 + far or beyond > _MOST_BEYOND:
        raise ValueError(
            f"its floats run from {low:.4g} to {high:.4g}, and pictures from 0 (black) to 1 (white); scale them to "
            f"0..1, as by (x {'+' if low < 0 else '-'} {abs(low):.4g}) / {high - low:.4g}"
        )


def check_picture(name: str, values: np.ndarray, noise: float = 0.0, otherwise: str = "") -> None:
    """`check_range` for the picture called `name`, as an IptError; otherwise: another remedy, for its message."""
    try:
        check_range(values, noise)
    except ValueError as error:
        advice = f"; or {otherwise}" if otherwise else ""
        raise IptError(f"{name} cannot be used: {error}{advice}") from error
