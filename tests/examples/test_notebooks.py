"""The notebooks run from top to bottom, in kernels of their own.

That needs the extra `docs`, which .ci/run installs.
"""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))
FEW_STEPS = """\
from ipt.guidance.proximal import Proximal
from ipt.sampling.schedules import Karras
Proximal.schedule = lambda self, steps=None: Karras(3)
"""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(notebook, tmp_path, monkeypatch):
    pytest.importorskip("ipykernel")
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    book = nbformat.read(notebook, as_version=4)
    assert not any(cell.get("outputs") for cell in book.cells), "clear all outputs before you save it"
    book.cells.insert(0, nbformat.v4.new_code_cell(FEW_STEPS))
    done = nbclient.NotebookClient(book, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in done.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 1
    assert any(output.get("text") for output in outputs)


def test_there_are_two():
    assert [notebook.stem for notebook in NOTEBOOKS] == ["first_solve", "new_operator"]
