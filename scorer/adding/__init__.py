"""Finds out what a model needs before `zoo add` puts it into a zoo.

answers.py      the options as a card, and which of them are missing
vectorizer.py   what a vectorizer's file is, told by its content
expected.py     the user's own outputs: read, compared, kept as golden rows
causes.py       why a model's outputs are not the expected ones: what else would fit
words.py        inputs, vectorizers and layers in words
understood.py   all that was understood of a model, in words
"""
