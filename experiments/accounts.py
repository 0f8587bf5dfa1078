"""Accounts that several studies draw on: opened, raised, and shown by study."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from budgets.amount import ZERO, DeviceTime
from budgets.bill import Purpose
from budgets.ledger import Charged, Entry, Released, Reserved
from scheduler.errors import NoRunError
from scheduler.places import accounts_in

if TYPE_CHECKING:
    from budgets.standing import Standing
    from budgets.statement import EnvelopeLine


@dataclass(slots=True)
class Drawn:
    """What one study holds and was charged in an account.

    Attributes:
        holds: what each open hold has left.
        by_purpose: what was charged.
    """

    holds: dict[str, DeviceTime] = field(default_factory=dict)
    by_purpose: dict[Purpose, DeviceTime] = field(default_factory=dict)

    @property
    def held(self) -> DeviceTime:
        """All that open holds have left."""
        return DeviceTime.total(self.holds.values())

    @property
    def spent(self) -> DeviceTime:
        """All that was charged."""
        return DeviceTime.total(self.by_purpose.values())

    def take(self, entry: Entry) -> None:
        """Take one more entry of the study into account."""
        match entry:
            case Reserved(hold, amount):
                self.holds[hold] = amount
            case Charged(hold, purpose, amount):
                self.holds[hold] = self.holds[hold].less(amount)
                self.by_purpose[purpose] = self.by_purpose.get(purpose, ZERO) + amount
            case Released(hold):
                del self.holds[hold]


def by_study(lines: Iterable[EnvelopeLine]) -> dict[str, Drawn]:
    """What each study drew, in the order in which they came."""
    studies: dict[str, Drawn] = {}
    for line in lines:
        if line.study:
            studies.setdefault(line.study, Drawn()).take(line.entry)
    return studies


def open_account(name: str, gpu_hours: float, store: str, console: Console) -> None:
    """Grant an account device time; one that is open already gets it on top."""
    from budgets.envelope import Envelope

    place = accounts_in(store)
    if place.startswith("sqlite:"):
        Path(place.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    with Envelope(place, name) as envelope:
        envelope.open(DeviceTime.from_hours(gpu_hours))
        console.print(f"account {name}: {_stands(envelope.standing)}", markup=False, highlight=False)


def show_account(name: str, store: str, console: Console, *, as_json: bool) -> None:
    """Print where an account stands: holds and charges by study."""
    from budgets.envelope import Envelope

    place = accounts_in(store)
    file = Path(place.removeprefix("sqlite:///"))
    if place.startswith("sqlite:") and not file.is_file():
        raise NoRunError(
            f"no accounts in {file.parent}. Open one with `interlude account open {name} --gpu-hours N "
            f"--store {store}`, or name the store that has it."
        )
    with Envelope(place, name, writer=False) as envelope:
        standing = envelope.standing
        studies = by_study(envelope.lines())
    if as_json:
        print(json.dumps(_json(name, standing, studies), indent=2))
        return
    lines = [f"account {name}: {_stands(standing)}"]
    for study, drawn in studies.items():
        lines.append(f"{study}: {drawn.spent} spent, {drawn.held} held")
        lines += [
            f"  for {purpose}: {drawn.by_purpose[purpose]}" for purpose in sorted(drawn.by_purpose)
        ]
        lines += [f"  held by {hold}: {left}" for hold, left in drawn.holds.items()]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _stands(standing: Standing) -> str:
    over = f", overdrawn by {standing.overdrawn}" if standing.overdrawn else ""
    return (
        f"{standing.cap} granted, {standing.spent} spent, {standing.held} held, "
        f"{standing.free} free{over}"
    )


def _json(name: str, standing: Standing, studies: dict[str, Drawn]) -> dict[str, object]:
    return {
        "name": name,
        "cap_ms": standing.cap.ms,
        "spent_ms": standing.spent.ms,
        "held_ms": standing.held.ms,
        "free_ms": standing.free.ms,
        "overdrawn_ms": standing.overdrawn.ms,
        "studies": {
            study: {
                "spent_ms": drawn.spent.ms,
                "held_ms": drawn.held.ms,
                "by_purpose": {str(p): amount.ms for p, amount in sorted(drawn.by_purpose.items())},
                "holds": {hold: left.ms for hold, left in drawn.holds.items()},
            }
            for study, drawn in studies.items()
        },
    }
