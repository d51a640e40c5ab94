#!/usr/bin/env bash
# Measure every figure of speed that the pages and cards state, and write them there:
#
#     scripts/measure.sh IMDB_TEST.parquet WINE.parquet TWITTER.parquet
#
# Uses the `python` of the PATH, with the extras `test` and the package itself installed. Takes half
# an hour on two cores that do nothing else. reviews-* are measured on the IMDB rows, posts-* on the tweets.
set -euo pipefail
imdb="$(realpath "$1")" wine="$(realpath "$2")" twitter="$(realpath "$3")"
cd "$(dirname "$0")/.."

python scripts/bench.py "$imdb" --write
python scripts/bench_zoo.py --imdb "$imdb" --reviews "$imdb" --posts "$twitter" --wine "$wine" --twitter "$twitter" --write
python scripts/zoo_docs.py
