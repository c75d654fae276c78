"""A picture of a page after a click: Chromium by its own protocol, for the command line has no word for a click."""

import asyncio
import base64
import json
import subprocess
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

from tests.ui.browser import find_browser

_CLICK = """(text => {
    const leaf = [...document.querySelectorAll('*')].find(e => !e.children.length && e.textContent.includes(text));
    if (leaf) leaf.click();
    return Boolean(leaf);
})(%s)"""
_SHOWN = (
    "[...document.querySelectorAll('img')].some(i => i.src.startsWith('data:') && i.complete && i.naturalWidth > 0)"
)
_TRIES = 120


def take_picture_after_click(url: str, text: str, file: Path, *, width: int = 1600, height: int = 1000) -> None:
    """Writes a PNG of the page at ``url``, once a click on ``text`` has brought up a picture within the page.

    Raises AssertionError when it does not.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [find_browser() or "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"]
        options = ["--remote-debugging-port=0", f"--user-data-dir={profile}", f"--window-size={width},{height}"]
        browser = subprocess.Popen([*command, *options, "about:blank"], stderr=subprocess.PIPE, text=True)
        assert browser.stderr
        try:
            said = next(line for line in browser.stderr if "DevTools listening on" in line)
            address = said.split("ws://")[1].split("/")[0]
            with urllib.request.urlopen(f"http://{address}/json") as pages:
                page = json.load(pages)[0]["webSocketDebuggerUrl"]
            file.write_bytes(asyncio.run(_picture(page, url, text)))
        finally:
            browser.terminate()
            browser.wait(30)


async def _picture(page: str, url: str, text: str) -> bytes:
    from websockets.asyncio.client import connect

    async with connect(page, max_size=None) as connection:
        number = 0

        async def call(method: str, **parameters: Any) -> dict[str, Any]:
            nonlocal number
            number += 1
            await connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
            while True:
                answer = json.loads(await connection.recv())
                if answer.get("id") == number:
                    return answer["result"]

        async def until(expression: str, what: str) -> None:
            for _ in range(_TRIES):
                found = await call("Runtime.evaluate", expression=expression)
                if found["result"].get("value"):
                    return
                await asyncio.sleep(0.25)
            raise AssertionError(f"{url} never showed {what}")

        await call("Page.navigate", url=url)
        await until(_CLICK % json.dumps(text), repr(text))
        await until(_SHOWN, "a picture")
        shot = await call("Page.captureScreenshot", format="png")
        return base64.b64decode(shot["data"])
