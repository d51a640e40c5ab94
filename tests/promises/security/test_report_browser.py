"""report.html in a real browser: silent console, no request but the page, texts stay texts."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from scorer.evaluation.report import render_html
from tests.units.evaluation.test_evaluation_stream import LABELS
from tests.units.evaluation.test_report import EVIL, SECTIONS, Page, hostile

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


@pytest.mark.parametrize("width", [390, 1200])
def test_nothing_sticks_out_at_the_side(width: int, tmp_path: Path) -> None:
    """The page is as wide as the window: what is wider scrolls inside its own box."""
    too_wide = "document.documentElement.scrollWidth - innerWidth"
    probe = f"<script>addEventListener('load', () => {{ document.title = {too_wide} }})</script>"
    html = render_html(hostile("multiclass")).replace("Content-Security-Policy", "X-Nothing")
    with served(html.replace("</body>", f"{probe}</body>")) as (address, _):
        done = browse(address, tmp_path / "profile", "--dump-dom", f"--window-size={width},900")
    title = done.stdout.split("<title>")[1].split("</title>")[0]
    assert int(title) <= 0
