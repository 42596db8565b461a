"""Out of focus.

Prior knowledge of a blur can be given as a set of samples. Here it is 400 discs, as a lens out of focus makes them, in
place of the general kernel prior. Any set of samples is a prior, with its exact denoiser.

Left to right: measurement, result, estimated kernel, true kernel, truth.

Coins from Pompeii, Brooklyn Museum, no known copyright restrictions; it comes with scikit-image.
"""

import torch
from PIL import Image
from skimage import data

import ipt
from ipt.images.pictures import Cell, contact_sheet, kernel_picture
from ipt.operators.blur import Blur
from ipt.operators.blur.kernels import DefocusKernels
from ipt.solve import metrics

photograph = torch.tensor(data.coins() / 255).float()[None]
kernel = DefocusKernels(radius=(4.0, 4.0)).sample(seeds=[0], shape=(1, 17, 17))
frame = (..., slice(10, 138), slice(140, 300))
blurred = Blur(17, border="reflect").forward(photograph[None], kernel=kernel)[0][frame]
measured = (blurred + 0.005 * torch.randn(blurred.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
clean = photograph[frame]

settings = {"operator.kernel_size": 17, "kernel.generator": "defocus", "kernel.count": 400}
result = ipt.restore(measured, prior={"kernel": "empirical"}, settings=settings, effort=1)

score = [f"{metrics.psnr(picture, clean):.1f} dB" for picture in (measured, result.picture)]
print(
    f"{score[0]} became {score[1]}; kernel correlation {metrics.kernel_mnc(result.parameters['kernel'], kernel[0]):.2f}"
)
cells = [
    Cell(measured, score[0]),
    Cell(result.picture, score[1]),
    Cell(kernel_picture(result.parameters["kernel"])),
    Cell(kernel_picture(kernel[0])),
    Cell(clean),
]
Image.fromarray(contact_sheet([cells], cell=160)).save("defocus.jpg", quality=90)
