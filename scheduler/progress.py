"""What a study looks like on a screen: status, ledger, and live progress.

Everything is drawn from the state and the balance alone. On a machine whose devices are CPU slots
the unit is called *CPU slot-hours*, nowhere *GPU-hours*.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from budgets.amount import DeviceTime
from budgets.bill import Purpose
from budgets.ledger import Balance
from scheduler.arms import arm_names
from scheduler.facts import StudyBegun
from scheduler.policies.trust import LEFT_OUT, ladder_trust
from scheduler.state import StudyState
from scheduler.trial import Arm, Role, Trial, TrialState, rung_word
from trainers.stage import EvaluateStage, InferStage, MergeStage, Stage, TargetStage

_UNITS = {"gpu": "GPU-hours", "cpu": "CPU slot-hours"}
_BAR = 40  # characters
_TRIALS_SHOWN = 12


def unit(kind: str) -> str:
    """What an hour of one device is called."""
    return _UNITS[kind]


def kind_of(begun: StudyBegun | None) -> str:
    """``gpu`` or ``cpu``, from the spec that a study was begun with."""
    match begun:
        case StudyBegun(spec={"budget": {"devices": {"kind": str(kind)}}}):
            return kind
        case _:
            return "gpu"


def hours(amount: DeviceTime) -> str:
    """Device-hours with as many digits as tell a second apart."""
    return f"{amount.hours:.4f}" if amount.hours < 10 else f"{amount.hours:,.2f}"


# -- status ---------------------------------------------------------------------------------------


def status_view(state: StudyState, balance: Balance) -> RenderableType:
    """Where a study stands: money, purposes, leases, trials."""
    kind = kind_of(state.begun)
    title = state.begun.name if state.begun else "not begun"
    money = table(title, ("", unit(kind)))
    for name, amount in (
        ("cap", balance.cap),
        ("spent", balance.spent),
        ("held", balance.held),
        ("free", balance.free),
        ("overdrawn", balance.overdrawn),
        ("saved by sharing stages", state.saved),
    ):
        money.add_row(name, hours(amount))
    for purpose in Purpose:
        if purpose in balance.by_purpose:
            money.add_row(f"  for {purpose}", hours(balance.by_purpose[purpose]))
    lines = [_burn_down(balance, kind), *(Text(f"running: {line}") for line in _running(state))]
    lines.append(Text(_trial_counts(state)))
    lines.append(Text(best_line(state)))
    lines += [Text(line) for line in _left_out(state)]
    if state.worn:
        lines.append(Text(f"worn workers: {len(state.worn)}, the last because {state.worn[-1]}"))
    if state.ended is not None:
        lines.append(Text(f"ended: {state.ended}"))
    return Group(money, *lines, _trial_table(state))


def _trial_table(state: StudyState) -> Table:
    names = _arms(state)
    has_arms = len(names) > 1
    columns = ("trial", *(("arm",) if has_arms else ()), "k", "tasks", "state", "rung", "score")
    shown = table("", columns)
    for trial in sorted(state.trials.values(), key=_standing, reverse=True)[:_TRIALS_SHOWN]:
        score = f"{trial.best_score:.2f}" if trial.trained_scores else ""
        mix, rung = trial.recipe.mix, rung_word(trial.rung)
        arm = (names.get(trial.recipe.arm, ""),) if has_arms else ()
        shown.add_row(trial.name, *arm, str(mix.count), str(mix), trial.state, rung, score)
    left = len(state.trials) - _TRIALS_SHOWN
    if left > 0:
        shown.caption = f"and {left} more"
    return shown


def _left_out(state: StudyState) -> list[str]:
    """The rungs that new mixes do not go through: they foretell too little, or save too little."""
    match state.begun:
        case StudyBegun(
            spec={
                "search": {"policy": "halving"},
                "seed": int(seed),
                "intermediate": {"rungs": [*rungs], **others},
            }
        ):
            has_merged = others.get("merged") is not None
            return [
                f"{name}{one}; it is {one.verdict}, new mixes begin at rung {one.higher}"
                for arm, name in _compared(state)
                for one in ladder_trust(state, rungs, seed, has_merged=has_merged, arm=arm)
                if one.verdict in LEFT_OUT
            ]
        case _:
            return []


def best_line(state: StudyState) -> str:
    """The best score so far beside the control's, and its arm; where arms are compared, that of each."""
    lines = "; ".join(f"{name}{_best_of(state, arm)}" for arm, name in _compared(state))
    best = state.best()
    name = _arms(state).get(best.recipe.arm, "") if best and not _compares(state) else ""
    return f"{lines}, arm {name}" if name else lines


def _compares(state: StudyState) -> bool:
    """Whether the study compares its arms."""
    match state.begun:
        case StudyBegun(spec={"search": {"design": "factorial"}}):
            return bool(state.controls)
        case _:
            return False


def _compared(state: StudyState) -> list[tuple[Arm | None, str]]:
    """Arms that are told apart, each with its name and a colon; else all of them as one, unnamed."""
    if not _compares(state):
        return [(None, "")]
    names = _arms(state).items()
    return [(arm, f"{name}: " if name else "") for arm, name in names]


def _arms(state: StudyState) -> Mapping[Arm, str]:
    """The arms whose control has begun, each by what tells it from the others."""
    return arm_names([control.recipe.arm for control in state.controls])


def _best_of(state: StudyState, arm: Arm | None) -> str:
    best = state.best(arm)
    control = state.control_of(best.recipe.arm) if best else None
    if best is None or control is None:
        return "no trial has been scored yet"
    if best.role is Role.CONTROL:
        return f"best so far {best.best_score:.2f}: the control, no intermediate task"
    words = f"best so far {best.best_score:.2f}: {best.recipe.mix} ({best.name})"
    if not control.scores:
        return f"{words}; the control has no score yet"
    gain = best.best_score - control.best_score
    return f"{words}; control {control.best_score:.2f}, difference {gain:+.2f}"


def _standing(trial: Trial) -> float:
    """The best score at any rung, below every score for a trial that has none."""
    return trial.best_score if trial.trained_scores else float("-inf")


def _trial_counts(state: StudyState) -> str:
    counts = Counter(trial.state for trial in state.trials.values())
    return "trials: " + (", ".join(f"{counts[s]} {s}" for s in TrialState if counts[s]) or "none")


def _running(state: StudyState) -> list[str]:
    return [f"{lease.trial} {stage_words(lease.config)}" for lease in state.leases.values()]


def stage_words(stage: Stage) -> str:
    """A stage in a few words: what, and on which task or how many tokens."""
    if isinstance(stage, InferStage) and stage.folded:
        return f"{stage.kind} {stage.task}, adapter folded"
    if isinstance(stage, TargetStage | EvaluateStage | MergeStage | InferStage):
        return f"{stage.kind} {stage.task}"
    return f"{stage.kind} {stage.tokens:,} tokens"


def _burn_down(balance: Balance, kind: str) -> Text:
    """A bar of the cap: spent, held, free."""
    whole = max(balance.cap.ms, balance.spent.ms + balance.held.ms, 1)
    n_spent = min(_BAR, round(_BAR * balance.spent.ms / whole))
    n_held = min(_BAR - n_spent, round(_BAR * balance.held.ms / whole))
    bar = Text("█" * n_spent, style="red")
    bar.append("▒" * n_held, style="yellow")
    bar.append("·" * (_BAR - n_spent - n_held), style="green")
    return bar.append(f"  {money_line(balance, kind)}", style="default")


def money_line(balance: Balance, kind: str) -> str:
    """Spent, held and free of the cap in words."""
    return (
        f"{hours(balance.spent)} spent, {hours(balance.held)} held, {hours(balance.free)} free "
        f"of {hours(balance.cap)} {unit(kind)}"
    )


# -- live -----------------------------------------------------------------------------------------


class Progress:
    """Live progress of a run: a picture on a terminal, single lines elsewhere.

    Call it with state and balance after every move.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=4) if console.is_terminal else None
        self._said: tuple[object, ...] = ()

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, state: StudyState, balance: Balance) -> None:
        """Show how the study stands now."""
        if self._live is not None:
            self._live.update(live_view(state, balance))
            return
        done = sum(record.done for record in state.stages.values())
        news = (done, _trial_counts(state), best_line(state), state.ended)
        if news != self._said:  # a lease that opens is no line of its own
            self._said = news
            line = plain_line(state, balance)
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def live_view(state: StudyState, balance: Balance) -> RenderableType:
    """Budget burn-down, what is running, trials by state, best score so far."""
    lines = [Text(f"running  {line}") for line in _running(state)]
    done = sum(record.done for record in state.stages.values())
    return Group(
        _burn_down(balance, kind_of(state.begun)),
        *lines,
        Text(f"stages: {done} done, {len(state.leases)} running; {_trial_counts(state)}"),
        Text(best_line(state), style="bold"),
        *(Text(line) for line in _left_out(state)),
        *([Text(f"ended: {state.ended}")] if state.ended else []),
    )


def plain_line(state: StudyState, balance: Balance) -> str:
    """The same in one line."""
    done = sum(record.done for record in state.stages.values())
    line = (
        f"{money_line(balance, kind_of(state.begun))} | {done} stages done | {_trial_counts(state)} | "
        f"{best_line(state)}"
    )
    line = " | ".join((line, *_left_out(state)))
    return f"{line} | ended: {state.ended}" if state.ended else line


def table(title: str, columns: tuple[str, ...]) -> Table:
    """An empty table without lines."""
    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i == 0 or len(columns) > 3 else "right")
    return table
