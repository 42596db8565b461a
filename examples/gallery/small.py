"""Small and blurred.

A picture was blurred by an unknown kernel and reduced to half its sides: blind super-resolution. Two operators in a row
are one operator, named `blur+downscale:2`. The prior of the kernel is a set of 400 Gaussians.

Left to right: measurement (each pixel enlarged), Lanczos resampling, result, truth.

The astronaut Eileen Collins, NASA, public domain; it comes with scikit-image.
"""

import numpy as np
import torch
from PIL import Image

import ipt
from ipt.images.pictures import Cell, contact_sheet
from ipt.operators.blur import Blur
from ipt.operators.blur.kernels import GaussianKernels
from ipt.operators.compose import compose
from ipt.operators.downscale import Downscale
from ipt.solve import metrics
from ipt.solve.example import face

clean = face(128)
kernel = GaussianKernels((1.5, 2.5)).sample(seeds=[4], shape=(1, 13, 13))
low = compose(Blur(13, border="reflect"), Downscale(2)).forward(clean[None], kernel=kernel)[0]
measured = (low + 0.01 * torch.randn(low.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)

settings = {"operator.blur.kernel_size": 13, "kernel.generator": "gaussian", "kernel.count": 400}
priors = {"image": "faces", "kernel": "empirical"}
result = ipt.restore(measured, operator="blur+downscale:2", prior=priors, settings=settings, noise=0.01)

pixels = Image.fromarray((measured.permute(1, 2, 0).numpy() * 255).round().astype("uint8"))
lanczos = torch.tensor(np.array(pixels.resize((128, 128), Image.Resampling.LANCZOS)) / 255).permute(2, 0, 1).float()
scores = [f"{metrics.psnr(picture, clean):.1f} dB" for picture in (lanczos, result.picture)]
print(f"Lanczos {scores[0]}, ipt {scores[1]}")
cells = [Cell(measured), Cell(lanczos, scores[0]), Cell(result.picture, scores[1]), Cell(clean)]
Image.fromarray(contact_sheet([cells], cell=128)).save("small.jpg", quality=90)
