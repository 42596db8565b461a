"""Pictures to blur, and their measurements as scipy makes them."""

import numpy
import pytest
import torch
from scipy.signal import convolve2d


@pytest.fixture
def rectangles():
    """rectangles(batch, channels, side, seed): pictures of overlapping rectangles of every size, a little noisy: edges
    in all directions, mostly shared by the channels."""

    def draw(batch=1, channels=3, side=48, seed=0):
        numbers = numpy.random.default_rng(seed)
        pictures = numpy.full((batch, channels, side, side), 0.5)
        for picture in pictures:
            for _ in range(60):
                height, width = (side * numbers.uniform(0.05, 0.5, 2)).astype(int) + 1
                top, left = numbers.integers(-4, side, 2)
                colour = numbers.uniform(0, 1) + numbers.uniform(-0.15, 0.15, channels)
                picture[:, max(top, 0) : top + height, max(left, 0) : left + width] = colour[:, None, None]
        return torch.from_numpy(pictures.clip(0, 1))

    return draw


@pytest.fixture
def photographed():
    """photographed(picture, kernel, border, noise, seed): the measurement as scipy makes it. Where the border is
    unknown the picture is larger than what is measured of it, by half the kernel's longer side all around."""

    def measure(picture, kernel, border, noise=0.01, seed=5):
        mode = {"circular": "wrap", "zero": "constant", "reflect": "reflect", "replicate": "edge"}.get(border)
        height, width = kernel.shape[-2:]
        pads = [(height - 1 - height // 2, height // 2), (width - 1 - width // 2, width // 2)]
        blurred = []
        for planes, (one,) in zip(picture.numpy(), kernel.numpy(), strict=True):
            wide = planes if mode is None else [numpy.pad(plane, pads, mode=mode) for plane in planes]
            blurred.append([convolve2d(plane, one, mode="valid") for plane in wide])
        measured = torch.from_numpy(numpy.array(blurred))
        if mode is None:
            margin = max(height, width) // 2
            sides = [side - 2 * margin for side in picture.shape[-2:]]
            (top, left), (height, width) = [margin - before for before, _ in pads], sides
            measured = measured[..., top : top + height, left : left + width]
        normal = torch.randn(measured.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        return measured + noise * normal

    return measure
