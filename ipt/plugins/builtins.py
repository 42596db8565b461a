"""What comes with the package, registered as any other package would register it."""

from __future__ import annotations

from collections.abc import Iterable

from ipt.plugins.component import Component
from ipt.plugins.hookspecs import hookimpl

_BLIND_DPS = (
    'Chung, Kim, Kim, Ye, "Parallel Diffusion Models of Operator and Image for Blind Inverse Problems", CVPR 2023, '
    "arXiv 2211.10656"
)
_DPS = (
    'Chung, Kim, Mccann, Klasky, Ye, "Diffusion Posterior Sampling for General Noisy Inverse Problems", ICLR 2023, '
    "arXiv 2209.14687"
)
_PLUG_AND_PLAY = (
    'Zhu et al., "Denoising Diffusion Models for Plug-and-Play Image Restoration", CVPR Workshops 2023, '
    "arXiv 2305.08995"
)
_EDM = (
    'Karras, Aittala, Aila, Laine, "Elucidating the Design Space of Diffusion-Based Generative Models", NeurIPS 2022, '
    "arXiv 2206.00364"
)


@hookimpl
def ipt_operators() -> Iterable[Component]:
    yield Component("blur", "ipt.operators.blur:Blur", "blur by one unknown kernel an image", _BLIND_DPS)


@hookimpl
def ipt_priors() -> Iterable[Component]:
    yield Component("faces", "ipt.priors.shipped:faces", "aligned faces in colour: a network that ships with ipt", _EDM)
    yield Component("kernel", "ipt.priors.shipped:kernel", "blur kernels: a network that ships with ipt", _EDM)
    yield Component("ffhq", "ipt.priors.hub:ffhq", "faces at 256x256 (FFHQ): a public network, fetched once", _DPS)
    yield Component("network", "ipt.priors.network:load", "a diffusion network from a folder or file of weights", _EDM)
    yield Component("empirical", "ipt.priors.empirical:EmpiricalPrior", "any set of samples, with its exact denoiser")
    yield Component("gaussian", "ipt.priors.analytic:GaussianPrior", "independent Gaussian entries, exact")
    yield Component("box", "ipt.priors.analytic:BoxPrior", "entries uniform over an interval, exact")


@hookimpl
def ipt_guidance() -> Iterable[Component]:
    yield Component(
        "proximal",
        "ipt.guidance.proximal:Proximal",
        "fast: a least-squares step for every unknown, no gradient through a network",
        _PLUG_AND_PLAY,
    )
    yield Component(
        "dps",
        "ipt.guidance.dps:DPS",
        "posterior sampling by gradients through the priors",
        f"{_DPS}; {_BLIND_DPS}",
    )
    yield Component(
        "regularized",
        "ipt.guidance.regularized:Regularized",
        "another rule, with penalties (l1, l0, tv) on named unknowns",
        _BLIND_DPS,
    )


@hookimpl
def ipt_generators() -> Iterable[Component]:
    yield Component("motion", "ipt.operators.kernels:MotionKernels", "kernels of a hand-held camera's motion")
    yield Component("gaussian", "ipt.operators.kernels:GaussianKernels", "Gaussian kernels, isotropic or stretched")
    yield Component("defocus", "ipt.operators.kernels:DefocusKernels", "discs of a lens out of focus")
    yield Component("kernels", "ipt.operators.kernels:MixedKernels", "motion, Gaussian and defocus kernels, mixed")
