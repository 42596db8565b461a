"""A face, shaken.

A face of 128x128 pixels is blurred by a random camera motion, and noise is added. All options have their defaults: the
prior is that of the picture's size (`faces`), the noise level is estimated, and kernel and picture are estimated
together.

Left to right: measurement, result, estimated kernel, true kernel, truth.

The astronaut Eileen Collins, NASA, public domain; it comes with scikit-image.
"""

import torch
from PIL import Image

import ipt
from ipt.images.pictures import Cell, contact_sheet, kernel_picture
from ipt.operators.blur import Blur
from ipt.operators.blur.kernels import MotionKernels
from ipt.solve import metrics
from ipt.solve.example import face

clean = face(128)  # (3, 128, 128), a torch tensor in 0..1
kernel = MotionKernels(extent=(12, 20)).sample(seeds=[3], shape=(1, 31, 31))
blurred = Blur(31, border="reflect").forward(clean[None], kernel=kernel)[0]
measured = (blurred + 0.01 * torch.randn(blurred.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)

result = ipt.restore(measured)

score = [f"{metrics.psnr(picture, clean):.1f} dB" for picture in (measured, result.picture)]
print(
    f"{score[0]} became {score[1]}; kernel correlation {metrics.kernel_mnc(result.parameters['kernel'], kernel[0]):.2f}"
)
print(result.verdict)
cells = [
    Cell(measured, score[0]),
    Cell(result.picture, score[1]),
    Cell(kernel_picture(result.parameters["kernel"])),
    Cell(kernel_picture(kernel[0])),
    Cell(clean),
]
Image.fromarray(contact_sheet([cells], cell=128)).save("face.jpg", quality=90)
