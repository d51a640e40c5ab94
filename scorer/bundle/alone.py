"""A `.keras` archive that holds a TextVectorization and nothing else."""

from __future__ import annotations

from scorer.bundle.archive import members_of
from scorer.bundle.config.read import parse_config
from scorer.bundle.dangers import load_json
from scorer.bundle.foreign import HDF5, refuse_foreign
from scorer.bundle.hdf5.reader import opened
from scorer.bundle.vectorizers import own_vectorizers
from scorer.bundle.weights import WEIGHTS, Stored
from scorer.errors import BundleError, UnsupportedModel
from scorer.vectorizer import VectorizerSpec


def read_vectorizer(data: bytes, *, replaced_standardize: bool = False) -> VectorizerSpec:
    """The TextVectorization of an archive in memory, which must hold no other layer.

    replaced_standardize   the card says what its `standardize` function does
    Raises BundleError and UnsupportedModel.
    """
    refuse_foreign(data)
    if data.startswith(HDF5):
        raise BundleError(
            "an .h5 file does not keep a vocabulary: save the TextVectorization as .keras, or "
            "write its get_vocabulary() to vocabulary.txt, one word a line"
        )
    members = members_of(data)
    model = parse_config(load_json(members.config), replaced_standardize=replaced_standardize)
    if model.calls or len(model.vectorizers) != 1:
        raise UnsupportedModel(
            "it must hold one TextVectorization and no other layer: "
            "keras.Sequential([keras.Input((1,), dtype='string'), vectorizer])"
            ".save('vectorizer.keras')"
        )
    with opened(members.weights, WEIGHTS) as file:
        (spec,) = own_vectorizers(model, members.vocabularies, Stored(file)).values()
    return spec
