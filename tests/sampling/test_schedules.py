"""Schedules: published end points, subsets, and what they refuse."""

from __future__ import annotations

import math

import pytest
import torch

from ipt.sampling.schedules import VP, Doubled, Karras, Tail, cascade


def _abar(schedule):
    return 1 / (1 + schedule.sigmas()[:-1].square())


def test_linear_vp_has_the_published_end_points():
    bar = VP().alphas_bar()
    assert bar.dtype == torch.float64 and len(bar) == 1000
    assert bar[0].item() == pytest.approx(0.9999, abs=1e-15)
    # prod(1 - linspace(1e-4, .02, 1000)), the number in Ho et al.'s released code.
    assert bar[-1].item() == pytest.approx(4.035829765375694e-05, rel=1e-9)
    torch.testing.assert_close(_abar(VP()).flip(0), bar, rtol=1e-10, atol=0)


def test_cosine_vp_follows_equation_17():
    bar = VP(betas="cosine").alphas_bar()

    def f(t):
        return torch.cos(torch.tensor((t / 1000 + 0.008) / 1.008 * torch.pi / 2, dtype=torch.float64)) ** 2

    for index in (0, 10, 500, 998):
        assert bar[index].item() == pytest.approx((f(index + 1) / f(0)).item(), rel=1e-9)
    # The last step's beta would be 1; it is held at .999.
    assert (1 - bar[999] / bar[998]).item() == pytest.approx(0.999, rel=1e-9)


@pytest.mark.parametrize("betas", ["linear", "cosine"])
@pytest.mark.parametrize("length", [2, 3, 10, 20, 21, 50, 1000, 4000])
def test_every_length_and_subset_falls_strictly_and_keeps_both_ends(betas, length):
    whole = VP(betas=betas, length=length).sigmas()
    for steps in {2, 3, 7, length // 2 + 1, length - 1, length}:
        if not 2 <= steps <= length:
            continue
        sigmas = VP(steps, betas, length).sigmas()
        assert sigmas.dtype == torch.float64 and sigmas.shape == (steps + 1,)
        assert torch.isfinite(sigmas).all()
        assert sigmas[-1] == 0 and (sigmas.diff() < 0).all()
        assert sigmas[0] == whole[0] and sigmas[-2] == whole[-2]


def test_one_step_starts_from_the_noise():
    assert VP(1).sigmas().tolist() == [VP().sigmas()[0].item(), 0]
    assert Karras(1).sigmas()[0].item() == pytest.approx(80)


def test_a_subset_is_evenly_spaced():
    steps = VP(100).timesteps()
    assert steps[0] == 0 and steps[-1] == 999
    assert set(steps.diff().tolist()) == {10, 11}


def test_karras_follows_equation_5():
    sigmas = Karras(18, 80, 0.002).sigmas()
    assert sigmas.shape == (19,) and sigmas[-1] == 0 and (sigmas.diff() < 0).all()
    assert sigmas[0].item() == pytest.approx(80) and sigmas[-2].item() == pytest.approx(0.002)
    # The second level of EDM's own default of 18 steps.
    expected = (80 ** (1 / 7) + (0.002 ** (1 / 7) - 80 ** (1 / 7)) / 17) ** 7
    assert sigmas[1].item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "make",
    [
        lambda: VP(betas="quadratic"),
        lambda: VP(steps=1001),
        lambda: VP(steps=0),
        lambda: VP(steps=-3),
        lambda: VP(length=1),
        lambda: Karras(0),
        lambda: Karras(sigma_min=0),
        lambda: Karras(sigma_min=90),
        lambda: Karras(rho=0),
    ],
)
def test_what_makes_no_sense_is_refused(make):
    with pytest.raises(ValueError, match=r"schedule needs|betas is"):
        make()


def test_a_tail_of_few_steps_keeps_both_ends():
    whole, few = Tail(Karras(60, 10.0, 0.03), 0.5), Tail(Karras(60, 10.0, 0.03), 0.5, 8)
    levels, kept = whole.sigmas().tolist(), few.sigmas().tolist()
    assert len(kept) == 9 and set(kept) <= set(levels) and kept == sorted(kept, reverse=True)
    assert kept[0] == levels[0] and kept[-2:] == levels[-2:]
    assert Tail(Karras(60, 10.0, 0.03), 0.5, 100).sigmas().tolist() == levels


def test_a_finer_tail_begins_alike_and_ends_lower():
    usual = Tail(Karras(60, 10.0, 0.03), 0.5).sigmas().tolist()
    finer = Tail(Karras(60, 10.0, 0.03), 0.5, finer=4.0).sigmas().tolist()
    assert finer[0] == usual[0] and finer[-1] == 0 and finer[-2] == pytest.approx(0.03 / 4)
    shares = [a / b for a, b in zip(finer[:-1], usual[:-1], strict=True)]
    assert shares == sorted(shares, reverse=True) and len(finer) == len(usual)


def test_a_tail_may_end_earlier():
    whole = Tail(Karras(60, 10.0, 0.03), 0.5).sigmas().tolist()
    early = Tail(Karras(60, 10.0, 0.03), 0.5, end=0.1).sigmas().tolist()
    assert early == [*(level for level in whole if level >= 0.1), 0] and 0.1 <= early[-2] < 0.11
    assert Tail(Karras(60, 10.0, 0.03), 0.5, end=2.0).sigmas().tolist() == [whole[0], 0]


def test_smaller_pictures_end_at_a_tenth_of_the_noise_that_follows():
    schedule = Karras(60, 10.0, 0.03)
    whole = schedule.sigmas().tolist()
    smallest, middle, last = (part.sigmas().tolist() for part in cascade(schedule, [None, 1.0, 0.5]))
    finer = Doubled(schedule).sigmas().tolist()
    assert smallest == [*(level for level in finer if level >= 0.1), 0]
    assert middle == [*(level for level in whole if 0.05 <= level <= 1), 0]
    assert last == [level for level in whole if level <= 0.5]
    assert cascade(schedule, [None]) == [schedule]


def test_only_the_smallest_of_several_sizes_has_twice_the_levels():
    schedule = Karras(60, 10.0, 0.03)
    smallest, anew, last = cascade(schedule, [None, None, 0.5])
    assert smallest == Doubled(schedule)
    assert anew == Tail(schedule, math.inf, end=0.05) and last == Tail(schedule, 0.5)


def test_a_doubled_schedule_has_geometric_means_between_its_levels():
    levels = Karras(3, 8.0, 0.5, 1.0).sigmas().tolist()
    found = Doubled(Karras(3, 8.0, 0.5, 1.0)).sigmas().tolist()
    assert found[::2] == levels[:-1] and found[1::2] == pytest.approx([34**0.5, (4.25 * 0.5) ** 0.5, 0])
    assert Doubled(Karras(1, 8.0, 0.5)).sigmas().tolist() == pytest.approx([8, 0])
