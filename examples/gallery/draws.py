"""What is certain, and what is not.

A wide blur and much noise leave open what a face looked like. Six draws from the posterior agree where the measurement
decides, and differ where the prior had to guess: a sharp detail is no evidence that it was there.

Left to right: measurement, three draws, the mean of six, their standard deviation (bright: uncertain), truth.

The astronaut Eileen Collins, NASA, public domain; it comes with scikit-image.
"""

import torch
from PIL import Image

import ipt
from ipt.images.pictures import Cell, contact_sheet, spread_picture
from ipt.operators.blur import Blur
from ipt.operators.blur.kernels import GaussianKernels
from ipt.solve import metrics
from ipt.solve.example import face

clean = face(64)[None]
kernel = GaussianKernels((3.0, 3.0)).sample(seeds=[0], shape=(1, 17, 17))
blur = Blur(17, border="reflect")
blurred = blur.forward(clean, kernel=kernel)
measured = blurred + 0.05 * torch.randn(blurred.shape, generator=torch.Generator().manual_seed(0))

settings = {"operator.kernel_size": 17, "operator.border": "reflect"}
solver = ipt.build(prior="faces", known=["kernel"], settings=settings)
solution = solver.solve(measured.expand(6, -1, -1, -1), noise=0.05, known={"kernel": kernel}, seeds=range(6))

draws = solution.image.clamp(0, 1)
mean, spread = draws.mean(0), draws.std(0)
each = [metrics.psnr(draw, clean[0]) for draw in draws]
print(f"draws {min(each):.1f} to {max(each):.1f} dB, their mean {metrics.psnr(mean, clean[0]):.1f} dB")
print(f"standard deviation {spread.mean():.3f} on average, {spread.max():.2f} at most")
pictures = [measured[0].clamp(0, 1), *draws[:3], mean, spread_picture(spread), clean[0]]
captions = ["measured", "draw 1", "draw 2", "draw 3", "mean of 6", "deviation", "truth"]
cells = [Cell(*pair) for pair in zip(pictures, captions, strict=True)]
Image.fromarray(contact_sheet([cells], cell=128)).save("draws.jpg", quality=90)
