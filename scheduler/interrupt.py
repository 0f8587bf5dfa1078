"""Ctrl-C, counted.

Once: nothing new starts, what runs saves its partial work and stops, the books are closed. Twice: what
runs is ended now, and charged for what it held. Either way the same command goes on later. A move that
is being written down is written to its end first, so that the journal and the driver agree on it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

REASON = "stopped by the user; the same command goes on where it was"


class Interrupt:
    """Whether the user has asked to stop."""

    def __init__(self, say: Callable[[str], None] = lambda _: None) -> None:
        self._asked = threading.Event()
        self._say = say
        self._n_blocks = 0
        self._waits = False

    def asked(self) -> bool:
        """True after the first Ctrl-C."""
        return self._asked.is_set()

    def wait(self, at_most_s: float) -> None:
        """Wait until the user asks to stop, or so long."""
        self._asked.wait(at_most_s)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take Ctrl-C (SIGINT) and SIGTERM over for the block, where signals can be taken over."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in before:
            signal.signal(number, self._on_signal)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Let a second Ctrl-C wait for the end of the block, where a third does not.

        Raises:
            KeyboardInterrupt: one came meanwhile.
        """
        self._n_blocks += 1
        try:
            yield
        finally:
            self._n_blocks -= 1
            if self._waits and not self._n_blocks:
                self._waits = False
                raise KeyboardInterrupt

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._asked.is_set():
            if not self._n_blocks or self._waits:
                raise KeyboardInterrupt
            self._waits = True
            return
        self._asked.set()
        self._say("stopping: what runs saves its work first; once more to stop now")
