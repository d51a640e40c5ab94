"""What scripts/fuzz.py fuzzes, one module for each kind of file, and how."""
