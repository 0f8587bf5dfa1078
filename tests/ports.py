"""A port that nobody else on this machine takes before it is used."""

from __future__ import annotations

import random
import socket
from contextlib import suppress

_FROM, _TO = 20_000, 32_000  # above the ports of Ray's workers, below those that the kernel hands out


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on.

    Raises:
        RuntimeError: a hundred were tried and taken.
    """
    draw = random.SystemRandom()
    for port in (draw.randrange(_FROM, _TO) for _ in range(100)):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError(f"100 ports of {_FROM} to {_TO} were tried, and all are taken")
