"""Shards: the share of a folder's pictures that a process solves, such as 3/64, given or set by torchrun or Slurm.

Shards count from 1, so 1/64 is the first and 64/64 the last. Shard k of n has the pictures k, k + n, k + 2 n, ... in
the order of their names. Environments count from 0: torchrun's RANK 0 is shard 1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ipt.core.errors import IptError

Item = TypeVar("Item")
NONE = "none"
ASKED = "as asked"


@dataclass(frozen=True)
class Shard:
    """A share of a folder.

    Attributes:
        number: of the shard, from 1.
        count: of shards.
        origin: what set it, for messages; "" for the default, all of the folder.
    """

    number: int = 1
    count: int = 1
    origin: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise ValueError(f"a shard is K/N with K from 1 to N, not {self}")

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def of(self, items: Sequence[Item]) -> list[Item]:
        """This shard's share of the items."""
        return list(items[self.number - 1 :: self.count])


def parsed(text: str) -> Shard:
    """The shard of a text such as "3/64", or "none" for the whole folder; ValueError for other texts."""
    if text == NONE:
        return Shard(origin=ASKED)
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if found is None:
        raise ValueError(f"a shard is K/N, not {text!r}")
    return Shard(int(found[1]), int(found[2]), ASKED)


def shard_from(environment: Mapping[str, str]) -> Shard:
    """The shard that the environment sets.

    It is torchrun's rank; else the task of a Slurm array, combined with that of a Slurm step; else the whole folder.

    Raises:
        IptError: the environment's values are no shard.
    """
    if "RANK" in environment and "WORLD_SIZE" in environment:
        return _shard(environment, "torchrun", *_pair(environment, "RANK", "WORLD_SIZE"), ("RANK", "WORLD_SIZE"))
    position, count, names = 0, 1, []
    if "SLURM_ARRAY_TASK_ID" in environment and "SLURM_ARRAY_TASK_COUNT" in environment:
        position, count = _place_in_array(environment)
        names += ["SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT"]
    if "SLURM_PROCID" in environment and "SLURM_NTASKS" in environment:
        task, tasks = _pair(environment, "SLURM_PROCID", "SLURM_NTASKS")
        position, count = position * tasks + task, count * tasks
        names += ["SLURM_PROCID", "SLURM_NTASKS"]
    return _shard(environment, "Slurm", position, count, names)


def under_torchrun(environment: Mapping[str, str]) -> bool:
    """Whether torchrun started this process, which ends all ranks when one exits with an error."""
    return "TORCHELASTIC_RUN_ID" in environment or {"RANK", "WORLD_SIZE"} <= environment.keys()


def _place_in_array(environment: Mapping[str, str]) -> tuple[int, int]:
    """Position (from 0) and count of a Slurm array's task; arrays may start at any number and have a stride."""
    number, count = _pair(environment, "SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT")
    first = _whole(environment, "SLURM_ARRAY_TASK_MIN", 0)
    step = max(1, _whole(environment, "SLURM_ARRAY_TASK_STEP", 1))
    last = _whole(environment, "SLURM_ARRAY_TASK_MAX", first + step * (count - 1))
    if last != first + step * (count - 1) or (number - first) % step:
        raise IptError(
            f"this Slurm array has {count} tasks between {first} and {last} that are not evenly spaced; "
            f"use an array such as 1-{count}, or give shard=K/N"
        )
    return (number - first) // step, count


def _shard(environment: Mapping[str, str], who: str, position: int, count: int, names: Sequence[str]) -> Shard:
    values = ", ".join(f"{name}={environment[name]}" for name in names)
    try:
        return Shard(position + 1, count, f"{who}: {values}" if names else "")
    except ValueError:
        raise IptError(
            f"{who} says {values}, which is not a shard; correct the environment, or give shard=K/N or shard=none"
        ) from None


def _pair(environment: Mapping[str, str], first: str, second: str) -> tuple[int, int]:
    return _whole(environment, first), _whole(environment, second)


def _whole(environment: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = environment.get(name)
    if text is None and default is not None:
        return default
    if text is None or not text.isascii() or not text.isdigit():
        raise IptError(f"{name} in the environment is {text!r}, not a number from 0 up; give shard=K/N, or none")
    return int(text)
