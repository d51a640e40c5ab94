"""`zoo add`: a model as its author saved it, with what lies beside it, into a zoo."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scorer import zoo
from scorer.cli.add_options import Arguments
from scorer.cli.common import ExpectedErrors, echo
from scorer.cli.compile_view import compiling_shown
from scorer.cli.options import click_fields, takes
from scorer.errors import BundleError, ScorerError, UnsupportedModel, UsageError
from scorer.printable import printable
from scorer.tasks import task_names

if TYPE_CHECKING:
    from scorer.adding.answers import NewCard
    from scorer.adding.understood import Understood
    from scorer.card import Card
    from scorer.curate import Offer


@click.command(cls=ExpectedErrors, context_settings={"help_option_names": ["-h", "--help"]})
@takes(Arguments)
def add_command(arguments: Arguments) -> None:
    """Check a model and put it into a zoo.

    ARCHIVE is the file that model.save() wrote: .keras of Keras 2 or 3, or .h5. The zoo keeps it
    and the vectorizer's file byte for byte. A model is refused, with the reason, if its archive is
    unsafe, if an engine disagrees with your program, or if a score depends on other rows.

    \b
    zoo add my-model.keras --name my-model --task binary \\
        --label negative --label positive --text-column review
    zoo add model.h5 --name toxic --task multilabel --label toxic \\
        --label threat --text-column comment --vectorizer tokenizer.json \\
        --sequence-length 200 --replace '<br />=> ' --expect expected.csv
    zoo add imdb.keras --name imdb --task binary --label neg --label pos \\
        --text-column review --vectorizer imdb_word_index.json --index-from 3 \\
        --start-id 1 --oov-id 2 --num-words 10000 --sequence-length 200
    zoo add model.h5 --dry-run                 print what is missing
    zoo add my-model.keras --card card.md

    docs/own-model.md explains it step by step.
    """
    archive = arguments.archive
    if archive.is_dir():
        found = next((archive / name for name in zoo.ARCHIVES if (archive / name).is_file()), None)
        arguments = replace(arguments, archive=found or archive)
    _check_kind(arguments.archive)
    arguments = _asked(arguments)
    if arguments.proof.dry_run:
        echo(_dry_run(arguments))
        return
    target = arguments.target or zoo.user_zoo()
    if target is None:
        raise UsageError("you have no home folder for a zoo: give one with --zoo")
    offer = _offer(arguments, _card(arguments))
    _add(offer, target, force=arguments.force)


def _check_kind(archive: Path) -> None:
    """Refuse what is not an archive before anything is said of what else is missing."""
    from scorer.bundle.archive import read_archive

    try:
        read_archive(archive)
    except BundleError as error:
        raise BundleError(f"{archive}: {error}") from error


def _add(offer: Offer, target: Path, *, force: bool) -> None:
    from scorer.curate import add

    try:
        with compiling_shown():
            added = add(offer, target, force=force)
    except BundleError as error:
        _tell_faults(offer.archive, error)
        raise
    for note in added.notes:
        click.echo(printable(f"Note: {note}"), err=True)
    entry = added.entry
    echo(printable(f"Added {entry.card.ref}: {entry.model_path}"))


def _tell_faults(archive: Path, error: BundleError) -> None:
    """What else a refused archive tried to do than the error says, which follows."""
    from scorer.bundle.explain import explain

    others = [fault for fault in explain(archive) if fault not in str(error)]
    if others:
        click.echo("The archive also contains:", err=True)
    for fault in others:
        click.echo(printable(f"  {fault}"), err=True)


def _offer(arguments: Arguments, card: Card) -> Offer:
    from scorer.curate import Offer

    return Offer(arguments.archive, card, arguments.reading.vectorizer, arguments.proof.expect)


def _card(arguments: Arguments) -> Card:
    from scorer.adding.answers import draft_card
    from scorer.card import read_card

    if arguments.card is None:
        return draft_card(_answers(arguments))
    given = [flag for flag, _ in _given(arguments) if flag not in _WITH_A_CARD]
    if given:
        raise UsageError(f"--card replaces {', '.join(dict.fromkeys(given))}: remove these options")
    return read_card(arguments.card)


#: options that go with a card
_WITH_A_CARD = ("--card", "--vectorizer", "--expect", "--dry-run", "--zoo", "--force")


def _answers(arguments: Arguments) -> NewCard:
    """The options as answers, the kind of the vectorizer told by its file."""
    from scorer.adding.answers import NewCard
    from scorer.adding.vectorizer import kind_of_file

    described, reading = arguments.described, arguments.reading
    taken = ("vectorizer", "inputs")
    given = {part.name: getattr(reading, part.name) for part in fields(reading)}
    vectorizer = {k: v for k, v in given.items() if k not in taken and v not in (None, ())}
    if reading.vectorizer is not None:
        vectorizer["kind"] = kind_of_file(reading.vectorizer)
    return NewCard(
        name=described.name,
        version=described.version,
        task=described.task,
        license=described.licence,
        labels=described.labels,
        text_columns=described.text_columns,
        label_columns=described.label_columns,
        vectorizer=vectorizer,
        inputs=reading.inputs,
        output_activation=arguments.proof.output_activation,
    )


def asks() -> bool:
    """Whether someone is there to answer."""
    return sys.stdin.isatty()


def _asked(arguments: Arguments) -> Arguments:
    """The arguments with the answers that are missing asked for, where someone is there to ask."""
    from scorer.adding.answers import QUESTIONS

    if arguments.card is not None or arguments.proof.dry_run or not asks():
        return arguments
    while missing := _answers(arguments).missing:
        name = missing[0]
        choices = click.Choice(task_names()) if name == "task" else None
        answer = click.prompt(QUESTIONS[name], type=choices, err=True)
        value: Any = answer
        if name in ("labels", "text_columns"):
            value = tuple(part.strip() for part in answer.split(",") if part.strip())
        arguments = replace(arguments, described=replace(arguments.described, **{name: value}))
    return _asked_of_the_model(arguments)


def _asked_of_the_model(arguments: Arguments) -> Arguments:
    """The arguments with what the model itself cannot do without.

    What no answer mends is left to the adding, which says it.
    """
    from scorer.adding.understood import read_as_far_as_known

    while True:
        try:
            card = _card(arguments).scorer
            reading = arguments.reading
            _, lacking = read_as_far_as_known(arguments.archive, card, reading.vectorizer)
        except ScorerError:
            return arguments
        if not lacking:
            return arguments
        option, _, what = next(iter(lacking)).partition(" ")
        if option == "--vectorizer":
            path = click.Path(path_type=Path, exists=True, dir_okay=False)
            file = click.prompt(_FILE, type=path, err=True)
            reading = replace(reading, vectorizer=file)
        elif option == "--sequence-length":
            length = click.prompt(_LENGTH, type=click.IntRange(min=1), err=True)
            reading = replace(reading, sequence_length=length)
        else:
            name = what.partition("=")[0]
            columns = click.prompt(_COLUMNS.format(name=name), err=True)
            named = ",".join(part.strip() for part in columns.split(","))
            reading = replace(reading, inputs=(*reading.inputs, f"{name}={named}"))
        arguments = replace(arguments, reading=reading)


_FILE = "File that made ids of words (tokenizer.json, a word index, vocabulary.txt, .keras)"
_LENGTH = "Ids of every row (what training padded to)"
_COLUMNS = "Columns that feed the network's input {name}, separated by commas"


def _given(arguments: Any) -> Iterator[tuple[str, str]]:
    """Each option that was given and its value, as on the command line."""
    for part in click_fields(type(arguments)):
        _, flags, attributes = part.metadata["click"]
        value = _value(arguments, part.name)
        default = attributes.get("default", () if attributes.get("multiple") else None)
        if not flags or value in (default, None, False):
            continue
        for each in value if isinstance(value, tuple) else (value,):
            yield flags[0], "" if each is True else str(each)


def _value(arguments: Any, name: str) -> Any:
    for part in fields(arguments):
        value = getattr(arguments, part.name)
        if part.name == name:
            return value
        if hasattr(value, "__dataclass_fields__") and name in {f.name for f in fields(value)}:
            return getattr(value, name)
    return None


def _dry_run(arguments: Arguments) -> str:
    """What was understood of a model, what is missing, and the next command to try.

    Raises BundleError and UnsupportedModel where no option would help.
    """
    from scorer.adding.understood import Understood, archive_words, needed, understand

    known = Understood()
    known.say("archive", f"{arguments.archive}: {archive_words(arguments.archive)}")
    card, lacking = None, [] if arguments.card else _answers(arguments).missing
    try:
        card = _card(_filled(arguments, lacking)).scorer
        with compiling_shown():
            understand(known, arguments.archive, card, arguments.reading.vectorizer)
    except ScorerError as error:
        if isinstance(error, BundleError | UnsupportedModel) and "--" not in str(error):
            raise
        known.missing.append(str(error))
    known.missing += known.lacking.values()
    if not lacking and not known.missing and card is not None:
        _try_all(known, arguments)
    known.missing += [needed(name) for name in lacking]
    if arguments.proof.expect is None and not known.missing:
        known.say(
            "proof", "none: give --expect FILE.csv to compare with the outputs of your own program"
        )
    lines = [*known.lines, *(f"{'missing':<12}{what}" for what in known.missing)]
    lines.append(f"{'next':<12}{_next(arguments, lacking, known)}")
    return "\n".join(printable(line) for line in lines)


def _try_all(known: Any, arguments: Arguments) -> None:
    """Do all that adding does but to place the model."""
    from scorer.curate import fitted

    try:
        with compiling_shown():
            _, _, notes = fitted(_offer(arguments, _card(arguments)))
        for note in notes:
            known.say("note", note)
        known.say("result", "the model can be added")
    except ScorerError as error:
        known.missing.append(str(error))


#: answers that stand in a dry run for those that are not there
_STAND_INS: dict[str, Any] = {
    "name": "unnamed",
    "task": "regression",
    "text_columns": ("the text column",),
}


def _filled(arguments: Arguments, lacking: list[str]) -> Arguments:
    """The arguments with something in each place that a card cannot be without."""
    changes = {name: _STAND_INS[name] for name in lacking if name in _STAND_INS}
    described = arguments.described
    if "task" in lacking or "labels" in lacking:
        changes |= {"task": "regression", "labels": ()}
    return replace(arguments, described=replace(described, **changes))


def _next(arguments: Arguments, lacking: list[str], known: Understood) -> str:
    """The command to try, with capitals where an answer is missing."""
    from scorer.adding.answers import option_of

    faults = known.missing

    words = ["zoo", "add", shlex.quote(str(arguments.archive))]
    for flag, value in _given(arguments):
        if flag != "--dry-run" or faults:
            words += [flag, shlex.quote(value)] if value else [flag]
    words += [f"{option_of(name)} {option_of(name).strip('-').upper()}" for name in lacking]
    words += known.lacking
    for option, placeholder in (("--vectorizer", "FILE"), ("--sequence-length", "N")):
        said = {word.partition(" ")[0] for word in words}
        if option not in said and any(option in fault for fault in faults):
            words += [option, placeholder]
    return " ".join(words)
