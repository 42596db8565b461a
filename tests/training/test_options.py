"""Training options: checked when they are made."""

from __future__ import annotations

import pytest

from ipt.core.errors import IptError
from ipt.priors.unet import UNetConfig
from ipt.training.options import TrainingOptions, changed, checked


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("images", 0),
        ("batch", -1),
        ("rate", 0.0),
        ("rate", float("nan")),
        ("rate", float("inf")),
        ("warmup", -1),
        ("sigma_mean", float("inf")),
        ("sigma_std", 0.0),
        ("sigma_data", -0.5),
        ("ema", 0.0),
        ("seed", -1),
        ("precision", "fp16"),
        ("save_every", 0),
        ("validate_every", 0),
        ("validation_images", 0),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(name, value):
    with pytest.raises(IptError, match=rf"training\.{name} "):
        TrainingOptions(**{name: value})


def test_values_are_taken_by_name_and_type():
    options = checked(TrainingOptions, "training", {"images": 1e5, "rate": 1, "compile": True, "device": "cpu"})
    assert options == TrainingOptions(images=100_000, rate=1.0, compile=True)
    assert type(options.images) is int and type(options.rate) is float
    network = checked(UNetConfig, "network", {"channels": 3, "multipliers": [1, 2]})
    assert network == UNetConfig(3, multipliers=(1, 2))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"imagse": 3}, "training has no option 'imagse'; it has images, batch"),
        ({"images": "many"}, "training.images is a whole number, not 'many'"),
        ({"images": 2.5}, "training.images is a whole number, not 2.5"),
        ({"images": True}, "training.images is a whole number, not True"),
        ({"rate": "fast"}, "training.rate is a number, not 'fast'"),
        ({"compile": 1}, "training.compile is true or false, not 1"),
        ({"precision": 16}, "training.precision is text, not 16"),
    ],
)
def test_unknown_names_and_wrong_types_are_refused(values, message):
    with pytest.raises(IptError, match=message):
        checked(TrainingOptions, "training", values)


def test_a_list_must_be_one_of_whole_numbers():
    for value in (3, [], [1.5], "1,2"):
        with pytest.raises(IptError, match=r"network.multipliers is a"):
            checked(UNetConfig, "network", {"channels": 3, "multipliers": value})


def test_only_what_changes_the_result_must_stay():
    before = TrainingOptions()
    assert changed(before, TrainingOptions(images=9, compile=True, save_every=1, validate_every=1, device="cuda")) == []
    assert changed(before, TrainingOptions(ema=0.1)) == ["ema: 0.05 before, 0.1 now"]
