"""Tables whose rows are never changed: the database itself refuses it.

UPDATE and DELETE are refused, in PostgreSQL TRUNCATE too. SQLite's INSERT OR REPLACE would delete a
row without asking the delete trigger, so an insert must continue the numbering: that refuses it too.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import DDL, Table, event


def append_only(table: Table, number: str, *, within: Sequence[str] = (), gapless: bool = False) -> None:
    """Have the database keep a table append-only, from its creation on.

    Args:
        table: the table.
        number: the column that numbers its rows, growing.
        within: columns within which rows are numbered; none for the whole table.
        gapless: whether the numbers are 1, 2, 3, … without gaps.
    """
    same = " AND ".join(f"{column} = NEW.{column}" for column in within) or "1 = 1"
    last = f"(SELECT coalesce(max({number}), 0) FROM {table.name} WHERE {same})"
    wrong = f"NEW.{number} <> {last} + 1" if gapless else f"NEW.{number} <= {last}"
    refusal = f"{table.name} are append-only"
    for action in ("UPDATE", "DELETE"):
        _on(
            table,
            "sqlite",
            f"CREATE TRIGGER {table.name}_no_{action.lower()} BEFORE {action} ON {table.name} "
            f"BEGIN SELECT RAISE(ABORT, '{refusal}'); END",
        )
    _on(
        table,
        "sqlite",
        f"CREATE TRIGGER {table.name}_in_order BEFORE INSERT ON {table.name} WHEN {wrong} "
        f"BEGIN SELECT RAISE(ABORT, '{refusal}'); END",
    )
    _on(
        table,
        "postgresql",
        f"CREATE FUNCTION {table.name}_keep() RETURNS trigger LANGUAGE plpgsql "
        f"SET search_path FROM CURRENT AS $$ BEGIN IF TG_OP = 'INSERT' THEN IF NOT ({wrong}) THEN "
        "RETURN NEW; END IF; END IF; "
        f"RAISE EXCEPTION '{refusal}' USING ERRCODE = 'integrity_constraint_violation'; END $$",
    )
    _on(
        table,
        "postgresql",
        f"CREATE TRIGGER {table.name}_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table.name} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table.name}_keep()",
    )
    _on(
        table,
        "postgresql",
        f"CREATE TRIGGER {table.name}_in_order BEFORE INSERT ON {table.name} "
        f"FOR EACH ROW EXECUTE FUNCTION {table.name}_keep()",
    )


def _on(table: Table, dialect: str, statement: str) -> None:
    trigger = DDL(statement)  # type: ignore[no-untyped-call]  # SQLAlchemy's own signature
    event.listen(table, "after_create", trigger.execute_if(dialect=dialect))
