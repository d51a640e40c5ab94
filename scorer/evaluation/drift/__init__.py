"""Whether texts have changed since training.

histograms.py  the histograms of today's rows against the card's
words.py       the same in words, with what the model scored on such texts
"""
