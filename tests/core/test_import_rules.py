"""The direction of dependence: cli -> app -> report, bench, folder -> solve -> simulate -> images, training -> plugins
-> operators, priors, guidance -> sampling -> core -> linalg."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import ipt

ROOT = Path(__file__).parents[2] / "ipt"
LOWEST = {"core", "linalg", "sampling"}
PARTS = LOWEST | {"operators", "priors", "guidance"}
MIDDLE = PARTS | {"plugins", "images", "training"}
RUNS = {"solve", "simulate", "report", "folder", "bench"}
ALLOWED = {
    "linalg": set(),
    "core": {"linalg"},
    "sampling": {"core", "linalg"},
    "operators": LOWEST,
    "priors": LOWEST,
    "guidance": LOWEST,
    "plugins": PARTS,
    "images": PARTS | {"plugins"},
    "training": PARTS | {"images"},
    "solve": MIDDLE | {"simulate"},
    "simulate": MIDDLE,
    "report": MIDDLE,
    "folder": MIDDLE | {"solve"},
    "bench": MIDDLE | {"solve", "simulate", "report"},
    "testing": MIDDLE,
    "app": MIDDLE | {"solve", "report"},
    "cli": MIDDLE | RUNS | {"testing", "app"},
}
FILES = sorted(path for path in ROOT.rglob("*.py") if path.parent != ROOT)


def _imports(tree: ast.AST, package: list[str]):
    """Every module or module.name that a file imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _imported_by(path: Path) -> list[str]:
    return list(_imports(ast.parse(path.read_text()), ["ipt", *path.relative_to(ROOT).parent.parts]))


def _part(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_lies_below_it(path):
    own = path.relative_to(ROOT).parts[0]
    # Names that the package itself offers, such as its version, have no layer.
    found = {_part(name) for name in _imported_by(path) if name.split(".")[0] == "ipt"}
    above = {part for part in found if (ROOT / part).is_dir() and part} - ALLOWED[own] - {own}
    assert not above, f"ipt.{own} must not import ipt.{', ipt.'.join(sorted(above))}"


def test_every_folder_has_its_place():
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert folders <= set(ALLOWED), f"say in this test what {folders - set(ALLOWED)} may import"
    assert len(FILES) > 20


def test_no_module_imports_itself_in_a_circle():
    """Nor for its types alone, nor within a function."""
    names = {".".join(["ipt", *path.relative_to(ROOT).with_suffix("").parts]): path for path in FILES}
    graph = {}
    for name, path in names.items():
        found = {each if each in names else each.rpartition(".")[0] for each in _imported_by(path)}
        graph[name] = found & names.keys()
    TopologicalSorter(graph).prepare()


def test_the_core_is_read_at_one_sitting():
    lines = sum(len(path.read_text().splitlines()) for path in (ROOT / "core").glob("*.py"))
    assert lines <= 900
    methods = [
        name
        for interface in (ipt.Prior, ipt.ParametricOperator, ipt.GuidanceRule)
        for name, member in vars(interface).items()
        if not name.startswith("_") and not isinstance(member, bool)
    ]
    assert len(methods) <= 12, methods


def test_a_file_is_read_at_one_sitting():
    long = [str(path.relative_to(ROOT)) for path in FILES if len(path.read_text().splitlines()) > 300]
    assert not long, f"divide {', '.join(long)}"


LIBRARIES = sorted(path for part in ("core", "linalg", "sampling") for path in (ROOT / part).glob("*.py"))


@pytest.mark.parametrize("path", LIBRARIES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_core_imports_torch_alone_and_touches_no_file(path):
    outside = {name.split(".")[0] for name in _imported_by(path)} - set(sys.stdlib_module_names) - {"ipt", "torch"}
    assert not outside
    calls = {
        node.func.id
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not calls & {"print", "open", "input"}


def test_a_plugin_may_define_its_classes_beside_its_hooks_without_torch():
    code = (
        "import ipt, sys\n"
        "from ipt.linalg.normalization import Normalization\n"
        "class Veil(ipt.ParametricOperator):\n"
        "    def parameters(self, image_shape): return {'veil': ipt.ParameterSpec((1, 1, 1), 'share')}\n"
        "    def forward(self, image, veil): return image + veil\n"
        "class Flat(ipt.Prior): pass\nclass Rule(ipt.GuidanceRule): pass\nclass Draws(ipt.Generator): pass\n"
        "Veil()\nprint('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


def test_relative_and_nested_imports_are_seen():
    tree = ast.parse("def f():\n    from ..solve import page\n    from . import blur\n    import ipt.cli.main")
    found = set(_imports(tree, ["ipt", "operators"]))
    assert found == {"ipt.solve.page", "ipt.operators.blur", "ipt.cli.main"}
