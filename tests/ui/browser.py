"""Headless Chromium, driven by its command line: what a page shows once it has settled, as text or as a picture."""

import html
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

# Without these it looks for the outside world, which tests do not have.
_QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=20000",
]


def find_browser() -> str | None:
    """Chromium's command, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


def shown_text(url: str, *expected: str, tries: int = 5) -> str:
    """The text of the page at ``url``, loaded again, at most ``tries`` times, until it shows all that is expected."""
    text = ""
    for _ in range(tries):
        text = _text(_run(url, "--dump-dom"))
        if all(part in text for part in expected):
            break
    return text


def take_picture(url: str, file: Path, *, width: int = 1600, height: int = 1000) -> None:
    """Writes a PNG of the page at ``url``."""
    _run(url, f"--screenshot={file}", f"--window-size={width},{height}")


def _run(url: str, *options: str) -> str:
    with tempfile.TemporaryDirectory() as profile:
        command = [find_browser() or "chromium", *_QUIET, f"--user-data-dir={profile}", *options, url]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def _text(page: str) -> str:
    without_code = re.sub(r"(?s)<(script|style).*?</\1>", " ", page)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", without_code)).split())
