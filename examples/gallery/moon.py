"""The Moon through the air.

Six exposures of the Moon are each warped differently and blurred, by the turbulence above a telescope. One picture is
solved for, with a tilt field for every exposure and one kernel for all.

Left to right: one exposure, the mean of all, result, truth. Below: the estimated tilt fields of four exposures.

The Moon, NASA, public domain; it comes with scikit-image.
"""

import numpy as np
import torch
from PIL import Image
from skimage import data

import ipt
from ipt.images.fields import field_picture
from ipt.images.files import Picture
from ipt.images.pictures import Cell, contact_sheet
from ipt.linalg.random import image_seed
from ipt.operators.turbulence import Turbulence
from ipt.simulate.simulation import generators_for, simulate
from ipt.solve import metrics
from ipt.solve.picture import solve_picture
from ipt.solve.prepare import ImageTask

photograph = torch.tensor(np.array(Image.fromarray(data.moon()).crop((32, 64, 480, 512)).reduce(4)) / 255).float()[None]
operator = Turbulence()
generators = generators_for({"kernel": "atmosphere", "tilt": "tilt-kolmogorov"}, {"generator.d_over_r0": 2})
made = [simulate(photograph, operator, generators, 0.01, image_seed(1, f"moon{number}")) for number in range(6)]
exposures = [Picture(one.measurement.clamp(0, 1)) for one in made]
clean = made[0].clean

solver = ipt.build(operator="turbulence", prior="natural", steps=40)
result = solve_picture(solver, ImageTask(exposures, noise=0.01))

mean = torch.stack([one.pixels for one in exposures]).mean(0)
pictures = {"one exposure": exposures[0].pixels, "mean of 6": mean, "ipt": result.picture.pixels}
scores = [metrics.against_reference(picture, clean)["psnr_registered"] for picture in pictures.values()]
captions = [f"{name}, {score:.1f} dB" for name, score in zip(pictures, scores, strict=True)]
print("; ".join(captions))
above = [Cell(*each) for each in zip(pictures.values(), captions, strict=True)]
below = [Cell(field_picture(tilt)) for tilt in result.parameters["tilt"].unflatten(0, (6, 2))[:4]]
Image.fromarray(contact_sheet([[*above, Cell(clean, "truth")], below], cell=224)).save("moon.jpg", quality=90)
