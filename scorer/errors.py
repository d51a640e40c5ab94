"""The tree of expected failures. Imports nothing, so every module may raise from it.

    ScorerError                 exit 1   anything expected that stops a run
    +-- UsageError              exit 2   the command line or the call is wrong
    |   +-- ColumnError                  a column is missing, ambiguous or clashes
    |   +-- ModelNotFound                no zoo holds that model
    |   +-- OutputExists                 the target is there and --force was not given
    +-- InputError                       a data file cannot be read as what it claims to be
    |   +-- DamagedInput                 and another run would not read it either
    +-- BundleError                      a .keras archive is refused; names the member and the rule
    +-- CardError                        a card or an index does not follow its schema
    +-- UnsupportedModel                 a layer or setting that an engine or the vectorizer lacks
    +-- EngineError                      an engine or device cannot be used here
    +-- RunnerError                      Ray or Spark cannot be used here, or lost a file's workers
    +-- OutputError                      the output cannot be written
    |   +-- OutputClosed        exit 141 who read standard output or a pipe has gone: said to no one
    +-- RowsLost                         the row balance does not hold: a bug, never ignored
    +-- RejectedRow                      --strict met a row that cannot be read
    +-- UnexpectedError                  what no module foresaw: a defect of this package
    +-- GateFailed              exit 4   a quality gate of `evaluate` failed
    +-- OutputBusy              exit 5   another run holds this output

Every message is one line that names the file, the row or column, the cause and the remedy.
"""

#: what `pip install` knows this package by; the `scorer` of the package index is another project
DISTRIBUTION = "text-scorer"


def pip_install(extra: str) -> str:
    """The command that installs an extra, as a remedy in a message."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"


class ScorerError(Exception):
    """An expected failure. `exit_code` is what a command ends with."""

    exit_code = 1


class UsageError(ScorerError):
    exit_code = 2


class ColumnError(UsageError):
    pass


class ModelNotFound(UsageError):
    pass


class OutputExists(UsageError):
    pass


class InputError(ScorerError):
    pass


class DamagedInput(InputError):
    pass


class BundleError(ScorerError):
    pass


class CardError(ScorerError):
    pass


class UnsupportedModel(ScorerError):
    pass


class EngineError(ScorerError):
    pass


class RunnerError(ScorerError):
    pass


class OutputError(ScorerError):
    pass


class OutputClosed(OutputError):
    exit_code = 141  # what a shell says of a program that SIGPIPE ended


class RowsLost(ScorerError):
    pass


class RejectedRow(ScorerError):
    pass


class UnexpectedError(ScorerError):
    """`details` is the traceback, for a report of the defect."""

    details = ""


class GateFailed(ScorerError):
    exit_code = 4


class OutputBusy(ScorerError):
    exit_code = 5
