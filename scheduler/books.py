"""The ledger, line by line: every entry with what it was for and what was free after it.

The entries alone add up; the facts written with them say which stage a hold was for, and why a lease
was lost or did not end as it should. Text and JSON come from the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from budgets.amount import DeviceTime
from budgets.bill import Purpose
from budgets.journal import Line
from budgets.ledger import Balance, Charged, Closed, Entry, Opened, Released, Reserved, apply
from scheduler.facts import StageEnded, StageStarted
from scheduler.progress import hours, stage_words, unit
from trainers.order import Measurement, Outcome


@dataclass(frozen=True, slots=True)
class _Lease:
    """What the facts say of a hold."""

    started: StageStarted
    ended: Measurement | None = None


def ledger_rows(lines: Iterable[Line]) -> Iterator[dict[str, object]]:
    """The ledger's entries as plain JSON, each explained, with what was free after it."""
    kept = tuple(lines)
    leases = _leases(kept)
    balance = Balance()
    for line in kept:
        entry = line.fact
        if not isinstance(entry, Entry):
            continue
        balance = apply(balance, entry)
        yield {
            "seq": line.seq,
            "at": line.at.isoformat(timespec="milliseconds"),
            "entry": type(entry).__name__,
            **_numbers(entry),
            "free_ms": balance.free.ms,
            "for": _words(entry, leases),
        }


def ledger_lines(lines: Iterable[Line], kind: str) -> Iterator[str]:
    """One line of text per entry: number, time, entry, amount, what is free after it, what for."""
    yield f"{'':>6}  {'UTC':19}  {'entry':9} {'amount':>12}  {'free':>12}  {unit(kind)}"
    for row in ledger_rows(lines):
        amount, free = _shown(row, "ms"), _shown(row, "free_ms")
        words = " ".join(str(row[key]) for key in ("purpose", "hold", "for") if row.get(key))
        at = str(row["at"])[:19].replace("T", " ")
        yield f"{row['seq']:>6}  {at}  {row['entry']!s:9} {amount:>12}  {free:>12}  {words}".rstrip()


def _leases(lines: Iterable[Line]) -> dict[str, _Lease]:
    leases: dict[str, _Lease] = {}
    for line in lines:
        match line.fact:
            case StageStarted():
                leases[line.fact.hold] = _Lease(line.fact)
            case StageEnded(_, measurement):
                leases[measurement.hold] = _Lease(leases[measurement.hold].started, measurement)
    return leases


def _numbers(entry: Entry) -> dict[str, object]:
    match entry:
        case Opened(amount) | Closed(amount):
            return {"ms": amount.ms}
        case Reserved(hold, amount):
            return {"hold": hold, "ms": amount.ms}
        case Charged(hold, purpose, amount):
            return {"hold": hold, "purpose": str(purpose), "ms": amount.ms}
        case Released(hold):
            return {"hold": hold}


def _words(entry: Entry, leases: Mapping[str, _Lease]) -> str:
    """What an entry was for, in words; empty where its columns say it all."""
    match entry:
        case Opened():
            return "granted by the spec's cap"
        case Closed():
            return "taken back: the cap was lowered"
        case Reserved(hold) if hold in leases:
            started = leases[hold].started
            again = f", attempt {started.attempt}" if started.attempt > 1 else ""
            return f"for {stage_words(started.config)}{again}"
        case Charged(hold, Purpose.LOST) if hold in leases:
            ended = leases[hold].ended
            return f"because {ended.error}" if ended is not None and ended.error else ""
        case Released(hold) if hold in leases:
            ended = leases[hold].ended
            return "" if ended is None or ended.outcome is Outcome.DONE else f"{ended.outcome}"
    return ""


def _shown(row: Mapping[str, object], key: str) -> str:
    """Milliseconds of a row as hours, empty where it has none."""
    value = row.get(key)
    return hours(DeviceTime(value)) if isinstance(value, int) else ""
