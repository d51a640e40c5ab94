"""What `--incremental` has done, as the output folder remembers it.

file.py   the SQLite file: one row an output
place.py  where it lies, on this machine or on an object store
lease.py  a run's hold on a folder that several machines write to
"""
