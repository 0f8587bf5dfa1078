"""What must hold after every schedule, judged from the journal; and the table of many."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schedules import KINDS, Schedule

from budgets.amount import DeviceTime
from budgets.bill import Purpose
from budgets.codec import FactCodec
from budgets.envelope import Envelope
from budgets.ledger import Balance, Charged, Entry, Reserved, apply
from budgets.lines import LEDGER
from scheduler.facts import STUDY_FACTS, StageEnded, StudyEnded
from scheduler.state import StudyState
from trainers.order import Outcome

CODEC = FactCodec((*LEDGER, *STUDY_FACTS))


@dataclass
class Found:
    """What came of one schedule.

    Attributes:
        problems: every promise that was not kept, in words.
        n_burnt: faults that happened.
        lost_ms: charged for leases that did not come back.
    """

    schedule: Schedule
    database: str
    problems: list[str] = field(default_factory=list)
    n_burnt: int = 0
    n_kills: int = 0
    n_starts: int = 0
    overspend_ms: int = 0
    n_acknowledged: int = 0
    n_missing: int = 0
    unexplained_ms: int = 0
    lost_ms: int = 0
    wall_s: float = 0.0

    @property
    def kind(self) -> str:
        return self.schedule.kinds[0] if self.schedule.kinds else "none"


def audit_money(facts: list[object], found: Found) -> None:
    balance = Balance()
    held: dict[str, DeviceTime] = {}
    charged: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for fact in facts:
        if not isinstance(fact, Entry):
            continue
        balance = apply(balance, fact)  # refuses a charge to no hold, and a hold that is not free
        found.overspend_ms = max(found.overspend_ms, balance.overdrawn.ms)
        match fact:
            case Reserved(hold, amount):
                if hold in held:
                    found.problems.append(f"hold {hold} was reserved twice")
                held[hold] = amount
            case Charged(hold, purpose, amount):
                charged[hold][purpose] += amount.ms
    if found.overspend_ms:
        found.problems.append(f"{found.overspend_ms} ms more were spent and held than granted")
    if balance.holds:
        found.problems.append(f"holds left open: {sorted(balance.holds)}")
    ended = {f.measurement.hold: f.measurement for f in facts if isinstance(f, StageEnded)}
    for hold in charged.keys() | ended.keys():
        bill = Counter(ended[hold].bill.to_json()) if hold in ended else Counter()
        apart = Counter(bill)
        apart.subtract(charged[hold])
        found.unexplained_ms += sum(abs(ms) for ms in apart.values())
        over_ms = charged[hold].total() - held[hold].ms
        if over_ms > 0:
            found.problems.append(f"{hold} was charged {over_ms} ms more than it held: {ended[hold]}")
    found.lost_ms = sum(charges[Purpose.LOST] for charges in charged.values())
    if found.unexplained_ms:
        found.problems.append(f"{found.unexplained_ms} ms were charged that no lease explains")


def audit_knowledge(facts: list[object], found: Found) -> None:
    done = Counter(
        fact.measurement.stage
        for fact in facts
        if isinstance(fact, StageEnded) and fact.measurement.outcome is Outcome.DONE
    )
    if twice := [stage for stage, n in done.items() if n > 1]:
        found.problems.append(f"stages done twice: {twice}")
    ends = [fact for fact in facts if isinstance(fact, StudyEnded)]
    if not ends or ends[-1] is not facts[-1] or not ends[-1].reason or ends[-1].stopped:
        found.problems.append(f"the study did not end with a reason: {facts[-1:]}")


def audit_acknowledged(folder: Path, facts: list[object], found: Found) -> None:
    for line in (folder / "acknowledged").read_text().splitlines():
        seq, _, written = line.partition(" ")
        found.n_acknowledged += 1
        there = int(seq) <= len(facts) and " ".join(CODEC.write(facts[int(seq) - 1]))
        if there != written:
            found.n_missing += 1
            found.problems.append(f"entry {seq} was acknowledged as {written}, the journal has {there}")


def audit_leases(begun: Sequence[str], facts: list[object], found: Found) -> None:
    """Nothing ran without a hold, or twice under one."""
    reserved = {fact.hold for fact in facts if isinstance(fact, Reserved)}
    times = Counter(begun)
    if free := times.keys() - reserved:
        found.problems.append(f"ran without a reservation: {sorted(free)}")
    if twice := [hold for hold, n in times.items() if n > 1]:
        found.problems.append(f"ran twice under one hold: {twice}")


def audit_account(url: str, name: str, facts: list[object], found: Found) -> None:
    """The shared account agrees with the journal, and was never overdrawn."""
    with Envelope(url, name, writer=False) as envelope:
        lines = list(envelope.lines())
    standing = lines[-1].standing
    spent = sum(fact.amount.ms for fact in facts if isinstance(fact, Charged))
    over_ms = max(line.standing.overdrawn.ms for line in lines)
    if standing.open_holds or standing.spent.ms != spent or over_ms:
        found.problems.append(f"the account stands at {standing}, the study spent {spent} ms")


def finals_in(facts: Iterable[object]) -> dict[str, Any]:
    """Finalists by name: the mix, the seed and what it scored."""
    state = StudyState.of(facts)
    return {t.name: (t.recipe.mix, t.recipe.seed, t.finalist, dict(t.scores)) for t in state.finals}


def table(results: list[Found]) -> list[str]:
    """What happened, kind by kind, and the sums that must be zero."""
    lines = [
        f"{'fault':34} {'schedules':>9} {'happened':>8} {'overspend':>10} {'entries':>8} "
        f"{'unexplained':>12} {'time lost per kill':>20}",
        f"{'':34} {'':>9} {'':>8} {'ms':>10} {'lost':>8} {'ms':>12} {'mean / max ms':>20}",
    ]
    by_kind: defaultdict[str, list[Found]] = defaultdict(list)
    for found in results:
        by_kind[found.kind].append(found)
    for kind in (
        *sorted(by_kind, key=lambda kind: list(KINDS).index(kind) if kind in KINDS else -1),
        "all",
    ):
        part = results if kind == "all" else by_kind[kind]
        lost = [found.lost_ms / found.n_kills for found in part if found.n_kills]
        shown = f"{sum(lost) / len(lost):.0f} / {max(lost):.0f}" if lost else "-"
        lines.append(
            f"{kind:34} {len(part):9} {sum(f.n_burnt for f in part):8} "
            f"{sum(f.overspend_ms for f in part):10} {sum(f.n_missing for f in part):8} "
            f"{sum(f.unexplained_ms for f in part):12} {shown:>20}"
        )
    entries, starts = sum(f.n_acknowledged for f in results), sum(f.n_starts for f in results)
    lines.append(
        f"{entries} entries acknowledged in {starts} starts of the driver; "
        f"{sum(bool(f.problems) for f in results)} schedules with a problem"
    )
    return lines
