"""From an annotated network to programs: one for each input, and one for what joins them.

A node that depends on one input alone belongs to that input's program, which runs tile by tile over
rows sorted by their length. Its outputs that other programs read are one vector a row; in the rows'
own order they are given to the last program, which runs over all rows at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from scorer.bundle import Bundle, Input, Node, masked_apart
from scorer.engines.cpu.program import Assembly, Program
from scorer.engines.cpu.signals import Signal, Step, refuse
from scorer.engines.cpu.steps.blocks import Restore, Widen, as_sequence, expanded
from scorer.engines.cpu.steps.full_width import over_sequences
from scorer.engines.cpu.table import BUILDERS, LACKS, TAKE_BLOCKS, TAKE_PENDING


@dataclass(frozen=True)
class Plan:
    """The programs of a network.

    inputs   one for each input
    head     of all that depends on several inputs; None where nothing does, and there is one input
    joined   what is given to it: a program, and which of its exports
    outputs  the columns of the model's output, the last export of the head, or of the one program
    """

    inputs: tuple[Program, ...]
    head: Program | None
    joined: tuple[tuple[int, int], ...]
    outputs: int


@dataclass(frozen=True, eq=False)
class _Wire:
    """A node's output while planning: in which program, in which register, and what it is."""

    program: int | None
    register: int
    signal: Signal


def build_plan(bundle: Bundle) -> Plan:
    """Turn a bundle's network into steps. Raises UnsupportedModel naming the layer and why."""
    node = masked_apart(bundle.inputs, bundle.nodes)
    if node is not None:
        raise refuse(node.layer, "has no masks for padding that stands before the words")
    nodes = over_sequences(bundle.nodes)
    planner = _Planner(bundle.inputs, nodes)
    for node in nodes:
        planner.add(node)
    return planner.plan(nodes[-1])


class _Planner:
    def __init__(self, inputs: Sequence[Input], nodes: Sequence[Node]) -> None:
        self._inputs = [Assembly() for _ in inputs]
        self._head = Assembly()
        self._joined: dict[tuple[int, int], int] = {}  # program and export -> the head's register
        self._readers = Counter(name for node in nodes for name in node.inputs)
        pairs = zip(inputs, self._inputs, strict=True)
        self._wires = {
            given.name: _Wire(number, program.given(), _given(given))
            for number, (given, program) in enumerate(pairs)
        }

    def add(self, node: Node) -> None:
        """Plan the steps of a node."""
        layer = node.layer
        if layer.kind not in BUILDERS:
            raise refuse(layer, LACKS[layer.kind])
        wires = [self._wire(node, name) for name in node.inputs]
        if len(wires) > 1:
            wires = [self._looked_up(wire) for wire in wires]
        steps, signal = BUILDERS[layer.kind](node, *(wire.signal for wire in wires))
        program, registers = self._program(node.region), [wire.register for wire in wires]
        for step in steps:
            registers = [program.apply(step, *registers)]
        wire = _Wire(node.region, registers[0], signal)
        # Rows of open length are laid out beside one another only where none needs padding.
        if any(g.open for g in node.given) and any(hasattr(step, "before") for step in steps):
            program.uniform = True
        if signal.kind == "block":
            program.holds_block(wire.register, signal.shape)
        elif signal.kind == "sequence" and signal.pending is None:
            program.holds_sequence(wire.register, signal.width)
        if self._readers[node.name] > 1:  # what is read twice is made once
            wire = self._settled(wire)
        self._wires[node.name] = wire

    def plan(self, last: Node) -> Plan:
        wire = self._wires[last.name]
        if wire.signal.kind != "vector":
            raise refuse(last.layer, "needs one vector a row at the end, not a sequence")
        outputs = wire.signal.width
        self._program(wire.program).export(wire.register, outputs)
        head = self._head.build() if wire.program is None else None
        inputs = tuple(program.build() for program in self._inputs)
        return Plan(inputs, head, tuple(self._joined), outputs)

    def _program(self, region: int | None) -> Assembly:
        return self._head if region is None else self._inputs[region]

    def _wire(self, node: Node, name: str) -> _Wire:
        """What a node reads, where its program can read it."""
        wire = self._wires[name]
        if node.layer.kind not in TAKE_PENDING:
            wire = self._settled(wire)
        if wire.program != node.region:
            wire = self._brought(node, wire)
        if node.layer.kind not in TAKE_BLOCKS:
            steps, signal = as_sequence(node, wire.signal)
            wire = self._followed(wire, steps, signal)
        return wire

    def _followed(self, wire: _Wire, steps: Sequence[Step], signal: Signal) -> _Wire:
        """What `steps` make of a wire."""
        register = wire.register
        for step in steps:
            register = self._program(wire.program).apply(step, register)
        return _Wire(wire.program, register, signal)

    def _settled(self, wire: _Wire) -> _Wire:
        """The same after its pending step, if there is one."""
        if wire.signal.pending is None:
            return wire
        program = self._program(wire.program)
        register = program.apply(wire.signal.pending, wire.register)
        program.holds_sequence(register, wire.signal.width)
        return _Wire(wire.program, register, replace(wire.signal, pending=None))

    def _looked_up(self, wire: _Wire) -> _Wire:
        """Tokens as the sequence that they stand for."""
        if wire.signal.look_up is None:
            return wire
        register = self._program(wire.program).apply(wire.signal.look_up, wire.register)
        signal = replace(wire.signal, kind="sequence", embedding=None, look_up=None)
        return replace(wire, register=register, signal=signal)

    def _brought(self, node: Node, wire: _Wire) -> _Wire:
        """An input's tensor in the program of all that depends on several inputs.

        It goes there as one vector a row, and a mask does not go with it.
        """
        signal, shape, number = wire.signal, wire.signal.shape, wire.program
        if number is None:
            raise refuse(node.layer, "reads a tensor of its own program")
        if signal.kind != "vector":
            steps, shape = expanded(node, signal)
            if None in shape or signal.masked:
                raise refuse(
                    node.layer, "joins several inputs only where each is of a fixed size, unmasked"
                )
            flat = Signal("vector", width=prod(n or 0 for n in shape))
            wire = self._followed(wire, [*steps, Widen()], flat)
        key = number, self._inputs[number].export(wire.register, wire.signal.width)
        if key not in self._joined:
            self._joined[key] = self._head.given()
        brought = _Wire(None, self._joined[key], wire.signal)
        if len(shape) < 2:
            return brought
        block = Signal("block", width=shape[-1] or 0, shape=shape)
        self._head.holds_block(brought.register, shape)
        return self._followed(brought, [Restore(tuple(n or 0 for n in shape))], block)


def _given(given: Input) -> Signal:
    """What an input is."""
    spec = given.vectorizer
    if spec is None:
        return Signal("vector", width=given.spec.width)
    if spec.output_mode == "int":
        return Signal(
            "tokens", ids=spec.id_count, length=spec.output_sequence_length, padding=spec.padding
        )
    return Signal("bag", width=spec.columns, spec=spec)
