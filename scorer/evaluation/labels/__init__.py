"""The label column: what its values mean to a model, and the truth of every row.

meaning.py     which label of the model a value names
lists.py       values that hold several labels of a row
scales.py      values that are numbers on a scale: stars, and signs
truth.py       the truth of every row, collected window by window
understood.py  what was understood of the column, in a sentence
shared.py      the labels that several classifiers have in common
"""
