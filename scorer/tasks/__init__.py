"""The tasks that models have: one object each, in the closed tuple `TASKS`.

A task says how many labels and outputs a model has, what its outputs mean, which columns they
become, what a label column must hold and which figures are measured. Everything else asks the task,
so a new task is one new class and one entry of `TASKS`. Nothing heavy is imported before a method
needs it: `zoo list` reads cards, and cards name tasks.
"""

from __future__ import annotations

from collections.abc import Iterable

from scorer.tasks.base import LABEL_SEPARATOR, OutputOptions, Problem, Statistic, Task, Truth
from scorer.tasks.classification import Binary, Classification, Multiclass
from scorer.tasks.multilabel import Multilabel
from scorer.tasks.regression import Regression

__all__ = [
    "BINARY",
    "LABEL_SEPARATOR",
    "MULTICLASS",
    "MULTILABEL",
    "REGRESSION",
    "TASKS",
    "Binary",
    "Classification",
    "OutputOptions",
    "Problem",
    "Statistic",
    "Task",
    "Truth",
    "task_named",
    "task_names",
]

BINARY = Binary()
MULTICLASS = Multiclass()
MULTILABEL = Multilabel()
REGRESSION = Regression()

TASKS: tuple[Task, ...] = (BINARY, MULTICLASS, MULTILABEL, REGRESSION)


def task_names() -> tuple[str, ...]:
    """The names of all tasks, in order."""
    return tuple(task.name for task in TASKS)


def task_named(name: object) -> Task:
    """The task of that name; a task is given back as it is. Raises ValueError naming all tasks."""
    for task in TASKS:
        if name in (task, task.name):
            return task
    raise ValueError(f"{name!r} is not a task: choose {_listed(task_names())}")


def _listed(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}"
