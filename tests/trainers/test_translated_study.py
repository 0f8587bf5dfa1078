"""A study whose mix is trained in English and Swahili, from a mirror of small made files."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from worker_bench import tiny_mirror

from scheduler.interrupt import Interrupt
from scheduler.run import run_study
from scheduler.spec import read
from scheduler.state import StudyState
from trainers.order import Outcome
from trainers.stage import IntermediateStage, TargetStage

N_ROWS = 60
N_LEFT_OUT = 12


def translate(file):
    """The columns of an English file in reversed words: no language, but not the English one."""
    columns = pq.read_table(file).to_pydict()
    return {
        name: values if name == "label" else [" ".join(reversed(text.split())) for text in values]
        for name, values in columns.items()
    }


def in_configs(root):
    for task in ("mnli", "qqp"):
        there = root / "hub/nyu-mll/glue" / f"{task}.sw" / "train.parquet"
        there.parent.mkdir()
        pq.write_table(pa.table(translate(root / "hub/nyu-mll/glue" / task / "train.parquet")), there)


def in_column(root):
    for task in ("mnli", "qqp"):
        file = root / "hub/nyu-mll/glue" / task / "train.parquet"
        told = translate(file)
        names = [name for name in told if name != "label"]
        column = [
            {"sw": None if i < N_LEFT_OUT else {name: told[name][i] for name in names}}
            for i in range(N_ROWS)
        ]
        pq.write_table(pq.read_table(file).append_column("translations", pa.array(column)), file)


def run(root, **part):
    spec = read(
        {
            "name": "translated",
            "store": str(root / "runs"),
            "budget": {
                "gpu_hours": 0.2,
                "devices": {"kind": "cpu", "count": 1, "per_trial": 1},
                "final_share": 0.3,
            },
            "model": {"name": "mini-xlmr"},
            "data": {"source": "mirror", "path": str(root)},
            "intermediate": {
                "tasks": ["mnli", "qqp"],
                "count": [2, 2],
                "mixing": {"rule": "proportional"},
                "rungs": [2000],
                "learning_rate": 1e-3,
                "batch_tokens": 256,
                **part,
            },
            "target": {
                "benchmark": "xtreme",
                "tasks": ["xnli"],
                "languages": ["sw", "ur"],
                "tokens": 1000,
                "learning_rate": 1e-3,
                "batch_tokens": 256,
            },
            "search": {"sampler": "random", "policy": "uniform", "max_trials": 1},
            "final": {"finalists": 1, "max_seeds": 1},
            "tracking": {"mlflow": None},
        },
        "test",
    )
    return run_study(spec, "", "inline", lambda state, balance: None, Interrupt())


def stages(state: StudyState, kind):
    return [record for record in state.stages.values() if isinstance(record.config, kind)]


@pytest.mark.parametrize(
    ("make", "part", "swahili", "n_rows"),
    [
        (in_configs, {}, "nyu-mll/glue/mnli.sw/train", N_ROWS),
        (
            in_column,
            {"translations": "column"},
            "nyu-mll/glue/mnli/train[sw]",
            N_ROWS - N_LEFT_OUT,
        ),
    ],
    ids=["configs", "column"],
)
def test_a_mix_is_trained_in_every_language_and_the_target_in_english(
    tmp_path, make, part, swahili, n_rows
):
    tiny_mirror(tmp_path)
    make(tmp_path)
    state = run(tmp_path, languages=["en", "sw"], **part)

    (mix,) = stages(state, IntermediateStage)
    assert [m.outcome for m in mix.measurements] == [Outcome.DONE], mix.measurements
    mnli = next(share for share in mix.config.shares if share.task == "mnli")
    assert [(data.name, data.n_rows) for data in mnli.data] == [
        ("nyu-mll/glue/mnli/train", N_ROWS),
        (swahili, n_rows),
    ]
    targets = stages(state, TargetStage)
    assert {tuple(data.name for data in r.config.data) for r in targets} == {
        ("nyu-mll/glue/mnli/train",)
    }
    assert all(record.done for record in targets)
