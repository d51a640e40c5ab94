"""config.json to the calls of a network.

read.py        the whole way: declared layers and settings, and no others
normal.py      any version of Keras in the one form of Keras 3
graph.py       layers as calls in order, from the inputs to the one output
tensors.py     which call made a tensor, and the arguments of calls
settings.py    the settings of a layer against its declaration
operations.py  `x + y` and `x[:, -1]` as calls of declared kinds
masks.py       masks that a model writes down as operations on its ids
rewriting.py   calls that Keras makes at once, as calls one after another
"""
