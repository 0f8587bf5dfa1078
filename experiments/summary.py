"""The report as plain JSON. The page is made from this and the figures, so the two cannot differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from experiments.answer import Answer
from experiments.arm_json import arm_json
from experiments.arms import ArmFindings, label, leading
from experiments.card import registered
from experiments.contrast_words import contrast_json, headline, registration_json
from experiments.contrasts import Contrast
from experiments.evidence import Json, sharing_json
from experiments.inference import figures_json, figures_of
from experiments.load import Study, work_of
from experiments.rates import rates_of
from experiments.recipe import recipe_yaml, why
from experiments.search import untried
from experiments.sentences import threats
from experiments.spending import by_work
from experiments.trials import Standing, TrialRow, standings, trial_rows
from scheduler.trial import MERGED
from trainers.order import Outcome
from trainers.stage import Half


def summarise(study: Study, findings: Sequence[ArmFindings], contrasts: Sequence[Contrast]) -> Json:
    """All that the report says; of a study with several arms, each arm's part is in ``by_arm``.

    Args:
        study: its records.
        findings: what each arm found.
        contrasts: what was compared between and within arms.
    """
    lead = leading(findings)
    by_arm = [arm_json(one, leads=one is lead) for one in findings]
    leader = by_arm[findings.index(lead)]
    found = standings(study, Half.SEARCH)
    rows = trial_rows(study, (*found, *standings(study, Half.REPORT)))
    return {
        "study": study.spec.name,
        "question": study.spec.question,
        "model": ", ".join(study.spec.model.names),
        "interim": study.interim,
        "began": study.began.isoformat(timespec="seconds"),
        "as_of": study.as_of.isoformat(timespec="seconds"),
        "unit": study.unit,
        **leader,
        "headline": list(headline(study, findings, contrasts)),
        "by_arm": by_arm if len(by_arm) > 1 else [],
        "registration": registration_json(study),
        "contrasts": [contrast_json(one, study.spec.arms) for one in contrasts],
        "inference": figures_json(figures_of(study, findings), study.spec.arms),
        "finals_rule": study.spec.final.seeds,
        "money": _money(study),
        "sharing": sharing_json(study),
        "trials_by_state": dict(Counter(str(t.state) for t in study.state.trials.values())),
        "mixing_rule": study.spec.intermediate.mixing.rule,
        "trials": [_trial(study, row) for row in rows],
        "recipe": {
            "why": why(lead.answer),
            "yaml": recipe_yaml(study, lead.answer),
            **registered(findings),
        },
        "not_tried": _untried(study, lead.answer, found),
        "without_result": _without_result(study),
        "threats": list(threats(study, lead.answer, contrasts)),
        "errors": [*study.mismatches, *_contradictions(findings)],
        "environment": dict(study.begun.environment),
        "mlflow": study.spec.tracking.mlflow,
        "spec": dict(study.begun.spec),
        "spec_text": study.begun.spec_text,
    }


def _contradictions(findings: Sequence[ArmFindings]) -> list[str]:
    """Records that contradict the journal, each once."""
    return list(dict.fromkeys(error for one in findings for error in one.answer.errors))


def _money(study: Study) -> Json:
    balance = study.balance
    return {
        "cap_ms": balance.cap.ms,
        "spent_ms": balance.spent.ms,
        "held_ms": balance.held.ms,
        "free_ms": balance.free.ms,
        "overdrawn_ms": balance.overdrawn.ms,
        "used_percent": 100 * balance.spent.ms / balance.cap.ms if balance.cap else 0.0,
        "saved_ms": study.state.saved.ms,
        "reason": study.state.ended,
        "by_purpose": {str(purpose): amount.ms for purpose, amount in balance.by_purpose.items()},
        "by_stage": {
            work: {str(purpose): amount.ms for purpose, amount in of_work.items()}
            for work, of_work in by_work(study).items()
        },
    }


def _trial(study: Study, row: TrialRow) -> Json:
    trial, mix = row.trial, row.trial.recipe.mix
    return {
        "trial": trial.name,
        "arm": label(trial.recipe.arm, study.spec.arms),
        "role": str(trial.role),
        "finalist": trial.finalist,
        "origin": row.origin,
        "k": mix.count,
        "tasks": list(mix.tasks),
        "cap": mix.cap,
        "temperature": mix.temperature,
        "text": mix.text,
        "rates": [
            {"task": rate.task, "planned": rate.planned, "drawn": rate.drawn}
            for rate in rates_of(study, trial.name)
        ],
        "seed": trial.recipe.seed,
        "rung": row.rung,
        "tokens": study.spec.intermediate.rungs[row.rung] if row.rung is not None and mix.count else 0,
        "score": row.score,
        "merged_score": trial.scores.get(MERGED),
        "charged_ms": row.charged.ms,
        "alone_ms": row.alone.ms if row.alone else None,
        "state": str(trial.state),
        "reason": row.reason,
    }


def _without_result(study: Study) -> list[Json]:
    """Leases that came back without the stage's result, and why."""
    return [
        {
            "hold": measurement.hold,
            "trial": started.trial,
            "work": work_of(started.config),
            "outcome": str(measurement.outcome),
            "charged_ms": measurement.cost.total.ms,
            "error": measurement.error,
        }
        for started, measurement in study.state.measurements()
        if measurement.outcome is not Outcome.DONE
    ]


def _untried(study: Study, answer: Answer, found: Sequence[Standing]) -> Json:
    gaps = untried(study, found)
    return {
        "subsets_allowed": gaps.n_subsets,
        "subsets_tried": gaps.n_tried,
        "rungs_not_reached": list(gaps.rungs),
        "cut_by_cap": list(gaps.cut),
        "failed": list(gaps.failed),
        "skipped": list(study.spec.target.skip),
        "no_data": {task: list(languages) for task, languages in gaps.no_data.items()},
        "left_out_of_intervals": {
            f"{t}/{lang}": reason for (t, lang), reason in answer.left_out.items()
        },
    }
