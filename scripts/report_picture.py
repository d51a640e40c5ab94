"""The README's picture of a report: its first screen, light, taken by headless Chromium.

    evaluate -m imdb-flagship imdb_test.parquet -o /tmp/imdb.report
    python scripts/report_picture.py /tmp/imdb.report/report.json

Writes docs/pictures/report.png. The first screen shows figures only, never a row of the data.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from pathlib import Path

from scorer.evaluation.report import render_html
from scorer.evaluation.result import ModelReport, Report

PICTURE = Path(__file__).parent.parent / "docs" / "pictures" / "report.png"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTH, HEIGHT = 1280, 818
MOST_BYTES = 150_000


def without_rows(report: Report) -> Report:
    """The report without its texts and names of files, in case the picture should grow."""

    def figures_only(model: ModelReport) -> ModelReport:
        return model.model_copy(update={"mistakes": ()})

    compared = report.comparison
    if compared is not None:
        compared = compared.model_copy(update={"disagreements": ()})
    return report.model_copy(
        update={
            "inputs": tuple(Path(name).name for name in report.inputs),
            "models": tuple(map(figures_only, report.models)),
            "comparison": compared,
        }
    )


def take(html: str, picture: Path) -> None:
    """Write a PNG of the top of the page."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise SystemExit(f"no browser: install one of {', '.join(BROWSERS)}")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        page.write_text(html, encoding="utf-8")
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        command += ["--blink-settings=preferredColorScheme=1", f"--user-data-dir={folder}/profile"]
        command += [f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={picture}", page.as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    if picture.stat().st_size > MOST_BYTES:
        raise SystemExit(f"{picture}: {picture.stat().st_size:,} bytes; at most {MOST_BYTES:,}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path, help="a report.json")
    parser.add_argument("-o", "--output", type=Path, default=PICTURE)
    asked = parser.parse_args()
    report = Report.model_validate_json(asked.report.read_text(encoding="utf-8"))
    take(render_html(without_rows(report)), asked.output.resolve())
    print(f"written: {asked.output}")


if __name__ == "__main__":
    main()
