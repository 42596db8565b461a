"""A stamp on the picture.

Something was put onto the picture after it was blurred: a date stamp, a logo. With a mask it is not trusted, and the
prior fills in what was behind it. Without a mask, everything around it is distorted until it explains the stamp.

Left to right: measurement, mask (dark is not trusted), result without it, result with it, truth.

A cameraman (CC0); it comes with scikit-image.
"""

import numpy as np
import torch
from PIL import Image, ImageDraw
from skimage import data

import ipt
from ipt.images.pictures import Cell, contact_sheet
from ipt.operators.blur import Blur
from ipt.operators.blur.kernels import GaussianKernels
from ipt.solve import metrics

photograph = torch.tensor(np.array(Image.fromarray(data.camera()).reduce(2)) / 255).float()[None]
kernel = GaussianKernels((1.5, 1.5)).sample(seeds=[0], shape=(1, 13, 13))
frame = (..., slice(20, 148), slice(50, 210))
blurred = Blur(13, border="reflect").forward(photograph[None], kernel=kernel)[0][frame]
noisy = (blurred + 0.005 * torch.randn(blurred.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
stamp = Image.new("L", (160, 128), 255)
ImageDraw.Draw(stamp).text((96, 108), "26.11.2026", fill=0)
mask = torch.tensor(np.array(stamp) > 250)
measured = torch.where(mask, noisy, torch.ones(()))

given = {"known": {"kernel": kernel[0]}, "noise": 0.005, "clipped": "none"}
without = ipt.restore(measured, **given)
result = ipt.restore(measured, **given, mask=mask)

clean = photograph[frame]
scores = [f"{metrics.psnr(one.picture, clean):.1f} dB" for one in (without, result)]
print(f"without the mask {scores[0]}, with it {scores[1]}")
shown = {
    "measured": measured,
    "mask": mask[None].float(),
    "without": without.picture,
    "with": result.picture,
    "truth": clean,
}
cells = [Cell(picture, name) for name, picture in shown.items()]
Image.fromarray(contact_sheet([cells], cell=160)).save("mask.jpg", quality=90)
