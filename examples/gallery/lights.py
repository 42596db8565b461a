"""Lights at night.

Lamps are brighter than white, and a camera clips them. There the measurement is not a blur of anything. Clipped pixels
are left out of the measurement automatically; in the end they say only that the light there is as bright as that, or
brighter. With `clipped="none"` they are trusted, and the result rings.

Left to right: measurement, result with all of it trusted, result with the clipped part left out, truth.

A rocket at dusk, by SpaceX, CC0; it comes with scikit-image.
"""

import numpy as np
import torch
from PIL import Image
from skimage import data

import ipt
from ipt.images.pictures import Cell, contact_sheet
from ipt.operators.blur import Blur
from ipt.operators.blur.tracks import LineKernels
from ipt.solve import metrics

photograph = torch.tensor(np.array(Image.fromarray(data.rocket()).convert("L").reduce(2)) / 255).float()[None]
light = photograph + 10 * (photograph - 0.85).clamp(min=0)  # what is nearly white, was brighter
kernel = LineKernels().sample(seeds=[2], shape=(1, 17, 17))
frame = (..., slice(76, 204), slice(40, 200))
blurred = Blur(17, border="reflect").forward(light[None], kernel=kernel)[0][frame]
measured = (blurred + 0.005 * torch.randn(blurred.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)

given = {"known": {"kernel": kernel[0]}, "noise": 0.005}
trusted = ipt.restore(measured, **given, clipped="none")
left_out = ipt.restore(measured, **given)

clean = light[frame].clamp(0, 1)
print(f"{(measured >= 1).any(0).float().mean():.1%} of the pixels are clipped")
scores = [f"{metrics.psnr(one.picture, clean):.1f} dB" for one in (trusted, left_out)]
print(f"trusted {scores[0]}, left out {scores[1]}")
pictures = {"measured": measured, "trusted": trusted.picture, "left out": left_out.picture, "truth": clean}
cells = [Cell(picture, name) for name, picture in pictures.items()]
Image.fromarray(contact_sheet([cells], cell=160)).save("lights.jpg", quality=90)
