"""A photograph, nothing known.

A picture of a cup of coffee is blurred by the shake of a hand. The prior `natural` does not know cups, only what edges
and textures are like. The kernel is first estimated in a small picture (coarse to fine), in several draws that compete.
The verdict says how likely the kernel is right.

Left to right: measurement, result, estimated kernel, true kernel, truth.

Coffee, by Rachel Michetti, CC0; it comes with scikit-image.
"""

import numpy as np
import torch
from PIL import Image
from skimage import data

import ipt
from ipt.images.fields import parameter_picture
from ipt.images.pictures import Cell, contact_sheet, kernel_picture
from ipt.operators.blur import Blur
from ipt.operators.blur.tracks import ShakeKernels
from ipt.solve import metrics

photograph = torch.tensor(np.array(Image.fromarray(data.coffee()).reduce(2)) / 255).permute(2, 0, 1).float()
kernel = ShakeKernels().sample(seeds=[24], shape=(1, 31, 31))
frame = (..., slice(20, 180), slice(50, 250))
blurred = Blur(31, border="reflect").forward(photograph[None], kernel=kernel)[0][frame]
measured = (blurred + 0.005 * torch.randn(blurred.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
clean = photograph[frame]

result = ipt.restore(measured, settings={"operator.kernel_size": 31})

score = [f"{metrics.psnr(picture, clean):.1f} dB" for picture in (measured, result.picture)]
print(
    f"{score[0]} became {score[1]}; kernel correlation {metrics.kernel_mnc(result.parameters['kernel'], kernel[0]):.2f}"
)
print(result.verdict)
cells = [
    Cell(measured, score[0]),
    Cell(result.picture, score[1]),
    Cell(parameter_picture(result.parameters["kernel"])),
    Cell(kernel_picture(kernel[0])),
    Cell(clean),
]
Image.fromarray(contact_sheet([cells], cell=160)).save("photograph.jpg", quality=90)
