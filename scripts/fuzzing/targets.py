"""Every target by its name."""

from scripts.fuzzing import bundles, cards, runs, tables

TARGETS = {**bundles.TARGETS, **cards.TARGETS, **tables.TARGETS, **runs.TARGETS}
