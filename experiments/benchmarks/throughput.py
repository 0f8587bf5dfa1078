"""``python -m experiments.benchmarks.throughput``: our stage loop against Hugging Face's ``Trainer``.

Families, ways and rules are in the modules beside: ``cases.py`` (the data), ``shapes.py`` (the encoders
and what the share of the matrix rate counts), ``peers.py`` (how ``Trainer`` is set), ``compare.py`` (the
ratio and when it is void). Needs accelerate: ``pip install 'interlude-scheduler[benchmarks]'``.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from experiments.benchmarks.cases import CASES
from experiments.benchmarks.shapes import SHAPES

if TYPE_CHECKING:
    import torch

    from experiments.benchmarks.compare import Against, Figures, Result, Spread
    from experiments.benchmarks.shapes import Shape
    from trainers.devices import DeviceFacts

_STEPS, _REPETITIONS = 50, 5
_QUICK_STEPS, _QUICK_REPETITIONS = 8, 2
_STRETCH = 50  # batches that Trainer sorts together: see runs.py


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@click.option("--quick", is_flag=True, help="The mini encoder, few steps, two repetitions.")
@click.option("--device", default=None, help="cpu or cuda; by default the GPU, where there is one.")
@click.option("--family", "families", multiple=True, type=click.Choice(list(CASES)), help="Only these.")
@click.option(
    "--model",
    "models",
    multiple=True,
    type=click.Choice(list(SHAPES)),
    help="Only these; by default mini on a CPU and all on a GPU.",
)
@click.option(
    "--way",
    "way_names",
    multiple=True,
    type=click.Choice(["scripts", "grouped", "compiled"]),
    help="Only these settings of Trainer.",
)
@click.option("--steps", type=click.IntRange(min=1), help=f"Of each run; {_STEPS} by default.")
@click.option("--batch-tokens", type=click.IntRange(min=1), help="Of a step; else the model's own.")
@click.option("--repetitions", type=click.IntRange(min=1), help=f"{_REPETITIONS} by default.")
def main(
    *,
    as_json: bool,
    quick: bool,
    device: str | None,
    families: Sequence[str],
    models: Sequence[str],
    way_names: Sequence[str],
    steps: int | None,
    batch_tokens: int | None,
    repetitions: int | None,
) -> None:
    """Measure trained tokens per second against Trainer, in turns, family by family."""
    n_steps = steps or (_QUICK_STEPS if quick else _STEPS)
    if n_steps > _STRETCH and n_steps % _STRETCH:
        raise click.UsageError(
            f"--steps {n_steps} would cut a stretch of {_STRETCH} batches that Trainer sorts by length: "
            f"give at most {_STRETCH}, or a multiple of it."
        )
    if find_spec("accelerate") is None:
        raise click.ClickException(
            "Trainer needs accelerate, which is not installed: "
            "pip install 'interlude-scheduler[benchmarks]'"
        )
    import torch

    from trainers.devices import facts_of

    on = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    names = models or (list(SHAPES) if on.type == "cuda" and not quick else ["mini"])
    n_repetitions = repetitions or (_QUICK_REPETITIONS if quick else _REPETITIONS)
    facts = facts_of(on)
    rate = facts.matrix_ops_per_s.get("bf16", facts.matrix_ops_per_s["fp32"])
    shapes = [SHAPES[name] for name in names]
    if batch_tokens:
        shapes = [replace(shape, batch_tokens=batch_tokens) for shape in shapes]
    results = _measured(
        [(shape, family_name) for shape in shapes for family_name in families or CASES],
        way_names,
        device=on,
        n_steps=n_steps,
        n_repetitions=n_repetitions,
        matrix_ops_per_s=rate,
    )
    if as_json:
        settings = {
            "n_steps": n_steps,
            "n_repetitions": n_repetitions,
            "batch_tokens": {shape.name: shape.batch_tokens for shape in shapes},
        }
        click.echo(json.dumps(_record(facts, settings, results), indent=1))
    else:
        show(facts, rate, results, Console() if sys.stdout.isatty() else Console(width=160))


def _measured(
    pairs: Sequence[tuple[Shape, str]],
    way_names: Sequence[str],
    *,
    device: torch.device,
    n_steps: int,
    n_repetitions: int,
    matrix_ops_per_s: float,
) -> list[Result]:
    """The results of pairs of model and family, one after the other."""
    from experiments.benchmarks.compare import compare
    from experiments.benchmarks.peers import Way

    logging.getLogger("transformers").setLevel(logging.ERROR)
    results = []
    for shape, family_name in pairs:
        click.echo(f"{shape.name}, {family_name} …", err=True)
        results.append(
            compare(
                family_name,
                shape,
                [Way(way) for way in way_names] or list(Way),
                device=device,
                n_steps=n_steps,
                n_repetitions=n_repetitions,
                matrix_ops_per_s=matrix_ops_per_s,
            )
        )
    return results


def _record(facts: DeviceFacts, settings: dict[str, Any], results: Sequence[Result]) -> dict[str, Any]:
    from trainers.provenance import environment

    return {
        "device": asdict(facts),
        "environment": environment(),
        "settings": settings,
        "results": [asdict(result) for result in results],
    }


def show(facts: DeviceFacts, rate: float, results: Sequence[Result], console: Console) -> None:
    """Print a line per way, and below what does not count or was not run."""
    threads = f", {facts.threads} threads" if facts.threads else ""
    table = Table(
        title=f"{facts.name}{threads}, {rate / 1e12:.3g} TFLOP/s in matrix products",
        title_justify="left",
    )
    for heading in ("model", "family", "loop", "tokens per s", "ours / theirs", "padding", "memory"):
        table.add_column(heading)
    table.add_column("matrix rate")
    table.add_column("loss")
    for result in results:
        table.add_row(result.shape, result.family, "ours", *_cells(result.ours, ""))
        for name, against in result.against.items():
            cells = _cells(against.figures, _ratio(against)) if against.figures else ["not run"]
            table.add_row(result.shape, result.family, name, *cells)
    console.print(table)
    for result in results:
        for name, against in result.against.items():
            if why := against.void or against.skipped:
                console.print(f"{result.shape}, {result.family}, {name}: {why}", highlight=False)


def _cells(figures: Figures, ratio: str) -> list[str]:
    memory = "" if figures.peak_bytes is None else f"{figures.peak_bytes / 1e6:.0f} MB"
    return [
        _range(figures.tokens_per_s, ".0f"),
        ratio,
        f"{figures.padding_share:.1%}",
        memory,
        f"{figures.matrix_share:.1%}",
        _range(figures.loss, ".3f"),
    ]


def _ratio(against: Against) -> str:
    if against.void or against.ratio is None:
        return "void"
    return _range(against.ratio, ".2f")


def _range(spread: Spread, form: str) -> str:
    return f"{spread.median:{form}} ({spread.least:{form}} to {spread.most:{form}})"


if __name__ == "__main__":
    main()
