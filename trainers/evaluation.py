"""A stage that scores cells, one by one, so that what was scored once is not scored again.

    evaluate   the encoder of a stage, and its head
    merge      an encoder that is made of several (trainers/merging.py), and the head of the target

Both leave scores and a record per example, in one form, and no weights.

A stage that is stopped leaves the cells it has finished under ``<name>.partial`` in the store, in the
form of a finished stage; the next attempt scores the rest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from budgets.bill import Purpose
from trainers.candidates import Candidates
from trainers.checkpoints import PARTIAL, StageStore
from trainers.errors import InfeasibleError
from trainers.evaluate import DeadlinePassed, Scored, evaluate
from trainers.fitting import Fits
from trainers.loop import SaveRhythm
from trainers.memory import free_cached, ran_out
from trainers.order import CellScore, Outcome
from trainers.stage import MergeStage, ScoringStage, stage_name
from trainers.training import FACTS, Lease

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

    from trainers.warm import WarmCache

_RECORDS = "records.parquet"
_N_TRUNCATED = "n_examples_truncated"
# Tokens, padding counted, of one evaluation batch. No gradients are kept, so a GPU takes many times a
# training batch; on a CPU larger batches only leave the cache.
BATCH_TOKENS = {"cuda": 65_536, "cpu": 4_096}


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What came of a stage that scores in one lease.

    Attributes:
        outcome: how it ended.
        scores: of all cells, in the stage's order; none unless DONE.
        facts: how often memory ran out in this lease; examples of all scored cells that lost tokens.
        error: why it is infeasible.
    """

    outcome: Outcome
    scores: tuple[CellScore, ...]
    facts: dict[str, float]
    error: str = ""


@dataclass(slots=True)
class _Cells:
    """Finished cells by language: score and records."""

    scores: dict[str, CellScore] = field(default_factory=dict)
    records: dict[str, pa.Table] = field(default_factory=dict)
    n_truncated: int = 0  # examples of theirs that lost tokens

    @classmethod
    def load(cls, folder: Path) -> _Cells:
        """The cells that :meth:`save` wrote."""
        record = json.loads((folder / FACTS).read_text())
        cells = cls(n_truncated=int(record["facts"].get(_N_TRUNCATED, 0)))
        table = pq.read_table(folder / _RECORDS)
        for score in record["scores"]:
            language = score["language"]
            cells.scores[language] = CellScore(**score)
            cells.records[language] = table.filter(pc.equal(table["language"], language))
        return cells

    def save(self, folder: Path, facts: Mapping[str, float]) -> None:
        """Write them into ``folder``, in the order in which they lie here."""
        pq.write_table(pa.concat_tables(self.records.values()), folder / _RECORDS)
        record = {"scores": [asdict(score) for score in self.scores.values()], "facts": facts}
        (folder / FACTS).write_text(json.dumps(record, indent=1))

    def in_order(self, languages: tuple[str, ...]) -> _Cells:
        """The same cells in the order of ``languages``."""
        return _Cells(
            {language: self.scores[language] for language in languages},
            {language: self.records[language] for language in languages},
            self.n_truncated,
        )


def run_evaluation(stage: ScoringStage, warm: WarmCache, store: StageStore, lease: Lease) -> Evaluated:
    """Carry out a stage that scores, or as much of it as the lease allows.

    Raises:
        TaskError: its data cannot be used.
        ModelError: its model cannot be used.
        StoreError: what it needs is not in the store, or it cannot be saved.
    """
    run = _Run(stage, warm, store, lease)
    with lease.meter.on(Purpose.LOAD):
        run.load()
    try:
        with lease.meter.on(Purpose.EVALUATE):
            run.score_cells()
    except DeadlinePassed:
        run.save_partial()
        return Evaluated(Outcome.TRUNCATED, (), run.facts)
    except InfeasibleError as error:
        store.drop(stage_name(stage) + PARTIAL)
        return Evaluated(Outcome.INFEASIBLE, (), run.facts, str(error))
    return Evaluated(Outcome.DONE, run.save(), run.facts)


class _Run:
    """One lease of a stage that scores in progress."""

    def __init__(self, stage: ScoringStage, warm: WarmCache, store: StageStore, lease: Lease) -> None:
        self._stage = stage
        self._name = stage_name(stage)
        self._warm = warm
        self._store = store
        self._lease = lease
        self._cells = _Cells()
        self._candidates = Candidates()
        self._n_saved = 0
        self._rhythm = SaveRhythm(lease.clock, self.save_partial)
        self._fits = Fits(warm.cache_dir, warm.device)
        self._kind = ("score", stage.model, warm.task(stage.task).family)
        known = self._fits.of(*self._kind).most_tokens
        usual = BATCH_TOKENS[warm.device.type]
        self._batch_tokens = min(usual, known or usual)
        self._encoder: PreTrainedModel
        self._head: nn.Module
        self._n_oom_splits = 0

    def load(self) -> None:
        """Bring encoder and head to the device, and the cells that an earlier attempt finished."""
        stage, warm = self._stage, self._warm
        if isinstance(stage, MergeStage):
            self._encoder, head_of = warm.merged_encoder(stage), stage.target
        else:
            self._encoder, head_of = warm.encoder(stage.model, stage.parent), stage.parent
        width = self._encoder.config.hidden_size
        self._head = warm.heads.head(warm.task(stage.task), width, head_of)
        with self._store.reading(self._name + PARTIAL) as folder:
            if folder is not None:
                self._cells = _Cells.load(folder)
        self._n_saved = len(self._cells.scores)

    @property
    def facts(self) -> dict[str, float]:
        """What is known beside the scores; what never happened has no entry."""
        counts = {"oom_splits": self._n_oom_splits, _N_TRUNCATED: self._cells.n_truncated}
        return {name: float(count) for name, count in counts.items() if count}

    def score_cells(self) -> None:
        """Score the cells that are missing.

        Raises:
            DeadlinePassed: the lease ended between two batches.
            InfeasibleError: memory ran out under batches no larger than a single text may be.
        """
        for language in self._stage.languages:
            if language not in self._cells.scores:
                scored = self._within_memory(language)
                (self._cells.scores[language],) = scored.scores
                self._cells.records[language] = scored.records
                self._cells.n_truncated += scored.n_truncated
                self._rhythm.beat()

    def save_partial(self) -> None:
        """Save the finished cells, if there are new ones."""
        if len(self._cells.scores) > self._n_saved:
            with (
                self._lease.meter.on(Purpose.SAVE),
                self._store.write(self._name + PARTIAL, self._stage) as folder,
            ):
                self._cells.save(folder, self.facts)
            self._n_saved = len(self._cells.scores)

    def save(self) -> tuple[CellScore, ...]:
        """Save the stage; the scores in its order."""
        cells = self._cells.in_order(self._stage.languages)
        with self._lease.meter.on(Purpose.SAVE):
            with self._store.write(self._name, self._stage) as folder:
                cells.save(folder, self.facts)
            self._store.drop(self._name + PARTIAL)
        return tuple(cells.scores.values())

    def _within_memory(self, language: str) -> Scored:
        """One cell; again, and from then on, with batches of half the size while memory runs out."""
        while True:
            try:
                return self._score(language)
            except (MemoryError, RuntimeError) as error:
                if not ran_out(error):
                    raise
                text = " ".join(str(error).split())[:200]
            # Only here, past the traceback that held them, are the failed batch's tensors free.
            free_cached()
            self._n_oom_splits += 1
            if self._batch_tokens <= self._warm.entry(self._stage.model).max_length:
                raise InfeasibleError(
                    f"out of memory while scoring {self._stage.task} in {language}, with batches of "
                    f"{self._batch_tokens} tokens, a single text as long as the model reads ({text}). "
                    "Use a larger device."
                )
            self._batch_tokens //= 2
            self._fits.lower(self._batch_tokens, *self._kind)

    def _score(self, language: str) -> Scored:
        warm, stage = self._warm, self._stage
        return evaluate(
            replace(stage, languages=(language,)),
            warm.task(stage.task),
            self._encoder,
            self._head,
            tokenizer=warm.tokenizer(stage.model),
            entry=warm.entry(stage.model),
            cells=warm.cells,
            cache_dir=warm.cache_dir,
            batch_tokens=self._batch_tokens,
            device=warm.device,
            until=self._lease.over,
            candidates=self._candidates,
        )
