"""Whatever order studies draw, settle, crash and come back in: the account stays what they did."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager, suppress
from itertools import count
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from budgets.account import Account
from budgets.amount import DeviceTime
from budgets.bill import Purpose
from budgets.envelope import Envelope
from budgets.errors import InsufficientBudgetError, JournalError
from budgets.journal import MemoryJournal
from budgets.ledger import Charged, Entry, Opened, Released, Reserved, replay
from budgets.reconcile import reconcile

CAP = DeviceTime(1000)
STUDIES = ("a", "b", "c")
studies = st.sampled_from(STUDIES)
amounts = st.integers(0, 700)


class KillError(BaseException):
    """The process is gone at this step."""


class Fuse:
    """Kills the process before the n-th step, a step being a write to either book."""

    def __init__(self):
        self.left = None

    def step(self):
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise KillError


class FusedJournal:
    """A journal that survives the process that writes it."""

    def __init__(self, fuse):
        self.kept = MemoryJournal()
        self._fuse = fuse

    def append(self, *facts):
        self._fuse.step()
        self.kept.append(*facts)
        self._fuse.step()

    def lines(self):
        return self.kept.lines()


class FusedShare:
    """A share that counts its writes as steps."""

    def __init__(self, share, fuse):
        self._share, self._fuse = share, fuse
        self.envelope, self.study = share.envelope, share.study
        self.entries = share.entries

    def book(self, *entries):
        self._fuse.step()
        self._share.book(*entries)
        self._fuse.step()


@contextmanager
def envelope_of(cap):
    with TemporaryDirectory() as folder, Envelope(f"sqlite:///{folder}/accounts.db", "lab") as lab:
        lab.open(cap)
        yield lab


def entries(journal):
    return [line.fact for line in journal.lines() if isinstance(line.fact, Entry)]


def totals(booked):
    """What was charged by hold and purpose, and what open holds have left."""
    charged = Counter()
    for entry in booked:
        if isinstance(entry, Charged):
            charged[entry.hold, entry.purpose] += entry.amount.ms
    return +charged, replay([Opened(DeviceTime(10**12)), *booked]).holds


def agree(lab, journals):
    """Whether the account says of every study what its journal says."""
    for study, journal in journals.items():
        ours = [entry for entry in entries(journal) if not isinstance(entry, Opened)]
        theirs = [line.entry for line in lab.lines() if line.study == study]
        assert totals(theirs) == totals(ours)


class EnvelopeMachine(RuleBasedStateMachine):
    """Three studies with caps of their own, drawing on one account; any step may be the last."""

    @initialize()
    def begin(self):
        self.places = envelope_of(CAP)
        self.lab = self.places.__enter__()
        self.fuse = Fuse()
        self.numbers = count()
        self.journals = {study: FusedJournal(self.fuse) for study in STUDIES}
        self.accounts = {}
        for study in STUDIES:
            self.open(study)
            self.accounts[study].book(Opened(DeviceTime(800)))

    def open(self, study):
        share = FusedShare(self.lab.share(study, f"journal-{study}"), self.fuse)
        self.accounts[study] = Account(self.journals[study], envelope=share)

    @contextmanager
    def mortal(self, study):
        """A call that may end the study's driver; a new one opens the study again."""
        try:
            yield
        except KillError:
            self.fuse.left = None
            self.open(study)
        finally:
            self.fuse.left = None

    @rule(study=studies, amount=amounts, fuse=st.none() | st.integers(0, 4))
    def reserve(self, study, amount, fuse):
        hold = f"h{next(self.numbers) % 7}"
        account = self.accounts[study]
        if hold in account.balance.holds:
            return
        before = account.balance, self.lab.standing
        self.fuse.left = fuse
        with self.mortal(study):
            try:
                account.book(Reserved(hold, DeviceTime(amount)))
            except InsufficientBudgetError:
                assert (account.balance, self.lab.standing) == before
                assert DeviceTime(amount) > min(before[0].free, before[1].free)

    @rule(
        study=studies,
        part=st.integers(0, 100),
        release=st.booleans(),
        fuse=st.none() | st.integers(0, 4),
    )
    def settle(self, study, part, release, fuse):
        account = self.accounts[study]
        if not account.balance.holds:
            return
        hold, left = next(iter(account.balance.holds.items()))
        booked = [Charged(hold, Purpose.TRAIN, DeviceTime(left.ms * part // 100))]
        self.fuse.left = fuse
        with self.mortal(study):
            account.book(*booked, *([Released(hold)] if release else []))

    @rule(study=studies, fuse=st.none() | st.integers(0, 8))
    def lose_the_driver(self, study, fuse):
        """The next driver charges open holds in full; it may be killed while it opens the study."""
        self.fuse.left = fuse
        with self.mortal(study):
            self.open(study)
            for hold, left in self.accounts[study].balance.holds.items():
                self.accounts[study].book(Charged(hold, Purpose.LOST, left), Released(hold))

    @invariant()
    def the_account_says_what_the_journals_say(self):
        agree(self.lab, self.journals)

    @invariant()
    def no_entry_ever_passed_the_cap(self):
        for line in self.lab.lines():
            assert line.standing.spent.ms + line.standing.held.ms <= CAP.ms

    @invariant()
    def opening_a_study_again_books_nothing(self):
        for study, journal in self.journals.items():
            share = self.lab.share(study, f"journal-{study}")
            assert reconcile(share, entries(journal)) == ()
            self.accounts[study]._envelope._share = share

    def teardown(self):
        self.places.__exit__(None, None, None)


EnvelopeMachine.TestCase.settings = settings(
    max_examples=15, stateful_step_count=15, suppress_health_check=list(HealthCheck)
)
TestEnvelopeMachine = EnvelopeMachine.TestCase

LIFE = [
    (Reserved("x", DeviceTime(300)), Reserved("y", DeviceTime(200))),
    (Charged("x", Purpose.LOAD, DeviceTime(10)),),
    (Charged("x", Purpose.TRAIN, DeviceTime(250)), Released("x")),
    (Reserved("x", DeviceTime(100)), Charged("y", Purpose.LOST, DeviceTime(250)), Released("y")),
    (Charged("x", Purpose.TRAIN, DeviceTime(100)), Released("x")),
]


@pytest.mark.parametrize("step", range(31))
def test_a_driver_killed_between_any_two_writes_loses_nothing_and_pays_nothing_twice(step):
    with envelope_of(CAP) as lab:
        fuse = Fuse()
        journal = FusedJournal(fuse)
        account = Account(journal, envelope=FusedShare(lab.share("s", "j"), fuse))
        account.book(Opened(CAP))
        fuse.left = step
        for facts in LIFE:
            n_before = len(entries(journal))
            try:
                account.book(*facts)
            except KillError:
                fuse.left = None
                account = Account(journal, envelope=FusedShare(lab.share("s", "j"), fuse))
                agree(lab, {"s": journal})
                if len(entries(journal)) == n_before:  # not acknowledged and not written: done again
                    account.book(*facts)
        agree(lab, {"s": journal})
        assert (lab.standing.spent.ms, lab.standing.held.ms) == (610, 0)
        assert reconcile(lab.share("s", "j"), entries(journal)) == ()


@given(st.data())
@settings(max_examples=20)
def test_a_journal_from_an_older_copy_is_refused_not_forgiven(data):
    with envelope_of(CAP) as lab:
        journal = MemoryJournal()
        account = Account(journal, envelope=lab.share("s", "j"))
        for facts in ((Opened(CAP),), *LIFE):
            account.book(*facts)
        charges = [n for n, entry in enumerate(entries(journal)) if isinstance(entry, Charged)]
        n_kept = data.draw(st.integers(0, charges[-1]))
        older = MemoryJournal()
        older.append(*entries(journal)[:n_kept])
        with pytest.raises(
            JournalError, match=r"account 'lab' was charged .* that its journal does not"
        ):
            Account(older, envelope=lab.share("s", "j"))
        assert lab.standing.spent == account.balance.spent


def test_an_overrun_that_the_journal_has_is_settled_though_nothing_is_free():
    with envelope_of(CAP) as lab:
        journal = MemoryJournal()
        journal.append(Opened(CAP), Reserved("x", DeviceTime(900)))
        journal.append(Charged("x", Purpose.TRAIN, DeviceTime(900)), Released("x"))
        lab.reserve("other", "all", CAP)
        Account(journal, envelope=lab.share("s"))
        assert lab.standing.overdrawn == DeviceTime(900)
        journal.append(Reserved("y", DeviceTime(1)))
        with suppress(InsufficientBudgetError):
            Account(journal, envelope=lab.share("s"))
            pytest.fail("an open hold that is not free was taken")


def test_what_the_study_may_not_spend_is_never_asked_of_the_account():
    with envelope_of(CAP) as lab:
        account = Account(MemoryJournal(), envelope=lab.share("s"))
        account.book(Opened(DeviceTime(10)))
        with pytest.raises(InsufficientBudgetError) as refusal:
            account.book(Reserved("x", DeviceTime(11)))
        assert refusal.value.account == ""
        assert [line.study for line in lab.lines()] == [""]
