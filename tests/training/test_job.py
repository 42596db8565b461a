"""The description of a training."""

from __future__ import annotations

import pytest
import torch

from ipt.core.errors import IptError
from ipt.training.job import device, trainer

NETWORK = {"width": 8, "multipliers": [1, 2]}


def test_any_generator_by_module_and_attribute(tmp_path):
    job = {
        "out": tmp_path,
        "source": {"generator": "ipt.operators.blur.kernels:GaussianKernels", "options": {"std": [1, 2]}, "sizes": [8]},
        "network": NETWORK,
    }
    made = trainer(job)
    assert made.source.generator.std == (1, 2)
    assert made.source.identity()["generator"] == "ipt.operators.blur.kernels:GaussianKernels (std=[1, 2])"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sources": {}}, "has no 'sources'; it has out, source"),
        ({"out": ""}, "lacks 'out'"),
        ({"source": {"generator": "kernels", "pictures": "x"}}, "give one of the three"),
        (
            {"source": {"generator": "kernel"}},
            "no generator 'kernel'; there are motion, gaussian, defocus, shake, line, box, kernels",
        ),
        ({"source": {"generator": "nowhere:thing"}}, "cannot be imported"),
        ({"source": {"generator": "motion", "options": {"speed": 3}}}, "'motion' refuses its options .*speed"),
        ({"source": {"generator": "motion", "options": {"intensity": [3, 4]}}}, "'motion' refuses its options"),
        ({"source": {"generator": "motion", "held_out": 3}}, "source has no option 'held_out'"),
        ({"source": {"pictures": "missing", "sizes": [8]}}, "source has no option 'sizes'"),
        ({"network": {"channels": 3}}, "network.channels are those of the training examples"),
        ({"network": {"width": 0}}, "at least 1"),
        ({"network": 48}, "network is a table"),
        ({"training": {"rate": -1}}, "training.rate is a number above 0"),
        ({"training": {"device": "gpu"}}, "no device 'gpu' here"),
    ],
)
def test_a_description_that_makes_no_sense_is_refused(tmp_path, changes, message):
    job = {"out": tmp_path / "out", "source": {"generator": "kernels"}, **changes}
    with pytest.raises(IptError, match=message):
        trainer(job)
    assert not (tmp_path / "out").exists()


def test_the_best_device_is_found():
    assert device("cpu") == "cpu"
    assert device("auto") in ("cpu", "cuda", "mps")
    if torch.cuda.is_available():
        assert device("auto") == "cuda"
