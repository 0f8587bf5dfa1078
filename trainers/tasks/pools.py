"""The cells of ranking and mining: what is scored, and what it is looked for in.

Ranking. A cell has the queries of its language and half, and as candidates the documents of the
whole pool: all languages, both halves. Queries of the search and of the report are never the same.

Mining. A gold pair is in the half that the hash of its key says, with both its sentences; a sentence
without one goes by its id. The report mines its own half (part 1) with a threshold tuned on the search
half (part 0, not scored); the search mines two parts of its half, each tuned on the other. Where search
and report have splits of their own, these take the place of the halves.

A limit on examples counts queries, or the foreign sentences of a half. Of the English sentences the same
share is kept, pairs together, because all are chosen by the same hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from trainers.errors import MalformedDataError
from trainers.fingerprint import fingerprint
from trainers.stage import Half
from trainers.tasks.examples import DOCUMENT, QUERY
from trainers.tasks.halves import digest, first_rows, half_of

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

_VERSION = 1  # raised when the same examples become another cell
_UNSCORED = 0  # the part of rows that only tune a threshold


def ranking_cell(
    asked: Dataset, pool: Sequence[Dataset], half: Half | None, most: int | None, *, where: str
) -> Dataset:
    """Queries, then all candidates.

    Args:
        asked: canonical rows of the cell's language; its documents are left out.
        pool: canonical rows of the candidates, queries left out.
        half: whose queries; None for all.
        most: queries at most; None for all.
        where: the cell, for errors.

    Raises:
        MalformedDataError: no candidate answers some query.
    """
    import pyarrow as pa

    ids, sides = asked["id"][:], asked["side"][:]
    queries = [
        row
        for row, (name, side) in enumerate(zip(ids, sides, strict=True))
        if side == QUERY and half in (None, half_of(name))
    ]
    queries = first_rows(queries, ids, most)
    documents = [
        rows.data.table.take(np.flatnonzero(np.array(rows["side"][:]) == DOCUMENT)) for rows in pool
    ]
    answered = {key for table in documents for keys in table["keys"].to_pylist() for key in keys}
    keys_of = asked["keys"][:]
    lost = [ids[row] for row in queries if answered.isdisjoint(keys_of[row])]
    if lost:
        raise MalformedDataError(
            f"{where}: no candidate answers {len(lost)} of {len(queries)} queries, for instance "
            f"{lost[0]!r}. Give the pool the languages or rows that answer them.",
            file=where,
            column="keys",
        )
    table = pa.concat_tables([asked.data.table.take(queries), *documents])
    parts = np.ones(table.num_rows, dtype=np.int32)
    data = [asked._fingerprint, *(rows._fingerprint for rows in pool)]
    return _cell(table, parts, [str(half), str(most), *data])


def mining_cell(
    rows: Dataset, tuning: Dataset | None, half: Half, most: int | None, *, where: str
) -> Dataset:
    """Foreign and English sentences of one half, with the rows that tune its threshold.

    Args:
        rows: canonical rows of both languages that this half is scored on.
        tuning: those of the search; None where they are the same and are halved here.
        half: search or report.
        most: scored foreign sentences at most, and as many that tune the report; None for all.
        where: the cell, for errors.

    Raises:
        MalformedDataError: a gold pair lacks one of its sentences.
    """
    import pyarrow as pa

    sets = [rows, tuning] if tuning is not None and half is Half.REPORT else [rows]
    groups = [group for part in sets for group in _groups(part, where)]
    table = pa.concat_tables([part.data.table for part in sets])
    if half is Half.SEARCH:
        parts = np.array([1 + digest("part", group)[0] % 2 for group in groups])
    elif tuning is None:
        parts = np.array([int(half_of(group) is half) for group in groups])
    else:
        parts = np.repeat([1, _UNSCORED], [part.num_rows for part in sets])
    mine = np.ones(len(groups), dtype=bool)
    if tuning is None and half is Half.SEARCH:
        mine = np.array([half_of(group) is half for group in groups])
    foreign = np.array(table["side"].to_pylist()) == QUERY
    kept = np.zeros(len(groups), dtype=bool)
    for among in (mine & (parts > _UNSCORED), mine & (parts == _UNSCORED)):
        kept |= _first(groups, among, foreign, most)
    numbers = np.flatnonzero(kept)
    key = [str(half), str(most), *(part._fingerprint for part in sets)]
    return _cell(table.take(numbers), parts[numbers].astype(np.int32), key)


def _first(groups: Sequence[str], among: Mask, foreign: Mask, most: int | None) -> Mask:
    """Which rows stay when so many foreign sentences may: those up to the hash of the last of them."""
    n_foreign = int((among & foreign).sum())
    if most is None or n_foreign <= most:
        return among
    order = np.array([int.from_bytes(digest("order", group)[:8]) for group in groups], dtype=np.uint64)
    last = np.sort(order[among & foreign])[most - 1]
    kept: Mask = among & (order <= last)
    return kept


def _groups(rows: Dataset, where: str) -> list[str]:
    """What each sentence is hashed by: the first key of all it is paired with, else its id.

    Raises:
        MalformedDataError: a key is on one side only.
    """
    keys_of, sides = rows["keys"][:], rows["side"][:]
    on_side = [
        {key for keys, side in zip(keys_of, sides, strict=True) if side == wanted for key in keys}
        for wanted in (QUERY, DOCUMENT)
    ]
    if lonely := sorted(on_side[0] ^ on_side[1]):
        raise MalformedDataError(
            f"{where}: {len(lonely)} of {len(on_side[0] | on_side[1])} gold pairs have a sentence on "
            f"one side only, for instance {lonely[0]!r}. Both sentences of a pair must name each other.",
            file=where,
            column="keys",
        )
    joined: dict[str, str] = {}

    def first_of(key: str) -> str:
        while joined.get(key, key) != key:
            key = joined[key]
        return key

    for keys in keys_of:
        for key in keys[1:]:
            low, high = sorted((first_of(keys[0]), first_of(key)))
            joined[high] = low
    names = rows["id"][:]
    return [first_of(keys[0]) if keys else name for keys, name in zip(keys_of, names, strict=True)]


def _cell(table: pa.Table, parts: NDArray[np.int32], key: Sequence[str]) -> Dataset:
    """The examples of a cell; queries of a part that counts are scored."""
    import pyarrow as pa
    from datasets import Dataset

    scored = (parts > _UNSCORED) & (np.array(table["side"].to_pylist()) == QUERY)
    for name, values in (("part", parts), ("scored", scored)):
        table = table.set_column(table.column_names.index(name), name, pa.array(values))
    return Dataset(table, fingerprint=fingerprint({"version": _VERSION, "cell": list(key)}))
