"""A bundle, whole or one member of an otherwise good one: what passes must also run."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

from scripts.fuzzing.case import MAX_BYTES, Target, expect, folder

VOCABULARY = "assets/layers/text_vectorization/_lookup_layer/vocabulary.txt"


@cache
def members() -> dict[str, bytes]:
    from scripts.hostile.archives import good_members

    return good_members()


def read_and_run(path: Path) -> None:
    """Read a bundle; one that passes must also run, or be refused by name."""
    import pyarrow as pa

    from scorer.bundle import read_bundle
    from scorer.engines import load_engine
    from scorer.vectorizer import Vectorizer

    bundle = read_bundle(path)
    expect(bundle.parameters < 1 << 24, "few bytes gave many weights")
    engine = load_engine(bundle, device="cpu", engine="cpu")
    texts = pa.array(["good film", "", "bad " * 9, "\0 Ü"])
    tokens = [Vectorizer(branch.vectorizer)(texts) for branch in bundle.branches]
    outputs = engine.run(*tokens)
    expect(len(outputs) == 4, "a row was lost")


def run_archive(data: bytes) -> None:
    path = folder() / "model.keras"
    path.write_bytes(data)
    read_and_run(path)


def run_member(name: str) -> Callable[[bytes], None]:
    """Fuzz one member of an otherwise good archive."""

    def run(data: bytes) -> None:
        from scripts.hostile.archives import VOCABULARY, pack

        changed = {**members(), name: data}
        if name == VOCABULARY:
            changed = {k: data if k.endswith("vocabulary.txt") else v for k, v in changed.items()}
        path = folder() / "model.keras"
        pack(path, changed)
        read_and_run(path)

    return run


def run_h5(data: bytes) -> None:
    path = folder() / "model.h5"
    path.write_bytes(data)
    read_and_run(path)


def run_h5_config(data: bytes) -> None:
    """Fuzz the configuration in an otherwise good .h5 model."""
    from scripts.hostile.h5 import h5_model

    path = folder() / "model.h5"
    path.write_bytes(h5_model(data))
    read_and_run(path)


def run_piece(kind: str) -> Callable[[bytes], None]:
    """Fuzz the file of a vectorizer beside an archive."""

    def run(data: bytes) -> None:
        import pyarrow as pa

        from scorer.bundle import Pieces
        from scorer.card.vectorizer import VectorizerCard
        from scorer.vectorizer import Vectorizer

        path = folder() / "vectorizer"
        path.write_bytes(data)
        card = VectorizerCard.model_validate({"kind": kind, "sequence_length": 5})
        spec = Pieces(card, path).beside(None)
        expect(spec is not None and spec.id_count < 1 << 25, "few bytes gave large ids")
        if spec is not None:
            tokens = Vectorizer(spec)(pa.array(["good film", "", "bad " * 9, "\0 Ü"]))
            expect(len(tokens.offsets) == 5, "a row was lost")

    return run


def h5_seeds() -> list[bytes]:
    from scripts.hostile.h5 import h5_model

    return [h5_model()]


def h5_config_seeds() -> list[bytes]:
    from scripts.hostile.h5 import h5_config

    return [json.dumps(h5_config()).encode()]


def tokenizer_seeds() -> list[bytes]:
    words = {"good": 1, "bad": 2, "film": 3}
    inner = {"word_index": json.dumps(words), "num_words": 3, "filters": "!,", "split": " "}
    config = {**inner, "lower": True, "char_level": False, "oov_token": "good"}
    return [json.dumps({"class_name": "Tokenizer", "config": config}).encode()]


def word_index_seeds() -> list[bytes]:
    return [b'{"good": 1, "bad": 2, "film": 3}']


def config_seeds() -> list[bytes]:
    from scripts.hostile.archives import good_config
    from scripts.hostile.branches import branches_config
    from scripts.hostile.config import functional

    configs = (good_config(), functional(good_config()), branches_config())
    return [json.dumps(config).encode() for config in configs]


def weights_seeds() -> list[bytes]:
    return [members()["model.weights.h5"]]


@cache
def archive_seeds() -> list[bytes]:
    """The good archive and the small ones of the hostile corpus."""
    from scripts.hostile import CORPUS
    from scripts.hostile.archives import write_good

    path = folder() / "seed.keras"
    write_good(path)
    seeds = [path.read_bytes()]
    for case in CORPUS:
        if not any(word in case.name for word in ("bomb", "thousand", "share", "million")):
            case.build(path, folder())
            seeds.append(path.read_bytes())
    return [seed for seed in seeds if len(seed) < MAX_BYTES]


TARGETS = {
    "archive": Target(run_archive, archive_seeds),
    "config": Target(run_member("config.json"), config_seeds, is_json=True),
    "weights": Target(run_member("model.weights.h5"), weights_seeds),
    "vocabulary": Target(run_member(VOCABULARY), lambda: [members()[VOCABULARY]]),
    "h5": Target(run_h5, h5_seeds),
    "h5-config": Target(run_h5_config, h5_config_seeds, is_json=True),
    "tokenizer": Target(run_piece("tokenizer"), tokenizer_seeds, is_json=True),
    "word-index": Target(run_piece("word_index"), word_index_seeds, is_json=True),
    "words": Target(run_piece("vocabulary"), lambda: [members()[VOCABULARY]]),
}
