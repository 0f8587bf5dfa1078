"""An account: a journal, and the balance its entries add up to.

Facts of any kind go in together: the ledger's entries are tried on a copy first, so a refusal
leaves no trace, and then all facts are written in one transaction. What the ledger says and what
the study says can therefore not drift apart, whatever is killed in between.

A study may draw on an envelope that it shares with others. Then a hold is taken there first, and
charges and releases are passed on after the journal has them: at every moment the envelope holds at
least what the study may still spend. What a kill leaves between the two books is put right when the
account is opened (``budgets/reconcile.py``).
"""

from __future__ import annotations

from budgets.amount import DeviceTime
from budgets.envelope import Share
from budgets.errors import CapInUseError, HoldError, InsufficientBudgetError, JournalError
from budgets.journal import Journal
from budgets.ledger import Balance, Charged, Entry, Released, Reserved, apply
from budgets.reconcile import reconcile


class Account:
    """What a study may spend, has set aside, and has spent. Booked from one thread."""

    def __init__(self, journal: Journal, *, envelope: Share | None = None) -> None:
        """Open the account: the balance is the replay of the journal.

        Args:
            journal: the study's facts.
            envelope: the study's share of the account it draws on, ``Envelope.share``; only for the
                driver, since opening it brings the envelope in line with the journal.

        Raises:
            JournalError: the journal cannot be read, or its entries cannot follow each other.
            InsufficientBudgetError: an open hold of the journal is not free in the envelope.
        """
        self._journal = journal
        self._envelope = envelope
        self._balance = _replayed(journal)
        if envelope is not None:
            reconcile(envelope, (fact for fact in self.facts() if isinstance(fact, Entry)))

    @property
    def balance(self) -> Balance:
        """The balance after everything booked so far."""
        return self._balance

    @property
    def free(self) -> DeviceTime:
        """What can be reserved now, in the study's cap and in the account it draws on."""
        if self._envelope is None:
            return self._balance.free
        return min(self._balance.free, self._envelope.envelope.standing.free)

    @property
    def narrower(self) -> str:
        """The account that has less free than the study's own cap, empty when there is none."""
        if self._envelope is None or self.free == self._balance.free:
            return ""
        return self._envelope.envelope.name

    def book(self, *facts: object) -> None:
        """Write facts down, all or none; ledger entries among them move the balance.

        With an envelope, a name that one call releases can be reserved again only by the next.

        Raises:
            InsufficientBudgetError: a reservation asks for more than is free, in the study's cap or
                in the envelope. Nothing is written.
            CapInUseError: more is taken back than is free. Nothing is written.
            HoldError: an entry names a hold that is not open, or opens one twice. Nothing is written.
            JournalError: a book could not be written, or another driver took it over. Open the
                account again to go on: that tells what was written.
        """
        balance = self._balance
        for fact in facts:
            if isinstance(fact, Entry):
                balance = apply(balance, fact)
        if self._envelope is not None:
            self._envelope.book(*(fact for fact in facts if isinstance(fact, Reserved)))
        self._journal.append(*facts)
        self._balance = balance
        if self._envelope is not None:
            self._envelope.book(*(fact for fact in facts if isinstance(fact, Charged | Released)))

    def facts(self) -> tuple[object, ...]:
        """Every fact booked, in order, read from the journal."""
        return tuple(line.fact for line in self._journal.lines())


def _replayed(journal: Journal) -> Balance:
    balance = Balance()
    for line in journal.lines():
        if isinstance(line.fact, Entry):
            try:
                balance = apply(balance, line.fact)
            except (CapInUseError, HoldError, InsufficientBudgetError) as refusal:
                raise JournalError(
                    f"entry {line.seq} ({line.fact}) cannot follow the entries before it: {refusal} "
                    "The journal was changed by hand or written by two programs; restore it from a copy."
                ) from refusal
    return balance
