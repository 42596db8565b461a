"""The picture that is always at hand, degraded by any operator."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from ipt.core.abilities import MeasurementSpec, PhysicalUnits
from ipt.core.errors import IptError
from ipt.core.operator import ParameterSpec, ParametricOperator
from ipt.operators.blur import Blur
from ipt.operators.compose import compose
from ipt.operators.downscale import Downscale
from ipt.operators.turbulence import Turbulence
from ipt.plugins.building import build_component
from ipt.priors.analytic import GaussianPrior
from ipt.solve.example import GIVEN, NOISE, example, face


class Gain(ParametricOperator):
    """Of a plugin, with no generator."""

    def parameters(self, image_shape):
        return {"gain": ParameterSpec((1, 1, 1), "factor", "", "box")}

    def forward(self, image, gain):
        return gain * image


class Spectrum(ParametricOperator, PhysicalUnits):
    """Real and imaginary parts: twice the channels of the image."""

    def measured(self):
        return MeasurementSpec("spectrum", is_complex=True, noise=0.5)

    def image_shape(self, measurement_shape):
        return measurement_shape[0] // 2, *measurement_shape[1:]

    def parameters(self, image_shape):
        return {}

    def forward(self, image):
        found = torch.fft.fft2(image, norm="ortho")
        return torch.cat([found.real, found.imag], 1)


@dataclass
class Bands(ParametricOperator):
    """Pictures of a number of channels alone, seen as their mean."""

    count: int

    def image_shape(self, measurement_shape):
        return self.count, *measurement_shape[1:]

    def parameters(self, image_shape):
        return {}

    def forward(self, image):
        return image.mean(1, keepdim=True)


class GreyOnly(GaussianPrior):
    def normalization(self, shape):
        if shape != (1, 48, 48):
            raise ValueError("it takes (1, 48, 48)")
        return super().normalization(shape)


class Refusing(Spectrum):
    def parameters(self, image_shape):
        raise ValueError("no more than 4 px")


@pytest.mark.parametrize(
    ("operator", "image", "measured"),
    [
        (Spectrum(), (3, 128, 128), (6, 128, 128)),
        (Bands(1), (1, 128, 128), (1, 128, 128)),
        (Bands(3), (3, 128, 128), (1, 128, 128)),
        (compose(Blur(), Spectrum()), (3, 128, 128), (6, 128, 128)),
    ],
)
def test_the_measurement_may_have_other_channels(operator, image, measured):
    found = example(GaussianPrior(), operator, 0)
    assert found.truth.picture.shape == image and found.exposures[0].shape == measured
    assert not isinstance(operator, Spectrum) or found.noise == 0.5


def test_a_prior_of_grey_pictures_gets_the_face_in_grey():
    found = example(GreyOnly(), Blur(border="circular"), 0)
    assert torch.equal(found.truth.picture.pixels, face(48).mean(0, keepdim=True))


def residual_level(found, operator):
    """Standard deviation of what each exposure has besides the operator's measurement of the truth, where not cut off.

    The image is the frame alone: for operators that see nothing around it.
    """
    levels = []
    for number, measured in enumerate(found.exposures):
        several = len(found.exposures) > 1
        true = found.truth.parameters.items()
        own = {name: value[number] if several and value.ndim == 4 else value for name, value in true}
        sharp = operator.forward(found.truth.picture.pixels[None], **{name: one[None] for name, one in own.items()})[0]
        assert measured.pixels.shape == sharp.shape
        inside = (measured.pixels > 0) & (measured.pixels < 1)
        levels.append(float((measured.pixels - sharp)[inside].std()))
    return levels


def test_the_face_is_whole_at_any_size():
    small, large = face(64), face(256)
    assert small.shape == (3, 64, 64) and large.shape == (3, 256, 256)
    assert small.min() >= 0 and small.max() <= 1
    shrunk = torch.nn.functional.interpolate(large[None], 64, mode="area")[0]
    assert (shrunk - small).abs().mean() < 0.02
    # The eyes, a third from the top and a third of the width apart, are darker than the cheeks below them.
    for column in (21, 42):
        assert small[:, 19:24, column - 2 : column + 3].min() < 0.35 < small[:, 28:32, column].min()


def test_it_is_degraded_as_the_seed_says_and_the_truth_is_kept():
    operator = Blur(border="circular")
    found = example(GaussianPrior(), operator, 3)
    (measured,) = found.exposures
    assert measured.shape == (3, 128, 128) and measured.depth == found.truth.picture.depth == 16
    assert torch.equal(found.truth.picture.pixels, face(128)) and found.origins == {"kernel": "motion"}
    assert residual_level(found, operator) == [pytest.approx(NOISE, rel=0.05)]
    assert torch.equal(example(GaussianPrior(), operator, 3).exposures[0].pixels, measured.pixels)
    assert not torch.equal(example(GaussianPrior(), operator, 4).exposures[0].pixels, measured.pixels)


def test_a_camera_s_motion_goes_over_a_tenth_to_a_fifth_of_it_and_stays_in_the_kernel():
    for size, least, most in ((None, 12, 27), (7, 2, 7)):
        kernel = example(GaussianPrior(), Blur(kernel_size=size), 0).truth.parameters["kernel"]
        rows, columns = (kernel[0] > 0.01 * kernel.max()).nonzero(as_tuple=True)
        assert least <= max(int(one.max() - one.min()) + 1 for one in (rows, columns)) <= most


@pytest.mark.parametrize(("prior", "side"), [("faces", 128), ("faces256", 256), ("natural", 128)])
def test_it_is_of_the_prior_s_size(prior, side):
    found = example(build_component("prior", prior), Blur(), 0)
    assert found.truth.picture.shape == found.exposures[0].shape == (3, side, side)
    assert (found.truth.picture.pixels - face(side)).abs().mean() < 0.02


def test_what_lies_around_the_face_is_the_photograph_as_far_as_that_goes():
    operator = Blur()
    found = example(GaussianPrior(), operator, 0)
    image = face(128, 16)[None]
    sharp = operator.forward(image, kernel=found.truth.parameters["kernel"][None])[0]
    assert sharp.shape == (3, 128, 128)
    inside = (found.exposures[0].pixels > 0) & (found.exposures[0].pixels < 1)
    assert float((found.exposures[0].pixels - sharp)[inside].std()) == pytest.approx(NOISE, rel=0.05)
    # Half of the face's height beyond its top, there is no photograph any more.
    far = example(GaussianPrior(), Blur(kernel_size=127), 0)
    assert far.exposures[0].shape == (3, 128, 128) and torch.equal(far.truth.picture.pixels, face(128))


def test_turbulence_is_drawn_by_its_own_generators_for_every_exposure_anew():
    operator = Turbulence(border="circular")
    found = example(GaussianPrior(), operator, 0, frames=3)
    assert found.origins == {"kernel": "atmosphere", "tilt": "tilt-kolmogorov"}
    assert len(found.exposures) == 3 and found.truth.parameters["tilt"].shape == (3, 2, 128, 128)
    tilts, kernels = found.truth.parameters["tilt"], found.truth.parameters["kernel"]
    assert (tilts[0] - tilts[1]).abs().max() > 0.1 and kernels.ndim == 3
    assert residual_level(found, operator) == [pytest.approx(NOISE, rel=0.05)] * 3
    (single,) = example(GaussianPrior(), operator, 0).exposures
    assert not torch.equal(single.pixels, found.exposures[0].pixels)


@pytest.mark.parametrize(
    ("operator", "side", "measured"),
    [
        (Downscale(4), 128, 32),
        (Downscale(3), 126, 42),
        (compose(Blur(border="circular"), Downscale(2)), 128, 64),
        (compose(Downscale(2), Blur(border="circular")), 128, 64),
    ],
)
def test_the_image_has_the_size_where_the_measurement_has_another(operator, side, measured):
    found = example(GaussianPrior(), operator, 0)
    assert found.truth.picture.shape == (3, side, side) and found.exposures[0].shape == (3, measured, measured)
    assert residual_level(found, operator) == [pytest.approx(NOISE, rel=0.1)]


def test_a_chain_that_sees_beyond_the_frame():
    found = example(GaussianPrior(), compose(Blur(), Downscale(2)), 0)
    assert found.truth.picture.shape == (3, 128, 128) and found.exposures[0].shape == (3, 64, 64)
    assert found.truth.parameters["kernel"].shape == (1, 32, 32)


def test_what_is_known_is_not_drawn():
    kernel = torch.zeros(1, 3, 5)
    kernel[0, 1, 1:4] = 1 / 3
    found = example(GaussianPrior(), Blur(border="circular"), 0, known={"kernel": kernel})
    assert torch.equal(found.truth.parameters["kernel"], kernel) and found.origins == {"kernel": GIVEN}
    assert residual_level(found, Blur(border="circular", kernel_size=(3, 5))) == [pytest.approx(NOISE, rel=0.05)]
    each = torch.linspace(0.5, 1, 2).reshape(2, 1, 1, 1)
    dimmed = example(GaussianPrior(), Gain(), 0, frames=2, known={"gain": each})
    assert torch.equal(dimmed.truth.parameters["gain"], each)
    assert residual_level(dimmed, Gain()) == [pytest.approx(NOISE, rel=0.05)] * 2


def test_what_it_is_in_a_sentence():
    operator = Turbulence(kernel_size=3)
    found = example(GaussianPrior(), operator, 0, frames=2, known={"kernel": torch.ones(1, 3, 3) / 9})
    assert found.description("turbulence") == (
        "No INPUT: the example is 2 exposures of a face of 128 x 128 px (Eileen Collins, NASA, public domain), "
        "degraded here by turbulence (kernel given, tilt from tilt-kolmogorov) with noise 0.01, and compared with the "
        "truth."
    )
    assert "degraded here by downscale:4 with noise" in example(GaussianPrior(), Downscale(4), 0).description(
        "downscale:4"
    )


@pytest.mark.parametrize(
    ("prior", "operator", "said"),
    [
        (GaussianPrior(mean=torch.zeros(2, 32, 32)), Blur(), "in colour or grey, which this prior does not take"),
        (
            GaussianPrior(mean=torch.zeros(3, 32, 32)),
            Downscale(3),
            r"has the shape \(3, 30, 30\), where the picture has \(3, 32, 32\)\nGive an INPUT, or another prior=",
        ),
        (GaussianPrior(), Bands(5), r"its image has the shape \(5, 128, 128\), where the picture has \(3, 128, 128\)"),
        (
            GaussianPrior(),
            Refusing(),
            r"a picture of \(3, 128, 128\) is refused \(no more .*\)\nGive an INPUT\.$",
        ),
        (
            GaussianPrior(),
            Gain(),
            r"'gain' has no usual generator; give its value \(known=gain=FILE.npy\), or give an INPUT",
        ),
        (GaussianPrior(), Blur(kernel_size=300), "larger than the picture"),
    ],
)
def test_where_there_is_no_example(prior, operator, said):
    with pytest.raises(IptError, match=said):
        example(prior, operator, 0)
