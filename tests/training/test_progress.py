"""Progress in plain lines."""

from __future__ import annotations

from ipt.training.progress import Lines, Report, line, time_left, validation_rows


def test_lines_now_and_then():
    written: list[str] = []
    now = [0.0]
    lines = Lines(written.append, every=10, clock=lambda: now[0])
    for second in range(25):
        now[0] = float(second)
        lines.show(Report(100 * (second + 1), 2600, 0.5, 100.0))
    assert [text.split()[0] for text in written] == ["100", "1,100", "2,100"]
    lines.show(Report(2600, 2600, 0.5, 100.0, {0.1: 0.004, 1.0: 0.04}))
    assert written[3].startswith("2,600 of 2,600 images (100 %)")
    assert [text.split() for text in written[4:]] == [
        ["sigma", "mse", "PSNR"],
        ["0.1", "0.004", "30.00", "dB"],
        ["1", "0.04", "20.00", "dB"],
    ]


def test_a_line_reads_well():
    report = Report(12_000, 200_000, 0.2381, 19.44)
    assert line(report) == "12,000 of 200,000 images (6 %), loss 0.2381, 19.4 images/s, 2 h 41 min left"
    assert [time_left(Report(0, 100, 0, rate)) for rate in (0.0, 2.0, 0.1)] == ["?", "50 s", "17 min"]
    assert validation_rows({0.5: 0.0}) == [("0.5", "0", "exact")]
