"""A measurement is the operator on the clean picture with noise, and its parameters are what the seed says."""

from __future__ import annotations

import pytest
import torch

import ipt
from ipt.core.errors import IptError, Misuse
from ipt.operators.blur import Blur
from ipt.operators.blur.kernels import GaussianKernels
from ipt.operators.compose import compose
from ipt.operators.downscale import Downscale
from ipt.operators.numbers import UniformNumbers
from ipt.operators.shake import Shake
from ipt.operators.shake.trajectories import CameraShake
from ipt.operators.turbulence import Turbulence
from ipt.operators.turbulence.tilts import TiltKolmogorov
from ipt.simulate.simulation import generator_names, generators_for, section, simulate

KERNELS = {"kernel": GaussianKernels(std=1.5)}


@pytest.fixture
def clean() -> torch.Tensor:
    return torch.rand(3, 48, 40, generator=torch.Generator().manual_seed(0))


def test_the_measurement_differs_from_the_operator_s_by_white_noise(clean):
    made = simulate(clean, Blur(9), KERNELS, 0.05, 3)
    assert made.parameters["kernel"].shape == (1, 9, 9)
    noise = made.measurement - Blur(9, "reflect").forward(clean[None], made.parameters["kernel"][None])[0]
    assert float(noise.std()) == pytest.approx(0.05, rel=0.05) and abs(float(noise.mean())) < 0.003


def test_a_cut_picture_is_measured_where_all_that_is_seen_is_real(clean):
    """What lies around the frame is the picture's own, so the measurement is smaller."""
    made = simulate(clean, Blur(9), KERNELS, 0.0, 3, cut=True)
    whole = simulate(clean, Blur(9), KERNELS, 0.0, 3)
    assert made.measurement.shape == (3, 40, 32)
    torch.testing.assert_close(made.parameters["kernel"], whole.parameters["kernel"])
    torch.testing.assert_close(made.measurement, whole.measurement[:, 4:-4, 4:-4])


@pytest.mark.parametrize(
    ("operator", "measured"),
    [
        (Blur(), (3, 48, 40)),
        (Turbulence(), (3, 48, 40)),
        (compose(Blur(), Downscale(2)), (3, 24, 20)),
        (compose(Downscale(2), Blur()), (3, 24, 20)),
        (compose(Blur(9), Downscale(2), Blur(5)), (3, 24, 20)),
        (compose(Blur(), Blur(5)), (3, 48, 40)),
    ],
    ids=["blur", "turbulence", "blur+downscale", "downscale+blur", "three", "blur+blur"],
)
def test_the_picture_is_the_frame_whatever_is_measured_of_it(operator, measured):
    """A picture that is as bright everywhere stays so: it goes on around its frame as far as is seen."""
    generators = {name: GaussianKernels(std=1.5) for name in operator.parameters(operator.image_shape(measured))}
    if "tilt" in generators:
        generators["tilt"] = TiltKolmogorov()
    made = simulate(torch.full((3, 48, 40), 0.7), operator, generators, 0.0, 3)
    torch.testing.assert_close(made.measurement, torch.full(measured, 0.7))


def test_noise_and_parameters_have_streams_of_their_own(clean):
    quiet, loud, other = (simulate(clean, Blur(9), KERNELS, *given) for given in ((0.0, 3), (0.05, 3), (0.05, 4)))
    assert torch.equal(quiet.parameters["kernel"], loud.parameters["kernel"])
    assert not torch.equal(loud.measurement - quiet.measurement, other.measurement - quiet.measurement)
    again = simulate(clean, Blur(9), KERNELS, 0.05, 3)
    assert torch.equal(again.measurement, loud.measurement)
    # The picture has no part in what is drawn.
    assert torch.equal(
        simulate(clean.flip(-1), Blur(9), KERNELS, 0, 3).parameters["kernel"], quiet.parameters["kernel"]
    )


@pytest.mark.parametrize(
    ("generators", "kind", "reason"),
    [
        ({}, IptError, "'kernel' has no generator; name one that draws it"),
        ({**KERNELS, "kernle": KERNELS["kernel"]}, Misuse, "no parameter 'kernle'; did you mean 'kernel'"),
    ],
)
def test_every_parameter_has_a_generator_and_no_other(clean, generators, kind, reason):
    with pytest.raises(kind, match=reason):
        simulate(clean, Blur(9), generators, 0, 0)


def test_a_picture_that_the_operator_does_not_take(clean):
    with pytest.raises(IptError, match="larger than the picture"):
        simulate(clean, Blur(64), KERNELS, 0, 0)


def test_a_generator_of_other_shapes(clean):
    class Wide(GaussianKernels):
        def sample(self, seeds, shape):
            return torch.ones(len(seeds), 1, 3, 3)

    with pytest.raises(IptError, match=r"Wide draws \(1, 3, 3\) where 'kernel' is \(1, 9, 9\)"):
        simulate(clean, Blur(9), {"kernel": Wide()}, 0, 0)


def test_a_generator_of_values_that_the_parameter_cannot_have(clean):
    class Dimmed(ipt.ParametricOperator):
        def parameters(self, image_shape):
            return {"share": ipt.ParameterSpec((1, 1, 1), "light that is left", range=(0, 1))}

        def forward(self, image, share):
            return share * image

    assert 0 <= float(simulate(clean, Dimmed(), {"share": UniformNumbers(0, 1)}, 0, 0).parameters["share"]) <= 1
    with pytest.raises(IptError, match=r"draws 3(\.\d+)? to 3(\.\d+)? where 'share' is 0 to 1; name one"):
        simulate(clean, Dimmed(), {"share": UniformNumbers(3, 3.01)}, 0, 0)


def test_a_generator_knows_the_size_of_the_picture():
    """A turn moves what is far from the middle: a larger picture has kernels that differ more."""
    turning = {"kernel": CameraShake(extent=1.0, rotation=5.0)}

    def apart(side):
        picture = torch.rand(1, side, side, generator=torch.Generator().manual_seed(0))
        kernels = simulate(picture, Shake(2, 9), turning, 0, 3).parameters["kernel"]
        return float((kernels - kernels.mean(0)).norm())

    assert apart(96) > 1.5 * apart(24) > 0


def test_names_of_generators():
    parameters = Blur(9).parameters((3, 48, 40))
    usual = generator_names({}, parameters)
    assert usual == {"kernel": parameters["kernel"].generator}
    assert generator_names({"image": "gaussian"}, parameters) == {"kernel": "gaussian"}
    assert generator_names({"image": "motion", "kernel": "gaussian"}, parameters) == {"kernel": "gaussian"}
    with pytest.raises(Misuse, match="no parameter 'tilt'"):
        generator_names({"tilt": "gaussian"}, parameters)


def test_settings_reach_all_generators_or_that_of_one_parameter():
    named = {"kernel": "gaussian"}
    common = generators_for(named, {"generator.std": 2.0, "operator.kernel_size": 9})["kernel"]
    own = generators_for(named, {"generator.std": 3.0, "kernel.std": 2.0})["kernel"]
    shapes = (1, 9, 9)
    assert torch.equal(common.sample([0], shapes), own.sample([0], shapes))
    with pytest.raises(Misuse, match=r"nothing is set by kernle.std; did you mean 'kernel'"):
        generators_for(named, {"kernle.std": 2.0})


def test_a_section_of_settings():
    assert section({"operator.a": 1, "operator.b.c": 2, "operators.d": 3}, "operator") == {"a": 1, "b.c": 2}
