"""Schedules of faults: what breaks and when, by seed; a study driven through them; what must hold after.

    schedule(seed)      a study and its faults
    suffer(schedule)    start the driver, let it break, start it again, until the study ends
    audit(...)          everything that is promised, judged from the journal alone

One schedule again: ``python tests/faults/harness.py SEED [postgresql+psycopg://…]``.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import driver
from audit import (
    Found,
    audit_account,
    audit_acknowledged,
    audit_knowledge,
    audit_leases,
    audit_money,
    finals_in,
    table,
)
from driver import ENDED, LAB, OVERTAKEN, REFUSED, STOPPED
from schedules import KILLS, Schedule, schedule

from budgets.envelope import Envelope
from budgets.journal import SqlJournal
from scheduler.facts import STUDY_FACTS

_START_UP_MS = 1_500
_STARTS_AT_MOST = 12
_START_S = 300  # of one start of the driver, on a machine that is busy
_GONE_S = 30  # workers of a killed driver, until their watchdogs have ended them
_HALT_S = (0.05, 5.0)  # the longest is longer than a hold


class Drivers:
    """Starts drivers: each a fork of one process that has imported everything.

    Attributes:
        pace: how many times longer a stage takes until all faults have happened.
        at_hand: drivers that find out what happens to an undisturbed study.
    """

    pace = 1

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["driver"])
        self._lock = threading.Lock()
        os.environ["PYTHONPATH"] = os.pathsep.join(
            [*(str(Path(__file__).parents[up]) for up in range(3)), os.environ.get("PYTHONPATH", "")]
        )

    @property
    def at_hand(self) -> Drivers:
        return self

    def start(self, folder: Path) -> Any:
        process = self._context.Process(target=driver.main, args=(str(folder),), daemon=True)
        with self._lock:
            process.start()
        return process


def suffer(plan: Schedule, drivers: Drivers, place: Place) -> Found:
    """Carry a schedule out and judge what is left."""
    begun_s = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix=f"interlude-faults-{plan.seed}-"))
    found = Found(plan, place.database)
    ordeal = _Ordeal(plan, drivers, place, folder, found)
    try:
        ordeal.run()
        found.wall_s = time.monotonic() - begun_s
        _audit(ordeal, found)
    finally:
        ordeal.clear_up()
        if found.problems:
            found.problems.append(f"see {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return found


@dataclass(frozen=True)
class Place:
    """Where journals lie: SQLite files, or schemas of one PostgreSQL server."""

    database: str
    url: str | None = None
    terminate: Callable[[int], None] | None = None

    def journal(self, folder: Path) -> str:
        return self.url or f"sqlite:///{folder / 'journal.db'}"

    def account(self, folder: Path) -> str:
        return self.url or f"sqlite:///{folder / 'accounts.db'}"


@dataclass
class _Ordeal:
    """One study on its way through its faults."""

    plan: Schedule
    drivers: Drivers
    place: Place
    folder: Path
    found: Found

    @property
    def name(self) -> str:
        return f"f{self.folder.name.rpartition('-')[2].replace('_', '-').lower()}-{self.plan.seed}"

    @property
    def fuses(self) -> driver.Fuses:
        return driver.Fuses(self.folder, list(self.plan.faults))

    def run(self) -> None:
        account = self.place.account(self.folder) if self.plan.has_account else None
        written = {
            **asdict(self.plan),
            "name": self.name,
            "journal": self.place.journal(self.folder),
            "account": account,
            "start_up_ms": _START_UP_MS,
            "pace": self.drivers.pace,
        }
        (self.folder / "schedule.json").write_text(json.dumps(written))
        if account:
            with Envelope(account, self.name) as envelope:
                envelope.open(LAB)
        for self.found.n_starts in range(1, _STARTS_AT_MOST + 1):
            code = self._one_start()
            if code == ENDED:
                return
            if code not in (-signal.SIGKILL, STOPPED):
                log = (self.folder / "log").read_text()[-1500:]
                self.found.problems.append(f"the driver ended with exit code {code}: {log}")
                return
        self.found.problems.append(f"the study did not end in {_STARTS_AT_MOST} starts")

    def _one_start(self) -> int:
        process = self.drivers.start(self.folder)
        until_s = time.monotonic() + _START_S
        seen = self._burnt()
        while process.is_alive():
            process.join(0.01)
            for number in sorted(self._burnt() - seen):
                seen.add(number)
                code = self._do_outside(self.plan.faults[number]["do"], process)
                if code is not None:
                    return code
            if time.monotonic() > until_s:
                self.found.problems.append(f"the driver ran for more than {_START_S} s")
                process.kill()
                process.join()
        return int(process.exitcode)

    def _burnt(self) -> set[int]:
        return {i for i in range(len(self.plan.faults)) if self.fuses.burnt(i).exists()}

    def _do_outside(self, action: str, process: Any) -> int | None:
        """The part of a fault that another process has to do; an exit code if another driver ran."""
        draw = random.Random(self.plan.seed)
        match action:
            case "kill soon":
                time.sleep(draw.uniform(0, 0.08))
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
            case "halt":
                _wait_until_stopped(process.pid)
                time.sleep(draw.uniform(*_HALT_S))
                os.kill(process.pid, signal.SIGCONT)
            case "node, hang":
                self.drivers.kill_node()
            case "second":
                _wait_until_stopped(process.pid)
                self._expect(REFUSED, self._another())
                os.kill(process.pid, signal.SIGCONT)
            case "overtake":
                _wait_until_stopped(process.pid)
                over = "StudyEnded" in (self.folder / "acknowledged").read_text().splitlines()[-1]
                self._break_claim(process.pid)
                code = self._another()
                os.kill(process.pid, signal.SIGCONT)
                process.join()
                self._expect(ENDED if over else OVERTAKEN, process.exitcode)
                return code
        return None

    def _another(self) -> int:
        second = self.drivers.start(self.folder)
        second.join(_START_S)
        return int(second.exitcode)

    def _expect(self, wanted: int, code: int) -> None:
        if code != wanted:
            log = (self.folder / "log").read_text()[-1500:]
            self.found.problems.append(f"a driver that is to be refused ended with {code}: {log}")

    def _break_claim(self, pid: int) -> None:
        """Take from a halted driver what keeps a second one out."""
        if self.place.terminate is not None:
            self.place.terminate(pid)
        else:
            (self.folder / "journal.db.lock").unlink()

    def begun(self) -> list[tuple[str, int]]:
        """Each lease that a worker began, with its process."""
        return self._noted("begun")

    def _noted(self, name: str) -> list[tuple[str, int]]:
        file = self.folder / name
        lines = file.read_text().splitlines() if file.exists() else []
        return [(hold, int(pid)) for hold, _, pid in (line.rpartition(" ") for line in lines)]

    def expect_replaced(self) -> None:
        """A worker that was worn begins no further lease, and a process does that is new."""
        begun = self.begun()
        for worn in self._noted("worn"):
            place = begun.index(worn) + 1
            before, later = ({pid for _, pid in part} for part in (begun[:place], begun[place:]))
            if worn[1] in later or not later - before:
                self.found.problems.append(f"worn worker {worn} was not replaced: {later}")

    def expect_gone(self) -> None:
        """Every worker has let go of its device, whoever had to end it."""
        until_s = time.monotonic() + _GONE_S
        pids = {pid for _, pid in self.begun()}
        while time.monotonic() < until_s and any(map(_is_worker, pids)):
            time.sleep(0.02)
        if left := [pid for pid in pids if _is_worker(pid)]:
            self.found.problems.append(f"workers still hold their devices: {left}")

    def clear_up(self) -> None:
        for pid in {pid for _, pid in self.begun()}:
            if _is_worker(pid):
                os.kill(pid, signal.SIGKILL)


def _wait_until_stopped(pid: int) -> None:
    while _state(pid) not in ("T", "Z", ""):
        time.sleep(0.005)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def _is_worker(pid: int) -> bool:
    """Whether the process lives and is one of ours: forks of the fork server share its command."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    ours = b"forkserver" in command or command.startswith(b"ray::")
    return ours and _state(pid) not in ("Z", "")


def _audit(ordeal: _Ordeal, found: Found) -> None:
    plan, place, folder = ordeal.plan, ordeal.place, ordeal.folder
    burnt = [fault for i, fault in enumerate(plan.faults) if ordeal.fuses.burnt(i).exists()]
    found.n_burnt = len(burnt)
    found.n_kills = sum(fault["do"] in KILLS for fault in burnt)
    with SqlJournal(place.journal(folder), STUDY_FACTS, name=ordeal.name) as journal:
        facts = [line.fact for line in journal.lines()]
    audit_money(facts, found)
    audit_knowledge(facts, found)
    audit_acknowledged(folder, facts, found)
    audit_leases([hold for hold, _ in ordeal.begun()], facts, found)
    if plan.has_account:
        audit_account(place.account(folder), ordeal.name, facts, found)
    if not plan.tight and plan.seed >= 0:
        wanted, finals = finalists_of(plan.undisturbed, ordeal.drivers.at_hand), finals_in(facts)
        if finals != wanted:
            found.problems.append(f"finalists differ: {finals}, undisturbed {wanted}")
    ordeal.expect_replaced()
    ordeal.expect_gone()


_REFERENCES: dict[Schedule, dict[str, Any]] = {}
_ONE = threading.Lock()


def finalists_of(plan: Schedule, drivers: Drivers) -> dict[str, Any]:
    """The finalists of a study that nothing befell, run once."""
    with _ONE:
        if plan not in _REFERENCES:
            folder = Path(tempfile.mkdtemp(prefix="interlude-faults-reference-"))
            place = Place("SQLite")
            ordeal = _Ordeal(plan, drivers, place, folder, Found(plan, place.database))
            ordeal.run()
            assert not ordeal.found.problems, ordeal.found.problems
            with SqlJournal(place.journal(folder), STUDY_FACTS) as journal:
                _REFERENCES[plan] = finals_in(line.fact for line in journal.lines())
            shutil.rmtree(folder)
        return _REFERENCES[plan]


if __name__ == "__main__":
    url = sys.argv[2] if len(sys.argv) > 2 else None
    one = suffer(schedule(int(sys.argv[1])), Drivers(), Place("PostgreSQL" if url else "SQLite", url))
    print("\n".join([str(one.schedule), *one.problems, *table([one])]))
