"""report.html in a real browser: silent, alone, texts stay texts, and nothing is cut off."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape, unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from scorer.evaluation.report import render_html
from tests.units.evaluation.test_evaluation_stream import LABELS
from tests.units.evaluation.test_report import EVIL, SECTIONS, Page, hostile
from tests.units.evaluation.test_report_pages import compared

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --hide-scrollbars "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--enable-logging=stderr --virtual-time-budget=3000"
).split()

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine"),
]


@contextmanager
def served(html: str) -> Iterator[tuple[str, list[str]]]:
    """The page's address on a local server, and the paths asked of it so far."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = html.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/report.html", asked
    finally:
        server.shutdown()
        server.server_close()


def browse(address: str, profile: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """Run the browser with nothing but this machine to reach; its log is on stderr."""
    assert BROWSER is not None
    alone = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"
    command = [BROWSER, *FLAGS, alone, f"--user-data-dir={profile}", *flags, address]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


def console(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.parametrize("task", LABELS)
def test_the_page_is_silent_whole_and_alone(task: str, tmp_path: Path) -> None:
    with served(render_html(hostile(task))) as (address, asked):
        done = browse(address, tmp_path / "profile", "--dump-dom")
    page = Page(done.stdout)
    assert console(done) == []
    assert asked == ["/report.html"]
    assert set(SECTIONS[task].split()) <= set(page.ids)
    assert "<title>made-up@1.0.0</title>" in done.stdout
    assert "script" not in page.tags
    assert EVIL.split("<img")[0].removeprefix("</style></title>") in page.text


def test_what_the_page_must_not_do_would_be_seen(tmp_path: Path) -> None:
    """The same checks on a page that has what they look for: they can fail."""
    bad = "<script>document.title='owned'</script><img src='http://elsewhere.example/x.png'>"
    html = render_html(hostile("binary", 100)).replace("<header>", f"{bad}<header>", 1)
    with served(html) as (address, _):
        guarded = browse(address, tmp_path / "a", "--dump-dom")
    with served(html.replace("Content-Security-Policy", "X-Nothing")) as (address, _):
        open_door = browse(address, tmp_path / "b", "--dump-dom")
    assert console(guarded) != []
    assert "<title>owned" not in guarded.stdout
    assert "<title>owned" in open_door.stdout


#: what a person would see: measured folded and then with everything unfolded
PROBE = """<script>addEventListener('load', () => {
  const root = document.documentElement, found = {width: innerWidth, folded: root.scrollHeight};
  document.querySelectorAll('details').forEach(d => { d.open = true; });
  const name = e => `${e.tagName}.${e.className}: ${e.textContent.trim().slice(0, 30)}`;
  const seen = e => e.getBoundingClientRect().width > 0;
  const hinted = e => e.closest('.scroll') && e.closest('.scroll').querySelector('.hint');
  const cells = [...document.querySelectorAll('td, th, p, li, h1, h2, h3, pre, summary')];
  const right = e => (e.closest('.panel') || document.body).getBoundingClientRect().right;
  const wide = e => Math.max(e.getBoundingClientRect().right, e.getBoundingClientRect().left
    + e.scrollWidth);
  found.sticks_out = root.scrollWidth - innerWidth;
  found.cut = cells.filter(e => seen(e) && !hinted(e) && wide(e) > right(e) + 1).map(name);
  found.scrolling = [...document.querySelectorAll('.scroll')]
    .filter(e => e.scrollWidth > e.clientWidth + 1 && !hinted(e)).map(name);
  found.over = [];
  for (const drawing of document.querySelectorAll('svg')) {
    const texts = [...drawing.querySelectorAll('text')].map(e => [e, e.getBoundingClientRect()]);
    const frame = drawing.getBoundingClientRect();
    texts.forEach(([a, p], i) => {
      if (p.left < frame.left - 1 || p.right > frame.right + 1 || p.bottom > frame.bottom + 1)
        found.over.push(`${drawing.ariaLabel}: ${a.textContent} leaves the drawing`);
      for (const [b, q] of texts.slice(i + 1))
        if (p.left < q.right && q.left < p.right && p.top < q.bottom && q.top < p.bottom)
          found.over.push(`${drawing.ariaLabel}: ${a.textContent} on ${b.textContent}`);
    });
  }
  parent.document.title = JSON.stringify(found);
})</script>"""


def measured(html: str, width: int, profile: Path) -> dict[str, Any]:
    """What the probe finds in a frame of that width: windows may have a larger least width."""
    probed = html.replace("Content-Security-Policy", "X-Nothing").replace(
        "</body>", f"{PROBE}</body>"
    )
    frame = f"<title></title><iframe style='width:{width}px;height:900px;border:0' srcdoc='{{}}'>"
    with served(frame.format(escape(probed))) as (address, _):
        done = browse(address, profile, "--dump-dom", "--window-size=1400,1000")
    found = json.loads(unescape(done.stdout.split("<title>")[1].split("</title>")[0]))
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("task", [*LABELS, "comparison"])
def test_nothing_is_cut_off_and_no_words_lie_on_others(
    task: str, width: int, tmp_path: Path
) -> None:
    """Folded and unfolded; only a table that says so scrolls to the side."""
    report = compared() if task == "comparison" else hostile(task)
    found = measured(render_html(report), width, tmp_path / "profile")
    assert found["width"] == width
    assert found["sticks_out"] <= 0
    assert found["cut"] == []
    assert found["scrolling"] == []
    assert found["over"] == []
    if task == "comparison" and width == 1280:
        assert found["folded"] <= 6_000


def test_what_is_cut_off_would_be_seen(tmp_path: Path) -> None:
    """The probe can fail: cells that do not wrap, and an axis title among tick labels."""
    html = render_html(hostile("binary", 100)).replace(
        "overflow-wrap: anywhere", "white-space: nowrap"
    )
    html = html.replace('transform="translate(14 ', 'transform="translate(40 ')
    found = measured(html, 390, tmp_path / "profile")
    assert found["cut"]
    assert found["over"]
