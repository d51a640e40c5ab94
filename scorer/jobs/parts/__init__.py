"""One large table for many workers.

scoring.py  workers score its parts, and one puts the file together
known.py    scores of rows that are known before they are read
folder.py   each part is read, scored and written once, into a folder
staged.py   the parts of a folder on their way, beside the output
place.py    the folder: there whole or not at all
kept.py     what a part leaves behind for rejects, summary and report
"""
