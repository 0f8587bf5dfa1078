"""What a stage is the first to read, check and tokenise of its training data: a guess.

Data is tokenised in pools of shards (trainers/batches.py), in an order that follows from the stage's
seed. Under one seed a stage finds done what a shorter one has read; under another it begins with other
pools. They are counted in doublings, so that the names of what is done once stay few:

    pool 0 | pool 1 | pools 2 and 3 | pools 4 to 7 | ...

Data that is no more than a pool is read whole under any seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from trainers.batches import POOL_BATCHES
from trainers.shards import SHARD_ROWS
from trainers.stage import TaskShare, TrainingStage, end_tokens, shares_of
from trainers.tasks.catalog import Catalogue
from trainers.tasks.spec import FamilyName

UNKNOWN_ROWS = 1_000  # per split and language, where the hub's size is not in the catalogue

# Milliseconds of one core to read, check and tokenise a row for training, and the tokens of a row
# (docs/measurements.md, "Tokenising"). Retrieval and mining are not trained.
_MS_PER_ROW = {
    FamilyName.PAIR: 0.2,
    FamilyName.CHOICE: 0.4,
    FamilyName.SPANS: 0.3,
    FamilyName.TOKENS: 0.15,
    FamilyName.MASKED: 0.1,
    FamilyName.RANKING: 0.4,
}
_TOKENS_A_ROW = {
    FamilyName.PAIR: 60,
    FamilyName.CHOICE: 280,
    FamilyName.SPANS: 270,
    FamilyName.TOKENS: 25,
    FamilyName.MASKED: 30,
    FamilyName.RANKING: 270,
}


def readings(stage: TrainingStage, tasks: Catalogue) -> tuple[tuple[str, int], ...]:
    """Names of what has to be read before the stage is over, and what each takes, in milliseconds.

    The toy world is left out: it has few rows.

    Raises:
        KeyError: a task is not among ``tasks``.
    """
    return tuple(
        reading
        for share in shares_of(stage)
        if tasks[share.task].world != "toy"
        for reading in _of_share(share, tasks[share.task].family, stage)
    )


def _of_share(share: TaskShare, family: FamilyName, stage: TrainingStage) -> Iterator[tuple[str, int]]:
    steps, row_tokens = stage.optimisation, _TOKENS_A_ROW[family]
    n_rows = sum(data.n_rows or UNKNOWN_ROWS for data in share.data)
    least_rows = POOL_BATCHES * steps.batch_tokens / steps.accumulation / row_tokens
    pool_rows = SHARD_ROWS * max(1, math.ceil(least_rows / SHARD_ROWS))
    n_pools = math.ceil(n_rows / pool_rows)
    trained = sum(other.rate for other in shares_of(stage))
    read = math.ceil(share.rate / trained * end_tokens(stage) / row_tokens / pool_rows)
    data = "+".join(f"{data.name}@{data.revision}" for data in share.data)
    what = f"{stage.model.name}/{share.task}/{data}" + (f"/{stage.seed}" if n_pools > 1 else "")
    first = 0
    while first < min(read, n_pools):
        after = max(1, 2 * first)
        rows = min(n_rows, after * pool_rows) - first * pool_rows
        yield f"{what}/{first}", round(_MS_PER_ROW[family] * rows)
        first = after
