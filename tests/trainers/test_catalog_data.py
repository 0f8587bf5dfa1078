"""Every task of the catalogue on real rows: a few steps of training and one scored cell."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from tiny_model import ENTRY, PAD_ID, WIDTH, as_rows, tiny_encoder
from transformers import AutoTokenizer

from trainers.candidates import Candidates
from trainers.cells import Cells
from trainers.errors import MissingDataError
from trainers.evaluate import evaluate
from trainers.families import family
from trainers.stage import EvaluateStage, Half, ModelRef
from trainers.tasks.canonical import train_examples
from trainers.tasks.catalog import TASKS
from trainers.tasks.mirror import MirrorSource

HUB_TASKS = {name: task for name, task in TASKS.items() if task.world == "hub"}
# What a mirror of public data has nothing of: SNLI, Social IQA, Mewsli-X.
NOT_TRAINED = {"anli_plus", "siqa", "mewslix"}
NOT_SCORED = {"siqa", "mewslix"}
N_LANGUAGES = {  # in which the mirror has scored data
    "xnli": 9, "pawsx": 2, "xcopa": 11, "americasnli": 1, "udpos": 22, "panx": 21, "masakhapos": 2,
    "xquad": 12, "mlqa": 3, "tydiqa": 1, "bucc": 1, "tatoeba": 41, "lareqa": 3, "mewslix": 0,
}  # fmt: skip

trained_tasks = pytest.mark.parametrize(
    "name", [name for name, task in HUB_TASKS.items() if task.train and name not in NOT_TRAINED]
)
scored_tasks = pytest.mark.parametrize(
    "name", [name for name, task in HUB_TASKS.items() if task.search and name not in NOT_SCORED]
)


class FewRows:
    """The first rows of every file, and all that are part of a translated pair (BUCC has few)."""

    def __init__(self, source, n_rows=32):
        self.source, self.n_rows = source, n_rows

    def identity(self, split, language):
        return self.source.identity(split, language)

    def rows(self, split, language):
        rows = self.source.rows(split, language)
        pairs = rows["pair_id"][:] if "pair_id" in rows.column_names else []
        paired = [row for row, pair in enumerate(pairs) if pair]
        return rows.select(paired or range(min(self.n_rows, rows.num_rows)))


@pytest.fixture(scope="module")
def tokenizer(mirror):
    tokenizer = AutoTokenizer.from_pretrained(f"{mirror}/models/mini-xlmr")
    tokenizer.model_max_length = 64
    return tokenizer


def has(source, splits, language):
    try:
        for split in splits:
            if language in split.languages:
                source.identity(split, language)
    except MissingDataError:
        return False
    return True


def scored_languages(source, task):
    splits = (*task.search, *task.report)
    return [code for code in task.score_languages if has(source, splits, code)]


def narrowed(task, source):
    """The task with a pool of the languages that the mirror has."""
    pool = [
        replace(split, languages=tuple(filter(partial(has, source, (split,)), split.languages)))
        for split in task.pool
    ]
    return replace(task, pool=tuple(pool))


@pytest.mark.mirror
def test_the_mirror_lacks_training_data_of_the_listed_tasks_only(mirror):
    source = MirrorSource(mirror)
    trained = [task for task in HUB_TASKS.values() if task.train]
    lacking = {task.name for task in trained if not has(source, task.train, task.train_languages[0])}
    assert lacking == NOT_TRAINED


@pytest.mark.mirror
def test_the_mirror_has_scored_data_in_as_many_languages_as_listed(mirror):
    source = MirrorSource(mirror)
    targets = [task for task in HUB_TASKS.values() if task.group != "intermediate"]
    assert {task.name: len(scored_languages(source, task)) for task in targets} == N_LANGUAGES


@pytest.mark.mirror
@trained_tasks
def test_a_few_steps_on_real_rows_lower_the_loss(mirror, tokenizer, name):
    task = TASKS[name]
    shape = family(task.family)
    rows = train_examples(task, task.train_languages[0], FewRows(MirrorSource(mirror)))
    features = as_rows(shape.encode(rows[:], task, tokenizer, training=True))[:8]
    encoder = tiny_encoder(n_vocabulary=len(tokenizer))
    head = shape.make_head(WIDTH, task)
    optimiser = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], lr=5e-3)
    losses = []
    for _ in range(6):
        optimiser.zero_grad()
        loss = shape.loss(encoder, head, shape.collate(features, PAD_ID))
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert all(math.isfinite(loss) for loss in losses)
    assert losses[-1] < losses[0]


@pytest.mark.mirror
@scored_tasks
def test_real_rows_of_a_language_are_scored(mirror, tokenizer, name, tmp_path):
    source = MirrorSource(mirror)
    task = narrowed(TASKS[name], source)
    language = scored_languages(source, task)[-1]
    encoder = tiny_encoder(n_vocabulary=len(tokenizer))
    stage = EvaluateStage(ModelRef("tiny", ""), None, name, (language,), Half.REPORT, ())
    (score,), records, _ = evaluate(
        stage,
        task,
        encoder,
        family(task.family).make_head(WIDTH, task),
        tokenizer=tokenizer,
        entry=ENTRY,
        cells=Cells(FewRows(source)),
        cache_dir=tmp_path,
        batch_tokens=2048,
        device=torch.device("cpu"),
        until=lambda: False,
        candidates=Candidates(),
    )
    assert score.n_examples == records.num_rows > 4
    assert 0 <= score.value <= 100
