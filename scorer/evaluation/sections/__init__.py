"""The sections of a model's report, each computed from its sample.

parts_of_sample.py  classes and slices
baseline.py         what the best prediction without reading scores
curves.py           curves and histograms, thinned for a screen
distributions.py    predictions, lengths and unknown words
promises.py         today's figures against the card's
advice.py           which threshold to take
compare.py          several models on the same rows
"""
