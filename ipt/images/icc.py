"""ICC profiles equivalent to a PNG's chunks gAMA and cHRM, for formats that have no such chunks.

References:
    International Color Consortium, "ICC.1:2001-04", sections 6.1 (header), 6.3 (matrix and grey profiles).
    Lam, "Metamerism and Colour Constancy", PhD thesis 1985: the Bradford adaptation of a white point.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_SRGB = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
"""White, red, green and blue: x and y of each (IEC 61966-2-1)."""
_USUAL = 2.2
_SAME_GAMMA, _SAME_PLACE = 0.11, 0.005
"""Differences from sRGB that are not visible; a picture without a profile is taken for sRGB."""
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def of_png(info: Mapping[Any, Any], grey: bool) -> bytes:
    """The profile of a PNG without one; empty where it is about sRGB.

    Args:
        info: As Pillow reads it: "gamma", "chromaticity", "srgb".
        grey: Whether the picture is.
    """
    gamma, places = 1 / (info.get("gamma") or 1 / _USUAL), tuple(info.get("chromaticity") or _SRGB)
    usual = abs(gamma - _USUAL) < _SAME_GAMMA and (grey or np.allclose(places, _SRGB, atol=_SAME_PLACE))
    return b"" if "srgb" in info or usual else profile(gamma, places, grey)


def profile(gamma: float, places: Sequence[float] = _SRGB, grey: bool = False) -> bytes:
    """An ICC profile of values that are light to the power 1 / `gamma`.

    Args:
        gamma: Above 0 and below 256.
        places: x and y of white, red, green and blue.
        grey: For pictures of one channel.

    Raises:
        ValueError: The four are no colours.
    """
    curve = b"curv" + struct.pack(">IIH", 0, 1, round(gamma * 256)) + b"\0\0"
    text = b"by its gamma and chromaticities\0"
    tags = {
        b"desc": b"desc" + struct.pack(">II", 0, len(text)) + text + bytes(78),
        b"cprt": b"text" + bytes(4) + b"no copyright\0",
        b"wtpt": _xyz(_D50),
    }
    if grey:
        tags[b"kTRC"] = curve
    else:
        tags |= {
            name: _xyz(colour) for name, colour in zip((b"rXYZ", b"gXYZ", b"bXYZ"), _primaries(places), strict=True)
        }
        tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    place = 128 + 4 + 12 * len(tags)
    table, bodies = struct.pack(">I", len(tags)), b""
    for name, body in tags.items():
        table += name + struct.pack(">II", place + len(bodies), len(body))
        bodies += body + bytes(-len(body) % 4)
    space = b"GRAY" if grey else b"RGB "
    header = struct.pack(">I4xI4s4s4s", place + len(bodies), 0x02400000, b"mntr", space, b"XYZ ")
    header += struct.pack(">6H4s28x", 2000, 1, 1, 0, 0, 0, b"acsp") + _fixed(_D50) + bytes(48)
    return header + table + bodies


def _primaries(places: Sequence[float]) -> np.ndarray:
    """XYZ of red, green and blue, in rows, seen in the light D50."""
    xy = np.reshape(np.asarray(places, dtype=float), (4, 2))
    if not (xy[:, 1] > 0).all():
        raise ValueError("no chromaticities")
    each = np.stack([xy[:, 0] / xy[:, 1], np.ones(4), (1 - xy.sum(1)) / xy[:, 1]], 1)
    white, colours = each[0], each[1:]
    colours = np.linalg.solve(colours.T, white)[:, None] * colours
    adapted = np.linalg.solve(_BRADFORD, np.diag((_BRADFORD @ _D50) / (_BRADFORD @ white)) @ _BRADFORD)
    return np.asarray(colours @ adapted.T)


def _xyz(colour: np.ndarray) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(colour)


def _fixed(values: np.ndarray) -> bytes:
    packed: bytes = np.rint(values * 65536).astype(">i4").tobytes()
    return packed
