"""Headless Chromium for the tests, driven over its debugging pipe; and where pictures are kept."""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PATIENCE_S = 120  # a machine with other work to do draws late

needs_browser = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed"),
]


class Page:
    """One tab. ``console`` has what its scripts logged and what went wrong in them."""

    def __init__(self, process, to_browser, from_browser):
        self._process, self._to, self._from = process, to_browser, from_browser
        self._numbers, self._buffer, self._session = itertools.count(1), b"", None
        self.console = []
        target = self.do("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.do("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.do(f"{domain}.enable")

    def do(self, method, **parameters):
        """The browser's answer to a command of the DevTools protocol."""
        number = next(self._numbers)
        order = {"id": number, "method": method, "params": parameters}
        if self._session:
            order["sessionId"] = self._session
        os.write(self._to, json.dumps(order).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            message = self._next()
            if message.get("id") == number:
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]
            self._note(message)
        raise TimeoutError(f"the browser did not answer {method} within {PATIENCE_S} s")

    def _next(self):
        while b"\0" not in self._buffer:
            if select.select([self._from], [], [], PATIENCE_S)[0]:
                read = os.read(self._from, 1 << 20)
                assert read, "the browser has ended"
                self._buffer += read
            else:
                raise TimeoutError(f"the browser said nothing for {PATIENCE_S} s")
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def _note(self, message):
        parameters = message.get("params", {})
        match message.get("method"):
            case "Runtime.consoleAPICalled":
                words = [str(arg.get("value", arg.get("description"))) for arg in parameters["args"]]
                self.console.append(f"{parameters['type']}: {' '.join(words)}")
            case "Runtime.exceptionThrown":
                self.console.append(f"exception: {parameters['exceptionDetails']}")
            case "Log.entryAdded":
                self.console.append(f"{parameters['entry']['level']}: {parameters['entry']['text']}")

    def open(self, address, *, width=1200, height=900):
        """Go to ``address`` and wait until it has loaded."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.do("Emulation.setDeviceMetricsOverride", **size)
        self.do("Page.navigate", url=address)
        self.wait("document.readyState === 'complete'")

    def ask(self, script):
        """The value of a JavaScript expression."""
        found = self.do("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, script):
        """Wait until a JavaScript expression is true; its value."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if value := self.ask(script):
                return value
            time.sleep(0.1)
        raise TimeoutError(f"{script} was not true within {PATIENCE_S} s")

    def picture(self, file, *, name=""):
        """Write what the window shows into ``file``; under ``name`` it is kept for people to look at."""
        file.write_bytes(base64.b64decode(self.do("Page.captureScreenshot")["data"]))
        folder = os.environ.get("INTERLUDE_SCREENSHOTS")
        if folder and name:
            Path(folder).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, Path(folder) / f"{name}.png")


@contextmanager
def browsing():
    """A page in a browser of its own."""
    in_read, in_write = os.pipe()
    out_read, out_write = os.pipe()
    with tempfile.TemporaryDirectory(prefix="interlude-browser-", ignore_cleanup_errors=True) as profile:
        options = (
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
            *("--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe"),
            f"--user-data-dir={profile}",
        )
        # The browser reads commands from descriptor 3 and answers on 4, whatever ours are called.
        moved = 'exec 3<&"$0" 4>&"$1"; shift; exec "$@"'
        command = ["bash", "-c", moved, str(in_read), str(out_write), BROWSER, *options]
        process = subprocess.Popen(
            command, pass_fds=(in_read, out_write), stderr=subprocess.DEVNULL, start_new_session=True
        )
        os.close(in_read)
        os.close(out_write)
        try:
            yield Page(process, in_write, out_read)
        finally:
            os.close(in_write)
            os.close(out_read)
            process.kill()
            process.wait()
