"""How many positions a window takes that moves over a sequence."""

from __future__ import annotations

from scorer.layers.spec import Unfit


def window_positions(
    length: int | None, taps: int, stride: int, padding: str, dilation: int = 1
) -> int | None:
    """Of a window of `taps` positions `dilation` apart, moved by `stride` over `length` positions.

    padding   "valid" (whole windows alone), "same" or "causal" (Keras fills up with zeros)
    Raises Unfit where no window fits.
    """
    if length is None:
        return None
    span = (taps - 1) * dilation + 1
    if padding != "valid":
        return -(-length // stride)
    if length < span:
        raise Unfit(f"it has no window of {span} in {length} positions")
    return (length - span) // stride + 1
