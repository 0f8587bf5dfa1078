import json
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from budgets.amount import DeviceTime
from budgets.bill import Bill, Purpose
from budgets.journal import Line
from budgets.ledger import Charged, Opened, Released, Reserved
from scheduler.adapters.mlflow_answer import Conclusion
from scheduler.adapters.mlflow_tracker import MlflowTracker
from scheduler.adapters.mlflow_view import MlflowView
from scheduler.facts import (
    StageEnded,
    StageShared,
    StageStarted,
    StudyBegun,
    StudyEnded,
    TrialMoved,
    TrialProposed,
)
from scheduler.mix import Mix
from scheduler.trial import Recipe, Role, TrialState
from trainers.order import CellScore, Measurement, Outcome
from trainers.stage import EvaluateStage, Half, IntermediateStage, ModelRef, Optimisation, TaskShare

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader:DeprecationWarning")

MODEL = ModelRef("mini-xlmr", "abc")
SHARES = (TaskShare("mnli", 0.75, ()), TaskShare("qqp", 0.25, ()))
BILL = Bill({Purpose.TRAIN: DeviceTime(4_000), Purpose.IDLE: DeviceTime(500)})
SPEC = {
    "question": "Why?",
    "seed": 13,
    "budget": {"gpu_hours": 1.0, "devices": {"kind": "cpu"}},
    "target": {"tasks": ["xnli", "panx"]},
}


def stage_of(trial, kind, hold, outcome=Outcome.DONE, scores=()):
    config = (
        EvaluateStage(MODEL, "p", "xnli", ("sw", "ur"), Half.SEARCH, ())
        if kind == "evaluate"
        else IntermediateStage(MODEL, None, None, SHARES, 0, 1_000_000, Optimisation(1e-4), 13)
    )
    started = StageStarted(trial, hold, hold.split("/")[1], config, 1, 4_000)
    rates = {"mnli": 0.74, "qqp": 0.26} if kind == "intermediate" else {}
    found = Measurement(
        hold, started.stage, outcome, BILL, tuple(scores), facts={"loss": 0.5}, rates=rates
    )
    charges = [Charged(hold, purpose, amount) for purpose, amount in BILL.items()]
    return (
        [Reserved(hold, DeviceTime(9_000)), started],
        [StageEnded(trial, found), *charges, Released(hold)],
    )


def study():
    """A control and a mix with one stage each, and a mix that pauses for ever."""
    cells = [
        CellScore("xnli", "sw", "accuracy", 40.0, 10),
        CellScore("xnli", "ur", "accuracy", 42.0, 10),
    ]
    facts = [StudyBegun("s", SPEC, "name: s", {}), Opened(DeviceTime(3_600_000))]
    for i, tasks in enumerate([(), ("mnli", "qqp"), ("qqp",)]):
        trial = f"t{i:04d}"
        recipe = Recipe(Mix.of(tasks, 1_000, 2.0), 13, "mini-xlmr")
        role = Role.SEARCH if tasks else Role.CONTROL
        facts.append(TrialProposed(trial, recipe, role, None, "tpe" if tasks else "control"))
        facts.append(TrialMoved(trial, TrialState.RUNNING, 0))
        for kind in ("intermediate", "evaluate"):
            began, ended = stage_of(
                trial, kind, f"{trial}/{kind}/1", scores=cells if kind == "evaluate" else ()
            )
            facts += [*began, *ended]
        over = TrialState.PAUSED if i == 2 else TrialState.DONE
        facts.append(TrialMoved(trial, over, 0, 41.0 + i, "rung done"))
    return [*facts, StageShared("t0002", "evaluate", 4_500), StudyEnded("cap reached")]


def lines(facts):
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return [Line(i + 1, start + timedelta(seconds=i), fact) for i, fact in enumerate(facts)]


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """An MLflow database with its tables: making them takes seconds."""
    path = tmp_path_factory.mktemp("mlflow") / "empty.db"
    MlflowTracker(f"sqlite:///{path}", path.parent, "none")
    return path


def copy_of(database, target):
    source, copy = sqlite3.connect(database), sqlite3.connect(target)
    source.backup(copy)
    source.close()
    copy.close()
    return f"sqlite:///{target}"


@pytest.fixture
def url(empty_database, tmp_path):
    return copy_of(empty_database, tmp_path / "mlflow.db")


@pytest.fixture(scope="session")
def undisturbed(empty_database, tmp_path_factory):
    """What a view shows that was never stopped."""
    folder = tmp_path_factory.mktemp("undisturbed")
    url = copy_of(empty_database, folder / "mlflow.db")
    tracker(url, folder).catch_up(lines(study()))
    return snapshot(url)


def tracker(url, tmp_path):
    return MlflowTracker(url, tmp_path, "s")


def runs(url):
    client = MlflowClient(tracking_uri=url)
    experiment = client.get_experiment_by_name("s").experiment_id
    return {run.data.tags["interlude.key"]: run for run in client.search_runs([experiment])}


def snapshot(url):
    """Everything that a viewer sees, each point of each curve included."""
    client = MlflowClient(tracking_uri=url)
    seen = []
    for key, run in sorted(runs(url).items()):
        points = [
            (m.key, m.value, m.step, m.timestamp)
            for name in sorted(run.data.metrics)
            for m in client.get_metric_history(run.info.run_id, name)
        ]
        hidden = ("mlflow.user", "mlflow.source", "mlflow.parentRunId")
        tags = {k: v for k, v in run.data.tags.items() if not k.startswith(hidden)}
        seen.append((key, run.info.status, sorted(points), run.data.params, tags))
    return seen


def show_one_by_one(view, journal):
    for line in journal:
        view.catch_up([line])


def n_runs(url):
    client = MlflowClient(tracking_uri=url)
    return len(client.search_runs([client.get_experiment_by_name("s").experiment_id]))


def test_a_study_is_a_parent_its_trials_children_and_its_stages_grandchildren(url, tmp_path):
    tracker(url, tmp_path).catch_up(lines(study()))
    found = runs(url)
    assert len(found) == n_runs(url) == 1 + 3 + 6
    parent, child, leaf = found["s"], found["s/t0001"], found["s/t0001/t0001/evaluate/1"]
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert leaf.data.tags["mlflow.parentRunId"] == child.info.run_id
    assert leaf.info.run_name == "evaluate xnli"
    assert child.data.params["tasks"] == "mnli+qqp"
    assert (child.data.params["k"], child.data.params["cap"]) == ("2", "1000")
    assert (child.data.params["temperature"], child.data.params["seed"]) == ("2.0", "13")
    assert parent.data.params["target.tasks"] == "xnli, panx"
    assert "budget.gpu_hours" not in parent.data.params


def test_scores_bills_and_hours_stand_at_the_seconds_spent(url, tmp_path):
    tracker(url, tmp_path).catch_up(lines(study()))
    found, client = runs(url), MlflowClient(tracking_uri=url)
    leaf, child, parent = found["s/t0001/t0001/evaluate/1"], found["s/t0001"], found["s"]
    assert leaf.data.metrics["score/xnli/sw"] == child.data.metrics["score/xnli/sw"] == 40.0
    assert (leaf.data.metrics["bill/train_s"], leaf.data.metrics["bill/idle_s"]) == (4.0, 0.5)
    assert parent.data.metrics["cpu_slot_hours"] == pytest.approx(6 * 4.5 / 3600)
    steps = [m.step for m in client.get_metric_history(parent.info.run_id, "cpu_slot_hours")]
    assert steps == [4, 9, 13, 18, 22, 27]
    assert [m.step for m in client.get_metric_history(child.info.run_id, "score")] == [18]
    best = [m.value for m in client.get_metric_history(parent.info.run_id, "best_score")]
    assert best == [41.0, 42.0, 43.0]
    assert parent.data.tags["reason"] == "cap reached"


def test_rates_stand_beside_those_that_were_planned(url, tmp_path):
    tracker(url, tmp_path).catch_up(lines(study()))
    stage = runs(url)["s/t0001/t0001/intermediate/1"].data.metrics
    assert (stage["planned_rate/mnli"], stage["rate/mnli"]) == (0.75, 0.74)
    assert (stage["planned_rate/qqp"], stage["rate/qqp"]) == (0.25, 0.26)


def test_no_run_is_left_running_when_the_study_has_ended(url, tmp_path):
    tracker(url, tmp_path).catch_up(lines(study()))
    assert {run.info.status for run in runs(url).values()} == {"FINISHED"}


def test_showing_the_same_journal_again_changes_nothing(url, tmp_path):
    tracker(url, tmp_path).catch_up(lines(study()))
    once = snapshot(url)
    tracker(url, tmp_path).catch_up(lines(study()))
    tracker(url, tmp_path).catch_up(lines(study()))
    assert snapshot(url) == once


@pytest.mark.parametrize("n", range(1, len(study()), 4))
def test_a_view_that_goes_on_after_any_fact_shows_the_same(url, tmp_path, n, undisturbed):
    first = tracker(url, tmp_path)
    first.catch_up(lines(study())[:n])
    tracker(url, tmp_path).catch_up(lines(study()))
    assert snapshot(url) == undisturbed
    assert n_runs(url) == 10


@pytest.mark.parametrize("n_calls", [3, 8, 15, 24, 40])
def test_a_view_killed_between_two_calls_leaves_no_duplicate_and_no_ghost(
    url, tmp_path, monkeypatch, n_calls, undisturbed
):
    tracker(url, tmp_path).catch_up([])
    left = [n_calls]

    def dying(call):
        def counted(self, *args, **kwargs):
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            return call(self, *args, **kwargs)

        return counted

    with monkeypatch.context() as patch:
        for name in ("create_run", "log_batch", "set_terminated", "update_run"):
            patch.setattr(MlflowClient, name, dying(getattr(MlflowClient, name)))
        killed = tracker(url, tmp_path)
        with pytest.raises(KeyboardInterrupt):
            show_one_by_one(killed, lines(study()))
    tracker(url, tmp_path).catch_up(lines(study()))
    assert snapshot(url) == undisturbed
    assert n_runs(url) == 10


def test_facts_without_times_are_shown_once_too(url, tmp_path):
    first = tracker(url, tmp_path)
    first.catch_up(study()[:9])
    for fact in study()[9:20]:
        first.catch_up([fact])
    tracker(url, tmp_path).catch_up(study())
    shown = snapshot(url)
    assert n_runs(url) == len(shown) == 10
    assert sum(len(points) for _, _, points, *_ in shown) == 77


def test_a_lease_that_is_open_goes_on_and_others_are_closed(url, tmp_path):
    facts = study()
    last = max(i for i, fact in enumerate(facts) if isinstance(fact, StageStarted))
    tracker(url, tmp_path).catch_up(lines(facts[: last + 1]))
    running = {key for key, run in runs(url).items() if run.info.status == "RUNNING"}
    assert running == {"s", "s/t0002", "s/t0002/t0002/evaluate/1"}
    tracker(url, tmp_path).close_orphans()
    assert {run.info.status for run in runs(url).values()} == {"FINISHED", "KILLED"}
    tracker(url, tmp_path).catch_up(lines(facts))
    assert {run.info.status for run in runs(url).values()} == {"FINISHED"}


def test_how_a_stage_ended_is_its_status(url, tmp_path):
    facts = study()[:4]
    for i, outcome in enumerate(Outcome):
        began, ended = stage_of("t0000", "intermediate", f"t0000/x{i}/1", outcome)
        facts += [*began, *ended]
    view = tracker(url, tmp_path)
    view.catch_up(lines(facts))
    found = runs(url)
    statuses = {o: found[f"s/t0000/t0000/x{i}/1"].info.status for i, o in enumerate(Outcome)}
    assert statuses == {
        Outcome.DONE: "FINISHED",
        Outcome.TRUNCATED: "FINISHED",
        Outcome.FAILED: "FAILED",
        Outcome.INFEASIBLE: "FAILED",
        Outcome.STOPPED: "KILLED",
        Outcome.LOST: "KILLED",
        Outcome.ORPHANED: "KILLED",
    }


def test_a_study_that_goes_on_after_its_end_is_running_again(url, tmp_path):
    facts = study()
    began, _ = stage_of("t0002", "intermediate", "t0002/more/1")
    more = [Opened(DeviceTime(3_600_000)), TrialMoved("t0002", TrialState.RUNNING, 1), *began]
    view = tracker(url, tmp_path)
    view.catch_up(lines(facts))
    view.catch_up(lines([*facts, *more])[len(facts) :])
    running = {key for key, run in runs(url).items() if run.info.status == "RUNNING"}
    assert running == {"s", "s/t0002", "s/t0002/t0002/more/1"}


def test_a_new_journal_under_an_old_name_gets_new_runs(url, tmp_path):
    tracker(url, tmp_path).catch_up(lines(study()))
    view = tracker(url, tmp_path)
    view.catch_up([])
    view.catch_up(lines(study()))
    assert n_runs(url) == 20
    tracker(url, tmp_path).catch_up(lines(study()))
    assert n_runs(url) == 20


def test_a_run_deleted_in_mlflow_stays_deleted_and_the_rest_goes_on(url, tmp_path):
    facts = study()
    tracker(url, tmp_path).catch_up(lines(facts[:8]))
    MlflowClient(tracking_uri=url).delete_run(runs(url)["s/t0000"].info.run_id)
    tracker(url, tmp_path).catch_up(lines(facts))
    assert "s/t0000" not in runs(url)
    assert runs(url)["s/t0001"].info.status == "FINISHED"


def test_what_loadgen_summed_up_is_a_file_of_the_stages_run(url, tmp_path):
    facts = study()
    at = next(i for i, fact in enumerate(facts) if isinstance(fact, StageEnded))
    texts = {"server": "Result is : VALID"}
    facts[at] = replace(facts[at], measurement=replace(facts[at].measurement, texts=texts))
    tracker(url, tmp_path).catch_up(lines(facts))
    stage = runs(url)["s/t0000/t0000/intermediate/1"]
    (file,) = MlflowClient(url).list_artifacts(stage.info.run_id, "loadgen")
    assert file.path == "loadgen/server.txt"
    folder = tmp_path / "mlflow" / stage.info.run_id / "artifacts"
    assert (folder / file.path).read_text() == texts["server"]


def test_the_report_lies_in_the_store(url, tmp_path):
    report = tmp_path / "report.html"
    report.write_text("<html></html>")
    view = MlflowView(url, tmp_path / "store", "s")
    view.catch_up(lines(study()))
    view.attach(report)
    view.close()
    assert view.failure is None
    [copy] = (tmp_path / "store").rglob("report.html")
    assert copy.read_text() == report.read_text()
    client = MlflowClient(tracking_uri=url)
    [artifact] = client.list_artifacts(runs(url)["s"].info.run_id)
    assert artifact.path == "report.html"


def test_closing_a_view_shows_what_waits_and_leaves_nothing_running(url, tmp_path):
    view = MlflowView(url, tmp_path, "s")
    view.catch_up([])
    for fact in study()[:12]:
        view.catch_up([fact])
    view.close()
    found = runs(url)
    assert found["s"].data.tags["interlude.facts"] == "12"
    assert "RUNNING" not in {run.info.status for run in found.values()}


def test_a_database_that_is_none_is_told_and_does_not_raise(tmp_path, caplog):
    (tmp_path / "bad.db").write_text("no database at all, " * 100)
    view = MlflowView(f"sqlite:///{tmp_path}/bad.db", tmp_path, "s")
    view.catch_up(lines(study()))
    view.close()
    assert "file is not a database" in view.failure
    assert "The study goes on" in caplog.text


def test_a_view_that_breaks_says_why_and_does_not_raise(url, tmp_path, monkeypatch, caplog):
    def broken(self, *args, **kwargs):
        raise MlflowException("the server is away")

    monkeypatch.setattr(MlflowClient, "log_batch", broken)
    view = MlflowView(url, tmp_path, "s")
    view.catch_up(lines(study()))
    view.close()
    assert "the server is away" in view.failure
    assert view.failure in caplog.text


def conclusion(**facts):
    return Conclusion("Why?", ("Because.", "By number of tasks one."), "# card", "name: r", facts)


def test_the_answer_is_the_note_of_the_study_and_is_replaced_by_a_later_one(url, tmp_path):
    shown = tracker(url, tmp_path)
    shown.catch_up(lines(study()))
    for found in (conclusion(k="1"), replace(conclusion(k="1"), sentences=("Not so.",))):
        shown.conclude(found)
    assert runs(url)["s"].data.tags["mlflow.note.content"] == "**Why?**\n\nNot so."


def test_what_is_recommended_is_registered_once_and_again_when_it_changes(url, tmp_path):
    client = MlflowClient(tracking_uri=url)
    for k in ("1", "1", "2"):  # a process each, as when a study is run again
        shown = tracker(url, tmp_path)
        shown.catch_up(lines(study()))
        shown.conclude(conclusion(k=k, tasks="mnli"))
    versions = sorted(client.search_model_versions("name = 's'"), key=lambda one: int(one.version))
    assert [one.tags for one in versions] == [{"k": k, "tasks": "mnli"} for k in ("1", "2")]
    assert client.get_model_version_by_alias("s", "recommended").version == versions[-1].version
    run_id = runs(url)["s"].info.run_id
    assert versions[0].description == "# card"
    folder = tmp_path / "mlflow" / run_id / "artifacts/recipe"
    assert (folder / "README.md").read_text() == "# card"
    assert (folder / "recipe.yaml").read_text() == "name: r"


def test_nothing_is_registered_where_nothing_is_recommended(url, tmp_path):
    shown = tracker(url, tmp_path)
    shown.catch_up(lines(study()))
    shown.conclude(replace(conclusion(), card=""))
    assert list(MlflowClient(tracking_uri=url).search_registered_models()) == []


def test_the_saved_view_puts_scores_and_hours_first(url, tmp_path):
    tracker(url, tmp_path).catch_up(lines(study()))
    experiment = MlflowClient(tracking_uri=url).get_experiment_by_name("s")
    state = json.loads(json.loads(experiment.tags["mlflow.sharedViewState.interlude"])["state"])
    assert state["selectedColumns"][:2] == ["metrics.`score`", "metrics.`cpu_slot_hours`"]
    assert state["globalLineChartConfig"]["selectedXAxisMetricKey"] == "cpu_slot_hours"
