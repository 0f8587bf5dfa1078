"""Which half of a split an example belongs to, and which examples go first, by the hash of their id."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from trainers.stage import Half


def half_of(example_id: str) -> Half:
    """The half an example belongs to, by the hash of its id."""
    return Half.SEARCH if digest("half", example_id)[0] % 2 == 0 else Half.REPORT


def halves_of(ids: Sequence[str]) -> list[Half]:
    """The half of each example; one whose id occurs again (``x#2``) goes with the first (``x``)."""
    known = set(ids)
    stems = (name.rpartition("#")[0] for name in ids)
    return [half_of(stem if stem in known else name) for stem, name in zip(stems, ids, strict=True)]


def first_rows(rows: Sequence[int], ids: Sequence[str], most: int | None) -> list[int]:
    """At most so many of the rows, the first by the hash of their id, in their order; None for all."""
    if most is None or len(rows) <= most:
        return list(rows)
    return sorted(sorted(rows, key=lambda row: digest("order", ids[row]))[:most])


def digest(purpose: str, example_id: str) -> bytes:
    """A hash of an id that has nothing to do with its hash for any other purpose."""
    return hashlib.sha1(f"{purpose}:{example_id}".encode(), usedforsecurity=False).digest()
