"""A photograph, its kernel known.

A photograph of a cat is blurred, and 160x200 pixels are cut out of it afterwards, so that the scene outside the frame
is real and unknown. The kernel is given, so this is ordinary deconvolution with a diffusion prior. For comparison: the
classical method of Richardson and Lucy, on a picture mirrored at its border, with the best number of iterations.

Left to right: measurement with the kernel in its corner, the best of Richardson and Lucy, `ipt`, truth.

Chelsea, by Stefan van der Walt, CC0; it comes with scikit-image.
"""

import numpy as np
import torch
from PIL import Image
from skimage import data
from skimage.restoration import richardson_lucy

import ipt
from ipt.images.pictures import Cell, contact_sheet, kernel_picture
from ipt.operators.blur import Blur
from ipt.operators.blur.kernels import MotionKernels
from ipt.solve import metrics

photograph = torch.tensor(data.chelsea() / 255).permute(2, 0, 1).float()
kernel = MotionKernels(extent=(10, 16)).sample(seeds=[5], shape=(1, 25, 25))
frame = (..., slice(60, 220), slice(100, 300))
blurred = Blur(25, border="reflect").forward(photograph[None], kernel=kernel)[0][frame]
measured = (blurred + 0.01 * torch.randn(blurred.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
clean = photograph[frame]

result = ipt.restore(measured, known={"kernel": kernel[0]}, noise=0.01)

mirrored = np.pad(measured.numpy(), ((0, 0), (25, 25), (25, 25)), mode="reflect")
classical = [
    np.stack([richardson_lucy(plane, kernel[0, 0].numpy(), num_iter=count) for plane in mirrored])[:, 25:-25, 25:-25]
    for count in (3, 5, 10, 20, 30)
]
best = torch.tensor(max(classical, key=lambda picture: metrics.psnr(picture, clean))).clamp(0, 1)

scores = {"measured": measured, "Richardson-Lucy": best, "ipt": result.picture}
captions = [f"{name}, {metrics.psnr(picture, clean):.1f} dB" for name, picture in scores.items()]
print("; ".join(captions))
shown = torch.tensor(np.array(Image.fromarray(kernel_picture(kernel[0])).resize((50, 50)))).float() / 255
with_kernel = measured.clone()
with_kernel[:, :50, :50] = shown
cells = [Cell(*each) for each in zip([with_kernel, best, result.picture], captions, strict=True)]
Image.fromarray(contact_sheet([[*cells, Cell(clean, "truth")]], cell=200)).save("known_kernel.jpg", quality=90)
