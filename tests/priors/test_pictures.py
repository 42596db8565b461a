"""What a network takes, in words and as a chart."""

import pytest

from ipt.core.errors import IptError
from ipt.priors.pictures import PictureSizes, squares


def test_the_chart_is_of_the_quantity_as_it_is():
    chart = PictureSizes("net", 2, scale=3.0, offset=-1.0).normalization((2, 5, 7))
    assert (chart.shape, chart.physical_shape, chart.scale, chart.offset) == ((2, 5, 7), (2, 5, 7), 3.0, -1.0)


@pytest.mark.parametrize(
    ("sizes", "shape", "told"),
    [
        (PictureSizes("net", 1), (3, 8, 8), "net takes 1 channel, and this has 3"),
        (PictureSizes("net", 3, squares([8, 16])), (3, 16, 8), "net takes 8 x 8 or 16 x 16, not 8 x 16 px"),
        (PictureSizes("net", 3, multiple=4), (3, 8, 6), "multiples of 4, not 6 x 8 px"),
    ],
)
def test_what_it_does_not_take(sizes, shape, told):
    with pytest.raises(IptError, match=told):
        sizes.normalization(shape)


@pytest.mark.parametrize("options", [{"scale": 0.0}, {"offset": float("nan")}, {"sizes": ((8, 6),), "multiple": 4}])
def test_settings_that_make_no_chart(options):
    with pytest.raises(IptError, match="set"):
        PictureSizes("net", 3, **options)


def test_squares():
    assert squares(None) == () and squares(8) == ((8, 8),) and squares([8, 16]) == ((8, 8), (16, 16))
