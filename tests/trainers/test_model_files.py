import subprocess
import sys
from pathlib import Path

import pytest

from tests.experiments.fetched_study import environment
from tests.stand_in_hub import StandInHub, serving
from trainers.errors import ModelError
from trainers.model_files import files_of

ROOT = Path(__file__).parents[2]
COMMIT = "e" * 40


def folder(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def names(files):
    return [path.name for path in files]


def test_safetensors_go_before_older_weights_and_the_config_comes_last(tmp_path):
    there = ("config.json", "model.safetensors", "pytorch_model.bin", "tokenizer.json", "README.md")
    assert names(files_of(folder(tmp_path, *there))) == [
        "tokenizer.json",
        "model.safetensors",
        "config.json",
    ]


def test_older_weights_will_do_and_so_will_parts(tmp_path):
    parts = [f"pytorch_model-0000{n}-of-00002.bin" for n in (1, 2)]
    index = "pytorch_model.bin.index.json"
    there = folder(tmp_path, "config.json", "vocab.txt", "sentencepiece.bpe.model", index, *parts)
    assert names(files_of(there)) == [
        "sentencepiece.bpe.model",
        "vocab.txt",
        *parts,
        index,
        "config.json",
    ]


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (("config.json", "tokenizer.json"), "holds no weights: found config.json, tokenizer.json"),
        (("model.safetensors",), r"holds no tokenizer and no config\.json"),
        (("onnx/model.safetensors", "config.json", "vocab.txt"), "holds no weights"),
    ],
)
def test_a_folder_that_lacks_a_part_is_refused(tmp_path, there, said):
    with pytest.raises(ModelError, match=said):
        files_of(folder(tmp_path, *there))


def test_a_model_without_safetensors_is_downloaded_with_what_it_has(tmp_path):
    hub = StandInHub()
    there = ("config.json", "vocab.txt", "pytorch_model.bin", "flax_model.msgpack", "onnx/vocab.txt")
    hub.add("models", "org/older", COMMIT, {name: name.encode() for name in there})
    script = f"""
from dataclasses import replace
from trainers.model_files import download
from trainers.models import MODELS
model = replace(MODELS["xlm-roberta-base"], hub_id="org/older", revision={COMMIT!r})
print(*(path.name for path in download(model)))
"""
    with serving(hub):
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env=environment(hub, tmp_path),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.stdout.split() == ["vocab.txt", "pytorch_model.bin", "config.json"], done.stderr
    assert not [line for line in hub.asked if "msgpack" in line or "onnx" in line]
