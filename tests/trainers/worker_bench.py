"""A worker on a fresh store, with the stages of a tiny mirror, for the tests of workers."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file
from tiny_model import WORDS, tiny_encoder, tiny_tokenizer
from transformers import XLMRobertaForMaskedLM

from budgets.amount import DeviceTime
from trainers.checkpoints import StageStore
from trainers.encoder import model_revision
from trainers.models import entry
from trainers.order import Order
from trainers.stage import (
    EvaluateStage,
    Half,
    IntermediateStage,
    ModelRef,
    Optimisation,
    TargetStage,
    TaskShare,
    stage_name,
)
from trainers.tasks import open_source
from trainers.tasks.catalog import TASKS
from trainers.worker import Worker, WorkerSettings

OPTIMISATION = Optimisation(learning_rate=1e-3, batch_tokens=256)
ENOUGH = DeviceTime(1_000_000)
GRACE = DeviceTime(1_000)


class TickingClock:
    """A clock that moves a millisecond each time it is read."""

    def __init__(self) -> None:
        self.time_s = 0.0

    def now_s(self) -> float:
        self.time_s += 0.001
        return self.time_s


def _sentence(generator):
    return " ".join(generator.choices(WORDS, k=generator.randint(3, 8)))


def _write(folder: Path, name: str, columns: dict) -> None:
    path = folder / "hub" / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def tiny_mirror(folder: Path) -> str:
    """A mirror of a few tiny data sets and a random model in half precision, made in ``folder``."""
    generator = random.Random(2)
    first, second = ([_sentence(generator) for _ in range(60)] for _ in range(2))
    labels = [number % 3 for number in range(60)]
    _write(folder, "nyu-mll/glue/mnli/train", {"premise": first, "hypothesis": second, "label": labels})
    _write(
        folder,
        "nyu-mll/glue/qqp/train",
        {"question1": second, "question2": first, "label": [label % 2 for label in labels]},
    )
    words = ["entailment", "neutral", "contradiction"]
    _write(
        folder,
        "google/xtreme/XNLI/validation",
        {
            "language": ["sw", "ur"] * 30,
            "sentence1": first,
            "sentence2": second,
            "gold_label": [words[label] for label in labels],
        },
    )
    _write(
        folder,
        "google/xtreme/tatoeba.swh/validation",
        {"source_sentence": first, "target_sentence": second},
    )
    config = tiny_encoder().config
    config.num_hidden_layers = entry("mini-xlmr").n_layers
    model = folder / "models" / "mini-xlmr"
    torch.manual_seed(0)
    XLMRobertaForMaskedLM(config).half().save_pretrained(model)
    tiny_tokenizer().save_pretrained(model)
    return str(folder)


class Bench:
    """A worker on a fresh store, and the stages of the tiny mirror."""

    def __init__(self, place, folder, kind="mirror", model="mini-xlmr"):
        self.kind, self.place, self.folder = kind, place, folder
        self.source = open_source(kind, place)
        self.model = ModelRef(model, model_revision(entry(model), kind, place))
        self.url = str(folder / "runs")
        self.store = StageStore(self.url)
        self.worker = self.new_worker()

    def new_worker(self, clock=None):
        cache = str(self.folder / "cache")
        settings = WorkerSettings(self.url, self.kind, self.place, "cpu", 1, cache)
        return Worker(settings, clock or TickingClock())

    def run(self, stage, limit=ENOUGH, worker=None):
        order = Order(f"hold of {stage_name(stage)}", stage, 1, limit, GRACE)
        return (worker or self.worker).run(order)

    def data(self, name):
        return tuple(
            self.source.identity(split, language)
            for split in TASKS.task(name).train
            for language in split.languages
        )

    def intermediate(self, tokens, continues=None, before=0, optimisation=OPTIMISATION):
        shares = tuple(TaskShare(name, 0.5, self.data(name)) for name in ("mnli", "qqp"))
        parent = stage_name(continues) if continues else None
        return IntermediateStage(self.model, None, parent, shares, before, tokens, optimisation, 3)

    def target(self, parent=None, tokens=1_500, name="xnli"):
        above = stage_name(parent) if parent else None
        return TargetStage(self.model, above, name, self.data(name), tokens, OPTIMISATION, 3)

    def evaluation(self, parent, name="xnli", languages=("sw", "ur")):
        above = stage_name(parent) if parent else None
        return EvaluateStage(self.model, above, name, languages, Half.SEARCH, ())

    def tensors(self, stage, file="model.safetensors"):
        return load_file(self.store.open(stage_name(stage), thorough=True) / file)


def assert_same(left, right):
    assert left.keys() == right.keys()
    for name in left:
        assert torch.equal(left[name], right[name]), name
