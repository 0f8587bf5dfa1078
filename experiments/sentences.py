"""What the report says in words: the answer in two sentences, and what limits it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from experiments.answer import SCORE, SIGNIFICANT, Answer, Contender, Verdict
from experiments.contrast_words import threats_of
from experiments.contrasts import Contrast
from experiments.load import Study
from experiments.search import best_by_count, control_of, mixes
from experiments.trials import Standing
from experiments.wording import mix_name, p_value, points, signed, span, tasks_of, tokens


def answer_sentences(study: Study, answer: Answer, found: Sequence[Standing]) -> tuple[str, str]:
    """The answer with its interval, then what the number of tasks had to do with it."""
    return _verdict_sentence(study, answer), _count_sentence(study, answer, found)


def _verdict_sentence(study: Study, answer: Answer) -> str:
    best, control = answer.best, answer.control
    if best is None or control is None:
        missing = "a mix" if control is not None else "the control"
        return f"Nothing can be said yet: {missing} has not been scored at any rung."
    mix, gain = best.trial.recipe.mix, best.gains.get(SCORE)
    what = (
        f"{mix_name(mix)} (k = {mix.count}, {tokens(study.spec.intermediate.rungs[best.rung])} tokens)"
    )
    change = gain.value if gain else best.over(control)
    if answer.verdict is Verdict.GAIN and not answer.final:
        return (
            f"Provisional: so far {what} scores {points(change)} points above no intermediate task "
            f"({_sureness(answer, best)})."
        )
    if answer.verdict is Verdict.GAIN:
        return (
            f"Training on {what} before the target task raises the score by "
            f"{points(change)} points over no intermediate task ({_sureness(answer, best)})."
        )
    if answer.verdict is Verdict.CONTROL_BEST:
        shown = gain is not None and gain.high < 0
        head = "is best" if shown else "scores best, but no difference was shown"
        return (
            f"No intermediate task {head}: the best mix, {what}, differs by {signed(change)} points "
            f"from going without ({_sureness(answer, best)})."
        )
    why = "there are no per-example records to judge it by"
    if gain is not None and gain.low <= 0:
        why = "the interval includes zero"
    elif gain is not None:
        why = f"after Holm's correction p {p_value(best.adjusted_p or 0)}, above {SIGNIFICANT}"
    return (
        f"No difference was shown: the best mix, {what}, differs by {signed(change)} points from no "
        f"intermediate task, but {why} ({_sureness(answer, best)})."
    )


def _sureness(answer: Answer, best: Contender) -> str:
    """Interval, seeds, and whose examples."""
    whose = (
        "examples the search never saw"
        if answer.final
        else "the search's own examples, which flatter the mixes chosen on them; no finals were run"
    )
    gain = best.gains.get(SCORE)
    if gain is None:
        return f"no interval; {whose}"
    seeds = f"{gain.n_seeds} seeds each" if gain.n_seeds > 1 else "one seed each, so seeds are not in it"
    return f"95 % interval {span(gain)}; {seeds}; {whose}"


def _count_sentence(study: Study, answer: Answer, found: Sequence[Standing]) -> str:
    rungs = sorted({one.rung for one in mixes(found)})
    if not rungs:
        return "No mix has been scored at any compute level yet."
    rung = max(rungs, key=lambda rung: (len(best_by_count(found, rung)) > 1, rung))
    best = best_by_count(found, rung)
    control = control_of(found)
    top = max(best, key=lambda k: best[k].score)
    scores = ", ".join(f"k = {k}: {points(best[k].score)}" for k in best)
    beside = f"; control: {points(control.score)}" if control else ""
    where = f"at {tokens(study.spec.intermediate.rungs[rung])} tokens, one seed each, search examples"
    if len(best) == 1:
        return f"By number of tasks only {tasks_of(top)} can be judged {where}: {scores}{beside}."
    most = max(best)
    more = (
        f"; with {tasks_of(most)} it was {points(best[top].score - best[most].score)} lower"
        if most > top
        else "; more tasks were not tried there"
        if most < study.spec.intermediate.count[1]
        else ""
    )
    if control and control.score >= best[top].score:
        return f"No number of tasks beat the control ({where}: best mix at {scores}{beside})."
    highest = max(mixes(found), key=lambda one: one.score)
    elsewhere = (
        f"; the highest of the search is k = {highest.trial.recipe.mix.count} at "
        f"{tokens(study.spec.intermediate.rungs[highest.rung])} tokens with {points(highest.score)}"
        if highest.trial.recipe.mix.count != top and highest.score > best[top].score
        else ""
    )
    return (
        f"By number of tasks the best mix had {tasks_of(top)}{more} ({where}: best mix at {scores}"
        f"{beside}){elsewhere}."
    )


def threats(study: Study, answer: Answer, contrasts: Sequence[Contrast]) -> Iterator[str]:
    """What could make the answer wrong, in brief."""
    if answer.final:
        yield (
            "Finalists were chosen on search examples with one seed. Report examples are new to them, "
            "but the first seed of each finalist is the run that was chosen, which favours it a little."
        )
    else:
        yield (
            "No finals: the mixes shown were chosen on the very examples that score them, with one "
            "seed. Their lead over the control is too large on average."
        )
    best = answer.best
    if best is not None and SCORE in best.gains:
        seeds = best.gains[SCORE].n_seeds
        if seeds == 1:
            yield "One seed per recipe: intervals cover the draw of examples, not the luck of training."
        else:
            yield (
                f"{seeds} seeds per recipe. Their spread is estimated from few runs, so deviations are "
                "stretched by Student's t (expanded percentile bootstrap)."
            )
    yield (
        "Languages and tasks are fixed: intervals speak of these cells, not of other languages or tasks."
    )
    yield (
        "Several mixes are compared with the control: the score's p-values are corrected for that "
        "(Holm). Intervals by group, language, task and cell are many and not corrected."
    )
    encoders = study.spec.model.names
    how_many = "One encoder" if len(encoders) == 1 else f"{len(encoders)} encoders"
    yield (
        f"{how_many} ({', '.join(encoders)}), "
        "one learning rate per stage, English target data; hyperparameters were not tuned per mix."
    )
    yield from threats_of(contrasts)
    if study.state.prior is not None:
        yield f"The search began from a prior. {'. '.join(study.state.prior.notes)}."
    if study.interim:
        yield "The study is still going on: everything here may change."
