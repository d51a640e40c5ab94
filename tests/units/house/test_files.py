"""Small files are read only where they are regular and small; new ones go to the disk early."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from scorer import files
from scorer.files import read_regular


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * (1 << 20))
    assert read_regular(path, 1 << 20) == b"x" * (1 << 20)
    path.write_bytes(b"x" * ((1 << 20) + 1))
    with pytest.raises(OSError, match="larger than 1 MiB"):
        read_regular(path, 1 << 20)


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(OSError, match="not a regular file"):
            read_regular(path, 10)


def test_a_missing_file_keeps_its_own_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "none", 10)


@pytest.mark.parametrize("refused", [False, True])
def test_a_new_file_is_on_its_way_to_the_disk_before_its_end(
    refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, int]] = []

    def advise(file: int, at: int, length: int, advice: int) -> None:
        told.append((at, length))
        if refused:
            raise OSError(errno.EINVAL, "not this file system")

    monkeypatch.setattr(files, "OUT_BYTES", 3 << 20)
    monkeypatch.setattr(os, "posix_fadvise", advise)
    content = os.urandom(1 << 20)
    with files.write_whole(tmp_path / "out", tmp_path / "part") as file:
        for _ in range(8):
            file.write(content)
    assert (tmp_path / "out").read_bytes() == 8 * content
    assert len(told) == 2
    assert told[0][0] == 0
    assert told[1][0] == told[0][1]
    assert all(3 << 20 <= length <= 4 << 20 for _, length in told)
