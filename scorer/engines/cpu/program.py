"""Steps in order over numbered registers: what one input goes through, or what several come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod

from scorer.engines.cpu.signals import Step, Tile


@dataclass(frozen=True, eq=False)
class Instruction:
    """A step, the registers that it reads and the one that it writes; `last` are read no more."""

    step: Step
    reads: tuple[int, ...]
    writes: int
    last: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Program:
    """What to run.

    given           the registers that are filled before
    registers       how many there are
    exports         which are kept at the end: register and columns
    position_bytes  of the widest sequences that are there at one time, for the size of a tile
    row_bytes       of the largest blocks of a fixed size that are there at one time
    uniform         a tile's rows must have equally many tokens
    """

    instructions: tuple[Instruction, ...]
    given: tuple[int, ...]
    registers: int
    exports: tuple[tuple[int, int], ...]
    position_bytes: int
    row_bytes: int = 0
    uniform: bool = False

    def run(self, given: Sequence[Tile]) -> list[Tile]:
        """The tiles of `exports`, from those of the registers that are given."""
        tiles: list[Tile | None] = [None] * self.registers
        for register, first in zip(self.given, given, strict=True):
            tiles[register] = first
        for instruction in self.instructions:
            reads = [tile for r in instruction.reads if (tile := tiles[r]) is not None]
            tiles[instruction.writes] = instruction.step.run(*reads)
            for register in instruction.last:
                tiles[register] = None
        return [tile for register, _ in self.exports if (tile := tiles[register]) is not None]


@dataclass(eq=False)
class Assembly:
    """A program in the making. A step that was applied to a register is not applied to it again."""

    exports: dict[int, int] = field(default_factory=dict)
    uniform: bool = False
    _registers: int = 0
    _given: list[int] = field(default_factory=list)
    _instructions: list[Instruction] = field(default_factory=list)
    _done: dict[tuple[int, tuple[int, ...]], int] = field(default_factory=dict)
    _widths: dict[int, int] = field(default_factory=dict)
    _sizes: dict[int, int] = field(default_factory=dict)

    def apply(self, step: Step, *reads: int) -> int:
        """Run `step` on registers. Returns the register that it writes."""
        key = id(step), reads
        if key not in self._done:
            self._done[key] = self._next()
            self._instructions.append(Instruction(step, reads, self._done[key]))
        return self._done[key]

    def given(self) -> int:
        """One more register that is filled before."""
        self._given.append(self._next())
        return self._given[-1]

    def _next(self) -> int:
        self._registers += 1
        return self._registers - 1

    def holds_sequence(self, register: int, width: int) -> None:
        """Say that a register holds so many columns for every position."""
        self._widths[register] = width

    def holds_block(self, register: int, shape: tuple[int | None, ...]) -> None:
        """Say that a register holds a block, whose first dimension may count a row's tokens."""
        if None in shape:
            self.uniform = True
            self.holds_sequence(register, prod(n or 1 for n in shape[1:]))
        else:
            self._sizes[register] = prod(n or 1 for n in shape)

    def export(self, register: int, width: int) -> int:
        """Keep a register's first columns at the end. Returns its number among the kept."""
        self.exports.setdefault(register, width)
        return list(self.exports).index(register)

    def build(self) -> Program:
        readers = Counter(r for x in self._instructions for r in x.reads)
        readers.update(self.exports.keys())
        alive, most, largest, instructions = set[int](), 0, 0, []
        for number, each in enumerate(self._instructions):
            later = {r for x in self._instructions[number + 1 :] for r in x.reads}
            last = tuple(r for r in set(each.reads) if r not in later and r not in self.exports)
            alive = (alive - set(last)) | {each.writes}
            most = max(most, sum(self._widths.get(register, 0) for register in alive))
            largest = max(largest, sum(self._sizes.get(register, 0) for register in alive))
            shared = getattr(each.step, "in_place", False) and readers[each.reads[0]] > 1
            step = _OnCopy(each.step) if shared else each.step
            instructions.append(replace(each, step=step, last=last))
        exports = tuple(self.exports.items())
        given = tuple(self._given)
        return Program(
            tuple(instructions),
            given,
            self._registers,
            exports,
            4 * most,
            4 * largest,
            self.uniform,
        )


@dataclass(frozen=True, eq=False)
class _OnCopy:
    """A step that writes in place, where others read the same tile."""

    step: Step

    def run(self, *tiles: Tile) -> Tile:
        return self.step.run(*(replace(tile, values=tile.values.copy()) for tile in tiles))
