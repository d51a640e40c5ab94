#!/usr/bin/env bash
# Measure every figure of speed that the pages and cards state, and write them there:
#
#     scripts/measure.sh IMDB_TRAIN.parquet IMDB_TEST.parquet WINE.parquet TWITTER.parquet
#
# Uses the `python` of the PATH, with the package and the extras `test`, `peers`, `ray` and `spark`
# installed. Takes about an hour on two cores that do nothing else, of which the other tools take
# ten minutes. reviews-* are measured on the IMDB rows, posts-* on the tweets.
set -euo pipefail
train="$(realpath "$1")" imdb="$(realpath "$2")" wine="$(realpath "$3")" twitter="$(realpath "$4")"
cd "$(dirname "$0")/.."

python scripts/bench.py "$imdb" --write
python scripts/bench_zoo.py --rows 2000 --imdb "$imdb" --reviews "$imdb" --posts "$twitter" --wine "$wine" \
    --twitter "$twitter" --write
python scripts/bench_layers.py "$imdb" --write
python scripts/bench_peers.py "$imdb" --train "$train" --write
python scripts/bench_runners.py "$imdb" --write
python scripts/bench_parts.py "$imdb" --write
python scripts/zoo_docs.py
