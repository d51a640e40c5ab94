"""What the file is that turns texts into ids or bags, told by its content and not by its name."""

from __future__ import annotations

import re
from pathlib import Path

from scorer.card.vectorizer import Kind
from scorer.errors import BundleError

HEAD_BYTES = 4096
PICKLE = (
    "the tokenizer is a pickle, which is never opened: in Python, "
    "open('tokenizer.json','w').write(tokenizer.to_json())"
)
_PICKLES = (b"\x80", b"ccopy_reg", b"(dp0", b"(lp0", b"cnumpy", b"ckeras", b"\x78\x9c", b"\x78\x01")
_PICKLE_NAMES = (".pkl", ".pickle", ".joblib", ".pck", ".pcl")
#: also where the JSON was written as one text inside JSON, with \" for "
_TOKENIZER = re.compile(rb'class_name\\*"\s*:\s*\\*"Tokenizer')
_OTHERS: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"\x89HDF"), "an .h5 file, which keeps no vocabulary: save the TextVectorization "
     "as .keras"),
    (re.compile(rb"\x93NUMPY"), "a NumPy array: write the words to vocabulary.txt, one a line"),
    (re.compile(rb"\x1f\x8b"), "compressed by gzip: unpack it first"),
    (re.compile(rb'\[\s*"'), "a JSON list: write its words to vocabulary.txt, one a line, as "
     "get_vocabulary() has them"),
)  # fmt: skip


def kind_of_file(path: Path) -> Kind:
    """What kind of vectorizer the file holds. Raises BundleError for any other file."""
    if path.is_dir():
        raise BundleError(f"{path}: is a folder: give the vectorizer's file")
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from error
    if head.startswith(_PICKLES) or path.suffix.lower() in _PICKLE_NAMES:
        raise BundleError(f"{path}: {PICKLE}")
    if head.startswith(b"PK\x03\x04"):
        return "textvectorization"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for begin, what in _OTHERS:
        if begin.match(start):
            raise BundleError(f"{path}: is {what}")
    if start.startswith((b"{", b'"{')):
        return "tokenizer" if _TOKENIZER.search(head) else "word_index"
    if b"\0" in head:
        raise BundleError(
            f"{path}: is neither text nor a .keras archive: give Tokenizer.to_json(), a word index "
            "in JSON, vocabulary.txt, or a .keras that holds the TextVectorization"
        )
    return "vocabulary"
