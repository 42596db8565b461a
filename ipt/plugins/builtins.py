"""What comes with the package, registered as any other package would register it."""

from __future__ import annotations

from collections.abc import Iterable

from ipt.plugins import references as works
from ipt.plugins.component import Component
from ipt.plugins.hookspecs import hookimpl

_DEEPINV = (
    'Tachella et al., "DeepInverse: A Python package for solving imaging inverse problems with deep learning", 2025, '
    "arXiv 2505.20160"
)

_TILT = (
    'Fried, "Differential angle of arrival: Theory, evaluation, and measurement feasibility", Radio Science 10, 1975'
)

_SHORT_EXPOSURE = (
    'Fried, "Optical resolution through a randomly inhomogeneous medium for very long and very short exposures", '
    "Journal of the Optical Society of America 56, 1966"
)


@hookimpl
def ipt_operators() -> Iterable[Component]:
    yield Component("blur", "ipt.operators.blur:Blur", "blur by one unknown kernel an image", works.BLIND_DPS)
    yield Component("deepinv", "ipt.operators.deepinv:load", "a physics of deepinv (Blur, Inpainting, ...)", _DEEPINV)
    yield Component(
        "turbulence", "ipt.operators.turbulence:Turbulence", "a warp by a tilt field, then a blur", works.BLIND_DPS
    )
    yield Component("downscale", "ipt.operators.downscale:Downscale", "fewer pixels, by a known whole factor")


@hookimpl
def ipt_priors() -> Iterable[Component]:
    yield Component(
        "faces",
        "ipt.priors.shipped:faces",
        "aligned faces in colour: a network that ships with ipt",
        works.EDM + works.CELEBA + works.FFHQ,
    )
    yield Component(
        "faces256",
        "ipt.priors.shipped:faces256",
        "aligned faces in colour, 256x256 too: a network that ships with ipt",
        works.EDM + works.CELEBA + works.FFHQ,
    )
    yield Component(
        "natural",
        "ipt.priors.shipped:natural",
        "photographs of any size in colour: a network that ships with ipt",
        works.EDM + works.BSDS + works.CELEBA,
    )
    yield Component("kernel", "ipt.priors.shipped:kernel", "blur kernels: a network that ships with ipt", works.EDM)
    yield Component(
        "kernel-uncentred",
        "ipt.priors.shipped:kernel_uncentred",
        "the network of `kernel`, not held to the centre: where the border is unknown",
        works.EDM,
    )
    yield Component(
        "ffhq",
        "ipt.priors.hub:ffhq",
        "faces at 256x256 (FFHQ): a public network, fetched once",
        works.DPS + works.ADM + works.FFHQ,
    )
    yield Component(
        "imagenet",
        "ipt.priors.hub:imagenet",
        "photographs at 256x256 (ImageNet): OpenAI's public network, fetched once",
        works.ADM,
    )
    yield Component(
        "network",
        "ipt.priors.network:load",
        "a diffusion network from a folder or file of weights",
        works.EDM + works.ADM,
    )
    yield Component("hf", "ipt.priors.diffusers:load", "a UNet2DModel of diffusers, by folder or huggingface.co name")
    yield Component("deepinv", "ipt.priors.deepinv:load", "a denoiser of deepinv (DRUNet, DnCNN, ...)", _DEEPINV)
    yield Component("empirical", "ipt.priors.empirical:EmpiricalPrior", "any set of samples, with its exact denoiser")
    yield Component("tilt", "ipt.priors.tilt:TiltPrior", "tilt fields of turbulence: Gaussian fields, exact", _TILT)
    yield Component("gaussian", "ipt.priors.analytic:GaussianPrior", "independent Gaussian entries, exact")
    yield Component("box", "ipt.priors.analytic:BoxPrior", "entries uniform over an interval, exact")


@hookimpl
def ipt_guidance() -> Iterable[Component]:
    yield Component(
        "proximal",
        "ipt.guidance.proximal:Proximal",
        "fast: a least-squares step for every unknown, no gradient through a network",
        works.DIFF_PIR + works.FAST_DIFFUSION_EM,
    )
    yield Component(
        "dps",
        "ipt.guidance.dps:DPS",
        "posterior sampling by gradients through the priors",
        works.DPS + works.BLIND_DPS,
    )
    yield Component(
        "regularized",
        "ipt.guidance.regularized:Regularized",
        "another rule, with penalties (l1, l0, tv) on named unknowns",
        works.BLIND_DPS + works.TOTAL_VARIATION,
    )


@hookimpl
def ipt_generators() -> Iterable[Component]:
    yield Component("motion", "ipt.operators.kernels:MotionKernels", "kernels of a hand-held camera's motion")
    yield Component("gaussian", "ipt.operators.kernels:GaussianKernels", "Gaussian kernels, isotropic or stretched")
    yield Component("defocus", "ipt.operators.kernels:DefocusKernels", "discs of a lens out of focus")
    yield Component("kernels", "ipt.operators.kernels:MixedKernels", "motion, Gaussian and defocus kernels, mixed")
    yield Component(
        "atmosphere", "ipt.operators.atmosphere:AtmosphericKernels", "kernels of turbulence, by D/r0", _SHORT_EXPOSURE
    )
    yield Component(
        "tilt-kolmogorov", "ipt.operators.tilts:TiltKolmogorov", "tilt fields of turbulence, by D/r0", _TILT
    )
    yield Component("tilt-patches", "ipt.operators.tilts:TiltPatches", "tilt fields of random patches", works.BLIND_DPS)
