"""Which pictures are a process's own."""

from __future__ import annotations

import pytest

from ipt.cli.errors import message_of
from ipt.core.errors import IptError
from ipt.folder.shards import parsed, shard_from, under_torchrun


@pytest.mark.parametrize("count", [1, 2, 3, 7, 20])
def test_shards_have_every_picture_once_and_are_even(count):
    items = list(range(13))
    shares = [parsed(f"{number}/{count}").of(items) for number in range(1, count + 1)]
    assert sorted(item for share in shares for item in share) == items
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("text", ["0/4", "5/4", "4", "a/b", "1/0", "-1/4", "1/4/2", "", "1.5/4", "None"])
def test_what_is_no_shard(text):
    with pytest.raises(ValueError, match="shard"):
        parsed(text)


def array(number: int, count: int, first: int = 0, step: int = 1) -> dict[str, str]:
    names = ("ID", "COUNT", "MIN", "MAX", "STEP")
    values = (number, count, first, first + step * (count - 1), step)
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in zip(names, values, strict=True)}


@pytest.mark.parametrize(
    ("environment", "number", "count"),
    [
        ({}, 1, 1),
        ({"RANK": "0", "WORLD_SIZE": "4"}, 1, 4),
        ({"RANK": "3", "WORLD_SIZE": "4"}, 4, 4),
        ({"RANK": "3"}, 1, 1),
        (array(0, 10), 1, 10),
        (array(10, 10, first=1), 10, 10),
        (array(9, 4, first=3, step=2), 4, 4),
        ({"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_COUNT": "8"}, 8, 8),
        ({"SLURM_PROCID": "2", "SLURM_NTASKS": "3"}, 3, 3),
        ({**array(2, 4, first=1), "SLURM_PROCID": "2", "SLURM_NTASKS": "3"}, 6, 12),
        ({**array(2, 4), "RANK": "1", "WORLD_SIZE": "2"}, 2, 2),
    ],
)
def test_the_environment(environment, number, count):
    found = shard_from(environment)
    assert (found.number, found.count) == (number, count)
    assert bool(found.origin) == (count > 1)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"RANK": "4", "WORLD_SIZE": "4"}, "RANK=4, WORLD_SIZE=4"),
        ({"RANK": "x", "WORLD_SIZE": "4"}, "RANK in the environment is 'x'"),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "0"}, "SLURM_NTASKS=0"),
        ({**array(5, 3), "SLURM_ARRAY_TASK_MAX": "7"}, "not evenly spaced"),
        ({**array(2, 4, step=2), "SLURM_ARRAY_TASK_ID": "3"}, "not evenly spaced"),
    ],
)
def test_an_environment_that_cannot_be(environment, said):
    with pytest.raises(IptError) as caught:
        shard_from(environment)
    assert said in str(caught.value) and "--shard K/N" in message_of(caught.value)


def test_torchrun():
    assert under_torchrun({"RANK": "0", "WORLD_SIZE": "2"}) and under_torchrun({"TORCHELASTIC_RUN_ID": "a"})
    assert not under_torchrun(array(0, 10)) and not under_torchrun({})
