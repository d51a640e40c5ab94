"""Where an output of several parts goes: a folder that is there whole or not at all.

The folder holds `part-00000.csv` and so on, and `_SUCCESS`, which names them with their rows.
Readers of data sets leave out names that begin with an underscore. Only a folder that holds nothing
else is ever replaced or removed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from scorer.errors import OutputExists
from scorer.files import follow_link, output_errors, read_regular, rename, write_whole
from scorer.jobs.publish import LocalPlace, Target, local_target

SUCCESS = "_SUCCESS"
PART_NAME = re.compile(r"part-\d{5,}(\.\w+)*")
MAX_CONTENTS_BYTES = 64 << 20


def part_name(number: int, suffix: str) -> str:
    """The name of a part: in the order of the names the parts are the whole."""
    return f"part-{number:05}{suffix}"


@dataclass(frozen=True)
class Contents:
    """What a folder of parts says of itself.

    identity   the digest of all that the parts depend on
    parts      the rows of each part, rejected ones left out, by the part's name
    """

    scorer: str
    identity: str
    parts: Mapping[str, int]

    def write(self, folder: Path) -> None:
        """Have the folder say it."""
        with write_whole(folder / SUCCESS) as file:
            file.write((json.dumps(asdict(self), indent=1) + "\n").encode())


_CONTENTS = TypeAdapter(Contents)


def contents_of(folder: Path) -> Contents | None:
    """What a folder of our parts says of itself; None of any other folder, and where none is."""
    try:
        text = read_regular(folder / SUCCESS, MAX_CONTENTS_BYTES)
        contents = _CONTENTS.validate_json(text, strict=True)
    except (OSError, ValidationError):
        return None
    return contents if all(map(PART_NAME.fullmatch, contents.parts)) else None


class FolderPlace(LocalPlace):
    """A folder of parts on this machine. Where it is a link, the folder that the link names."""

    def check(self) -> None:
        """Raise OutputExists where something lies there that is not a folder of our parts."""
        folder = self.folder
        with output_errors(self.name):
            there = folder.exists() or folder.is_symlink()
            if there and not folder.is_dir():
                raise OutputExists(
                    f"{self.name}: is a file, and a folder of parts would be written there: "
                    "name another output, or remove it"
                )
            stranger = _stranger(folder) if there else ""
        if stranger:
            raise OutputExists(
                f"{self.name}: holds other files than the parts of an output ({stranger}): "
                "name another output"
            )

    @property
    def folder(self) -> Path:
        """The folder itself."""
        return follow_link(self.path)

    @property
    def _old(self) -> Path:
        return self.folder.with_name(f".{self.folder.name}.old")

    def publish(self, part: Path) -> None:
        """Rename the folder `part` into place. The one before it goes once the new one is there."""
        self.check()
        with output_errors(self.name):
            if self.folder.exists():
                rename(self.folder, self._old)
            rename(part, self.folder)
            _remove(self._old)

    def settle(self) -> None:
        """Finish what a run that was stopped while it published has left."""
        with output_errors(self.name):
            if not self._old.is_dir():
                return
            if self.folder.exists():
                _remove(self._old)
            else:
                rename(self._old, self.folder)

    def remove(self) -> None:
        with output_errors(self.name):
            _remove(self.folder)


def folder_target(path: Path) -> Target:
    """A folder of parts as the target, the rejects beside it."""
    return replace(local_target(path), output=FolderPlace(path))


def _stranger(folder: Path) -> str:
    """The first name in a folder that is not of an output of ours; empty if there is none."""
    contents = contents_of(folder)
    ours = {SUCCESS, *contents.parts} if contents else set()
    return min((path.name for path in folder.iterdir() if path.name not in ours), default="")


def _remove(folder: Path) -> None:
    """Remove a folder of our parts; one that holds anything else stays, with all that it holds."""
    if not folder.is_dir() or _stranger(folder):
        return
    for path in sorted(folder.iterdir(), reverse=True):  # what says whose they are goes last
        path.unlink()
    folder.rmdir()
