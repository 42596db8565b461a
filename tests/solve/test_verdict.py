"""What the residual says of a result."""

from __future__ import annotations

import pytest
import torch

from ipt.cli.errors import with_options
from ipt.solve.verdict import Remedies, border_margin, interior_rms, is_good, verdict

WHITE = Remedies(noise=0.01)


def test_verdicts():
    assert str(verdict(1.0, WHITE)).startswith("fits:") and str(verdict(1.4, WHITE)).startswith("fits:")
    found = verdict(2.0, Remedies(noise=0.004))
    assert "2.00 times" in str(found) and "noise=0.008" in found.advice[-1]
    assert "smaller noise=" in str(verdict(0.3, WHITE))
    assert not verdict(1.0, WHITE).advice


def test_advice_names_only_what_there_is():
    bare = str(verdict(2.0, Remedies()))
    assert "border" not in bare and "prior=" not in bare and "known=" not in bare
    assert bare.endswith("There may be more noise: try another noise=.")
    full = Remedies(0.01, border=True, unknown=("gain", "phase"), known=("kernel",))
    advice = " ".join(verdict(2.0, full).advice)
    assert "border=" in advice and "the prior of gain and phase" in advice and "the known kernel may be wrong" in advice
    assert "(samples=)" in str(verdict(1.0, Remedies(effort=False), 0.1))


def test_more_noise_is_not_advised_where_it_would_hide_a_wrong_model():
    found = verdict(18.0, WHITE)
    assert not any("noise=" in each for each in found.advice) and found.advice[0] == "the operator= may be wrong"
    assert "the model does not explain the measurement" in found.findings[-1]


def test_a_residual_at_the_noise_level_does_not_show_that_parameters_are_right():
    found = verdict(1.0, Remedies(unknown=("transmission", "airlight")))
    assert str(found) == (
        "fits: the residual is 1.00 times the noise level. That does not show that transmission and airlight are right."
    )
    assert is_good(str(found)) and not found.advice
    assert "show" not in str(verdict(1.0, Remedies(known=("kernel",))))
    assert "show" not in str(verdict(1.0, Remedies(unknown=("kernel",)), 0.9))


@pytest.mark.parametrize(
    ("probability", "words"),
    [
        (0.5, "likely right (50 %)"),
        (0.999, "likely right (99 %)"),
        (0.2, "likely wrong (20 % that it is right): rings. The residual is 9.00 times the noise level. Try "),
    ],
)
def test_a_probability_speaks_before_the_residual(probability, words):
    found = str(verdict(9.0, WHITE, probability, "rings"))
    assert found.startswith(words) and "9.00 times" in found and "rings" in found
    assert is_good(found) == (probability >= 0.5) == ("effort=" not in found)
    assert is_good(str(verdict(1.0, WHITE))) and not is_good(str(verdict(9.0, WHITE)))


def test_a_verdict_is_a_line_or_short_sentences():
    assert str(verdict(1.0, WHITE)) == "fits: the residual is 1.00 times the noise level"
    blur = Remedies(0.05, border=True)
    assert str(verdict(2.0, blur)) == (
        "does not fit: the residual is 2.00 times the noise level. The operator or its border (border=) may be wrong. "
        "This draw may have gone astray: try another seed=. There may be more noise: try noise=0.1."
    )
    everything = verdict(2.0, blur, 0.1, "rings", 0.4, (1, 2, 3, 4), "the kernel differs", from_region=True)
    found = str(everything)
    assert ";" not in found and all(len(one) < 120 for one in found.split(". "))
    # Capitals would hide an argument, which the command line shows as its option.
    assert with_options(found).count("--") == found.count("=") and "=" not in with_options(found)


def test_a_region_whose_kernel_was_not_found_advises_a_smaller_picture():
    advice = "a wide blur may be found in a picture of half the size: reduce this one and solve that"
    assert advice in verdict(1.0, WHITE, 0.3, from_region=True).advice
    assert not verdict(1.0, WHITE, 0.6, from_region=True).advice
    assert advice not in verdict(1.0, WHITE, 0.3).advice


def test_margins_are_what_a_kernel_reaches():
    kernel = torch.zeros(1, 9, 9)
    kernel[0, 4, 4], kernel[0, 2, 4], kernel[0, 4, 7], kernel[0, 0, 0] = 1, 0.5, 0.5, 1e-5
    assert border_margin({"kernel": kernel}, (3, 40, 40)) == (2, 3)
    assert border_margin({"kernel": kernel}, (3, 40, 8)) == (2, 2)
    assert border_margin({}, (3, 40, 40)) == (0, 0)
    assert border_margin({"shift": torch.ones(1, 24, 1), "number": torch.ones(1, 1, 1)}, (3, 24, 24)) == (0, 0)


def test_the_residual_counts_inside_the_border():
    kernel, residual = torch.zeros(1, 5, 5), torch.zeros(1, 16, 24)
    kernel[0, 0, 2] = kernel[0, 4, 3] = 1
    residual[:, :2], residual[:, :, :1] = 9, 9
    assert interior_rms(residual + 0.5, {"kernel": kernel}, (1, 16, 24)) == pytest.approx(0.5)
    # Of a measurement of half the size, the border is half as wide.
    assert interior_rms(residual + 0.5, {"kernel": kernel}, (1, 32, 48)) > 1
    assert interior_rms(torch.ones(1, 16, 24), {"field": torch.ones(2, 16, 24)}, (3, 16, 24)) == 1
