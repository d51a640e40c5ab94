"""Parquet, with its schema, metadata, logical types and codecs kept.

reader.py   slices of a row group
writer.py   the input's columns and the new ones
footer.py   what a footer says beyond what Arrow has a type for
pages.py    what the pages of a row group unpack to, read off their headers
thrift.py   the encoding of headers and footers
int96.py    the unit in which no timestamp of an INT96 column is altered
"""
