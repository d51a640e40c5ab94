"""Writes a model as ONNX, and compares it with ONNX Runtime.

The graph reads texts, where ONNX Runtime's own operators do all that the vectorizer does:

    text     string (rows,)           the text, or what the card's template makes of the columns
    text_1   string (rows,)           of several inputs, what the second one reads of another column
    numbers  float32 (rows, width)    what the network takes beside them

Otherwise, and with `ids`, it begins where the vectorizers end:

    ids      int64 (rows, tokens)   token ids, rows padded with 0 at their end
    lengths  int32 (rows,)          tokens of each row (only where the network masks its padding)
    bag      float32 (rows, words)  instead of both, for a bag-of-words model

With several inputs each name ends in the input's number: `ids_0`, `lengths_0`, `bag_1`. The output
`scores` is float32 (rows, outputs), as the card's task has them. The graph scores every row: which
rows have no token and should have no score, it does not say. Where it reads ids, the vectorizers'
settings and vocabularies are in the model's metadata as JSON: `vectorizer`, or `vectorizers`, a
list.

    model.py       puts the network and what comes before it into one model
    strings.py characters.py
                   the vectorizer as operators on strings, and what has none
    table.py       which layer is written by what: nodes, activations, windows, shapes, attention
    checks.py      ONNX Runtime's answers beside ours
"""

from scorer.export.checks import onnx_inputs, run_onnx
from scorer.export.model import to_onnx, vectorizers_to_onnx
from scorer.export.write import Written, write_onnx

__all__ = [
    "Written",
    "onnx_inputs",
    "run_onnx",
    "to_onnx",
    "vectorizers_to_onnx",
    "write_onnx",
]
