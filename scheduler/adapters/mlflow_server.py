"""MLflow's own server for one study, on the loopback interface, for as long as somebody looks.

It has no password, so nobody but this machine may reach it. It lives in a process group of its own that
is ended with the block, by Ctrl-C and by SIGTERM alike.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from scheduler.adapters.mlflow_saved_view import VIEW, VIEW_TAG
from scheduler.errors import StudyError

_HOST = "127.0.0.1"
_START_S = 300.0  # a cold start imports MLflow and may bring the database's tables up to date
_END_S = 2.0  # it only reads, so that ending it at once harms nothing
_POLL_S = 0.2
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eight processes for jobs that no study has
}
_SQLITE = "sqlite:///"


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers.

    Attributes:
        address: of the study's page.
        process: that serves it; None where a server of somebody else's does.
    """

    address: str
    process: subprocess.Popen[bytes] | None

    def wait(self) -> None:
        """Wait until the server ends; at once where it is not ours."""
        if self.process is not None:
            self.process.wait()


@contextmanager
def serving(url: str, study: str, *, port: int = 0) -> Iterator[Server]:
    """Serve the database at ``url`` for the block; a server that is there already is only named.

    Args:
        url: of the database, or of a server.
        study: whose page to name.
        port: of the loopback interface; 0 for a free one.

    Raises:
        StudyError: there is no such database, the port is taken, or the server does not come up.
    """
    if url.startswith(("http:", "https:")):
        yield Server(_page(url.rstrip("/"), study), None)
        return
    if url.startswith(_SQLITE) and not Path(url.removeprefix(_SQLITE)).is_file():
        raise StudyError(
            f"{study} has no MLflow database at {url.removeprefix(_SQLITE)}. Run the study's command "
            "again: it shows what is in the journal, and nothing is run twice"
        )
    port = _free(port)
    base = f"http://{_HOST}:{port}"
    with tempfile.TemporaryFile() as log:
        process = _start(url, port, log)
        before = signal.signal(signal.SIGTERM, _as_interrupt)
        try:
            _await(process, base, log)
            yield Server(_page(base, study), process)
        finally:
            _end(process)
            signal.signal(signal.SIGTERM, before)


def _start(url: str, port: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", url]
    place = ["--host", _HOST, "--port", str(port), "--workers", "1"]
    return subprocess.Popen(
        [*command, *place],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={**os.environ, **_ENVIRONMENT},
    )


def _free(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as error:
            raise StudyError(
                f"port {port} of {_HOST} cannot be had: {error.strerror}. Leave out --port"
            ) from error
        return int(probe.getsockname()[1])


def _await(process: subprocess.Popen[bytes], base: str, log: IO[bytes]) -> None:
    deadline_s = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline_s:
        with suppress(OSError), urllib.request.urlopen(f"{base}/health", timeout=5):
            return
        time.sleep(_POLL_S)
    log.seek(0)
    last = log.read().decode(errors="replace").strip().splitlines()[-3:]
    raise StudyError(
        f"MLflow's server did not answer at {base} within {_START_S:.0f} s. It last said: "
        f"{' / '.join(last) or 'nothing'}"
    )


def _page(base: str, study: str) -> str:
    """The address of the study's runs, in the view that was saved for them."""
    query = urllib.parse.urlencode({"experiment_name": study})
    asked = f"{base}/api/2.0/mlflow/experiments/get-by-name?{query}"
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            experiment = json.load(answer)["experiment"]
    except (OSError, ValueError, KeyError) as error:
        if isinstance(error, urllib.error.HTTPError) and error.code == 404:
            return base
        raise StudyError(f"MLflow at {base} does not answer for {study}: {error}") from error
    page = f"{base}/#/experiments/{experiment['experiment_id']}/runs"
    has_view = any(tag["key"] == VIEW_TAG for tag in experiment.get("tags", ()))
    return f"{page}?viewStateShareKey={VIEW}" if has_view else page


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END_S)


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
