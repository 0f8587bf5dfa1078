"""What a sampler is told of a trial that is over: its objectives at full fidelity, or nothing.

    score, then prices: device-hours of the way, and what was measured of inference, as the spec asks

Where arms are compared, a mix is told once in every arm, each time beside the control of the arm:

    score - control's score, price / control's price

so that arms of different level repeat one another instead of standing for different worth.
"""

from __future__ import annotations

from budgets.amount import DeviceTime
from scheduler.climb import Climb
from scheduler.spec import StudySpec
from scheduler.state import StudyState
from scheduler.trial import Role, Trial, TrialState


def objectives_of(
    trial: Trial, spec: StudySpec, state: StudyState, climb: Climb
) -> tuple[float, ...] | None:
    """The objectives of a trial; None below full fidelity, or beside a control without a score."""
    top = len(spec.intermediate.rungs) - 1
    if trial.state is not TrialState.DONE or not (top in trial.scores or trial.role is Role.CONTROL):
        return None
    score, *prices = _at_last_rung(trial, spec, climb)
    if spec.search.design == "search":
        return (score, *prices)
    control = state.control_of(trial.recipe.arm)
    if control is None or not control.trained_scores:
        return None
    usual, *usual_prices = _at_last_rung(control, spec, climb)
    ratios = (_ratio(price, base) for price, base in zip(prices, usual_prices, strict=True))
    return (score - usual, *ratios)


def _at_last_rung(trial: Trial, spec: StudySpec, climb: Climb) -> tuple[float, ...]:
    costs = climb.path_cost_ms(trial)
    last = max(costs)
    hours = (DeviceTime(costs[last]).hours,) if spec.objectives.gpu_hours else ()
    return (trial.scores[max(trial.scores)], *hours, *climb.figures(trial, last))


def _ratio(price: float, base: float) -> float:
    """1 where nothing was measured, as in a simulation."""
    return price / base if base else 1.0
