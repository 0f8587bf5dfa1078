"""A model that a stage left, as a folder that anybody's ``AutoModel`` loads.

config.json, model.safetensors, tokenizer…   the encoder, an adapter folded into its weights
heads.safetensors                            the heads the stage trained, ``<task>.<weight>``
"""

from __future__ import annotations

import shutil
from pathlib import Path

from trainers.adapter_places import FOLDABLE, FULL
from trainers.checkpoints import StageStore
from trainers.encoder import model_revision, save_encoder
from trainers.errors import ModelError
from trainers.kept_heads import HEADS
from trainers.stage import ModelRef
from trainers.warm import WarmCache
from trainers.worker import WorkerSettings


def check_exportable(model: ModelRef, whose: str) -> None:
    """Refuse a tuning whose models no plain encoder is.

    Raises:
        ModelError: an adapter that cannot be folded into the encoder's weights.
    """
    if model.tuning not in (FULL, *FOLDABLE):
        raise ModelError(
            f"{whose} is tuned with a {model.tuning} adapter, which is not linear: it cannot be folded "
            f"into the weights of {model.name}, and without it AutoModel would load another model. "
            f"Tunings that can be exported: {', '.join((FULL, *FOLDABLE))}. The adapter itself stays in "
            "the store of stages."
        )


class Exporter:
    """Writes models from a store of stages.

    Args:
        settings: where stages, data and published models lie.

    Raises:
        StoreError: the kind of store is unknown.
        MissingDataError: the mirror is not there.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._store = StageStore(settings.store, Path(settings.cache_dir))
        self._warm = WarmCache(settings, self._store)

    def write(self, model: ModelRef, stage: str | None, folder: Path) -> None:
        """Write the model that ``stage`` left, or the published one where that is None.

        Raises:
            ModelError: its adapter cannot be folded, or the published weights that it stands on are
                others than those the stage was trained from.
            StoreError: the store does not have the stage.
        """
        check_exportable(model, f"stage {stage}")
        if self._warm.base_of(stage) is None:
            self._check_published(model)
        encoder = self._warm.encoder(model, stage, folded=True)
        folder.mkdir(parents=True, exist_ok=True)
        save_encoder(encoder, self._warm.tokenizer(model), folder)
        heads = self._store.open(stage) / HEADS if stage else None
        if heads is not None and heads.is_file():
            shutil.copyfile(heads, folder / HEADS)

    def _check_published(self, model: ModelRef) -> None:
        place = (self._settings.source_kind, self._settings.source_path)
        found = model_revision(self._warm.entry(model), *place)
        if found != model.revision:
            raise ModelError(
                f"the study stands on {model.name} at revision {model.revision} and what lies there now "
                f"has {found}: with it the export would be another model. Bring the old one back."
            )
