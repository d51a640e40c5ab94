"""The parts of a folder on their way: what is there whole, in a hidden folder beside the output.

    plan.json      what the parts depend on, and where the input is cut
    output/        the parts that are whole, and nothing else: what is published
    00000.json     what became of a part; written last, so a part with this file is whole
    00000.windows  what its rows leave behind, see kept.py
    00000.stopped  in place of .json: more rows than are allowed could not be read

The folder's name has the digest of the run's identity: what another run, with other settings, has
still at work somewhere never gets among these parts.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import TypeAdapter, ValidationError

from scorer.errors import UsageError
from scorer.files import output_errors, write_whole
from scorer.jobs.identity import difference, digest
from scorer.jobs.parts.place import SUCCESS, Contents, FolderPlace, contents_of
from scorer.jobs.policy import Resume
from scorer.jobs.publish import Target
from scorer.tables.parts import Part

PLAN = "plan.json"
#: where a part begins and ends; None: it is all of the table
Cut: TypeAlias = tuple[int, int] | None


@dataclass(frozen=True)
class PartNote:
    """What became of a part.

    name     of its file
    size     of its file, in bytes
    read     rows, those that could not be read included
    lines    of the input; 0 where it has none
    notes    what of the input's columns the file does not keep
    """

    name: str
    size: int
    read: int
    rejected: int
    lines: int
    seconds: Mapping[str, float]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What the parts depend on, and the parts."""

    identity: Mapping[str, Any]
    parts: tuple[Cut, ...]


_NOTE, _PLAN = TypeAdapter(PartNote), TypeAdapter(Plan)


@dataclass(frozen=True)
class Staged:
    """The parts of one output; whole ones are those that have a note.

    found   the rows of parts that were whole when the run began
    """

    target: Target
    key: str
    parts: tuple[Cut, ...]
    found: int = 0

    @property
    def path(self) -> Path:
        return self.target.parts_folder(self.key)

    @property
    def output(self) -> Path:
        return self.path / "output"

    def windows(self, number: int) -> Path:
        """Where the windows of a part are kept."""
        return self.path / f"{number:05}.windows"

    def fresh(self) -> Path:
        """A name for a file that is written by this process alone."""
        return self.path / f"{secrets.token_hex(8)}.part"

    def _note_path(self, number: int) -> Path:
        return self.path / f"{number:05}.json"

    def _stop_path(self, number: int) -> Path:
        return self.path / f"{number:05}.stopped"

    def cut(self, number: int) -> Part | None:
        """A part of the table; None: all of it."""
        cut = self.parts[number]
        return None if cut is None else Part(*cut)

    def finish_part(self, number: int, note: PartNote) -> None:
        """Note that a part is whole: its files are there."""
        with write_whole(self._note_path(number), self.fresh()) as file:
            file.write(_NOTE.dump_json(note))

    def stop(self, number: int) -> None:
        """Note that a part has more rows that cannot be read than the table may."""
        self._stop_path(number).touch()

    def note(self, number: int) -> PartNote | None:
        """What became of a part; None where it is not whole."""
        note = _read_note(self._note_path(number))
        folder = self.place.folder if self.is_published else self.output
        try:
            whole = note is not None and (folder / note.name).stat().st_size == note.size
        except OSError:
            return None
        return note if whole else None

    def is_stopped(self, number: int) -> bool:
        """Whether a part has more rows that cannot be read than the table may."""
        return self._stop_path(number).exists()

    def is_stopped_before(self, number: int) -> bool:
        """Whether the run fails for rows before this part, so that the part is not needed."""
        return any(int(path.stem) < number for path in self.path.glob("*.stopped"))

    @property
    def place(self) -> FolderPlace:
        assert isinstance(self.target.output, FolderPlace)
        return self.target.output

    @property
    def is_published(self) -> bool:
        """Whether the folder is these parts already: a run ended after it had put them there."""
        if self.output.exists():
            return False
        contents = contents_of(self.place.folder)
        return contents is not None and contents.identity == self.key

    def lacking(self) -> list[int]:
        """The parts that are not there whole."""
        return [number for number in range(len(self.parts)) if self.note(number) is None]

    def publish(self, contents: Contents) -> None:
        """Have the parts where the output is to be, with what they are."""
        if self.is_published:
            return
        with output_errors(self.target.name):
            for path in self.output.iterdir():  # of a part that a worker took up twice
                if path.name not in (SUCCESS, *contents.parts):
                    path.unlink()
            contents.write(self.output)
        self.place.publish(self.output)

    def remove(self) -> None:
        """Remove what is left."""
        shutil.rmtree(self.path, ignore_errors=True)


def _read_note(path: Path) -> PartNote | None:
    try:
        return _NOTE.validate_json(path.read_bytes(), strict=True)
    except (OSError, ValidationError):
        return None


def key_of(identity: Mapping[str, Any]) -> str:
    """What tells the parts of a run of this identity from another's."""
    return digest(identity)[:16]


def planned_parts(target: Target, identity: Mapping[str, Any]) -> tuple[Part, ...]:
    """The parts that an interrupted run of this identity planned; none where it planned none."""
    plan = _read_plan(target.parts_folder(key_of(identity)))
    return () if plan is None else tuple(Part(*cut) for cut in plan.parts if cut is not None)


def staged(
    target: Target,
    name: str,
    identity: Mapping[str, Any],
    parts: Sequence[Part],
    resume: Resume,
) -> Staged:
    """Begin the parts of an output, or go on with those of an interrupted run; others go.

    `parts` are where the input, which is called `name`, is cut; none: nowhere. Raises UsageError
    where an interrupted run must be resumed and was not this one.
    """
    key = key_of(identity)
    path = target.parts_folder(key)
    others = [folder for folder in target.parts_folders() if folder != path]
    if resume is Resume.MUST and not path.exists():
        _refuse_others(others, name, identity)
    for folder in others if resume is not Resume.NEVER else [*others, path]:
        shutil.rmtree(folder, ignore_errors=True)
    plan = _read_plan(path)
    if plan is None:
        plan = Plan(identity, tuple((part.first, part.end) for part in parts) or (None,))
        shutil.rmtree(path, ignore_errors=True)
        with output_errors(path):
            (path / "output").mkdir(parents=True)
        with write_whole(path / PLAN) as file:
            file.write(json.dumps(asdict(plan)).encode())
    for stopped in path.glob("*.stopped"):
        stopped.unlink()
    begun = Staged(target, key, plan.parts)
    notes = [begun.note(number) for number in range(len(begun.parts))]
    return replace(begun, found=sum(note.read for note in notes if note))


def _read_plan(path: Path) -> Plan | None:
    try:
        return _PLAN.validate_json((path / PLAN).read_bytes())
    except (OSError, ValidationError):
        return None


def _refuse_others(others: Sequence[Path], name: str, identity: Mapping[str, Any]) -> None:
    for plan in filter(None, map(_read_plan, others)):
        changed = difference(plan.identity, identity)
        raise UsageError(f"{name}: cannot resume: {changed}; start over without --resume")
