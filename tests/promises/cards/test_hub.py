"""A bundle's folder can go to a model hub as it is: the hub's own reader takes every card."""

from __future__ import annotations

import pytest
from huggingface_hub import ModelCard

from scorer.zoo import Entry, list_models, shipped_zoo

SHIPPED = [entry for entry in list_models() if entry.zoo == shipped_zoo()]


@pytest.mark.parametrize("entry", SHIPPED, ids=lambda entry: entry.model_path.parts[-3])
def test_the_hub_reads_the_card_and_its_results(entry: Entry) -> None:
    card = ModelCard(entry.card_path.read_text("utf-8"), ignore_metadata_errors=False)
    ours = entry.card.scorer
    assert card.data.model_name == ours.name
    assert card.data.license
    assert card.data.library_name == "keras"
    results = card.data.eval_results
    assert [(r.metric_type, r.metric_value) for r in results] == [
        (figure.metric, figure.value) for figure in ours.figures
    ]
    assert all(r.task_type == "text-classification" and r.dataset_name for r in results)
    assert card.text.strip() == entry.card.body.strip()
