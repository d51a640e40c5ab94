"""The card of a model: a Hugging Face model card whose `scorer:` mapping holds what the tool needs.

schema.py         Card, ScorerCard: every field, checked; reads and renders a card
vectorizer.py     how a text becomes the archive's inputs: what `vectorizer:` states
out_of_domain.py  figures on other kinds of text than the training data
text.py           YAML front matter and Markdown, capped before anything is built from them
columns.py        the card for tables whose columns have other names
"""

from __future__ import annotations

from scorer.card.schema import (
    Card,
    Golden,
    Label,
    Name,
    ProfileHistogram,
    PromisedFigure,
    ScorerCard,
    TaskField,
    TrainedPart,
    Training,
    TrainingProfile,
    Version,
    card_faults,
    parse_card,
    read_card,
    render_card,
)

__all__ = [
    "Card",
    "Golden",
    "Label",
    "Name",
    "ProfileHistogram",
    "PromisedFigure",
    "ScorerCard",
    "TaskField",
    "TrainedPart",
    "Training",
    "TrainingProfile",
    "Version",
    "card_faults",
    "parse_card",
    "read_card",
    "render_card",
]
