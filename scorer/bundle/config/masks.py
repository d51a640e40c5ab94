"""The masks that a Functional model writes down as operations on its token ids.

An Embedding's mask is `ids != 0`; merging layers combine the masks of what they merge, some of them
column by column. Engines make all that anew from `mask_zero`. Here each operation is reduced to the
ids that it comes from, so that a mask of another meaning is noticed and refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from scorer.bundle.config.graph import RawCall
from scorer.bundle.config.tensors import Reference
from scorer.errors import UnsupportedModel


@dataclass(frozen=True)
class Mask:
    """Where ids of an input are not 0; everywhere (`source` None), or nowhere.

    columns  it has a last dimension of columns, all alike
    """

    source: str | None
    nowhere: bool = False
    columns: bool = False


_EVERYWHERE, _NOWHERE = Mask(None, columns=True), Mask(None, nowhere=True, columns=True)
OPERATIONS = frozenset(
    (
        *("NotEqual", "LogicalOr", "ExpandDims", "ZerosLike", "OnesLike", "Concatenate", "Any"),
        "ConvertToTensor",
    )
)


def mask_of(call: RawCall, known: dict[str, Mask]) -> Mask:
    """The mask that an operation makes, given those of the operations before it.

    Raises UnsupportedModel where it is not one that Keras makes by itself.
    """
    found = _mask_of(call, known)
    if found is None or call.keywords:
        raise UnsupportedModel(f"operation {call.layer}: only an Embedding's own mask is known")
    return found


def _mask_of(call: RawCall, known: dict[str, Mask]) -> Mask | None:
    arguments, kind, axis = list(call.arguments), call.kind, call.settings.get("axis")
    if kind == "NotEqual":
        ids = arguments[0] if arguments else None
        return Mask(ids.name) if isinstance(ids, Reference) and arguments[1:] == [0] else None
    if kind in ("ZerosLike", "OnesLike"):
        return _NOWHERE if kind == "ZerosLike" else _EVERYWHERE
    if kind == "Concatenate" and len(arguments) == 1 and isinstance(arguments[0], list):
        arguments = arguments[0]
    masks = [known.get(item.name) for item in arguments if isinstance(item, Reference)]
    given = [mask for mask in masks if mask is not None]
    if not given or len(given) != len(arguments):
        return None
    if kind == "LogicalOr":
        return _either(given)
    if kind == "ConvertToTensor" and len(given) == 1:
        return given[0]
    columns = all(mask.columns for mask in given)
    if kind == "ExpandDims" and axis == -1 and not columns and len(given) == 1:
        return Mask(given[0].source, columns=True)
    if kind == "Concatenate" and axis == -1 and columns:
        return _either(given)
    if kind == "Any" and axis == -1 and columns and len(given) == 1:
        return Mask(given[0].source, given[0].nowhere)
    return None


def _either(masks: list[Mask]) -> Mask | None:
    """Where any of the masks is."""
    somewhere = {mask for mask in masks if not mask.nowhere}
    everywhere = {mask for mask in somewhere if mask.source is None}
    alike = len({mask.columns for mask in masks}) == 1
    best = everywhere or somewhere or set(masks)
    return best.pop() if alike and len(best) == 1 else None
