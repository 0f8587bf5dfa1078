"""Partial states of a training stage: what it goes on from after a stop or a kill.

    copy     weights, optimiser and progress to host memory; training waits, billed as ``save``
    write    and hash; beside a GPU in a thread while training goes on, until the lease ends

On a CPU training waits for both: the thread would take from it what it gives (docs/measurements.md,
"Throughput"). At most one save is under way. A kill in its middle leaves the state before it, or none,
never a broken one (trainers/checkpoints.py).
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from budgets.bill import Purpose
from trainers.checkpoints import PARTIAL, StageStore
from trainers.stage import TrainingStage, stage_name
from trainers.state import Learner, Progress, Snapshot

if TYPE_CHECKING:
    from trainers.training import Lease

TRUNK = "trunk"


class PartialSaves:
    """The partial states of one stage in one lease.

    Args:
        stage: that is trained.
        store: where they lie.
        lease: whose meter and ``save_s`` are kept.
        beside: whether :meth:`begin` writes while training goes on.
    """

    def __init__(self, stage: TrainingStage, store: StageStore, lease: Lease, *, beside: bool) -> None:
        self._stage = stage
        self._store = store
        self._lease = lease
        self._beside = beside
        self._written: Future[None] | None = None

    def begin(self, learner: Learner, progress: Progress, trunk: Snapshot | None) -> None:
        """Save the state; what is written beside training may fail later, see :meth:`check`.

        That is not begun while another one is written, nor where it would not be over when the lease's
        last one has to begin.

        Raises:
            StoreError: it cannot be written.
        """
        if not self._beside:
            self.save(learner, progress, trunk)
            return
        writing = self._written is not None and not self._written.done()
        if writing or self._lease.left_s() < self._lease.save_s:
            return
        begun_s = self._lease.clock.now_s()
        with self._lease.meter.on(Purpose.SAVE):
            state = Snapshot.of(learner, progress)
        thread = ThreadPoolExecutor(1, thread_name_prefix="save")
        self._written = thread.submit(self._write, state, trunk, begun_s)
        thread.shutdown(wait=False)

    def save(self, learner: Learner, progress: Progress, trunk: Snapshot | None) -> None:
        """Save the state before returning.

        Raises:
            StoreError: it cannot be written.
        """
        with self._lease.meter.on(Purpose.SAVE):
            self.wait()
            begun_s = self._lease.clock.now_s()
            self._write(Snapshot.of(learner, progress), trunk, begun_s)

    def check(self) -> None:
        """Go on where the save that was begun last is under way or has been written.

        Raises:
            StoreError: it could not be.
        """
        if self._written is not None and self._written.done():
            written, self._written = self._written, None
            written.result()

    def wait(self) -> None:
        """Until nothing is being written; whether it could be matters no more."""
        if self._written is not None:
            wait([self._written])
            self._written = None

    def _write(self, state: Snapshot, trunk: Snapshot | None, begun_s: float) -> None:
        with self._store.write(stage_name(self._stage) + PARTIAL, self._stage) as folder:
            state.save(folder)
            if trunk is not None:
                trunk.save(folder / TRUNK)
        self._lease.save_s = self._lease.clock.now_s() - begun_s
