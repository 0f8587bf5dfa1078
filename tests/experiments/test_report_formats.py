"""The report in other formats says what the page says, and says when it is interim."""

from __future__ import annotations

import csv
import io
import json
import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from experiments.cli import main
from experiments.formats import COLUMNS, markdown
from experiments.inference import Figures, figures_json
from experiments.report import report_json, report_text
from experiments.trials import score_of
from experiments.wording import points, signed
from scheduler.trial import Arm

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def whole(whole_study):
    return report_json(whole_study)


def printed(run, form):
    done = CliRunner().invoke(main, ["report", str(run), "--format", form])
    assert done.exit_code == 0, done.stderr
    return done.stdout


def test_the_findings_page_has_the_answer_the_tables_and_the_threats(whole, whole_study):
    page = printed(whole_study, "md")
    assert page.startswith(f"# synthetic: {whole['question']}")
    for sentence in (*whole["answer"]["sentences"], *whole["threats"]):
        assert sentence in page
    assert f"commit `{whole['environment']['git_commit']}`" in page
    best = whole["contenders"][1]
    assert f"| {signed(best['gain']['value'])} ({signed(best['gain']['low'])} to" in page
    for row in whole["cells"]["rows"]:
        assert row["name"] in page
    tables = [line for line in page.splitlines() if line.startswith("|")]
    heads = [i for i, line in enumerate(tables) if set(line) <= set("|-")]
    assert len(heads) >= 6
    for i in heads:
        assert tables[i - 1].count("|") == tables[i].count("|") == tables[i + 1].count("|")


def test_every_score_of_the_page_can_be_computed_from_the_csv(whole, whole_study):
    rows = list(csv.DictReader(io.StringIO(printed(whole_study, "csv"))))
    assert tuple(rows[0]) == COLUMNS
    control = [r for r in rows if r["repeats"] == whole["answer"]["control"]]
    by_seed = {}
    for row in control:
        by_seed.setdefault(row["seed"], {})[row["task"], row["language"]] = float(row["score"])
    told = whole["contenders"][0]["mean_score"]
    assert sum(map(score_of, by_seed.values())) / len(by_seed) == pytest.approx(told)
    assert {r["examples"] for r in control} == {"report"}


def test_the_latex_tables_are_whole_and_escaped(whole, whole_study):
    text = printed(whole_study, "latex")
    assert text.count("\\begin{table}") == text.count("\\end{table}") == 2
    assert "squad\\_v1" in text
    assert not re.search(r"(?<!\\)_", text)
    assert "−" not in text
    assert points(whole["contenders"][1]["mean_score"]) in text
    for body in re.findall(r"\\begin\{tabular\}\{(\w+)\}(.*?)\\end", text, re.DOTALL):
        lines = [line for line in body[1].splitlines() if line.endswith("\\\\")]
        assert {line.count(" & ") + 1 for line in lines} == {len(body[0])}


def test_json_is_the_whole_report(whole, whole_study):
    assert json.loads(printed(whole_study, "json")) == json.loads(json.dumps(whole))


def test_an_interim_report_says_so_in_every_format(interim_study):
    assert "**Interim: the study has not ended" in report_text(interim_study, "md")
    assert "% INTERIM" in report_text(interim_study, "latex")
    assert json.loads(report_text(interim_study, "json"))["interim"]
    assert "interim: the study has not ended" in printed(interim_study, "html")


def test_an_installed_package_has_every_template():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packed = project["tool"]["setuptools"]["package-data"]["experiments"]
    templates = {path.name for path in (ROOT / "experiments").glob("*.j2")}
    assert len(templates) >= 4
    assert templates <= {
        path.name for pattern in packed for path in (ROOT / "experiments").glob(pattern)
    }


def test_the_findings_page_says_which_of_loadgens_runs_are_valid(whole):
    measured = Figures(
        arm=Arm("xlmr", "lora"),
        form="folded",
        n_models=2,
        means={"plain_p50_ms": 3.04, "single_stream_p90_ms": 4.351, "tokens_per_sample/sw": 17.2},
        valid={"single_stream": 1.0, "server": 0.25},
        texts={"udpos, server": "Result is : INVALID"},
        devices=("a processor",),
    )
    page = markdown({**whole, "inference": figures_json([measured], [measured.arm])})
    _, table = page.split("| MLPerf's LoadGen |", 1)
    head, rule, row = table.splitlines()[:3]
    assert head.count("|") + 2 == rule.count("|") == row.count("|")
    assert "| 4.35 | – |" in row
    assert row.endswith("| single stream 100 %, server 25 % |")
    plain = {**whole, "inference": figures_json([replace(measured, valid={})], [measured.arm])}
    assert "LoadGen |" not in markdown(plain)
