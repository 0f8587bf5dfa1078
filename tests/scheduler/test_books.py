"""The ledger in words: what each hold was for, and why a lease was lost."""

from __future__ import annotations

from fakes import begun, engine_on, small_tree

from budgets.amount import DeviceTime
from scheduler.books import ledger_lines, ledger_rows


def test_a_killed_driver_leaves_books_that_are_explained_line_by_line():
    tree = small_tree("halving", 3)
    journal = begun(tree, DeviceTime.from_hours(1))
    engine, _ = engine_on(journal, tree)
    start = engine.ask()
    again, _ = engine_on(journal, tree)
    again.recover()
    retried = again.ask()

    rows = list(ledger_rows(journal.lines()))
    assert [(row["entry"], row.get("hold"), row["for"]) for row in rows] == [
        ("Opened", None, "granted by the spec's cap"),
        ("Reserved", start.order.hold, "for pretrain 400,000 tokens"),
        ("Charged", start.order.hold, "because the driver ended while it ran"),
        ("Released", start.order.hold, "orphaned"),
        ("Reserved", retried.order.hold, "for pretrain 400,000 tokens, attempt 2"),
    ]
    text = "\n".join(ledger_lines(journal.lines(), "cpu"))
    assert f"lost {start.order.hold} because the driver ended while it ran" in text
