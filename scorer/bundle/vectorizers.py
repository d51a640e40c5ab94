"""The vectorizers inside an archive: their settings with their vocabularies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from scorer.bundle.config.read import ModelSpec, VectorizerCall
from scorer.bundle.weights import Stored
from scorer.bundle.words import MAX_VOCABULARY, vocabulary_lines
from scorer.errors import BundleError
from scorer.vectorizer import LOOKUPS, VectorizerSpec, spec_from_config, spec_from_lookup


def own_vectorizers(
    model: ModelSpec,
    vocabularies: Mapping[str, bytes],
    stored: Stored,
    beside: Sequence[str] | None = None,
) -> dict[str, VectorizerSpec]:
    """The archive's own vectorizers, by the name under which calls read them.

    vocabularies   files of the archive, by the place of their vectorizer
    beside         the words of a file beside the archive, for a vectorizer without any
    Raises BundleError where a vectorizer or a file lacks the other.
    """
    places = {stored.place(call.place) for call in model.vectorizers.values()}
    for place in sorted(vocabularies.keys() - places):
        raise BundleError(f"{_file(place)}: the model has no such vectorizer")
    return {
        name: _own(model, call, vocabularies.get(stored.place(call.place)), stored, beside)
        for name, call in model.vectorizers.items()
    }


def _own(
    model: ModelSpec,
    call: VectorizerCall,
    asset: bytes | None,
    stored: Stored,
    beside: Sequence[str] | None,
) -> VectorizerSpec:
    if call.kind not in LOOKUPS:
        return spec_from_config(call.settings, _vocabulary(asset, call, beside), _idf(stored, call))
    numeric = model.inputs[call.source].get("dtype", call.kind == "StringLookup") not in (
        "string",
        True,
    )
    alone = beside if len(model.vectorizers) == 1 else None
    words = None if call.kind == "Hashing" else _vocabulary(asset, call, alone)
    return spec_from_lookup(call.kind, call.settings, words, numeric=numeric)


def _idf(stored: Stored, call: VectorizerCall) -> np.ndarray | None:
    path = f"{call.place}/_lookup_layer/vars/idf_weights"
    if call.settings.get("output_mode") == "tf_idf" and path in stored:
        return stored.array(path, None)
    return None


def lack_words(model: ModelSpec, vocabularies: Mapping[str, bytes]) -> bool:
    """Whether the archive holds vectorizers and no words for any."""
    calls = [call for call in model.vectorizers.values() if call.kind != "Hashing"]
    listed = any(c.settings.get("vocabulary") is not None for c in calls)
    return bool(calls) and not vocabularies and not listed


def _file(place: str) -> str:
    return f"{place.removeprefix('layers/')}/vocabulary.txt"


def _vocabulary(
    asset: bytes | None, call: VectorizerCall, beside: Sequence[str] | None
) -> Sequence[str]:
    """The words, special tokens included where the archive stores them so.

    Keras splits its vocabulary file with `str.splitlines`, so a word that holds a separator such
    as U+0085 would shift every word after it; the stored size shows that, and it is refused.
    """
    settings, file = call.settings, _file(call.place)
    listed = settings.get("vocabulary")
    if listed is not None:
        if asset is not None:
            raise BundleError("config.json: a vocabulary in the settings and in a file")
        if not isinstance(listed, list) or len(listed) > MAX_VOCABULARY:
            raise BundleError(
                f"config.json: the vocabulary of {str(settings.get('name'))[:60]} is not a list of "
                f"at most {MAX_VOCABULARY} words"
            )
        return list(listed)
    if asset is None and beside is not None:
        return beside
    if asset is None:
        raise BundleError(
            f"the archive has no vocabulary for {file.removesuffix('/vocabulary.txt')}: save the "
            "model as .keras after adapt(), since an .h5 file keeps no vocabulary, or write "
            "get_vocabulary() to vocabulary.txt, one word a line, and give it with --vectorizer"
        )
    try:
        words = vocabulary_lines(asset)
    except BundleError as error:
        raise BundleError(f"{file}: {error}") from error
    size = settings.get("vocabulary_size")
    if size is not None and size != len(words):
        raise BundleError(
            f"{file}: {len(words)} words, config.json says {size}{_cut_within(asset, size)}"
        )
    return words


def _cut_within(asset: bytes, size: int) -> str:
    """Why there are more words than the layer had, where that is to be seen, and the way out."""
    lines = asset.decode("utf-8").split("\n")
    split = next((line for line in lines if len(line.splitlines()) > 1), None)
    if split is None and "" in lines[1:] and len(lines) == size + 1:
        split = "\n"
    elif split is None or len(lines) != size:
        return ""
    return (
        f": the word {split[:40]!r} holds a line separator, at which Keras cuts the file when it "
        "loads it, so that every later word has another id: in the session that trained the model "
        "rename such words with set_vocabulary(), which keeps the ids, and save again"
    )
