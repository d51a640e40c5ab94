"""Archives that a stranger could send: each spoils a good one in one place, and must be refused."""

from __future__ import annotations

from scripts.hostile import archives, branches, config, graphs, h5, lookups, weights
from scripts.hostile.archives import Hostile

#: every archive, by what it spoils: the zip file, config.json, forks and merges, whole graphs, the
#: weights, HDF5 files of Keras 2, lookups
CORPUS: tuple[Hostile, ...] = (
    *archives.ARCHIVES,
    *branches.ARCHIVES,
    *config.ARCHIVES,
    *graphs.ARCHIVES,
    *h5.ARCHIVES,
    *lookups.ARCHIVES,
    *weights.ARCHIVES,
)
