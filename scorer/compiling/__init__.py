"""Compiles the loops that score, once for each processor, and keeps them on disk.

kernel.py   the decorators `kernel` and `part`
cache.py    compiled kernels on disk, in Numba's place
places.py   the folders they lie in, and whom these are trusted to
watch.py    what is being compiled, for those who show it; imports nothing heavy
"""
