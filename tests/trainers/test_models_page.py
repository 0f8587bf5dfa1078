"""docs/models.md tells of every model what the table says."""

from pathlib import Path

import pytest

from trainers.models import MODELS

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
PUBLISHED = [model for model in MODELS.values() if model.hub_id]
_TRAINING_BYTES = 16  # per parameter: weight, gradient and AdamW's two moments, four bytes each


def rows():
    return [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]


def shape_row(model):
    to_train_gb = _TRAINING_BYTES * model.n_parameters / 1e9
    return (
        f"| `{model.name}` | {model.hub_id} | {model.n_layers} × {model.width} | "
        f"{model.n_parameters / 1e6:,.0f} M | {to_train_gb:,.1f} GB | {model.max_length:,} | "
        f"{model.retrieval_layer} | {model.pooling} | {model.n_segments} |"
    )


@pytest.mark.parametrize("model", PUBLISHED, ids=lambda model: model.name)
def test_the_page_has_the_row_of_every_published_model(model):
    assert shape_row(model) in rows()
    assert f"| `{model.name}` | `{model.revision}` |" in PAGE.read_text(encoding="utf-8")


def test_the_page_has_no_other_row():
    assert len(rows()) == 2 * len(PUBLISHED)
