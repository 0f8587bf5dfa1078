"""What the report says of whole, interim, vain and broken studies."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace

import pytest
import yaml
from synthetic_study import FACT_TYPES, SPEC_TEXT, SyntheticStudy, true_gain

from budgets.amount import DeviceTime
from budgets.bill import Bill, Purpose
from budgets.journal import MemoryJournal, SqlJournal
from budgets.ledger import Balance, Charged, Opened, replay
from experiments.allotment import allotments
from experiments.answer import answer_of
from experiments.arms import findings_of
from experiments.gains import gains_over_control
from experiments.load import open_study, study_of
from experiments.page import pictures
from experiments.report import report_json, report_text, write_report
from experiments.search import pareto_front, rung_links
from experiments.sharing import sharing, without_sharing
from experiments.trials import is_control, score_of, standings
from scheduler.errors import NoRunError
from scheduler.facts import (
    PriorRead,
    StageEnded,
    StageShared,
    StageStarted,
    StudyEnded,
    TrialMoved,
    TrialProposed,
)
from scheduler.mix import Mix
from scheduler.progress import plain_line
from scheduler.spec import StudySpec
from scheduler.trial import MERGED, Role, TrialState
from trainers.stage import Half
from trainers.tasks.catalog import Catalogue, installed


@pytest.fixture(scope="module")
def whole(whole_study):
    return report_json(whole_study)


def lines_of(folder):
    return list(SqlJournal(f"sqlite:///{folder / 'journal.db'}", FACT_TYPES).lines())


def memory_of(facts):
    journal = MemoryJournal(FACT_TYPES)
    journal.append(*facts)
    return journal


def test_the_answer_names_the_best_mix_with_an_interval_that_covers_its_true_gain(whole):
    answer = whole["answer"]
    assert answer["verdict"] == "gain"
    assert answer["best"] == "t0002"
    assert "hellaswag + squad_v1 + squad_v2 (k = 3, 16M tokens)" in answer["sentences"][0]
    assert "4 seeds each; examples the search never saw" in answer["sentences"][0]
    # Languages and tasks stretch the true gain by 0.7 to 1.3 and 0.3 to 1.8: about 1.1 on average.
    truth = 1.1 * true_gain(Mix(("hellaswag", "squad_v1", "squad_v2")), 2)
    assert answer["gain"]["low"] - 0.5 < truth < answer["gain"]["high"] + 0.5


def test_group_means_stand_beside_the_overall_score_and_the_one_without_retrieval(whole, whole_study):
    rows = {row["mean"]: row for row in whole["groups"]}
    assert {name: row["tasks"] for name, row in rows.items()} == {
        "score": ["udpos", "panx", "xnli", "xquad", "tatoeba"],
        "without retrieval": ["udpos", "panx", "xnli", "xquad"],
        "structured": ["udpos", "panx"],
        "pair": ["xnli"],
        "qa": ["xquad"],
        "retrieval": ["tatoeba"],
    }
    control, best = whole["answer"]["control"], whole["answer"]["best"]
    study = open_study(whole_study)
    of_task = {}
    for run in standings(study, Half.REPORT):
        if run.trial.finalist == control:
            for cell in run.cells.values():
                of_task.setdefault(cell.task, []).append(cell.value)
    udpos, panx = (sum(of_task[task]) / len(of_task[task]) for task in ("udpos", "panx"))
    told = rows["structured"]["scores"][control]
    assert told["mean"] == pytest.approx((udpos + panx) / 2)
    assert told["interval"]["low"] < told["interval"]["value"] < told["interval"]["high"]
    assert told["interval"]["value"] == pytest.approx(told["mean"])
    gains = {name: row["gains"][best]["value"] for name, row in rows.items()}
    groups = [gains[name] for name in ("structured", "pair", "qa", "retrieval")]
    assert gains["score"] == pytest.approx((2 * groups[0] + sum(groups[1:])) / 5)
    assert gains["without retrieval"] == pytest.approx((2 * groups[0] + sum(groups[1:3])) / 4)


def test_every_cell_has_an_interval_of_its_own(whole, whole_report):
    rows = whole["cells"]["rows"]
    scored = {(t, row["language"]) for row in rows for t in row["best"] if row["best"][t] is not None}
    for row in rows:
        for task, gain in row["gains"].items():
            assert (gain is None) is ((task, row["language"]) not in scored)
            if gain is not None:
                assert gain["low"] <= gain["value"] <= gain["high"]
                assert gain["value"] == pytest.approx(row["best"][task] - row["control"][task])
    page = whole_report.read_text()
    assert 'id="groups"' in page
    assert "corrected for that (Holm)" in page


def test_a_task_that_is_no_longer_known_counts_in_a_group_called_other(whole_study, monkeypatch):
    known = {name: task for name, task in installed().items() if name != "xquad"}
    monkeypatch.setattr(StudySpec, "catalogue", Catalogue(known.values()))
    rows = {row["mean"]: row["tasks"] for row in report_json(whole_study)["groups"]}
    assert rows["other"] == ["xquad"]
    assert "qa" not in rows


def test_a_study_without_effect_says_that_no_difference_was_shown(vain_study):
    summary = report_json(vain_study)
    first = summary["answer"]["sentences"][0]
    assert summary["answer"]["verdict"] in ("not shown", "control best")
    assert first.startswith(("No difference was shown", "No intermediate task scores best, but no"))
    assert summary["recipe"]["yaml"].startswith("# Without intermediate task")
    assert yaml.safe_load(summary["recipe"]["yaml"])["intermediate"]["count"] == [0, 0]


def test_when_control_is_best_the_answer_says_so(tmp_path):
    summary = report_json(SyntheticStudy(tmp_path, gain=0.0, shift=-3.0).write())
    assert summary["answer"]["verdict"] == "control best"
    assert summary["answer"]["sentences"][0].startswith("No intermediate task is best: the best mix,")


def test_an_interim_report_says_it_is_one_and_what_it_stands_on(interim_study):
    summary = report_json(interim_study)
    html = write_report(interim_study).read_text()
    assert summary["interim"]
    assert not summary["answer"]["final"]
    assert "no finals were run" in summary["answer"]["sentences"][0]
    assert '<div class="banner" id="interim">' in html
    assert summary["money"]["held_ms"] > 0


def test_a_study_on_cpu_slots_never_speaks_of_gpu_hours(interim_study):
    html = write_report(interim_study).read_text()
    before_spec = html[: html.index("The spec as written")]
    assert "CPU slot-hours" in before_spec
    assert "GPU-hour" not in before_spec


def test_money_is_the_ledgers_to_the_millisecond(whole, whole_study):
    balance = replay(line.fact for line in lines_of(whole_study) if isinstance(line.fact, (Opened,)))
    charged = sum(
        line.fact.amount.ms for line in lines_of(whole_study) if isinstance(line.fact, Charged)
    )
    money = whole["money"]
    assert money["cap_ms"] == balance.cap.ms
    assert money["spent_ms"] == charged == sum(money["by_purpose"].values())
    assert charged == sum(ms for of_work in money["by_stage"].values() for ms in of_work.values())
    assert charged == sum(trial["charged_ms"] for trial in whole["trials"])
    assert whole["errors"] == []


def test_a_bill_that_the_ledger_did_not_charge_is_an_error_in_the_report(whole_study, tmp_path):
    facts = [line.fact for line in lines_of(whole_study)]
    place = next(i for i, fact in enumerate(facts) if isinstance(fact, Charged))
    lost = facts.pop(place)
    study = study_of(memory_of(facts).lines(), tmp_path)
    assert len(study.mismatches) == 1
    assert lost.hold in study.mismatches[0]


def test_records_that_contradict_the_journal_are_an_error(whole_study, tmp_path):
    store = tmp_path / "store"
    shutil.copytree(whole_study.parent / "stages", store / "stages")
    facts = [line.fact for line in lines_of(whole_study)]
    study = study_of(memory_of(facts).lines(), store)
    finals = [s for s in standings(study, Half.REPORT) if s.trial.name == "f0000"]
    ours = [name for name, task in finals[0].stages.items() if task == "xnli"]
    theirs = [
        name
        for s in standings(study, Half.REPORT)
        if s.trial.name == "f0001"
        for name, task in s.stages.items()
        if task == "xnli"
    ]
    shutil.copy(store / "stages" / theirs[0] / "records.parquet", store / "stages" / ours[0])
    errors = answer_of(study).errors
    assert errors
    assert all(error.startswith("f0000 xnli/") for error in errors)


def test_without_records_the_answer_has_no_interval_and_says_so(whole_study, tmp_path):
    study = study_of(memory_of(line.fact for line in lines_of(whole_study)).lines(), tmp_path)
    answer = answer_of(study)
    assert answer.verdict == "not shown"
    assert answer.n_cells == 0
    assert all("has no records.parquet" in reason for reason in answer.left_out.values())
    gains = gains_over_control(study, answer)
    assert gains.svg == ""
    assert "records" in gains.instead


def test_a_study_that_has_just_begun_is_reported_in_words(whole_study, tmp_path):
    begun = [line.fact for line in lines_of(whole_study)][:2]
    journal = SqlJournal(tmp_path / "journal.db", FACT_TYPES, writer=True)
    journal.append(*begun)
    journal.close()
    html = write_report(tmp_path).read_text()
    assert "Nothing can be said yet" in html
    assert html.count("is not drawn") == 7
    assert "<svg" not in html
    assert "There is nothing to recommend yet" in html


def test_any_prefix_of_a_journal_can_be_reported(whole_study, tmp_path):
    facts = [line.fact for line in lines_of(whole_study)]
    for n in range(2, len(facts), len(facts) // 8):
        study = study_of(memory_of(facts[:n]).lines(), whole_study.parent)
        assert study.interim
        assert all(len(pictures(one)) == 6 for one in findings_of(study))


def test_a_grid_whose_finals_repeat_every_rung_is_judged_at_the_highest(whole_study):
    facts = [line.fact for line in lines_of(whole_study)]
    (best,) = (f for f in facts if isinstance(f, TrialProposed) and f.trial == "t0002")
    lower = replace(best, trial="f9999", role=Role.FINAL, finalist="t0002")
    first = study_of(memory_of(facts).lines(), whole_study.parent)
    shared = {
        StageShared("f9999", one.name, 0)
        for one in first.state.stages.values()
        for lease in one.leases
        if lease.started.trial.startswith("f") and getattr(one.config, "half", None) is Half.REPORT
        if lease.started.trial == "f0001"
    }
    doubled = study_of(memory_of([*facts, lower, *shared]).lines(), whole_study.parent)
    assert answer_of(doubled).best.by_seed == answer_of(first).best.by_seed


def test_a_folder_without_a_run_is_refused_by_name(tmp_path):
    with pytest.raises(NoRunError, match=r"no run in .*journal\.db does not exist"):
        report_json(tmp_path)


def test_the_recipe_is_a_spec_with_the_winning_mix_fixed(whole):
    recipe = StudySpec.model_validate(yaml.safe_load(whole["recipe"]["yaml"]))
    best = whole["contenders"][1]
    assert recipe.name == "synthetic-recipe"
    assert recipe.intermediate.tasks == tuple(best["tasks"])
    assert recipe.intermediate.count == (3, 3)
    assert recipe.intermediate.mixing.cap == (best["cap"], best["cap"])
    assert recipe.intermediate.mixing.temperature == (best["temperature"], best["temperature"])
    assert recipe.intermediate.rungs == (1_000_000, 4_000_000, 16_000_000)


def test_a_report_shows_the_rates_that_were_planned_and_drawn(whole, whole_report):
    trials = {trial["trial"]: trial for trial in whole["trials"]}
    assert trials["t0000"]["rates"] == []
    assert trials["t0001"]["rates"] == [{"task": "squad_v2", "planned": 1.0, "drawn": 1.0}]
    rates = trials["t0002"]["rates"]
    assert [rate["task"] for rate in rates] == ["hellaswag", "squad_v1", "squad_v2"]
    assert [rate["planned"] for rate in rates] == pytest.approx([1 / 3] * 3, abs=1e-6)
    assert sum(rate["drawn"] for rate in rates) == pytest.approx(1)
    assert all(0 < abs(rate["drawn"] - rate["planned"]) < 0.06 for rate in rates)
    page = whole_report.read_text() if hasattr(whole_report, "read_text") else whole_report
    assert f'<td class="n">{100 * rates[1]["drawn"]:.2f}</td>' in page


def test_a_lost_lease_is_listed_with_its_reason_and_its_time(whole):
    (lost,) = whole["without_result"]
    assert (lost["trial"], lost["work"], lost["outcome"]) == ("t0003", "intermediate", "lost")
    assert lost["error"] == "the worker did not come back"
    assert lost["charged_ms"] == whole["money"]["by_purpose"]["lost"] > 0


def test_a_raised_cap_is_the_cap_of_the_report(whole_study, tmp_path):
    facts = [line.fact for line in lines_of(whole_study)]
    begun, more = facts[0], {**facts[0].spec["budget"], "gpu_hours": 250.0}
    again = replace(begun, spec={**begun.spec, "budget": more})
    study = study_of(memory_of([*facts, again, Opened(DeviceTime.from_hours(50))]).lines(), tmp_path)
    assert study.spec.budget.gpu_hours == study.balance.cap.hours == 250
    assert study.interim


def test_what_was_not_tried_is_counted_and_explained(whole):
    gaps = whole["not_tried"]
    assert gaps["subsets_allowed"] == 2**8
    assert 1 < gaps["subsets_tried"] < 21
    assert gaps["failed"] == ["t0019"]
    assert len(gaps["cut_by_cap"]) == 1
    assert gaps["no_data"]["tatoeba"] == ["yo"]


def test_every_trial_is_in_the_table_with_its_state_and_reason(whole, whole_study):
    trials = {trial["trial"]: trial for trial in whole["trials"]}
    assert len(trials) == 36
    assert trials["t0019"]["state"] == "failed"
    assert "not finite" in trials["t0019"]["reason"]
    assert trials["f0001"]["finalist"] == "t0002"
    html = (whole_study / "report.html").read_text() if (whole_study / "report.html").exists() else ""
    assert all(name in (html or json.dumps(whole)) for name in trials)


def test_scores_are_those_the_scheduler_decided_on(whole_study):
    study = open_study(whole_study)
    for one in standings(study, Half.SEARCH):
        told = study.state.trials[one.trial.name].scores
        if one.rung in told:
            assert one.score == pytest.approx(told[one.rung])


def test_no_point_of_the_pareto_front_is_beaten(whole_study):
    found = standings(open_study(whole_study), Half.SEARCH)
    front = pareto_front(found)
    for one in front:
        assert not any(s.score >= one.score and s.alone < one.alone for s in found)
    assert max(found, key=lambda s: s.score) in front


def test_score_is_shown_against_a_cost_without_loading(whole_study):
    study = open_study(whole_study)
    (control,) = {s.alone.ms for s in standings(study, Half.SEARCH) if is_control(s.trial)}
    bills = [
        lease.measurement.cost.amounts
        for record in study.state.stages.values()
        for lease in record.leases
        if lease.started.trial == "t0000" and record.config.kind != "pretrain"
    ]
    assert control == sum(b[p].ms for b in bills for p in b if p not in (Purpose.LOAD, Purpose.IDLE))
    assert all(b[Purpose.LOAD] and b[Purpose.IDLE] for b in bills)


def test_rungs_are_linked_over_the_trials_scored_at_both(whole_study):
    study = open_study(whole_study)
    links = rung_links(study)
    assert [(link.lower, link.higher, len(link.pairs)) for link in links] == [(0, 1, 7), (1, 2, 3)]


def test_a_score_is_the_mean_over_tasks_of_the_mean_over_their_cells():
    assert score_of({("a", "x"): 10.0, ("a", "y"): 20.0, ("b", "x"): 45.0}) == 30.0


def test_the_page_stands_alone_and_has_every_figure(whole_report):
    html = whole_report.read_text()
    assert html.count("<svg") == 7
    assert "<script" not in html
    outside = re.findall(r'(?:src|href)="(?!#|data:)([^"]*)"', html)
    assert outside == []
    ids = re.findall(r'\bid="([^"]*)"', html)
    assert len(ids) == len(set(ids))
    for target in re.findall(r'href="#([^"]*)"', html):
        assert target in ids


def test_the_same_records_make_the_same_page(whole_report, whole_study):
    first = whole_report.read_bytes()
    assert write_report(whole_study).read_bytes() == first


def test_what_a_user_wrote_cannot_become_markup(whole_study, tmp_path):
    facts = [line.fact for line in lines_of(whole_study)][:2]
    begun = type(facts[0])(
        facts[0].name,
        {**facts[0].spec, "question": "<script>alert(1)</script>"},
        "<img src=x>",
        {"argv": ["</pre><script>"]},
    )
    journal = SqlJournal(tmp_path / "journal.db", FACT_TYPES, writer=True)
    journal.append(begun, facts[1], StudyEnded("<b>why</b>"))
    journal.close()
    html = write_report(tmp_path).read_text()
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;b&gt;why&lt;/b&gt;" in html


def test_the_page_says_from_what_prior_the_search_began(whole_study, tmp_path):
    facts = [line.fact for line in lines_of(whole_study)][:2]
    note = "prior published.yaml (somebody): 1 of 2 gains are of mixes of this study"
    journal = SqlJournal(tmp_path / "journal.db", FACT_TYPES, writer=True)
    journal.append(*facts, PriorRead("published.yaml", (), (note,)), StudyEnded("cap reached"))
    journal.close()
    assert note in write_report(tmp_path).read_text()


def test_the_json_beside_the_page_is_what_report_json_returns(whole_report, whole):
    assert json.loads(whole_report.with_name("report.json").read_text()) == json.loads(json.dumps(whole))


def test_the_fixtures_text_and_spec_agree(whole):
    assert yaml.safe_load(SPEC_TEXT)["target"] == {
        key: whole["spec"]["target"][key] if key != "tokens" else "2M"
        for key in ("benchmark", "tasks", "languages", "tokens")
    }


def test_measurements_of_the_fixture_are_complete(whole_study):
    ended = [line.fact for line in lines_of(whole_study) if isinstance(line.fact, StageEnded)]
    assert len(ended) > 200


def luckier(fact, state, by, seeds):
    """The fact as if every repetition with one of ``seeds`` had scored ``by`` points more."""
    if not isinstance(fact, StageEnded) or fact.trial not in {t.name for t in state.finals}:
        return fact
    if state.trials[fact.trial].recipe.seed not in seeds:
        return fact
    cells = tuple(replace(cell, value=cell.value + by) for cell in fact.measurement.scores)
    return replace(fact, measurement=replace(fact.measurement, scores=cells))


def test_a_finalist_that_ran_with_the_easy_seeds_alone_is_not_the_best(whole_study, tmp_path):
    facts = [line.fact for line in lines_of(whole_study)]
    study = study_of(memory_of(facts).lines(), tmp_path)
    first, second = (arm.trial.name for arm in answer_of(study).contenders[:2])
    late = {t.name for t in study.state.finals if t.finalist == second and t.recipe.seed > 14}
    kept = [fact for fact in facts if getattr(fact, "trial", None) not in late]
    eased = [luckier(fact, study.state, 5.0, (13, 14)) for fact in kept]
    answer = answer_of(study_of(memory_of(eased).lines(), tmp_path))
    arms = {arm.trial.name: arm for arm in answer.contenders}
    assert len(arms[second].by_seed) == 2
    assert arms[second].score > arms[first].score
    assert answer.best.trial.name == first
    assert arms[second].over(answer.control) < arms[first].over(answer.control)


def test_hours_with_and_without_sharing_stand_beside_each_other(whole, whole_study, whole_report):
    shares = [line.fact for line in lines_of(whole_study) if isinstance(line.fact, StageShared)]
    sharing = whole["sharing"]
    assert sharing["spent_ms"] == whole["money"]["spent_ms"]
    assert sharing["without_ms"] == sharing["spent_ms"] + sum(share.saved_ms for share in shares)
    assert sharing["factor"] == pytest.approx(sharing["without_ms"] / sharing["spent_ms"])
    assert sum(of["saved_ms"] for of in sharing["by_stage"]) == whole["money"]["saved_ms"] > 0
    assert sum(of["n_shared"] for of in sharing["by_stage"]) == len(shares)
    assert f"{sharing['factor']:.2f} times as much" in whole_report.read_text()


def test_a_stage_that_the_store_had_counts_at_what_it_was_expected_to_take(whole_study, tmp_path):
    facts = [line.fact for line in lines_of(whole_study)]
    plain = study_of(memory_of(facts).lines(), tmp_path)
    place = next(i for i, fact in enumerate(facts) if isinstance(fact, StageEnded))
    ended = facts[place]
    found = replace(ended.measurement, bill=Bill({Purpose.LOAD: DeviceTime(1)}))
    facts[place] = replace(ended, measurement=found)
    started = next(f for f in facts if isinstance(f, StageStarted) and f.hold == found.hold)
    study = study_of(memory_of(facts).lines(), tmp_path)
    assert sum(of.n_stored for of in sharing(plain)) == 0
    assert sum(of.n_stored for of in sharing(study)) == 1
    assert without_sharing(study).ms - without_sharing(plain).ms == started.expected_ms - 1


def test_the_seeds_of_the_finals_are_shown_with_why_there_were_no_more(whole, whole_study, tmp_path):
    assert [(one["n_seeds"], one["why"]) for one in whole["finals"]] == [
        (4, "has all 4 seeds of final.max_seeds")
    ] * 4
    leader = next(one for one in whole["finals"] if one["behind"] is None)
    assert leader["trial"] == whole["answer"]["best"]
    facts = [line.fact for line in lines_of(whole_study)]
    study = study_of(memory_of(facts).lines(), tmp_path)
    last = answer_of(study).contenders[-1].trial.name
    late = {t.name for t in study.state.finals if t.finalist == last and t.recipe.seed > 14}
    raced = study_of(
        memory_of([f for f in facts if getattr(f, "trial", None) not in late]).lines(), tmp_path
    )
    told = {one.trial: one for one in allotments(raced, answer_of(raced))}
    assert told[last].n_seeds == 2
    assert told[last].behind.high < 0
    assert told[last].why == f"surely below {leader['trial']} after 2 seeds"


def with_merged_looks(facts, score):
    """The facts as if every mix had been looked at merged first, and had scored ``score(name)``."""
    begun = facts[0]
    part = {**begun.spec["intermediate"], "merged": {"scale": 1.0}}
    yield replace(begun, spec={**begun.spec, "intermediate": part})
    for fact in facts[1:]:
        yield fact
        begins = isinstance(fact, TrialMoved) and fact.rung == 0 and fact.score is None
        if begins and fact.state is TrialState.RUNNING and fact.trial not in ("t0000", "t0019"):
            yield TrialMoved(fact.trial, TrialState.RUNNING, MERGED, score(fact.trial))


def test_a_rung_that_does_not_foretell_is_shown_as_dropped(whole_study, tmp_path):
    facts = [line.fact for line in lines_of(whole_study)]
    scores = {t.name: t.scores for t in study_of(memory_of(facts).lines(), tmp_path).state.searched}
    upside_down = with_merged_looks(facts, lambda name: 100 - scores[name][0])
    journal = SqlJournal(tmp_path / "journal.db", FACT_TYPES, writer=True)
    journal.append(*upside_down)
    journal.close()
    merged, *trained = report_json(tmp_path)["rungs"]
    assert (merged["lower"], merged["higher"], merged["verdict"]) == ("merged", "1M", "dropped")
    assert merged["n_trials"] == 18
    assert merged["tau_among_all"]["high"] < 0
    assert "the merged rung does not foretell rung 0" in merged["words"]
    assert [link["verdict"] for link in trained] == ["open", "open"]
    page = write_report(tmp_path).read_text()
    assert "<b>Dropped:</b> the merged rung does not foretell rung 0 (τ" in page


def test_a_rung_that_is_passed_over_for_its_price_is_named(whole_study, tmp_path):
    facts = [line.fact for line in lines_of(whole_study)]
    searched = study_of(memory_of(facts).lines(), tmp_path).state.searched
    latest = next(t.name for t in reversed(searched) if t.role is Role.SEARCH and t.recipe.mix.count)
    first = next(f for f in facts if isinstance(f, TrialMoved) and f.trial == latest)
    journal = SqlJournal(tmp_path / "journal.db", FACT_TYPES, writer=True)
    journal.append(*(replace(fact, rung=1) if fact is first else fact for fact in facts))
    state = study_of(journal.lines(), tmp_path).state
    journal.close()
    lowest, *higher = report_json(tmp_path)["rungs"]
    assert (lowest["lower"], lowest["verdict"]) == ("1M", "passed over")
    assert "passed over" not in [link["verdict"] for link in higher]
    assert lowest["words"].startswith("rung 0 saves too little beside rung 1 (")
    assert (
        f"<b>Passed over:</b> {lowest['words']}; new mixes begin at"
        in write_report(tmp_path).read_text()
    )
    assert f"Passed over: {lowest['words']}; new mixes begin at" in report_text(tmp_path, "md")
    assert f"{lowest['words']}; it is passed over, new mixes begin at rung 1" in plain_line(
        state, Balance()
    )


def test_tasks_that_help_are_worth_more_than_tasks_that_hurt(whole):
    score, *groups = whole["effects"]
    assert score["of"] == "score"
    assert {of["of"] for of in groups} == {"structured", "pair", "qa", "retrieval"}
    added = {task["task"]: task["added"] for task in score["tasks"]}
    assert min(added["squad_v2"]["value"], added["squad_v1"]["value"]) > 0 > added["qqp"]["value"]
    assert all(effect["low"] < effect["value"] < effect["high"] for effect in added.values())
