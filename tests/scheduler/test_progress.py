import io
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from budgets.amount import DeviceTime
from budgets.bill import Bill, Purpose
from budgets.journal import Line
from budgets.ledger import Charged, Entry, Opened, Released, Reserved, replay
from scheduler.books import ledger_lines, ledger_rows
from scheduler.facts import StageEnded, StageStarted, StudyBegun, StudyEnded, TrialMoved, TrialProposed
from scheduler.mix import Mix
from scheduler.plan import Plan, StageCount
from scheduler.plan_view import plan_view
from scheduler.progress import (
    Progress,
    best_line,
    kind_of,
    plain_line,
    status_view,
)
from scheduler.state import StudyState
from scheduler.status import status_json
from scheduler.trial import Recipe, Role, TrialState
from trainers.order import Measurement, Outcome
from trainers.stage import IntermediateStage, ModelRef, Optimisation

HOUR = DeviceTime(3_600_000)
STAGE = IntermediateStage(
    ModelRef("mini-xlmr", "abc"), None, None, (), 0, 1_000_000, Optimisation(1e-4), 13
)
HELD = DeviceTime(1_800_000)


def facts(kind="cpu"):
    """A control that is done and a mix whose first stage has ended and whose second is running."""
    bill = Bill({Purpose.TRAIN: DeviceTime(900_000), Purpose.IDLE: DeviceTime(90_000)})
    spec = {"budget": {"devices": {"kind": kind}}}
    return [
        StudyBegun("s", spec, "name: s", {}),
        Opened(HOUR),
        TrialProposed("t0000", Recipe(Mix(), 13, "m"), Role.CONTROL, None, "control"),
        TrialMoved("t0000", TrialState.RUNNING, 0),
        TrialMoved("t0000", TrialState.DONE, 0, 40.0),
        TrialProposed(
            "t0001", Recipe(Mix.of(("qqp", "mnli"), 9, 2.0), 13, "m"), Role.SEARCH, None, "tpe"
        ),
        TrialMoved("t0001", TrialState.RUNNING, 0),
        Reserved("h1", HELD),
        StageStarted("t0001", "h1", "x", STAGE, 1, 900_000),
        StageEnded("t0001", Measurement("h1", "x", Outcome.DONE, bill)),
        *(Charged("h1", purpose, amount) for purpose, amount in bill.items()),
        Released("h1"),
        TrialMoved("t0001", TrialState.RUNNING, 0, 43.5),
        Reserved("h2", HELD),
        StageStarted("t0001", "h2", "y", STAGE, 1, 900_000),
    ]


def with_worn_worker(found):
    """The same, with a worker that leaked."""
    return [
        replace(fact, measurement=replace(fact.measurement, worn="the worker leaks: 3 GB"))
        if isinstance(fact, StageEnded)
        else fact
        for fact in found
    ]


def test_status_says_how_many_workers_were_worn_and_why():
    assert "worn workers" not in text_of(status_view(*stand(facts())))
    text = text_of(status_view(*stand(with_worn_worker(facts()))))
    assert "worn workers: 1, the last because the worker leaks: 3 GB" in text
    assert status_json(*stand(with_worn_worker(facts())))["worn_workers"] == ["the worker leaks: 3 GB"]


def stand(found):
    return StudyState.of(found), replay(fact for fact in found if isinstance(fact, Entry))


def lines(found):
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return [Line(i + 1, start + timedelta(seconds=i), fact) for i, fact in enumerate(found)]


def text_of(view, width=120):
    console = Console(file=io.StringIO(), width=width)
    console.print(view)
    return console.file.getvalue()


def plan(kind):
    return Plan(
        name="s",
        cap=HOUR,
        kind=kind,
        devices=2,
        least=DeviceTime(60_000),
        spent=HELD,
        spent_at_most=HOUR,
        saved=DeviceTime(0),
        wall_s=900.0,
        stages=(StageCount("target", 4, HELD),),
        n_trials=10,
        n_trials_at_least=6,
        by_rung=(10, 3),
        n_finals=9,
        reason="cap reached",
        beyond=("3 of 10 mixes reach rung 1",),
    )


def test_a_plan_says_what_is_tried_what_it_takes_and_what_is_beyond_the_cap():
    text = text_of(plan_view(plan("gpu")))
    assert re.search(r"cap +1\.0000", text)
    assert re.search(r"target +4 +0\.5000", text)
    assert (
        "10 mixes (at least 6) are tried beside the control: 10 finish rung 0, 3 finish rung 1" in text
    )
    assert "about 15 min on 2 GPUs" in text
    assert "beyond the cap: 3 of 10 mixes reach rung 1" in text


def test_a_status_shows_money_by_purpose_leases_and_trials():
    text = text_of(status_view(*stand(facts())))
    for row in ("cap +1.0000", "spent +0.2750", "held +0.5000", "free +0.2250", "for train +0.2500"):
        assert re.search(row, text), row
    assert "running: t0001 intermediate 1,000,000 tokens" in text
    assert "trials: 1 running, 1 done" in text
    assert "best so far 43.50: mnli+qqp (t0001); control 40.00, difference +3.50" in text
    assert re.search(r"t0000 +0 +none \(k = 0\) +done +0 +40\.00", text)


def test_a_study_that_has_ended_says_why():
    assert "ended: cap reached" in text_of(status_view(*stand([*facts(), StudyEnded("cap reached")])))


@pytest.mark.parametrize(("kind", "said", "never"), [("cpu", "CPU slot", "GPU"), ("gpu", "GPU", "CPU")])
def test_the_unit_is_that_of_the_devices_everywhere(kind, said, never):
    state, balance = stand(facts(kind))
    views = [
        text_of(status_view(state, balance)),
        text_of(plan_view(plan(kind))),
        plain_line(state, balance),
        "\n".join(ledger_lines(lines(facts(kind)), kind)),
    ]
    for text in views:
        assert f"{said}" in text
        assert never not in text
    assert kind_of(state.begun) == kind


def test_the_ledger_has_one_line_per_entry_and_what_was_free_after_it():
    rows = list(ledger_rows(lines(facts())))
    assert [row["entry"] for row in rows] == [
        "Opened",
        "Reserved",
        "Charged",
        "Charged",
        "Released",
        "Reserved",
    ]
    assert [row["free_ms"] for row in rows] == [
        3_600_000,
        1_800_000,
        1_800_000,
        1_800_000,
        2_610_000,
        810_000,
    ]
    assert rows[2] == {
        "seq": 11,
        "at": "2026-01-01T00:00:10.000+00:00",
        "entry": "Charged",
        "hold": "h1",
        "purpose": "train",
        "ms": 900_000,
        "free_ms": 1_800_000,
        "for": "",
    }
    text = list(ledger_lines(lines(facts()), "cpu"))
    assert len(text) == 1 + len(rows)
    assert text[3].split() == [
        "11", "2026-01-01", "00:00:10", "Charged", "0.2500", "0.5000", "train", "h1"
    ]  # fmt: skip


def test_before_the_first_score_there_is_no_best():
    assert best_line(stand(facts()[:4])[0]) == "no trial has been scored yet"
    assert best_line(StudyState()) == "no trial has been scored yet"


def test_the_first_arm_has_no_name_until_a_second_has_begun():
    told = facts()[:4]
    told[0] = replace(told[0], spec={**told[0].spec, "search": {"design": "factorial"}})
    assert best_line(stand(told)[0]) == "no trial has been scored yet"
    other = TrialProposed("t0001", Recipe(Mix(), 13, "n"), Role.CONTROL, None, "control")
    assert best_line(stand([*told, other])[0]) == (
        "m: no trial has been scored yet; n: no trial has been scored yet"
    )


def test_a_control_that_leads_is_called_the_control():
    assert best_line(stand(facts()[:5])[0]) == "best so far 40.00: the control, no intermediate task"


def test_progress_is_single_lines_without_a_terminal_and_no_line_twice():
    console = Console(file=io.StringIO(), width=60)
    with Progress(console) as progress:
        for n in (2, 2, 7, 8, 9, len(facts())):
            progress(*stand(facts()[:n]))
    said = console.file.getvalue().splitlines()
    assert len(said) == 3
    assert said[0].startswith("0.0000 spent, 0.0000 held, 1.0000 free of 1.0000 CPU slot-hours | ")
    assert "difference +3.50" in said[-1]


def test_progress_is_a_picture_on_a_terminal():
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    with Progress(console) as progress:
        progress(*stand(facts()))
    text = console.file.getvalue()
    assert "█" * 11 in text
    assert "▒" * 20 in text
    assert "best so far 43.50" in text
