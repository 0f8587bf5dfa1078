"""An account: a journal, and the balance its entries add up to.

Facts of any kind go in together: the ledger's entries are tried on a copy first, so a refusal
leaves no trace, and then all facts are written in one transaction. What the ledger says and what
the study says can therefore not drift apart, whatever is killed in between.
"""

from __future__ import annotations

from budgets.errors import HoldError, InsufficientBudgetError, JournalError
from budgets.journal import Journal
from budgets.ledger import Balance, Entry, apply


class Account:
    """What a study may spend, has set aside, and has spent. Booked from one thread."""

    def __init__(self, journal: Journal) -> None:
        """Open the account: the balance is the replay of the journal.

        Raises:
            JournalError: the journal cannot be read, or its entries cannot follow each other.
        """
        self._journal = journal
        self._balance = _replayed(journal)

    @property
    def balance(self) -> Balance:
        """The balance after everything booked so far."""
        return self._balance

    def book(self, *facts: object) -> None:
        """Write facts down, all or none; ledger entries among them move the balance.

        Raises:
            InsufficientBudgetError: a reservation asks for more than is free. Nothing is written.
            HoldError: an entry names a hold that is not open, or opens one twice. Nothing is written.
            JournalError: the journal could not be written, or another driver took it over.
        """
        balance = self._balance
        for fact in facts:
            if isinstance(fact, Entry):
                balance = apply(balance, fact)
        self._journal.append(*facts)
        self._balance = balance

    def facts(self) -> tuple[object, ...]:
        """Every fact booked, in order, read from the journal."""
        return tuple(line.fact for line in self._journal.lines())


def _replayed(journal: Journal) -> Balance:
    balance = Balance()
    for line in journal.lines():
        if isinstance(line.fact, Entry):
            try:
                balance = apply(balance, line.fact)
            except (HoldError, InsufficientBudgetError) as refusal:
                raise JournalError(
                    f"entry {line.seq} ({line.fact}) cannot follow the entries before it: {refusal} "
                    "The journal was changed by hand or written by two programs; restore it from a copy."
                ) from refusal
    return balance
