"""Coverage-guided fuzzing of everything that a stranger may hand in: bundles, cards, tables.

Of what a run keeps beside its outputs, too: journals and ledgers, cut short or damaged.

    pip install atheris
    python scripts/fuzz.py                          every target, 10,000 cases each: what a
                                                    release has to pass
    python scripts/fuzz.py weights parquet --cases 100000

A case may end well or with one of the library's own errors, in one line; anything else (another
exception, a signal, 10 seconds, 1 GB) is a crash. Its input is kept in the corpus folder, and the
run goes on. Targets are run one after the other, each in its own process, by libFuzzer.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from scripts.fuzzing.engine import fuzz_here, fuzz_target
from scripts.fuzzing.targets import TARGETS


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("targets", nargs=-1)
@click.option("--cases", default=10_000, show_default=True, help="Cases for each target.")
@click.option("--corpus", type=click.Path(path_type=Path), default=Path("runs/fuzz"))
@click.option("--here", is_flag=True, hidden=True)
def main(targets: tuple[str, ...], cases: int, corpus: Path, here: bool) -> None:
    """Fuzz TARGETS (default: all), and end with 1 where any case crashed."""
    if here:
        fuzz_here(targets[0], list(targets[1:]))
        return
    unknown = sorted(set(targets) - set(TARGETS))
    if unknown:
        raise click.UsageError(f"no target {unknown[0]!r}; there are: {', '.join(TARGETS)}")
    if importlib.util.find_spec("atheris") is None:
        raise click.ClickException("atheris is not installed: pip install atheris")
    click.echo(f"{'target':<14}{'cases':>10}{'crashes':>10}{'cases/s':>10}{'peak MB':>10}")
    crashes = 0
    for name in targets or TARGETS:
        found = fuzz_target(name, cases, corpus.resolve())
        rate = found["cases"] / max(found["seconds"], 1e-9)
        crashes += found["crashes"]
        line = f"{name:<14}{found['cases']:>10,}{found['crashes']:>10}{rate:>10.0f}"
        click.echo(f"{line}{found['peak_mb']:>10,}")
        if not found["cases"]:
            raise click.ClickException(f"{name}: no case was run; see {corpus}/crashes")
    raise SystemExit(1 if crashes else 0)


if __name__ == "__main__":
    main()
