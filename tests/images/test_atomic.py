from __future__ import annotations

import errno
from pathlib import Path

import pytest

from ipt.core.errors import IptError
from ipt.images.atomic import atomic, check_folder, output_folders


def test_the_file_is_there_whole(tmp_path: Path) -> None:
    with atomic(tmp_path / "a") as file:
        file.write(b"new")
        assert not (tmp_path / "a").exists()
    assert (tmp_path / "a").read_bytes() == b"new" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("no"), OSError(errno.ENOSPC, "full")])
def test_an_error_leaves_what_was_there(tmp_path: Path, error: BaseException) -> None:
    (tmp_path / "a").write_bytes(b"old")

    def fail() -> None:
        with atomic(tmp_path / "a") as file:
            file.write(b"half")
            raise error

    with pytest.raises(IptError if isinstance(error, OSError) else type(error)) as caught:
        fail()
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]
    if isinstance(error, OSError):
        assert "no space left" in str(caught.value)


def test_check_folder(tmp_path: Path) -> None:
    assert check_folder(tmp_path / "new" / "folder").is_dir() and not list((tmp_path / "new" / "folder").iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(IptError, match="is a file"):
        check_folder(tmp_path / "file")
    with pytest.raises(IptError, match="cannot be written"):
        check_folder(tmp_path / "file" / "below")
    with pytest.raises(IptError, match="cannot be written"):
        check_folder("/proc/nothing")


def test_output_folders_that_hold_nothing_go_again(tmp_path: Path) -> None:
    old, new, full = tmp_path / "old", tmp_path / "new" / "below", tmp_path / "full"
    old.mkdir()
    with output_folders(old, new, full, full / "within"):
        (full / "file").touch()
    with pytest.raises(IptError), output_folders(tmp_path / "other", "/proc/nothing"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "old"]
    assert [path.name for path in full.iterdir()] == ["file"]
