"""A DistilBERT of the published shape. Its weights are random: they do not change its speed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from scripts.benchmarks.peers.base import Job, Peer, Score, fastest

WORDS = 30_522  # the published vocabulary's size
TOKENS = 512
BATCHES = (4, 16)
SAMPLE = 16


@dataclass(frozen=True, kw_only=True)
class DistilBert(Peer):
    """Six layers of 768 with a WordPiece vocabulary learnt from the training rows.

    precision is torch's name of the type that the matrix products run in.
    """

    precision: str

    def prepare(self, job: Job) -> str:
        import torch
        from transformers import DistilBertConfig, DistilBertForSequenceClassification

        rows = job.training()
        _tokenizer(rows.texts, job).save_pretrained(job.folder)
        torch.manual_seed(0)
        config = DistilBertConfig(vocab_size=WORDS, num_labels=2)
        DistilBertForSequenceClassification(config).save_pretrained(job.folder)
        texts = rows.sample(SAMPLE).texts
        batch = fastest(BATCHES, lambda size: self._score(job, size), texts)
        (job.folder / "batch.json").write_text(json.dumps(batch), encoding="utf-8")
        return f"batches of {batch}"

    def load(self, job: Job) -> Score:
        return self._score(job, json.loads((job.folder / "batch.json").read_text("utf-8")))

    def _score(self, job: Job, batch: int) -> Score:
        import torch
        from transformers import DistilBertForSequenceClassification, PreTrainedTokenizerFast

        torch.set_num_threads(job.threads)
        precision = getattr(torch, self.precision)
        tokenizer = PreTrainedTokenizerFast.from_pretrained(job.folder)
        model = DistilBertForSequenceClassification.from_pretrained(job.folder, dtype=precision)
        model.eval()
        settings = {"padding": True, "truncation": True, "max_length": TOKENS}

        def run(texts: list[str]) -> list[bool]:
            tokens = tokenizer(texts, return_tensors="pt", return_token_type_ids=False, **settings)
            with torch.inference_mode():
                logits = model(**tokens).logits
            positive: list[bool] = (logits.argmax(dim=1) == 1).tolist()
            return positive

        def score(texts: list[str]) -> list[bool]:
            order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
            positive = [False] * len(texts)
            for start in range(0, len(order), batch):
                rows = order[start : start + batch]
                for row, value in zip(rows, run([texts[i] for i in rows]), strict=True):
                    positive[row] = value
            return positive

        return score


def _tokenizer(texts: list[str], job: Job) -> Any:
    """BERT's lower-casing WordPiece tokenizer with WORDS words of these texts."""
    from tokenizers import BertWordPieceTokenizer
    from transformers import PreTrainedTokenizerFast

    learner = BertWordPieceTokenizer(lowercase=True)
    learner.train_from_iterator(texts, vocab_size=WORDS, show_progress=False)
    (vocabulary,) = learner.save_model(str(job.folder))
    tokenizer = BertWordPieceTokenizer(vocabulary, lowercase=True)
    path = str(job.folder / "wordpiece.json")
    tokenizer.save(path)
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]"}
    return PreTrainedTokenizerFast(tokenizer_file=path, sep_token="[SEP]", **special)
