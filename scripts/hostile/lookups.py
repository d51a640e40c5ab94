"""Hostile bundles: StringLookup, IntegerLookup and Hashing, their settings and vocabulary files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts.hostile.archives import Hostile, adder, good_config, good_members, layer, pack

ARCHIVES: list[Hostile] = []
add = adder(ARCHIVES)
FOLDERS = {"StringLookup": "string_lookup", "IntegerLookup": "integer_lookup"}
_SETTINGS: dict[str, Any] = {
    "invert": False,
    "max_tokens": None,
    "num_oov_indices": 1,
    "oov_token": "[UNK]",
    "mask_token": None,
    "output_mode": "int",
    "sparse": False,
    "pad_to_max_tokens": False,
    "idf_weights": None,
    "vocabulary": None,
    "vocabulary_size": 5,
    "oov_method": "floormod",
    "salt": None,
}


def looked_up(
    kind: str = "StringLookup", words: bytes | None = None, **settings: Any
) -> Callable[[Path, Path], None]:
    """An archive whose text is one category, with these settings and this vocabulary.txt."""

    def build(path: Path, outside: Path) -> None:
        pack(path, members(kind, words, {**_SETTINGS, **settings}, outside))

    return build


def members(
    kind: str, words: bytes | None, settings: dict[str, Any], outside: Path = Path("outside")
) -> dict[str, bytes]:
    """The members of a good archive whose TextVectorization is a lookup."""
    config, found = good_config(), good_members()
    first, _, *rest = config["config"]["layers"]
    first["config"]["batch_shape"] = [None, 1]
    if kind == "IntegerLookup":
        first["config"]["dtype"] = "int64"
    placed = {
        key: str(outside / "words.txt") if value == "OUTSIDE" else value
        for key, value in settings.items()
    }
    lookup = layer(kind, "lookup", **placed)
    config["config"]["layers"] = [first, lookup, *rest]
    kept = {name: data for name, data in found.items() if not name.startswith("assets/")}
    kept["config.json"] = json.dumps(config).encode()
    if words is not None:
        kept[f"assets/layers/{FOLDERS[kind]}/vocabulary.txt"] = words
    return kept


GOOD = b"[UNK]\ngood\nbad\nfilm\nwine"


def elsewhere(name: str) -> Callable[[Path, Path], None]:
    """A good archive with a vocabulary under another name as well."""

    def build(path: Path, outside: Path) -> None:
        pack(path, {**members("StringLookup", GOOD, _SETTINGS), name: GOOD})

    return build


add(
    "lookup: a vocabulary of a layer that has none",
    "not one that a .keras archive",
    elsewhere("assets/layers/hashing/vocabulary.txt"),
)
add(
    "lookup: a vocabulary that leads out of its folder",
    "leads out of the folder",
    elsewhere("assets/layers/string_lookup/../../../vocabulary.txt"),
)
add(
    "lookup: a vocabulary of a lookup that is not there",
    "the model has no such vectorizer",
    elsewhere("assets/layers/string_lookup_1/vocabulary.txt"),
)
add(
    "lookup: two vocabularies that differ",
    "two copies differ",
    lambda path, outside: pack(
        path,
        {
            **members("StringLookup", GOOD, _SETTINGS),
            "assets/layers/string_lookup/_lookup_layer/vocabulary.txt": b"[UNK]\nwine",
        },
    ),
)
add("lookup: the vocabulary is a file's name", "open and read", looked_up(vocabulary="OUTSIDE"))
add("lookup: not UTF-8", "not UTF-8", looked_up(words=b"[UNK]\n\xff\xfe"))
add("lookup: no vocabulary", "has no vocabulary", looked_up())
add("lookup: more words than it says", "config.json says 5", looked_up(words=GOOD + b"\nmore"))
add("lookup: a word twice", "a word twice", looked_up(words=b"[UNK]\ngood\nbad\ngood\nwine"))
add("lookup: words in two places", "in the settings and", looked_up(words=GOOD, vocabulary=["a"]))
add("lookup: a vocabulary of mappings", "not a text", looked_up(vocabulary=[{"a": 1}]))
add("lookup: half a character", "not valid Unicode", looked_up(vocabulary=["\ud800"]))
add(
    "lookup: more unknown ids than fit",
    "not a whole number from 0",
    looked_up(words=GOOD, num_oov_indices=1 << 40),
)
add(
    "lookup: fewer unknown ids than none",
    "not a whole number from 0",
    looked_up(words=GOOD, num_oov_indices=-1),
)
add(
    "lookup: more ids than rows of weights",
    "the vocabulary needs",
    looked_up(words=GOOD, num_oov_indices=4_000_000),
)
add("lookup: the ids back to words", "invert=True", looked_up(words=GOOD, invert=True))
add("lookup: an unknown mode", "output_mode", looked_up(words=GOOD, output_mode=["int"]))
add("lookup: a salt of texts", "salt", looked_up(words=GOOD, num_oov_indices=2, salt=["a", "b"]))
add("lookup: an unknown setting", "'url' is not supported", looked_up(words=GOOD, url="a"))
add(
    "lookup: more columns than fit",
    "max_tokens",
    looked_up(words=GOOD, output_mode="count", max_tokens=1 << 40, pad_to_max_tokens=True),
)
add(
    "lookup: numbers that are words",
    "no whole number",
    looked_up("IntegerLookup", b"-1\n7\nseven\n8\n9", oov_token=-1),
)
add(
    "lookup: a number of many digits",
    "no whole number",
    looked_up("IntegerLookup", b"-1\n7\n" + b"9" * 5000 + b"\n8\n9", oov_token=-1),
)


def hashed(**settings: Any) -> Callable[[Path, Path], None]:
    """An archive whose text is hashed as one category."""
    own = {"num_bins": 6, "salt": None, "mask_value": None, "output_mode": "int", "sparse": False}
    return lambda path, outside: pack(path, members("Hashing", None, {**own, **settings}))


add("hashing: no bins", "num_bins=0", hashed(num_bins=0))
add("hashing: more bins than fit", "num_bins=", hashed(num_bins=1 << 60))
add("hashing: more bins than rows of weights", "the vocabulary needs 7", hashed(num_bins=7))
add("hashing: a salt of three", "salt", hashed(salt=[1, 2, 3]))
add("hashing: a mask that is no text", "not a text", hashed(mask_value=[1]))
