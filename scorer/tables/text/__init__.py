"""Tables as text: CSV, TSV, JSON Lines and JSON arrays, whose records keep their bytes.

delimited.py   CSV and TSV: records in, records with more cells out
dialect.py     how the fields of a record are told apart
header.py      the first record, and which dialect a file is in
plain.py       records told apart by a pattern, a block at a time: most of most files
lines.py       physical lines, and those of one record
formulas.py    CSV that is safe to open in a spreadsheet
jsonl.py json_array.py json_writer.py
               JSON objects in, and out with more keys
options.py     what a caller says of how a text file is written
kernels.py json_kernels.py fields.py splicing.py
               compiled loops that tell records apart and put cells in, and the way to them
"""
