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
    """photographed(picture, kernel, border, noise, seed): the measurement as scipy makes it, and the picture in its
    frame: for an unknown border the middle of a larger one, as in a photograph."""

    def measure(picture, kernel, border, noise=0.01, seed=5):
        mode = {"circular": "wrap", "zero": "constant", "reflect": "reflect", "replicate": "edge"}.get(border)
        height, width = kernel.shape[-2:]
        pads = [(height - 1 - height // 2, height // 2), (width - 1 - width // 2, width // 2)]
        blurred = []
        for planes, (one,) in zip(picture.numpy(), kernel.numpy(), strict=True):
            wide = planes if mode is None else [numpy.pad(plane, pads, mode=mode) for plane in planes]
            blurred.append([convolve2d(plane, one, mode="valid") for plane in wide])
        measured = torch.from_numpy(numpy.array(blurred))
        frame = picture
        if mode is None:
            frame = picture[..., pads[0][0] :, pads[1][0] :][..., : measured.shape[-2], : measured.shape[-1]]
        normal = torch.randn(measured.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        return measured + noise * normal, frame

    return measure
