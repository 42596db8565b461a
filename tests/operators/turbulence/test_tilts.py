"""Tilt generators: what they draw has the statistics that they tell, a field at a time."""

from __future__ import annotations

import math

import pytest
import torch

from ipt.core.errors import IptError
from ipt.operators.turbulence.tilts import TiltKolmogorov, TiltPatches

GENERATORS = {
    "Kolmogorov": TiltKolmogorov(),
    "Kolmogorov, far": TiltKolmogorov(distance=2e4),
    "patches": TiltPatches(),
    "rough patches": TiltPatches(sigma=0.4, size=20),
}
each_generator = pytest.mark.parametrize("generator", GENERATORS.values(), ids=GENERATORS.keys())
LAGS = [(0, 0), (1, 0), (0, 1), (3, 3), (0, 9), (11, -4)]


def covariance(fields, down, right):
    """Over all fields and all pairs of pixels a lag apart, (2, 2), and its standard error over fields."""
    height, width = fields.shape[-2:]
    first = fields[..., max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)]
    other = fields[..., max(-down, 0) : height + min(-down, 0), max(-right, 0) : width + min(-right, 0)]
    each = torch.einsum("bihw,bjhw->bij", first.double(), other.double()) / first[0, 0].numel()
    return each.mean(0), each.std(0) / len(each) ** 0.5


@each_generator
def test_the_covariance_is_what_the_field_tells(generator):
    fields = generator.sample(range(600), (2, 20, 28))
    for lag in LAGS:
        found, error = covariance(fields, *lag)
        wanted = generator.field.covariance(torch.tensor(lag[0]), torch.tensor(lag[1]))
        assert ((found - wanted).abs() < 4.5 * error + 0.004 * generator.field.rms**2).all(), (lag, found, wanted)


@each_generator
def test_a_field_depends_on_its_own_seed_alone(generator):
    seeds = [5, 2**40 + 7, 11]
    together = generator.sample(seeds, (2, 12, 17))
    alone = torch.cat([generator.sample([seed], (2, 12, 17)) for seed in seeds])
    assert together.shape == (3, 2, 12, 17) and together.dtype == torch.float32
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(generator.sample(seeds[::-1], (2, 12, 17)).flip(0), together, atol=1e-5, rtol=0)
    assert (together[0] - together[1]).abs().max() > 0.1


@each_generator
def test_the_global_random_generator_is_neither_read_nor_moved(generator):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = generator.sample([4], (2, 9, 9))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(generator.sample([4], (2, 9, 9)), first)


def test_a_long_list_of_seeds_is_drawn_in_parts(monkeypatch):
    whole = TiltKolmogorov().sample(range(5), (2, 8, 8)), TiltPatches().sample(range(5), (2, 8, 8))
    monkeypatch.setattr("ipt.operators.turbulence.kolmogorov._CHUNK", 3000)
    monkeypatch.setattr("ipt.operators.turbulence.tilts._CHUNK", 128)
    torch.testing.assert_close(TiltKolmogorov().sample(range(5), (2, 8, 8)), whole[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(TiltPatches().sample(range(5), (2, 8, 8)), whole[1], atol=1e-6, rtol=0)


def test_the_published_patches():
    """Drawn one by one and smoothed each for itself, they have the same variance everywhere."""
    numbers = torch.Generator().manual_seed(0)
    place = torch.arange(-3, 4, dtype=torch.float64)
    taps = torch.exp(-0.5 * place**2)
    window = (torch.outer(taps, taps) / taps.sum() ** 2).float()[None, None]
    total, count = torch.zeros(256, 256), 12
    for _ in range(count):
        field = torch.zeros(256, 256)
        corners = torch.randint(0, 192, (500, 2), generator=numbers).tolist()
        strengths = 0.1 + 0.3 * torch.rand(500, generator=numbers)
        noise = torch.randn(500, 1, 64, 64, generator=numbers)
        smooth = torch.nn.functional.conv2d(noise, window, padding="same")[:, 0] * strengths[:, None, None]
        for (top, left), patch in zip(corners, smooth, strict=True):
            field[top : top + 64, left : left + 64] += patch
        total += field.square() / count
    found = TiltPatches().sample(range(12), (2, 256, 256)).square().mean((0, 1))
    wanted = TiltPatches().field.strength ** 2
    for region in ((slice(64, 192), slice(64, 192)), (slice(8, 40), slice(64, 192)), (slice(0, 32), slice(0, 32))):
        assert float(found[region].mean()) == pytest.approx(float(total[region].mean()), rel=0.1)
    assert float(found[64:192, 64:192].mean()) == pytest.approx(wanted, rel=0.06)


def test_patches_lie_within_a_larger_frame_as_densely():
    fields = TiltPatches().sample(range(4), (2, 320, 256))
    wanted = TiltPatches().field.strength
    assert float(fields[:, :, 64:256, 64:192].std()) == pytest.approx(wanted, rel=0.06)
    assert float(fields[:, :, 0, 0].abs().max()) < 0.3 * wanted


def test_no_patch_tilt_goes_beyond_the_limit():
    assert TiltPatches(limit=0.5).sample(range(3), (2, 16, 16)).abs().max() == 0.5


def test_tilts_in_pixels_follow_from_the_camera():
    """One component: .412 lambda / D (D / r0)^(5/6), and a pixel is half of lambda / D where none is given."""
    assert TiltKolmogorov(1.0).field.strength == pytest.approx(2 * 0.4123, rel=1e-3)
    assert TiltKolmogorov(2.0).field.strength == pytest.approx(2 * 0.4123 * 2 ** (5 / 6), rel=1e-3)
    field = TiltKolmogorov(3.0, aperture=0.2, distance=500.0, wavelength=1e-6, pixel=5.0).field
    assert field.strength == pytest.approx(0.4123 * 5e-6 * 3 ** (5 / 6) / 5e-6, rel=1e-3)
    assert field.pixel == pytest.approx(5e-6 * 500 / 0.2)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: TiltKolmogorov(0), "d_over_r0 is a number above 0"),
        (lambda: TiltKolmogorov(distance=-5.0), "distance is a number above 0, in metres"),
        (lambda: TiltKolmogorov(aperture=math.nan), "aperture is a number above 0, in metres"),
        (lambda: TiltKolmogorov(wavelength=550), "wavelength is in metres"),
        (lambda: TiltKolmogorov(pixel="wide"), "pixel is a number above 0, in microradians"),
        (lambda: TiltPatches(patches=0), "patches is a whole number"),
        (lambda: TiltPatches(size=256), "size is less than the 256"),
        (lambda: TiltPatches(sigma=0), "sigma is a number above 0"),
        (lambda: TiltPatches(strength=(0.4, 0.1)), "strength must be an interval"),
        (lambda: TiltPatches(strength=0), "strength is an interval that ends above 0"),
        (lambda: TiltPatches(limit=0), "limit is a number above 0"),
    ],
)
def test_unphysical_values_are_refused(make, said):
    with pytest.raises(IptError, match=said):
        make()


def test_tilts_that_leave_the_picture_are_refused():
    with pytest.raises(IptError, match="leave a picture of 16 x 16 px: lower d_over_r0"):
        TiltKolmogorov(1000.0).sample([0], (2, 16, 16))


@each_generator
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 8), (2, 8)])
def test_nothing_but_tilts_is_drawn(generator, shape):
    with pytest.raises(IptError, match="a tilt field is"):
        generator.sample([0], shape)
