"""The one walk over a network's calls: what each gives, its weights' shapes, what it reads.

Only here are the declarations of layers asked. Checks, engines and pages read the answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from scorer.bundle.network import Call, Input, Node
from scorer.errors import UnsupportedModel
from scorer.layers import KINDS
from scorer.layers.spec import TensorSpec, Unfit


def annotate(inputs: Sequence[Input], calls: Iterable[Call]) -> tuple[Node, ...]:
    """The calls as nodes, in their order; each reads inputs and nodes before it.

    Raises UnsupportedModel naming the layer that cannot take what it is given.
    """
    specs = {given.name: given.spec for given in inputs}
    regions: dict[str, int | None] = {given.name: i for i, given in enumerate(inputs)}
    nodes = []
    for call in calls:
        node = _annotated(call, specs, regions)
        specs[node.name], regions[node.name] = node.spec, node.region
        nodes.append(node)
    return tuple(nodes)


def _annotated(call: Call, specs: dict[str, TensorSpec], regions: dict[str, int | None]) -> Node:
    layer = call.layer
    kind = KINDS[layer.kind]
    given = tuple(specs[name] for name in call.inputs)
    for source in call.masks:
        if not any(g.masked and g.padding and g.padding.source == source for g in given):
            raise UnsupportedModel(f"layer {layer.name}: it is called with 'mask', as none may be")
    try:
        spec = kind.output(layer.settings, given)
        shapes = kind.weights(layer.settings, given)
    except Unfit as error:
        raise UnsupportedModel(f"layer {layer.name} ({layer.kind}): {error}") from error
    places = {regions[name] for name in call.inputs}
    return Node(
        call.name,
        layer,
        call.inputs,
        call.masks,
        call.place,
        given=given,
        spec=spec,
        shapes=shapes,
        reads_padding=any(g.open and kind.reads_padding(layer.settings, g) for g in given),
        region=places.pop() if len(places) == 1 else None,
    )


def heeds_masks(name: str, nodes: Sequence[Node]) -> bool:
    """Whether no layer reads an id 0 of the input `name`: each leaves masked positions out."""
    for node in nodes:
        kind, settings = KINDS[node.layer.kind], node.layer.settings
        if name in node.inputs and not settings.get("mask_zero", False):
            return False
        sources = {given.padding.source for given in node.given if given.padding}
        if name not in sources or name in node.inputs:
            continue
        if len(sources) > 1 or any(kind.reads_padding(settings, given) for given in node.given):
            return False
    return True
