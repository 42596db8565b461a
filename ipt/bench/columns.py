"""What the numbers of a benchmark are called, how they are written, and which way is better."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

SECTIONS = ("Quality", "Parameters", "Calibration", "Cost")


@dataclass(frozen=True)
class Column:
    """A number of a benchmark.

    Attributes:
        form: Of `format`.
        better: "high", "low", or "" where neither is.
        interval: Whether its mean has one that says something.
        scale: From the row to the tables.
    """

    key: str
    title: str
    section: str
    form: str = ".3f"
    better: str = ""
    interval: bool = True
    scale: float = 1.0

    def written(self, value: float) -> str:
        """As the tables have it."""
        return format(self.scale * value, self.form)


_FIXED = (
    Column("psnr", "PSNR, dB", "Quality", ".2f", "high"),
    Column("ssim", "SSIM", "Quality", ".3f", "high"),
    Column("lpips", "LPIPS (VGG)", "Quality", ".3f", "low"),
    Column("fid", "FID", "Quality", ".1f", "low", interval=False),
    Column("psnr_registered", "PSNR inside, registered", "Quality", ".2f", "high"),
    Column("drift_cost", "cost of drift, dB", "Quality", ".2f", "low"),
    Column("drift", "drift, px", "Quality", ".2f", "low"),
    Column("tilt_error", "tilt error, px", "Parameters", ".3f", "low"),
    Column("tilt_error_registered", "tilt error, registered", "Parameters", ".3f", "low"),
    Column("residual", "residual / noise", "Cost", ".2f"),
    Column("calls", "network calls", "Cost", ".0f", "low", interval=False),
    Column("seconds", "seconds", "Cost", ".2f", "low", interval=False),
    Column("memory", "peak memory, MiB", "Cost", ".0f", "low", interval=False, scale=2**-20),
)
# After the name of an unknown.
_OF_AN_UNKNOWN = (
    Column("_mse", "{} MSE", "Parameters", ".2e", "low"),
    Column("_mse_registered", "{} MSE, registered", "Parameters", ".2e", "low"),
    Column("_mnc", "{} MNC", "Parameters", ".3f", "high"),
    Column("_mnc_unregistered", "{} MNC, unregistered", "Parameters", ".3f", "high"),
    Column("_coverage_50", "{} coverage, 50 %", "Calibration", ".3f"),
    Column("_coverage_90", "{} coverage, 90 %", "Calibration", ".3f"),
    Column("_rank_f", "{} ranks, F", "Calibration", ".2f", interval=False),
    Column("_rank_p", "{} ranks, p", "Calibration", ".2g", interval=False),
)


def columns(keys: Iterable[str]) -> list[Column]:
    """The columns of those keys that have one, in the order of the tables."""
    wanted = list(dict.fromkeys(keys))
    found = [column for column in _FIXED if column.key in wanted]
    fixed = {column.key for column in found}
    for key in (key for key in wanted if key not in fixed):
        matches = [column for column in _OF_AN_UNKNOWN if key.endswith(column.key)]
        if matches:
            column = max(matches, key=lambda match: len(match.key))
            found.append(replace(column, key=key, title=column.title.format(key.removesuffix(column.key))))
    return found


def by_section(found: Sequence[Column]) -> Mapping[str, list[Column]]:
    """Those sections that have columns, in order."""
    groups = {section: [column for column in found if column.section == section] for section in SECTIONS}
    return {section: group for section, group in groups.items() if group}
