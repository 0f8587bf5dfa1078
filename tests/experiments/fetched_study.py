"""What a small study reads, as a stand-in hub serves it: three data sets and a model of two layers."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from datasets import ClassLabel, Dataset, Features, Sequence, Value

from tests.trainers.tiny_model import tiny_encoder, tiny_tokenizer

GLUE, XTREME, MODEL = "a" * 40, "b" * 40, "c" * 40
ROOT = Path(__file__).parents[2]
TAGS = ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"]
NLI = ["entailment", "neutral", "contradiction"]

SPEC = {
    "name": "fetched",
    "seed": 7,
    "budget": {"gpu_hours": 0.05, "devices": {"kind": "cpu", "count": 1, "per_trial": 1}},
    "model": {"name": "xlm-roberta-base", "revision": MODEL},
    "data": {"source": "hub", "revisions": {"nyu-mll/glue": GLUE, "google/xtreme": XTREME}},
    "intermediate": {
        "tasks": ["qqp"],
        "count": [0, 1],
        "mixing": {"cap": [1000, 4000], "temperature": [1.0, 2.0]},
        "rungs": ["1K"],
        "learning_rate": 1e-3,
        "batch_tokens": 512,
    },
    "target": {
        "benchmark": "xtreme",
        "tasks": ["panx", "xnli"],
        "languages": ["sw", "ur"],
        "tokens": "1K",
        "learning_rate": 1e-3,
        "batch_tokens": 512,
        "max_examples": 10,
    },
    "search": {"max_trials": 1},
    "final": {"finalists": 1, "max_seeds": 1, "max_examples": 10},
    "tracking": {"mlflow": None},
}
PARQUET = [
    "hub/google/xtreme/PAN-X.en/train.parquet",
    "hub/google/xtreme/PAN-X.sw/validation.parquet",
    "hub/google/xtreme/PAN-X.ur/validation.parquet",
    "hub/google/xtreme/XNLI/validation.parquet",
    "hub/nyu-mll/glue/mnli/train.parquet",
    "hub/nyu-mll/glue/qqp/train.parquet",
]
QQP = PARQUET[-1]


def write_spec(folder: Path, **changes: object) -> Path:
    path = folder / "fetched.yaml"
    path.write_text(yaml.safe_dump({**SPEC, "store": str(folder / "runs"), **changes}))
    return path


def fill(hub) -> None:
    """Put everything on the stand-in, and a config and a split that the study does not read."""
    labels = ClassLabel(names=["not_duplicate", "duplicate"])
    qqp = _pairs("question1", "question2", "label", labels, [row % 2 for row in range(40)])
    mnli = _pairs("premise", "hypothesis", "label", ClassLabel(names=NLI), [n % 3 for n in range(40)])
    glue = {"qqp": {"train": qqp, "test": qqp}, "mnli": {"train": mnli}, "cola": {"train": qqp}}
    hub.add("datasets", "nyu-mll/glue", GLUE, _repository(glue))
    words = [NLI[row % 3] for row in range(40)]
    xnli = _pairs("sentence1", "sentence2", "gold_label", Value("string"), words)
    xnli = xnli.add_column("language", ["sw", "ur"] * 20)
    names = {f"PAN-X.{code}": {"train": _names(), "validation": _names()} for code in ("en", "sw", "ur")}
    hub.add("datasets", "google/xtreme", XTREME, _repository({**names, "XNLI": {"validation": xnli}}))


def add_model(hub, folder: Path) -> None:
    tiny_encoder().save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    others = {"pytorch_model.bin": b"not for us", "onnx/model.safetensors": b"nor this"}
    hub.add("models", "FacebookAI/xlm-roberta-base", MODEL, {**files, **others})


def files(root: Path) -> list[str]:
    """Every file below ``root``."""
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def copy_of(mirror: Path, folder: Path) -> Path:
    return Path(shutil.copytree(mirror, folder / "mirror"))


def environment(hub, cache: Path, **more: str) -> dict[str, str]:
    """This process's environment, with the stand-in for the hub and a cache of its own."""
    strangers = ("HF_HUB_OFFLINE", "INTERLUDE_MIRROR", "RAY_ADDRESS")
    inherited = {name: value for name, value in os.environ.items() if name not in strangers}
    return {**inherited, "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(cache), **more}


def interlude(*words: object, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """The command in its own process, for the libraries read their environment once."""
    line = [sys.executable, "-m", "experiments", *map(str, words)]
    return subprocess.run(
        line, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False
    )


def _pairs(first, second, label, kind, values) -> Dataset:
    features = Features({first: Value("string"), second: Value("string"), label: kind})
    texts = [f"the cat sleeps {row}" for row in range(len(values))]
    return Dataset.from_dict({first: texts, second: texts[::-1], label: values}, features=features)


def _names() -> Dataset:
    features = Features(
        {"tokens": Sequence(Value("string")), "ner_tags": Sequence(ClassLabel(names=TAGS))}
    )
    rows = [[f"Bob{row}", "sings", "Oslo"] for row in range(30)]
    return Dataset.from_dict({"tokens": rows, "ner_tags": [[1, 0, 5]] * 30}, features=features)


def _repository(configs) -> dict[str, bytes]:
    """The files of a repository: one parquet file per split, and the card that names them."""
    files = {}
    for config, splits in configs.items():
        for split, rows in splits.items():
            buffer = io.BytesIO()
            rows.to_parquet(buffer)
            files[f"{config}/{split}-00000-of-00001.parquet"] = buffer.getvalue()
    listed = [
        {
            "config_name": config,
            "data_files": [{"split": split, "path": f"{config}/{split}-*"} for split in splits],
        }
        for config, splits in configs.items()
    ]
    return {"README.md": f"---\n{yaml.safe_dump({'configs': listed})}---\n".encode(), **files}
