"""A study's records as tidy tables: what was charged, when, for which stage.

Everything the report says starts here, and here from the journal alone. Sums are checked on the way:
what leases were billed must be what the ledger charged, and a difference is kept as a mismatch that
the report shows as an error.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from budgets.amount import ZERO, DeviceTime
from budgets.bill import Purpose
from budgets.journal import Line, SqlJournal
from budgets.ledger import Balance, Charged, Entry, apply
from budgets.spec import parse
from scheduler.allocation import PREFIX
from scheduler.errors import NoRunError
from scheduler.facts import STUDY_FACTS, Preregistered, StageShared, StageStarted, StudyBegun
from scheduler.registration import digest
from scheduler.spec import StudySpec
from scheduler.state import StudyState
from trainers.stage import EvaluateStage, Half, Stage

FACT_TYPES: tuple[type, ...] = STUDY_FACTS


@dataclass(frozen=True, slots=True)
class Charge:
    """Device time charged, and what for.

    Attributes:
        work: kind of stage; evaluations say which half of the examples.
    """

    hold: str
    trial: str
    stage: str
    work: str
    purpose: Purpose
    amount: DeviceTime


@dataclass(frozen=True, slots=True)
class Moment:
    """The balance after all that was written at one time.

    Attributes:
        hours: wall-clock hours since the study began.
    """

    hours: float
    cap: DeviceTime
    spent: DeviceTime
    held: DeviceTime
    free: DeviceTime


@dataclass(frozen=True, slots=True)
class Registration:
    """What a study said beforehand that it would compare.

    Attributes:
        plan: as recorded.
        sha256: recorded with it.
        at: when, UTC.
        problem: why it does not count as said beforehand; empty where it does.
    """

    plan: Mapping[str, object]
    sha256: str
    at: datetime
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Study:
    """All that is on record of one study.

    Attributes:
        spec: what was asked, typed.
        begun: how it was begun, the last time if more than once: spec, its text, environment.
        state: fold of the study's facts.
        balance: fold of the ledger's entries.
        charges: every charge, in order.
        shares: every time that a trial found a stage done which it needed.
        timeline: the balance over time.
        mismatches: sums that do not agree; empty in a sound journal.
        store: where stage folders lie: a path or an fsspec URL.
        began: when the first fact was written, UTC.
        as_of: when the last was.
        registration: None where nothing was said beforehand.
    """

    spec: StudySpec
    begun: StudyBegun
    state: StudyState
    balance: Balance
    charges: tuple[Charge, ...]
    shares: tuple[StageShared, ...]
    timeline: tuple[Moment, ...]
    mismatches: tuple[str, ...]
    store: str
    began: datetime
    as_of: datetime
    registration: Registration | None = None

    @property
    def interim(self) -> bool:
        """Whether the study has not ended, so that more may come."""
        return self.state.ended is None or self.state.stopped

    @property
    def unit(self) -> str:
        """What an hour of a device is called in this study."""
        return "GPU-hours" if self.spec.budget.devices.kind == "gpu" else "CPU slot-hours"


def open_study(run_folder: Path, journal_url: str | None = None, name: str = "") -> Study:
    """The records of the run in ``run_folder``.

    Args:
        run_folder: ``<store>/<study>``.
        journal_url: database of the journal; ``journal.db`` in the folder without it.
        name: of the study; a PostgreSQL database holds many.

    Raises:
        NoRunError: there is no journal, or nothing began in it.
    """
    if journal_url is None:
        database = run_folder / "journal.db"
        if not database.is_file():
            raise NoRunError(f"no run in {run_folder}: {database} does not exist. Name a run's folder")
        journal_url = f"sqlite:///{database.absolute()}"
    with SqlJournal(journal_url, FACT_TYPES, name=name) as journal:
        return study_of(journal.lines(), local_store=run_folder.absolute().parent)


def study_of(lines: Iterable[Line], local_store: Path) -> Study:
    """The tables that a journal's lines add up to.

    Raises:
        NoRunError: no study began in them.
    """
    written = list(lines)
    state = StudyState.of(line.fact for line in written)
    begun = state.begun
    if begun is None:
        raise NoRunError(f"the journal in {local_store} has {len(written)} entries and no study began")
    spec = parse(StudySpec, dict(begun.spec), source=f"spec of {begun.name}")
    timeline, balance = _timeline(written)
    charges = _charges(written)
    return Study(
        spec=spec,
        begun=begun,
        state=state,
        balance=balance,
        charges=charges,
        shares=tuple(line.fact for line in written if isinstance(line.fact, StageShared)),
        timeline=timeline,
        mismatches=tuple(_mismatches(state, balance, charges)),
        store=spec.store if "://" in spec.store else str(local_store),
        began=written[0].at,
        as_of=written[-1].at,
        registration=_registration(written),
    )


def work_of(stage: Stage) -> str:
    """Kind of a stage, in the words of the report."""
    if isinstance(stage, EvaluateStage):
        return "evaluate (report)" if stage.half is Half.REPORT else "evaluate (search)"
    return str(stage.kind)


def _registration(lines: Sequence[Line]) -> Registration | None:
    """The first plan on record, and whether it came before the first stage and is what was hashed."""
    said = [(line, line.fact) for line in lines if isinstance(line.fact, Preregistered)]
    if not said:
        return None
    first, (plan, sha256) = said[0][0], (said[0][1].plan, said[0][1].sha256)
    problem = ""
    if any(isinstance(line.fact, StageStarted) and line.seq < first.seq for line in lines):
        problem = "it was recorded after the first stage had begun"
    elif digest(plan) != sha256:
        problem = f"its text has the SHA-256 {digest(plan)}, not the one recorded with it"
    elif len(said) > 1:
        problem = f"the journal holds {len(said)} of them"
    return Registration(plan, sha256, first.at, problem)


def _timeline(lines: list[Line]) -> tuple[tuple[Moment, ...], Balance]:
    """One moment per time stamp: entries written together are one step."""
    balance = Balance()
    moments: dict[datetime, Moment] = {}
    for line in lines:
        if isinstance(line.fact, Entry):
            balance = apply(balance, line.fact)
            hours = (line.at - lines[0].at).total_seconds() / 3600
            moments[line.at] = Moment(hours, balance.cap, balance.spent, balance.held, balance.free)
    return tuple(moments.values()), balance


def _charges(lines: list[Line]) -> tuple[Charge, ...]:
    started = {line.fact.hold: line.fact for line in lines if isinstance(line.fact, StageStarted)}
    charges = []
    for line in lines:
        if isinstance(line.fact, Charged):
            entry, lease = line.fact, started.get(line.fact.hold)
            work = work_of(lease.config) if lease else "no stage"
            trial, stage = (lease.trial, lease.stage) if lease else ("", "")
            charges.append(Charge(entry.hold, trial, stage, work, entry.purpose, entry.amount))
    return tuple(charges)


def _mismatches(state: StudyState, balance: Balance, charges: tuple[Charge, ...]) -> Iterable[str]:
    """Where bills and ledger differ, one line each."""
    charged: dict[str, dict[Purpose, int]] = defaultdict(lambda: defaultdict(int))
    for charge in charges:
        charged[charge.hold][charge.purpose] += charge.amount.ms
    billed: dict[str, dict[Purpose, int]] = {}
    for _, measurement in state.measurements():
        billed[measurement.hold] = {p: amount.ms for p, amount in measurement.cost.items()}
    leases = (hold for hold in charged.keys() | billed.keys() if not hold.startswith(PREFIX))
    for hold in sorted(leases):
        in_ledger = {p: ms for p, ms in charged[hold].items() if ms}
        on_bill = billed.get(hold, {})
        if in_ledger != on_bill and not (hold in state.leases and not in_ledger):
            yield (
                f"lease {hold}: its bill is {sum(on_bill.values()):,} ms, "
                f"the ledger charged {sum(in_ledger.values()):,} ms ({_purposes(on_bill)} against "
                f"{_purposes(in_ledger)})"
            )
    total = DeviceTime.total(charge.amount for charge in charges)
    if total != balance.spent:
        yield f"charges add up to {total.ms:,} ms, the ledger's balance says {balance.spent.ms:,} ms"
    if balance.overdrawn > ZERO:
        yield f"spent and held pass the cap by {balance.overdrawn.ms:,} ms"


def _purposes(amounts_ms: Mapping[Purpose, int]) -> str:
    return ", ".join(f"{p} {ms:,}" for p, ms in sorted(amounts_ms.items())) or "nothing"
