#!/usr/bin/env bash
# Write every generated page, and the output of every command that a page shows, as the code is now.
set -euo pipefail
cd "$(dirname "$0")/.."

for script in scripts/*_docs.py scripts/figures.py scripts/consoles.py; do
  "${PYTHON:-python}" "$script" "$@" || exit
done
