"""Published networks that are too large to ship, by name. Fetching and checking: `ipt.priors.published`."""

from __future__ import annotations

import os

from ipt.priors.loading import from_weights
from ipt.priors.network import NetworkPrior
from ipt.priors.published import PUBLISHED, fetch, verified
from ipt.priors.weights import read


def ffhq(
    path: str | os.PathLike[str] | None = None, device: str = "cpu", precision: str = "fp32", compile: bool = False
) -> NetworkPrior:
    """Faces at 256x256, in colour: the ADM network trained on FFHQ that diffusion posterior sampling uses.

    Args:
        path: a local file (ffhq_10m.pt); None: fetched from huggingface.co/deepinv/diffunet (357 MB), with a progress
            bar, to the usual cache; HF_HUB_OFFLINE and HF_HOME are honoured. A fetched file is checked against the
            sha256 that the hub states and that is then kept in the cache; a file that differs later is refused.
        device: a torch device.
        precision: fp32, bf16 or fp16.
        compile: whether to compile the network with torch.compile, at its first call.

    Raises:
        IptError: the weights cannot be had, or are others.
    """
    return _published("ffhq", path, device, precision, compile)


def imagenet(
    path: str | os.PathLike[str] | None = None, device: str = "cpu", precision: str = "fp32", compile: bool = False
) -> NetworkPrior:
    """Photographs at 256x256, in colour: OpenAI's unconditional ADM network, trained on ImageNet.

    Args:
        path: a local file (256x256_diffusion_uncond.pt); None: fetched from huggingface.co/deepinv/diffunet (2.2 GB),
            kept and checked as `ffhq` is.
        device: a torch device.
        precision: fp32, bf16 or fp16.
        compile: whether to compile the network with torch.compile, at its first call.

    Raises:
        IptError: the weights cannot be had, or are others.
    """
    return _published("imagenet", path, device, precision, compile)


def _published(
    name: str, path: str | os.PathLike[str] | None, device: str, precision: str, compile: bool
) -> NetworkPrior:
    if path is not None:
        return from_weights(read(path), device, precision, compile=compile, schedule="linear")
    item = PUBLISHED[name]
    file = fetch(item)
    weights = read(file)
    verified(item, file, weights.sha256)
    return from_weights(weights, device, precision, compile=compile, name=name, schedule="linear")
