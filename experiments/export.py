"""The recommended recipe's models as a folder of their own.

    DIR/                   the encoder after intermediate training, its tokenizer and heads
    DIR/README.md          the card
    DIR/recipe.yaml        a spec that trains it again
    DIR/targets/<task>/    encoder, tokenizer and head fine-tuned on a target task

Written beside its place and renamed into it: a folder that is there is whole.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from experiments.arms import findings_of
from experiments.card import card
from experiments.chosen import Chosen, chosen_of
from experiments.load import Study
from experiments.recipe import recipe_yaml
from scheduler.errors import StudyError
from scheduler.run import worker_settings
from trainers.export import Exporter, check_exportable

TARGETS = "targets"


def export_best(study: Study, folder: Path) -> Chosen:
    """Write what ``study`` recommends into ``folder``.

    Args:
        study: its records.
        folder: not there yet, or empty.

    Raises:
        StudyError: the folder holds something, or cannot be written.
        NoRunError: nothing is recommended yet.
        ModelError: its adapter cannot be folded, or its published model has changed.
        StoreError: a stage of it is no longer in the store.
    """
    chosen = chosen_of(findings_of(study))
    export(chosen, folder)
    return chosen


def export(chosen: Chosen, folder: Path) -> None:
    """Write a chosen recipe's models, card and spec; the errors are those of :func:`export_best`."""
    check_exportable(chosen.model, f"{chosen.study.spec.name}'s {chosen.one.trial.name}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StudyError(f"{folder} is there and not empty. Name a folder that is not there yet")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise StudyError(f"cannot write {folder}: {error}. Name another place") from error
    try:
        _write(chosen, beside)
        beside.chmod(0o755)  # mkdtemp's are for their owner alone
        os.replace(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _write(chosen: Chosen, folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="interlude-export-") as cache:
        settings = worker_settings(chosen.study.spec)
        exporter = Exporter(replace(settings, store=chosen.study.store, device="cpu", cache_dir=cache))
        exporter.write(chosen.model, chosen.encoder, folder)
        for task, stage in chosen.targets.items():
            exporter.write(chosen.model, stage, folder / TARGETS / task)
    (folder / "README.md").write_text(card(chosen), encoding="utf-8")
    recipe = recipe_yaml(chosen.study, chosen.answer)
    (folder / "recipe.yaml").write_text(recipe, encoding="utf-8")
