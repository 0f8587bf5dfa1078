"""Runs the ledger cases in ``tests/journals``: entries, refusals, and the balance they end with."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from budgets import errors
from budgets.account import Account
from budgets.amount import DeviceTime
from budgets.bill import Purpose
from budgets.journal import SqlJournal
from budgets.ledger import Charged, Closed, Opened, Released, Reserved

CASES = sorted((Path(__file__).parents[1] / "journals").glob("*.txt"))
MS = {"h": 3_600_000, "min": 60_000, "s": 1000, "ms": 1}


def amount(number, unit):
    return DeviceTime(int(Decimal(number) * MS[unit]))


def entry(words):
    match words:
        case ["open", *time]:
            return Opened(amount(*time))
        case ["close", *time]:
            return Closed(amount(*time))
        case ["reserve", hold, *time]:
            return Reserved(hold, amount(*time))
        case ["charge", hold, purpose, *time]:
            return Charged(hold, Purpose(purpose), amount(*time))
        case ["release", hold]:
            return Released(hold)
    raise AssertionError(f"no entry reads {' '.join(words)!r}")


def figure(balance, name):
    return (
        balance.by_purpose.get(name, DeviceTime(0)) if name in list(Purpose) else getattr(balance, name)
    )


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_the_ledger_ends_as_the_case_says(case, tmp_path):
    lines = [line for line in case.read_text().splitlines() if not line.startswith("#")]
    rule = lines.index("----")
    with SqlJournal(tmp_path / "journal.db", writer=True) as journal:
        account = Account(journal)
        for line in lines[:rule]:
            booking, _, refusal = line.partition("!")
            if refusal:
                with pytest.raises(getattr(errors, refusal.strip())):
                    account.book(entry(booking.split()))
            else:
                account.book(entry(booking.split()))
        for name, *time in map(str.split, lines[rule + 1 :]):
            assert figure(account.balance, name) == amount(*time), f"{case.name}: {name}"
        assert Account(journal).balance == account.balance


def test_the_cases_are_found():
    assert len(CASES) >= 9
