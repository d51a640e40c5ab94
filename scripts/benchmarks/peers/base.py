"""What a peer is: prepared once, loaded anew in every measured process, then given texts."""

from __future__ import annotations

import importlib.util
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

#: texts in, True where the opinion is positive
Score = Callable[[list[str]], Sequence[bool]]
S = TypeVar("S")


@dataclass(frozen=True)
class Rows:
    """Texts and whether each is positive. JSON on disk: reading it costs no peer an import."""

    texts: list[str]
    positive: list[bool]

    def __len__(self) -> int:
        return len(self.texts)

    def sample(self, rows: int) -> Rows:
        """That many rows, evenly spaced; all if there are fewer."""
        rows = min(rows, len(self))
        picked = [i * len(self) // rows for i in range(rows)]
        return Rows([self.texts[i] for i in picked], [self.positive[i] for i in picked])

    def write(self, path: Path) -> None:
        path.write_text(json.dumps([self.texts, self.positive]), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Rows:
        return cls(*json.loads(path.read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Job:
    """One peer's work: a folder of its own, beside the training rows, and its threads."""

    folder: Path
    threads: int

    def training(self) -> Rows:
        return Rows.read(self.folder.parent / "training.json")


@dataclass(frozen=True, kw_only=True)
class Peer(ABC):
    """One way to score texts.

    title     what the table calls it
    how       how it is run, for the notes
    needs     the modules that it imports and the package that brings each
    parallel  whether it can use more than one thread
    rows      the most rows it is given, where it is slow
    learnt    False where its output means nothing (random weights): no accuracy
    """

    title: str
    how: str = ""
    needs: tuple[tuple[str, str], ...] = ()
    parallel: bool = True
    rows: int | None = None
    learnt: bool = True

    def missing(self) -> list[str]:
        """The packages to install before this peer can run."""
        return [package for name, package in self.needs if importlib.util.find_spec(name) is None]

    def prepare(self, job: Job) -> str:
        """Train or convert into the job's folder, untimed; says what was chosen on the way."""
        return ""

    @abstractmethod
    def load(self, job: Job) -> Score:
        """What a user does before the first text."""


def fastest(settings: Iterable[S], make: Callable[[S], Score], texts: list[str]) -> S:
    """The setting whose second pass over the texts is the shortest; the first one warms up."""

    def cost(setting: S) -> float:
        score = make(setting)
        score(texts)
        started = time.perf_counter()
        score(texts)
        return time.perf_counter() - started

    return min(settings, key=cost)
