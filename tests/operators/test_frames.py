"""Several measurements of one image, from coarse to fine."""

from __future__ import annotations

from dataclasses import replace

import torch

import ipt
from ipt.core.multiscale import Multiscale
from ipt.operators.blur import Blur
from ipt.operators.frames import Frames
from ipt.operators.turbulence import Turbulence


def test_each_frames_kernel_is_doubled_alone():
    half = Frames(Blur(24), 3).coarser((3, 64, 64))
    assert half.operator == Frames(Blur((16, 16)), 3)
    kernels = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    found = half.enlarged({"kernel": kernels})["kernel"]
    assert found.shape == (2, 3, 24, 24)
    for frame in range(3):
        alone = Blur(24).coarser((3, 64, 64)).enlarged({"kernel": kernels[:, frame : frame + 1]})["kernel"]
        torch.testing.assert_close(found[:, frame : frame + 1], alone)


def test_no_smaller_picture_where_the_operator_has_none():
    assert Frames(Blur(16), 2).coarser((3, 64, 64)) is None
    assert Frames(Turbulence(24), 2).coarser((3, 64, 64)) is None


def test_a_solve_of_frames_begins_with_small_ones():
    settings = {"operator.kernel_size": 24}
    built = ipt.build("blur", "gaussian", parameters={"kernel": "gaussian"}, settings=settings, steps=4)
    solver = Multiscale(replace(built.solver, operator=Frames(built.solver.operator, 2)))
    measurement = torch.rand(1, 2, 48, 40, generator=torch.Generator().manual_seed(2))
    solution = solver.solve(measurement)
    assert [size[:2] for size in solution.sizes] == [(24, 20), (48, 40)]
    assert solution.parameters["kernel"].shape == (1, 2, 24, 24) and solution.image.shape == (1, 1, 48, 40)
