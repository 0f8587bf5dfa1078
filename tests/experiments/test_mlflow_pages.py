"""MLflow's pages of a study as `interlude ui` serves them, opened in a real browser."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.request

import pytest
from browser import browsing, needs_browser
from click.testing import CliRunner

from budgets.journal import SqlJournal
from budgets.ledger import Opened
from experiments.cli import main
from experiments.load import FACT_TYPES
from experiments.report import report_json
from scheduler.adapters.mlflow_answer import Conclusion
from scheduler.adapters.mlflow_tracker import MlflowTracker
from scheduler.facts import StudyBegun, TrialProposed

pytestmark = [
    *needs_browser,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore:The ``noload`` loader:DeprecationWarning"),
]


def first_trials(lines, n):
    """What a journal says of the study and of its first ``n`` trials."""
    names = [line.fact.trial for line in lines if isinstance(line.fact, TrialProposed)][:n]
    return [
        line
        for line in lines
        if isinstance(line.fact, StudyBegun | Opened) or getattr(line.fact, "trial", "") in names
    ]


@pytest.fixture(scope="module")
def shown(whole_study):
    """Six trials of the whole study, shown in MLflow with the whole study's answer."""
    told = report_json(whole_study)
    tracker = MlflowTracker(
        f"sqlite:///{whole_study.parent / 'mlflow.db'}", whole_study.parent, "synthetic"
    )
    with SqlJournal(f"sqlite:///{whole_study / 'journal.db'}", FACT_TYPES) as journal:
        tracker.catch_up(first_trials(tuple(journal.lines()), 6))
    said = tuple(told["answer"]["sentences"])
    recipe = told["recipe"]
    found = Conclusion(told["question"], said, recipe["card"], recipe["yaml"], recipe["facts"])
    for _ in range(2):  # a study that is run again and finds the same
        tracker.conclude(found)
    return whole_study


@pytest.fixture(scope="module")
def address(shown):
    """Where the command says that the pages are; it is ended as a terminal would end it."""
    command = [sys.executable, "-m", "experiments", "ui", str(shown)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as served:
        line = served.stdout.readline()
        yield line.removeprefix("MLflow: ").strip()
        served.send_signal(signal.SIGTERM)
        assert served.wait(120) == 130
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(line.removeprefix("MLflow: ").partition("/#")[0], timeout=60)


def asked(address, path):
    """An answer of the server's own interface."""
    base = address.partition("/#")[0]
    with urllib.request.urlopen(f"{base}/api/2.0/mlflow/{path}", timeout=120) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def page():
    with browsing() as page:
        yield page


HEADS = "[...document.querySelectorAll('.ag-header-cell')]"
SCORES = "[...document.querySelectorAll('.ag-cell[col-id=\"metrics.`score`\"]')]"


def test_the_page_opens_on_the_trials_best_first_with_the_columns_that_matter(address, page, tmp_path):
    local = r"http://127\.0\.0\.1:\d+/#/experiments/\d+/runs\?viewStateShareKey=interlude"
    assert re.fullmatch(local, address)
    page.open(address, width=1700)
    page.wait(f"{SCORES}.length > 3")
    page.picture(tmp_path / "runs.png", name="mlflow-runs")
    heads = page.ask(f"{HEADS}.map(x => [x.getBoundingClientRect().left, x.getAttribute('col-id')])")
    shown = [name for _, name in sorted(heads) if name.startswith(("metrics", "params"))]
    assert shown[:4] == ["metrics.`score`", "metrics.`gpu_hours`", "params.`k`", "params.`tasks`"]
    cells = page.ask(f"{SCORES}.map(x => [x.getBoundingClientRect().top, parseFloat(x.innerText)])")
    scores = [score for _, score in sorted(cells, key=lambda cell: cell[0]) if score is not None]
    assert len(scores) > 3
    assert scores == sorted(scores, reverse=True)
    assert [line for line in page.console if line.startswith("exception")] == []


def test_charts_have_hours_as_their_axis(address, page):
    page.open("about:blank")
    page.open(f"{address}&compareRunsMode=CHART", width=1700)
    page.wait("[...document.querySelectorAll('.xtitle')].some(x => x.textContent === 'gpu_hours')")


def test_the_note_on_the_study_is_its_answer_and_the_report_lies_beside(address, shown):
    runs = asked(address, "registered-models/get?name=synthetic")["registered_model"]
    (version,) = runs["latest_versions"]
    run = asked(address, f"runs/get?run_id={version['run_id']}")["run"]
    tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
    told = report_json(shown)
    assert told["question"] in tags["mlflow.note.content"]
    assert all(sentence in tags["mlflow.note.content"] for sentence in told["answer"]["sentences"])


def test_the_recommended_recipe_is_registered_once_with_its_card(address, shown):
    model = asked(address, "registered-models/get?name=synthetic")["registered_model"]
    (version,) = model["latest_versions"]
    assert model["aliases"] == [{"alias": "recommended", "version": version["version"]}]
    recipe = report_json(shown)["recipe"]
    tags = {tag["key"]: tag["value"] for tag in version["tags"]}
    assert tags == recipe["facts"]
    assert "CC BY" in tags["licences of data"]
    assert version["description"] == recipe["card"][:5000]
    files = asked(address, f"artifacts/list?run_id={version['run_id']}&path=recipe")["files"]
    assert {file["path"] for file in files} == {"recipe/README.md", "recipe/recipe.yaml"}


def test_a_study_that_was_not_tracked_or_a_port_that_is_taken_is_refused(interim_study, shown, address):
    done = CliRunner().invoke(main, ["ui", str(interim_study)])
    assert done.exit_code == 2
    assert "has no MLflow database at" in done.stderr
    port = re.search(r":(\d+)/", address)[1]
    done = CliRunner().invoke(main, ["ui", str(shown), "--port", port])
    assert done.exit_code == 2
    assert f"port {port} of 127.0.0.1 cannot be had" in done.stderr
