"""What every journal must do; subclasses only say how to make one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from budgets.account import Account
from budgets.amount import DeviceTime
from budgets.bill import Purpose
from budgets.journal import Journal
from budgets.ledger import Charged, Opened, Released, Reserved

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Noted:
    """A fact beside the ledger's."""

    text: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stranger:
    """A fact no journal here keeps."""

    text: str


class JournalContract:
    """Needs a fixture ``journal`` that keeps ``Noted``, empty, with a clock that says ``NOON``."""

    @pytest.fixture
    def journal(self) -> Iterator[Journal]:
        raise NotImplementedError

    def test_what_was_appended_comes_back_in_order(self, journal):
        facts = [
            Opened(DeviceTime(100)),
            Noted("one", ("a", "b")),
            Reserved("h", DeviceTime(40)),
            Charged("h", Purpose.TRAIN, DeviceTime(41)),
            Released("h"),
        ]
        journal.append(*facts[:2])
        journal.append(*facts[2:])
        assert [line.fact for line in journal.lines()] == facts
        assert [line.seq for line in journal.lines()] == [1, 2, 3, 4, 5]

    def test_a_line_says_when_it_was_written_in_utc(self, journal):
        journal.append(Noted("now"))
        (line,) = journal.lines()
        assert line.at == NOON
        assert line.at.tzinfo is UTC

    def test_appending_nothing_writes_nothing(self, journal):
        journal.append()
        assert list(journal.lines()) == []

    def test_facts_go_in_all_or_none(self, journal):
        with pytest.raises(TypeError, match="Stranger is not one of the facts"):
            journal.append(Noted("first"), Stranger("second"))
        with pytest.raises(TypeError, match=r"Noted\.words: expected a tuple"):
            journal.append(Noted("first"), Noted("second", ["a list"]))
        assert list(journal.lines()) == []

    def test_what_comes_back_is_a_copy_not_the_object_that_went_in(self, journal):
        noted = Noted("mine")
        journal.append(noted)
        (line,) = journal.lines()
        assert line.fact == noted
        assert line.fact is not noted

    def test_entries_written_while_reading_are_read_too(self, journal):
        journal.append(Noted("first"))
        lines = journal.lines()
        assert next(lines).fact == Noted("first")
        journal.append(Noted("second"))
        assert [line.fact for line in journal.lines()] == [Noted("first"), Noted("second")]

    def test_an_account_opened_again_has_the_same_balance(self, journal):
        account = Account(journal)
        account.book(Opened(DeviceTime(100)), Reserved("h", DeviceTime(40)))
        account.book(Charged("h", Purpose.LOAD, DeviceTime(50)), Noted("slow disk"))
        assert Account(journal).balance == account.balance

    def test_any_text_survives(self, journal):
        noted = Noted("µ\0\n\ud800 'quoted' \"twice\" %s :name", ("", " "))
        journal.append(noted)
        assert [line.fact for line in journal.lines()] == [noted]
