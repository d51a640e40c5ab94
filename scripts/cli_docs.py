"""Writes docs/cli.md: the help of every command, as the commands print it.

python scripts/cli_docs.py            write it
python scripts/cli_docs.py --check    print what differs and exit with 1 where the page is stale
"""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scorer.cli.grouping import first_sentence, grouped_records
from scorer.cli.main import main as scorer

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "cli.md"
#: commands that are also programs of their own
PROGRAMS = ("score", "evaluate", "zoo", "explain")
HEAD = """# Command line

Written by `scripts/cli_docs.py` from the commands themselves; do not edit.

`scorer` has every command as a subcommand, and so has `python -m scorer`. {programs} are also
programs of their own: `score -m MODEL INPUT` is the same as `scorer score -m MODEL INPUT`.
`scorer --version` prints the version and the engines, backends and further packages that it finds.

| command | what it does |
| --- | --- |
{commands}

## Exit codes

| code | meaning |
| --- | --- |
| 0 | done |
| 1 | failed; the message names what was not published |
| 2 | wrong usage: an option, a model, a column or an output that exists already |
| 3 | done, but some rows could not be read |
| 4 | a requirement of `evaluate --require` does not hold |
| 5 | another run holds the output |
| 128 + n | stopped by signal n |
| 141 | the reader of standard output went away, as in `... | head` |

## Colour and width

Colour is used only on a terminal, and never where `NO_COLOR` is set. Tables fit the width of the
terminal; `COLUMNS` overrides it.

## Shell completion

The shell completes commands, options, names of models, versions after `@`, and files. Add these
lines to the start-up file of your shell; leave out programs that you do not use.
{shells}"""
#: shell -> (its start-up file, the line of a program)
SHELLS = {
    "bash": ("~/.bashrc", 'eval "$(_{variable}_COMPLETE=bash_source {program})"'),
    "zsh": ("~/.zshrc", 'eval "$(_{variable}_COMPLETE=zsh_source {program})"'),
    "fish": ("~/.config/fish/config.fish", "_{variable}_COMPLETE=fish_source {program} | source"),
}


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 where the page is stale.")
def main(check: bool) -> None:
    """Generate the reference of the command line."""
    now, before = page(), PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    if now == before:
        return
    if not check:
        PAGE.write_text(now, encoding="utf-8")
        print(f"written: {PAGE.relative_to(ROOT)}")
        return
    lines = difflib.unified_diff(before.splitlines(), now.splitlines(), "docs/cli.md", "now", n=1)
    print("\n".join([*lines, "stale: run `python scripts/cli_docs.py`"]))
    raise SystemExit(1)


def page() -> str:
    """The page's text."""
    found = list(commands())
    rows = [f"| [`{ctx.command_path}`](#{anchor(ctx)}) | {told(ctx)} |" for ctx in found]
    programs = [name for name in PROGRAMS if any(ctx.info_name == name for ctx in found)]
    shells = [completion(shell, ("scorer", *programs)) for shell in SHELLS]
    head = HEAD.format(
        programs=listed([f"`{name}`" for name in programs]),
        commands="\n".join(rows),
        shells="".join(shells),
    )
    return head + "".join(map(section, found))


def completion(shell: str, programs: tuple[str, ...]) -> str:
    """What switches on a shell's completion."""
    file, line = SHELLS[shell]
    lines = [line.format(program=name, variable=name.upper()) for name in programs]
    return "\n".join([f"\n{shell}, in `{file}`:\n", "```", *lines, "```\n"])


def commands() -> Iterator[click.Context]:
    """A context of every command, each group before what it holds, as `--help` runs in it."""
    yield from _inside(scorer, None, "scorer")


def _inside(
    command: click.Command, parent: click.Context | None, name: str
) -> Iterator[click.Context]:
    context = click.Context(command, parent, name, **command.context_settings)
    yield context
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            found = command.get_command(context, each)
            assert found is not None
            yield from _inside(found, context, each)


def told(context: click.Context) -> str:
    return first_sentence(context.command)


def anchor(context: click.Context) -> str:
    return context.command_path.replace(" ", "-")


def listed(names: list[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}"


def section(context: click.Context) -> str:
    """A command's usage, its text, and its options by groups."""
    command = context.command
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    parts = [f"\n## {context.command_path}\n", f"```\n{usage}\n```\n", text(command.help or "")]
    for title, records in grouped_records(command, context).items():
        parts.append(f"**{title}**\n")
        rows = [f"| `{cell(flags)}` | {cell(meaning)} |" for flags, meaning in records]
        parts.append("\n".join(["| option | meaning |", "| --- | --- |", *rows]) + "\n")
    return "\n".join(parts)


def text(help_text: str) -> str:
    """Paragraphs, and as code the examples, which begin with a backspace for Click."""
    parts = []
    for paragraph in inspect.cleandoc(help_text).split("\n\n"):
        if paragraph.startswith("\b"):
            parts.append("```\n" + paragraph.removeprefix("\b\n") + "\n```\n")
        else:
            parts.append(" ".join(paragraph.split()) + "\n")
    return "\n".join(parts)


def cell(words: str) -> str:
    """For a table: a bar would end the cell."""
    return " ".join(words.split()).replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")


if __name__ == "__main__":
    main()
