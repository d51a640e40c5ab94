"""The compiled loops behind the steps. They allocate nothing and use one core.

products.py     the matrix product
kernels.py      Dense and activations
sequences.py    along positions: look-up, Conv1D, pooling, bags
recurrence.py unfused.py
                recurrent layers, with and without their gates in registers
general.py      layers beyond the fast paths: norms, windows, attention
rows.py         how a loop finds the rows of a tile
vectors.py simd.py gates.py
                vector code as LLVM IR: what it is written with, products, gates
"""
