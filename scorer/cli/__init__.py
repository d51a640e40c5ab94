"""The commands: each parses its options, calls the library and prints. Errors become exit codes."""
