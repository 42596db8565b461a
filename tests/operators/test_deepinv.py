"""deepinv's physics as operators: the same measurements, adjoints and gradients, in every unknown, and nothing kept."""

import re
import sys
from pathlib import Path

import pytest
import torch

from ipt.core.errors import IptError
from ipt.operators.blur import Blur
from ipt.operators.deepinv import DeepinvPhysics, load


@pytest.fixture
def deepinv():
    return pytest.importorskip("deepinv", reason="the optional package deepinv is not installed")


def blur(deepinv, **options):
    return DeepinvPhysics(deepinv.physics.Blur(padding="circular", **options), {"filter": (1, 5, 5)})


def kernels(count, dtype=torch.float32):
    drawn = torch.rand(count, 1, 5, 5, generator=torch.Generator().manual_seed(3), dtype=dtype)
    return drawn / drawn.sum((1, 2, 3), keepdim=True)


def test_a_call_is_the_physics_own_and_leaves_it_as_it_was(deepinv):
    fixed = kernels(1)
    operator, image, filters = blur(deepinv, filter=fixed), torch.rand(2, 3, 12, 12), kernels(2).flip(-1)
    found = operator.forward(image, filter=filters)
    assert operator.physics.filter is fixed
    assert torch.equal(found, deepinv.physics.Blur(padding="circular").A(image, filter=filters))
    assert torch.equal(operator.forward(image), operator.physics.A(image))
    unset = blur(deepinv)
    unset.forward(image, filter=filters)
    assert unset.physics.filter is None


def test_a_circular_blur_is_that_of_this_package(deepinv):
    image, filters = torch.rand(2, 3, 12, 10), kernels(2)
    ours = Blur(5, "circular").forward(image, kernel=filters)
    assert torch.allclose(blur(deepinv).forward(image, filter=filters), ours, atol=1e-6)


def test_the_noise_and_the_sensor_are_left_out(deepinv):
    noisy = deepinv.physics.Denoising(deepinv.physics.GaussianNoise(0.5))
    image = torch.rand(1, 3, 4, 4)
    assert torch.equal(DeepinvPhysics(noisy).forward(image), image)
    assert DeepinvPhysics(noisy).parameters((3, 4, 4)) == {}


@pytest.mark.parametrize("name", ["Blur", "Downsampling", "Inpainting", "Decolorize"])
def test_the_derivative_is_deepinv_s_own_adjoint(deepinv, name):
    options = {
        "Blur": {"filter": kernels(1), "padding": "valid"},
        "Downsampling": {"filter": "bicubic", "factor": 2, "img_size": (3, 12, 12)},
        "Inpainting": {"mask": 0.5, "img_size": (3, 12, 12)},
        "Decolorize": {},
    }[name]
    operator, image = load(name, **options), torch.rand(2, 3, 12, 12)
    measurement, pullback = torch.func.vjp(operator.forward, image)
    direction = torch.randn_like(measurement)
    assert torch.allclose(pullback(direction)[0], operator.physics.A_adjoint(direction), atol=1e-5)
    assert operator.image_shape(measurement.shape[1:]) == (3, 12, 12)


def test_the_gradient_in_the_unknown(deepinv):
    operator, filters = blur(deepinv), kernels(2, torch.float64)
    image = torch.rand(2, 1, 6, 6, dtype=torch.float64)
    assert operator.forward(image, filter=filters).dtype == torch.float64
    assert torch.autograd.gradcheck(
        lambda x, k: operator.forward(x, filter=k), (image.requires_grad_(), filters.requires_grad_())
    )
    alone = operator.forward(image[1:], filter=filters[1:])
    assert torch.allclose(operator.forward(image, filter=filters)[1:], alone)


def test_fixed_tensors_take_the_image_s_precision(deepinv):
    operator = load("Downsampling", filter="gaussian", factor=2)
    assert operator.forward(torch.rand(1, 3, 8, 8, dtype=torch.float64)).dtype == torch.float64
    assert operator.physics.filter.dtype == torch.float32


def test_the_parameters_and_what_is_valid(deepinv):
    spec = blur(deepinv).parameters((3, 32, 32))["filter"]
    assert (spec.shape, spec.prior) == ((1, 5, 5), "kernel")
    loose = torch.randn(2, 1, 5, 5)
    valid = blur(deepinv).constrain({"filter": loose})
    assert (valid["filter"] >= 0).all() and torch.allclose(valid["filter"].sum((1, 2, 3)), torch.ones(2))
    assert torch.allclose(blur(deepinv).constrain(valid)["filter"], valid["filter"])
    free = load("Blur", unknown={"filter": (3, 5, 5)}, kernels=())
    assert torch.equal(free.constrain({"filter": loose})["filter"], loose)
    assert free.parameters((3, 8, 8))["filter"].prior == ""


def test_a_random_mask_is_the_same_every_time_and_no_random_numbers_are_used_up(deepinv):
    options = {"img_size": (3, 8, 8), "mask": 0.5}
    before, first = torch.random.get_rng_state(), load("Inpainting", **options)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(5)
    assert torch.equal(load("Inpainting", **options).physics.mask, first.physics.mask)
    assert 0 < first.physics.mask.mean() < 1
    # Whatever the measurement, there is one size of image that it takes.
    assert first.image_shape((3, 256, 256)) == (3, 8, 8)


@pytest.mark.filterwarnings("ignore:At least one input physics is a DecomposablePhysics")
def test_a_composed_physics_has_the_parameters_of_its_parts(deepinv):
    first, second = deepinv.physics.Blur(padding="circular"), deepinv.physics.Decolorize()
    operator = DeepinvPhysics(deepinv.physics.compose(first, second), {"filter": (1, 5, 5)})
    image, filters = torch.rand(1, 3, 8, 8), kernels(1)
    found = operator.forward(image, filter=filters)
    assert first.filter is None and found.shape == (1, 1, 8, 8)
    assert torch.allclose(found, second.A(first.A(image, filter=filters)), atol=1e-6)


@pytest.mark.parametrize(
    ("model", "options", "told"),
    [
        ("Blur", {"unknown": {"fillter": (1, 5, 5)}}, "no parameter 'fillter'"),
        ("Blur", {"unknown": {"filter": (5, 5)}}, "three numbers"),
        ("Blur", {"paddding": "circular"}, "does not have all these options.*paddding"),
        ("Blurr", {}, "no 'Blurr' in deepinv.physics"),
    ],
)
def test_what_the_physics_does_not_have(deepinv, model, options, told):
    with pytest.raises(IptError, match=told):
        load(model, **options)


def test_a_blur_without_its_filter_says_how_to_name_it(deepinv):
    with pytest.raises(IptError, match=r"filter is None(.|\n)*operator.unknown.filter=\[1, 9, 9\]"):
        load("Blur").image_shape((3, 8, 8))


def test_the_python_of_the_page_runs(deepinv):
    page = Path(__file__).parents[2] / "docs" / "adapters.md"
    (source,) = re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    names = {}
    exec(compile(source, page.name, "exec"), names)
    assert names["solution"].image.shape == (1, 3, 32, 32)
    assert float(names["solution"].residual[0]) < 0.05


# In any installation


def test_without_deepinv_the_command_that_installs_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "deepinv", None)
    monkeypatch.delitem(sys.modules, "deepinv.physics", raising=False)
    with pytest.raises(IptError, match="needs deepinv, which is not installed\npip install deepinv"):
        load("Blur")


def test_a_factory_of_one_s_own(tmp_path, monkeypatch):
    (tmp_path / "bench.py").write_text(
        "import torch\n"
        "class Gain(torch.nn.Module):\n"
        "    gain = None\n"
        "    def A(self, image, gain=None):\n"
        "        self.gain = gain\n"
        "        return gain * image\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    operator = load("bench:Gain", unknown={"gain": [1, 1, 1]})
    image = torch.rand(1, 3, 4, 4)
    assert torch.equal(operator.forward(image, gain=torch.full((1, 1, 1, 1), 0.5)), 0.5 * image)
    assert operator.physics.gain is None
    assert operator.image_shape((3, 4, 4)) == (3, 4, 4)
    sys.modules.pop("bench")
