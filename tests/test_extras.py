"""Packages that only some components need: what is said where they are missing, broken, or of another version."""

from __future__ import annotations

import pytest

from ipt.core.errors import IptError, Lacking, Misuse
from ipt.extras import chosen, imported


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of the given source on the path."""

    def make(name, source):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(source)
        monkeypatch.syspath_prepend(tmp_path)

    return make


def test_what_is_there_is_returned():
    assert imported("math", "tau") == chosen("tau", "math") == chosen("math:tau", "cmath") > 6


def test_one_that_is_not_installed_comes_with_the_command():
    with pytest.raises(Lacking) as caught:
        imported("no_such_package.models", "Net")
    assert str(caught.value) == "this needs no_such_package, which is not installed\npip install no_such_package"


def test_another_version_has_no_such_name():
    with pytest.raises(Misuse, match="there is no 'tow' in math: check its spelling, or update math"):
        imported("math", "tow")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import another_package_that_is_missing", "No module named 'another_package_that_is_missing'"),
        ("raise RuntimeError('first\\n\\nbuilt for another torch')", "built for another torch"),
        ("raise OSError", "OSError"),
    ],
)
def test_one_that_fails_to_import_says_why(source, reason, package):
    package("a_broken_package", source)
    with pytest.raises(IptError, match="a_broken_package is there but cannot be imported") as caught:
        imported("a_broken_package", "Net")
    assert f"({reason})" in str(caught.value) and not isinstance(caught.value, Lacking)


def test_a_module_of_the_users_own(package):
    package("my_models", "def make(): return 3")
    assert chosen("my_models:make", "torch.nn")() == 3
    with pytest.raises(Misuse, match="there is no module my_other_models for my_other_models:make"):
        chosen("my_other_models:make", "torch.nn")
