"""HDF5 as Keras writes it, read in plain Python.

reader.py    groups, attributes and arrays of a file
messages.py  object headers: types, shapes, links, attributes
packed.py    an array that is stored as one deflated chunk
"""
