"""The functions of `import scorer` that work on files: what the commands do, by keyword options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack

from scorer.errors import InputError, UsageError

if TYPE_CHECKING:
    from scorer.evaluation.request import EvaluationOptions
    from scorer.evaluation.shown import Report
    from scorer.jobs.settings import Settings
    from scorer.jobs.summary import FileSummary
    from scorer.model import Model
    from scorer.scores import Scores
    from scorer.tables import Reader, Window
    from scorer.tables.text.dialect import Quoting

__all__ = ["EvaluateOptions", "ReadingOptions", "ScoreOptions", "evaluate_file", "score_file"]

Kind = TypeVar("Kind")
LabelMap = Mapping[str, str] | Sequence[str]


class ReadingOptions(TypedDict, total=False):
    """How a table is read and worked on.

    text_column  score this column; else the one that the model's card names
    delimiter    separates the fields of CSV and TSV; else a comma, or a tab
    encoding     of text files; else utf-8
    quoting      "double" (fields of CSV and TSV may be in double quotes, as usual) or "none"
    escape       makes the next character of CSV and TSV text; else nothing does
    header       False: the first line of CSV and TSV is a row
    columns      the columns' names, where there is no header
    threads      workers; else as many as there are processors
    batch_size   rows that a worker takes at a time; else as many as suit engine and texts
    limit        rows of each file to read; else all
    max_rejects  unreadable rows to leave out before it stops; else any number
    force        write where outputs or other files are already
    """

    text_column: str | None
    delimiter: str | None
    encoding: str
    quoting: Quoting
    escape: str | None
    header: bool
    columns: Sequence[str]
    threads: int
    batch_size: int | None
    limit: int | None
    max_rejects: int | None
    force: bool


class LabelOptions(TypedDict, total=False):
    """What to evaluate by.

    label_column  the column of the truth, or a multilabel model's columns of 0 and 1; else as the
                  card says
    label_map     what values of the label column mean, as {"value": "label"}; a value that maps to
                  "" is left out
    slices        figures by these columns, too
    id_column     stands beside the largest mistakes; else the first column whose values all differ
    threshold     the probability from which on a label is given; else the card's
    """

    label_column: str | tuple[str, ...] | None
    label_map: LabelMap
    slices: Sequence[str]
    id_column: str | None
    threshold: float | None


class ScoreOptions(ReadingOptions, LabelOptions, total=False):
    """What `score_file` takes beside `ReadingOptions` and `LabelOptions`.

    probabilities  add the probability of every label
    diagnostics    add how many tokens a text has, the share that is unknown, whether it was cut
    explain        add a column of so many words that moved the score most
    top            add the so many most probable labels of each row
    prefix         put this before the new columns' names
    csv_safe       put ' before CSV cells that a spreadsheet would read as formulas
    split_output   write a folder of parts instead of a file
    report         True: write a report, also where there are no labels; False: write none; else
                   where there are labels
    resume         go on from where an interrupted run of the same file stopped
    """

    probabilities: bool
    diagnostics: bool
    explain: int | None
    top: int | None
    prefix: str
    csv_safe: bool
    split_output: bool
    report: bool
    resume: bool


class EvaluateOptions(ReadingOptions, LabelOptions, total=False):
    """What `evaluate_file` takes beside `ReadingOptions` and `LabelOptions`.

    require  figures that must hold, as in ["accuracy>=0.85", "card"]; the report's `gates` say
             which do
    """

    require: Sequence[str]


def score_file(
    path: str | Path,
    model: Model | str | Path,
    output: str | Path | None = None,
    *,
    progress: bool | None = None,
    **options: Unpack[ScoreOptions],
) -> FileSummary:
    """Score a table as `score` does: the output is published whole, with its rejects beside it.

    path      a file, or a URL, in any of the formats of docs/formats.md
    model     a loaded model, or its name, name@version or path
    output    the file, or folder of parts, to write; None: the input's name with `.scored`
    progress  show a bar of rows; None: in a notebook
    options   as `ScoreOptions` has them

    Gives the summary of the run. Raises UsageError for an option that there is not, and its kinds
    (OutputExists, ColumnError); InputError, OutputError, OutputBusy.
    """
    _check(options, ScoreOptions, "score_file")
    from scorer.jobs.each import score_job
    from scorer.jobs.plan import plan

    settings = _settings(dict(options))
    named = None if output is None else str(output)
    jobs = plan([_path(path)], named, split_output=settings.spec.split_output).jobs
    if len(jobs) != 1:
        raise UsageError(f"{path}: {len(jobs)} tables; score_file takes one")
    return score_job(_model(model), jobs[0], settings, [_Bar(progress)])


def evaluate_file(
    path: str | Path | Sequence[str | Path],
    models: Model | str | Path | Sequence[Model | str | Path],
    report: str | Path | None = None,
    *,
    progress: bool | None = None,
    **options: Unpack[EvaluateOptions],
) -> Report:
    """Evaluate one or several models on a table, as `evaluate` does.

    path      a file or a URL; several are one data set
    models    loaded models, or their names, name@version or paths; one or several
    report    a folder to write report.json and report.html into; `Report.save` does so later
    progress  show a bar of rows; None: in a notebook
    options   as `EvaluateOptions` has them

    Raises UsageError for an option that there is not, and its kinds; InputError, OutputError.
    """
    _check(options, EvaluateOptions, "evaluate_file")
    from scorer.evaluation.folder import ReportFolder
    from scorer.evaluation.gates import parse_requirement
    from scorer.evaluation.run import Reading, evaluate
    from scorer.evaluation.shown import Report
    from scorer.jobs.inputs import find_inputs
    from scorer.processors import available_cpus
    from scorer.progress import progress as bar_of_rows
    from scorer.tables import ReadOptions

    paths = [_path(each) for each in _several(path)]
    if not paths:
        raise UsageError("no file to evaluate")
    given: dict[str, Any] = {"threads": available_cpus(), **options}
    folder = None if report is None else ReportFolder(Path(report), bool(given.get("force")))
    reading = Reading(read=_made(ReadOptions, given), **_of(Reading, given))
    located = find_inputs(paths)
    if located.failures:
        raise InputError(located.failures[0].error)
    with bar_of_rows(None, progress) as watch:
        found = evaluate(
            [_model(each) for each in _several(models)],
            [file.source for file in located.files],
            _evaluation(given),
            reading,
            requirements=[parse_requirement(text) for text in _several(given.get("require", ()))],
            folder=folder,
            watch=watch,
        )
    return Report.model_construct(**dict(found))


def _check(given: Iterable[str], known: Any, function: str) -> None:
    """Raise UsageError for an option that a function does not have."""
    names = [*known.__annotations__]
    for name in given:
        if name not in names:
            near = get_close_matches(name, names, 1)
            raise UsageError(
                f"{function} has no option {name!r}"
                + (f": did you mean {near[0]!r}?" if near else f"; it has {', '.join(names)}")
            )


def _settings(given: dict[str, Any]) -> Settings:
    from scorer.jobs.policy import Resume, RunPolicy
    from scorer.jobs.settings import Settings
    from scorer.jobs.spec import OutputSpec
    from scorer.tables import ReadOptions
    from scorer.tasks import OutputOptions

    named = ("text_column", "csv_safe", "split_output")
    spec = OutputSpec(
        output=_made(OutputOptions, given),
        read=_made(ReadOptions, given),
        evaluation=None if given.get("report") is False else _evaluation(given),
        **{name: given[name] for name in named if name in given},
    )
    resume = Resume.MUST if given.pop("resume", False) else Resume.NEVER
    return Settings(spec, RunPolicy(resume=resume, **_of(RunPolicy, given)))


def _evaluation(given: Mapping[str, Any]) -> EvaluationOptions:
    from scorer.evaluation.request import EvaluationOptions

    mapped: LabelMap = given.get("label_map", ())
    if isinstance(mapped, Mapping):
        mapped = [f"{value}={label}" for value, label in mapped.items()]
    label = given.get("label_column")
    return EvaluationOptions(
        **{
            **_of(EvaluationOptions, given),
            "label_column": label if label is None or isinstance(label, str) else tuple(label),
            "label_map": tuple(_several(mapped)),
            "slices": tuple(_several(given.get("slices", ()))),
            "unlabelled": given.get("report") is True,
        }
    )


def _made(kind: type[Kind], given: Mapping[str, Any]) -> Kind:
    """A dataclass of the options that are its fields."""
    return kind(**_of(kind, given))


def _of(kind: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    names = {item.name for item in fields(kind)}
    return {name: value for name, value in given.items() if name in names}


def _several(given: Any) -> Sequence[Any]:
    """What may be given alone, as a sequence."""
    return given if isinstance(given, Sequence) and not isinstance(given, str) else [given]


def _path(path: Any) -> str:
    """The name of a file. Raises UsageError where a model stands in its place."""
    if not isinstance(path, str | Path):
        raise UsageError(
            f"the file comes first, then the model: {type(path).__name__} is not a path"
        )
    return str(path)


def _model(model: Model | str | Path) -> Model:
    """A model that is loaded. Raises what `scorer.load` raises."""
    from scorer.model import Model, load_model

    return model if isinstance(model, Model) else load_model(model)


class _Bar:
    """A watcher that shows a bar of a table's rows."""

    def __init__(self, shown: bool | None) -> None:
        self._shown = shown
        self._open = ExitStack()

    def begin(self, reader: Reader) -> Sequence[str]:
        from scorer.progress import progress

        self._move = self._open.enter_context(progress(reader.rows, self._shown))
        return ()

    def __call__(self, window: Window, scores: Scores) -> None:
        self._move(window.rows + len(window.rejects))

    def end(self) -> None:
        self._open.close()
