"""The components that come with ipt, registered as a plugin registers its own."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ipt.plugins.citations import works_of
from ipt.plugins.component import Component
from ipt.plugins.hookspecs import hookimpl

WORKS = works_of(Path(__file__).with_name("references.bib").read_text(encoding="utf-8"))
"""References for the components, BibTeX entries by key."""


def _cite(*keys: str) -> str:
    return "\n".join(WORKS[key] for key in keys)


_ADM, _EDM = _cite("dhariwal2021diffusion"), _cite("karras2022elucidating")
_FLOW = _cite("hirsch2010efficient")
_BLIND_DPS, _DEEPINV = _cite("chung2023parallel"), _cite("tachella2025deepinverse")
_FACES = _cite("karras2022elucidating", "liu2015deep", "karras2019style")
_FFHQ = _cite("chung2023diffusion", "dhariwal2021diffusion", "karras2019style")
_NATURAL = _cite("karras2022elucidating", "arbelaez2011contour", "liu2015deep")


@hookimpl
def ipt_operators() -> Iterable[Component]:
    """Operators."""
    yield Component("blur", "ipt.operators.blur:Blur", "one blur for all of the picture, of unknown kernel", _BLIND_DPS)
    yield Component(
        "shake",
        "ipt.operators.shake:Shake",
        "blur that differs from place to place, as of a camera that turns",
        f"{_BLIND_DPS}\n{_FLOW}",
    )
    yield Component("deepinv", "ipt.operators.deepinv:load", "a physics of deepinv (Blur, Inpainting, ...)", _DEEPINV)
    yield Component(
        "turbulence", "ipt.operators.turbulence:Turbulence", "a warp by a tilt field, then a blur", _BLIND_DPS
    )
    yield Component("downscale", "ipt.operators.downscale:Downscale", "fewer pixels, by a known whole factor")


@hookimpl
def ipt_priors() -> Iterable[Component]:
    """Priors."""
    yield Component("faces", "ipt.priors.shipped:faces", "aligned faces: a network that ships with ipt", _FACES)
    yield Component(
        "faces256", "ipt.priors.shipped:faces256", "aligned faces, 256x256 too: a network that ships with ipt", _FACES
    )
    yield Component(
        "natural", "ipt.priors.shipped:natural", "photographs of any size: a network that ships with ipt", _NATURAL
    )
    yield Component("kernel", "ipt.priors.shipped:kernel", "blur kernels: a network that ships with ipt", _EDM)
    uncentred = "the network of `kernel`, not held to the centre: where the border is unknown"
    yield Component("kernel-uncentred", "ipt.priors.shipped:kernel_uncentred", uncentred, _EDM)
    yield Component("ffhq", "ipt.priors.hub:ffhq", "faces at 256x256 (FFHQ): a public network, fetched once", _FFHQ)
    imagenet = "photographs at 256x256 (ImageNet): OpenAI's public network, fetched once"
    yield Component("imagenet", "ipt.priors.hub:imagenet", imagenet, _ADM)
    network = "a diffusion network from a folder or file of weights"
    yield Component("network", "ipt.priors.loading:load", network, f"{_EDM}\n{_ADM}")
    yield Component("hf", "ipt.priors.diffusers:load", "a UNet2DModel of diffusers, by folder or huggingface.co name")
    yield Component("deepinv", "ipt.priors.deepinv:load", "a denoiser of deepinv (DRUNet, DnCNN, ...)", _DEEPINV)
    yield Component("empirical", "ipt.priors.empirical:EmpiricalPrior", "any set of samples, with its exact denoiser")
    tilt = "tilt fields of turbulence: Gaussian fields, exact"
    yield Component("tilt", "ipt.priors.tilt:TiltPrior", tilt, _cite("fried1975differential"))
    atmosphere = "kernels of short exposures through turbulence, by physics: exact"
    yield Component("atmosphere", "ipt.priors.atmosphere:AtmospherePrior", atmosphere, _cite("fried1966optical"))
    smooth = "smooth fields over the picture, such as fog's transmission: Gaussian, exact"
    yield Component("smooth", "ipt.priors.smooth:SmoothPrior", smooth)
    yield Component("gaussian", "ipt.priors.analytic:GaussianPrior", "independent Gaussian entries, exact")
    yield Component("box", "ipt.priors.analytic:BoxPrior", "entries uniform over an interval, exact")


@hookimpl
def ipt_guidance() -> Iterable[Component]:
    """Guidance rules."""
    proximal = "fast: a least-squares step for every unknown, no gradient through a network"
    works = _cite("zhu2023denoising", "laroche2024fast")
    yield Component("proximal", "ipt.guidance.proximal:Proximal", proximal, works)
    dps = "posterior sampling by gradients through the priors"
    yield Component("dps", "ipt.guidance.dps:DPS", dps, _cite("chung2023diffusion", "chung2023parallel"))
    regularized = "another rule, with penalties (l1, l0, tv) on named unknowns"
    works = _cite("chung2023parallel", "rudin1992nonlinear", "chambolle2004algorithm")
    yield Component("regularized", "ipt.guidance.regularized:Regularized", regularized, works)


@hookimpl
def ipt_generators() -> Iterable[Component]:
    """Generators."""
    yield Component("motion", "ipt.operators.blur.kernels:MotionKernels", "kernels of a hand-held camera's motion")
    yield Component(
        "gaussian", "ipt.operators.blur.kernels:GaussianKernels", "Gaussian kernels, isotropic or stretched"
    )
    yield Component("defocus", "ipt.operators.blur.kernels:DefocusKernels", "discs of a lens out of focus")
    shake, works = (
        "tracks of a hand's shake, with rests and jerks",
        _cite("gavant2011physiological", "boracchi2012modeling"),
    )
    yield Component("shake", "ipt.operators.blur.tracks:ShakeKernels", shake, works)
    trajectories = "kernels over a picture, of a camera that shakes and turns"
    works = _cite("whyte2010nonuniform", "gavant2011physiological", "boracchi2012modeling")
    yield Component("camera-shake", "ipt.operators.shake.trajectories:CameraShake", trajectories, works)
    yield Component("line", "ipt.operators.blur.tracks:LineKernels", "lines and arcs at constant speed")
    yield Component("smooth", "ipt.operators.fields:SmoothFields", "smooth fields over the picture, within a range")
    yield Component("uniform", "ipt.operators.numbers:UniformNumbers", "numbers, uniform in an interval")
    yield Component("normal", "ipt.operators.numbers:NormalNumbers", "numbers, normal, also cut to an interval")
    yield Component("box", "ipt.operators.blur.kernels:BoxKernels", "rectangles of even light")
    yield Component("kernels", "ipt.operators.blur.kernels:MixedKernels", "kernels of all kinds, mixed")
    atmosphere, works = "kernels of turbulence, by D/r0", _cite("fried1966optical")
    yield Component("atmosphere", "ipt.operators.turbulence.atmosphere:AtmosphericKernels", atmosphere, works)
    kolmogorov, works = "tilt fields of turbulence, by D/r0", _cite("fried1975differential")
    yield Component("tilt-kolmogorov", "ipt.operators.turbulence.tilts:TiltKolmogorov", kolmogorov, works)
    yield Component(
        "tilt-patches", "ipt.operators.turbulence.tilts:TiltPatches", "tilt fields of random patches", _BLIND_DPS
    )
