"""What the search showed: scores by number of tasks, the Pareto front, rungs that predict, gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

from experiments.load import Study
from experiments.ranks import kendall_tau
from experiments.stats import Interval
from experiments.trials import Standing, is_control
from scheduler.policies.trust import LEFT_OUT, RungTrust, rung_trust
from scheduler.trial import TrialState


@dataclass(frozen=True, slots=True)
class RungLink:
    """How well one rung's order of mixes foretells the next one's.

    Attributes:
        pairs: trial -> score at the lower and at the higher rung.
        tau: as found among these trials; None with fewer than five or without spread.
        trust: what the scheduler makes of it, as it would be among all trials of the lower rung.
    """

    pairs: dict[str, tuple[float, float]]
    tau: Interval | None
    trust: RungTrust

    @property
    def lower(self) -> int:
        """The rung that is to foretell; ``MERGED`` below the first."""
        return self.trust.lower

    @property
    def higher(self) -> int:
        """The next rung."""
        return self.trust.higher

    @property
    def left_out(self) -> str:
        """Why the study stopped asking the lower rung, in a word; empty where it did not."""
        return str(self.trust.verdict) if self.trust.verdict in LEFT_OUT else ""


@dataclass(frozen=True, slots=True)
class Untried:
    """What a reader might take for tried.

    Attributes:
        n_subsets: subsets of tasks that the spec allows.
        n_tried: of them, scored at some rung.
        rungs: tokens of the rungs that no trial was scored at.
        cut: trials that the cap ended.
        failed: trials that failed.
        no_data: task -> languages of the study it has no scored data in.
    """

    n_subsets: int
    n_tried: int
    rungs: tuple[int, ...]
    cut: tuple[str, ...]
    failed: tuple[str, ...]
    no_data: dict[str, tuple[str, ...]]


def mixes(found: Sequence[Standing]) -> list[Standing]:
    """Standings of trials with intermediate tasks."""
    return [one for one in found if not is_control(one.trial)]


def control_of(found: Sequence[Standing]) -> Standing | None:
    """The control's standing."""
    return next((one for one in found if is_control(one.trial)), None)


def best_by_count(found: Sequence[Standing], rung: int) -> dict[int, Standing]:
    """The best trial of each number of tasks k at one rung."""
    best: dict[int, Standing] = {}
    for one in mixes(found):
        k = one.trial.recipe.mix.count
        if one.rung == rung and (k not in best or one.score > best[k].score):
            best[k] = one
    return dict(sorted(best.items()))


def pareto_front(found: Sequence[Standing]) -> list[Standing]:
    """Standings that no other one beats on both score and own cost, cheapest first."""
    front: list[Standing] = []
    for one in sorted(found, key=lambda s: (s.alone, -s.score)):
        if not front or one.score > front[-1].score:
            front.append(one)
    return front


def rung_links(study: Study) -> list[RungLink]:
    """Every rung against the next, the merged one first, over the mixes scored at both."""
    searched = [t for t in study.state.searched if not is_control(t)]
    links = []
    for trust in rung_trust(study.state, study.spec):
        ends = (trust.lower, trust.higher)
        pairs = {
            t.name: (t.scores[trust.lower], t.scores[trust.higher])
            for t in searched
            if all(rung in t.scores for rung in ends)
        }
        scores = np.array(list(pairs.values()), dtype=np.float64).reshape(-1, 2)
        tau = kendall_tau(scores[:, 0], scores[:, 1], seed=study.spec.seed)
        links.append(RungLink(pairs, tau, trust))
    return links


def untried(study: Study, found: Sequence[Standing]) -> Untried:
    """Subsets, rungs, trials and cells that the study did not reach."""
    part = study.spec.intermediate
    lowest, highest = part.count
    n_subsets = sum(comb(len(part.tasks), k) for k in range(lowest, highest + 1))
    tried = {one.trial.recipe.mix.tasks for one in found}
    allowed = {tasks for tasks in tried if lowest <= len(tasks) <= highest}
    reached = {one.rung for one in mixes(found)}
    trials = study.state.trials.values()
    return Untried(
        n_subsets=n_subsets,
        n_tried=len(allowed),
        rungs=tuple(tokens for rung, tokens in enumerate(part.rungs) if rung not in reached),
        cut=tuple(t.name for t in trials if t.state is TrialState.UNAFFORDABLE),
        failed=tuple(t.name for t in trials if t.state is TrialState.FAILED),
        no_data=dict(study.spec.missing_cells),
    )
