"""An operator of one's own: three plates.

Before there was colour film, a scene was photographed three times, through a red, a green and a blue filter, and the
plates are not aligned. The shifts of the red and the blue plate are unknown. Only the forward model has to be written;
the solver descends along its derivatives.

Left to right: measurement, result, truth.

A cup of coffee, by Rachel Michetti, CC0; it comes with scikit-image.
"""

import numpy as np
import torch
from PIL import Image
from skimage import data
from torch import Tensor

import ipt
from ipt.guidance.proximal import Proximal
from ipt.images.pictures import Cell, contact_sheet
from ipt.priors.analytic import BoxPrior
from ipt.priors.shipped import natural
from ipt.solve import metrics


class Plates(ipt.ParametricOperator, ipt.Linear):
    """Red and blue moved against green, in pixels, down and to the right; the picture goes on as its other side."""

    def parameters(self, image_shape):
        return {
            name: ipt.ParameterSpec((2, 1, 1), f"of the {name} plate", "px", range=(-4.0, 4.0))
            for name in ("red", "blue")
        }

    def forward(self, image: Tensor, red: Tensor, blue: Tensor) -> Tensor:
        return torch.cat([moved(image[:, :1], red), image[:, 1:2], moved(image[:, 2:], blue)], dim=1)


def moved(plane: Tensor, shift: Tensor) -> Tensor:
    down = torch.fft.fftfreq(plane.shape[-2], dtype=plane.dtype)[:, None]
    right = torch.fft.fftfreq(plane.shape[-1], dtype=plane.dtype)
    phase = -2 * torch.pi * (shift[:, :1] * down + shift[:, 1:] * right)
    return torch.fft.ifft2(torch.fft.fft2(plane) * torch.polar(torch.ones_like(phase), phase)).real


photograph = torch.tensor(np.array(Image.fromarray(data.coffee()).reduce(3)) / 255).permute(2, 0, 1).float()
clean = photograph[None, :, 4:132, 20:180]
truth = {"red": torch.tensor([2.3, -1.4]), "blue": torch.tensor([-1.6, 3.1])}
plates = Plates()
apart = plates.forward(clean, **{name: shift.reshape(1, 2, 1, 1) for name, shift in truth.items()})
measured = apart + 0.01 * torch.randn(apart.shape, generator=torch.Generator().manual_seed(0))

priors = {"image": natural(), "red": BoxPrior(-4.0, 4.0), "blue": BoxPrior(-4.0, 4.0)}
solution = ipt.Solver(plates, priors, Proximal()).solve(measured, noise=0.01, seeds=[0])

for name, shift in truth.items():
    found = ", ".join(f"{number:.2f}" for number in solution.parameters[name].flatten().tolist())
    print(f"{name}: found {found}, true {', '.join(f'{number:.2f}' for number in shift.tolist())} px")
scores = [f"{metrics.psnr(picture, clean[0]):.1f} dB" for picture in (measured[0], solution.image[0])]
print(f"{scores[0]} became {scores[1]}")
cells = [Cell(measured[0].clamp(0, 1), scores[0]), Cell(solution.image[0].clamp(0, 1), scores[1]), Cell(clean[0])]
Image.fromarray(contact_sheet([cells], cell=320)).save("plates.jpg", quality=90)
