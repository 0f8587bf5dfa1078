"""Does a rung foretell the next one, well enough for its price?

    tau    Kendall's tau-b of the scores at rung r and at rung r + 1, over the mixes scored at both
           (Kendall 1945, doi:10.1093/biomet/33.3.239)
    z      = atanh(tau), variance 0.437 / (n - 4)
           (Fieller, Hartley & Pearson 1957, doi:10.1093/biomet/44.3-4.470)

Mixes reach rung r + 1 because they scored high at rung r, and among the like-scored any two orders
agree less. So tau and the ends of its interval are put as they would be among all mixes of rung r: as
the correlation rho = sin(pi tau / 2) of two normal scores, which selection on the first restricts
(Pearson 1903; "case 2" of Thorndike 1949), with u the ratio of standard deviations, all to selected:

    rho  ->  rho u / sqrt(1 + rho^2 (u^2 - 1))

Where a look costs the share c of the next rung and the best one in max(3, 1 / c) go on, looks find a
better mix for the same hours from a tau of about 0.1 + c / 2 on (docs/measurements.md, "What a look is
worth"). A rung is dropped once its tau is surely, by the upper end of a 90 % interval, below that, or
below 0.3 where that is more: what a dear look gives is a result too. Every rung below it foretells by
way of it alone and goes with it.
"""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from scheduler.stage_cost import stage_cost
from scheduler.trial import MERGED, Arm, Role, rung_word
from trainers.stage import EvaluateStage, Half, IntermediateStage, MergeStage, TargetStage

if TYPE_CHECKING:
    from scheduler.spec import StudySpec
    from scheduler.state import StudyState

LEAST_PAIRS = 8  # mixes scored at both rungs, before anything is said
_LEAST_WORTH, _PER_SHARE = 0.1, 0.5  # the line above
_MOST_WORTH = 0.3  # tau from which a rung is never dropped, however dear
_Z = 1.645  # normal quantile of a 90 % interval
_VARIANCE = 0.437
_FREEDOM = 4


class Verdict(StrEnum):
    """What is known of a rung."""

    TRUSTED = "trusted"  # it foretells the next one: its tau is surely above 0
    OPEN = "open"  # too few mixes are scored at both
    DROPPED = "dropped"  # it foretells too little for its price: new mixes begin above it
    PASSED_OVER = "passed over"  # it costs nearly what the next one does: new mixes begin above it


LEFT_OUT = (Verdict.DROPPED, Verdict.PASSED_OVER)


@dataclass(frozen=True, slots=True)
class RungTrust:
    """How well the order of mixes at one rung foretells that at the next.

    Attributes:
        lower: the rung.
        higher: the next one.
        n: mixes scored at both.
        tau: Kendall's tau-b as it would be among all mixes of the lower rung, -1 to 1; None where
            fewer than ``LEAST_PAIRS`` mixes are scored at both, or all alike at one.
        low: lower end of its 90 % interval.
        high: upper end.
        worth: tau from which the lower rung pays for itself.
        passed_over: whether new mixes begin above it for its price, whatever it foretells.
        times: what a mix was billed at the next rung, over what one was at this; None where that is
            not known.
    """

    lower: int
    higher: int
    n: int
    tau: float | None = None
    low: float = -1.0
    high: float = 1.0
    worth: float = _MOST_WORTH
    passed_over: bool = False
    times: float | None = None

    @property
    def verdict(self) -> Verdict:
        """Whether the lower rung is trusted."""
        if self.tau is not None and self.high < self.worth:
            return Verdict.DROPPED
        if self.passed_over:
            return Verdict.PASSED_OVER
        if self.tau is None:
            return Verdict.OPEN
        return Verdict.TRUSTED if self.low > 0 else Verdict.OPEN

    def __str__(self) -> str:
        lower = "the merged rung" if self.lower == MERGED else f"rung {rung_word(self.lower)}"
        if self.verdict is Verdict.PASSED_OVER:
            billed = f" ({self.times:.1f} times as much was billed a mix)" if self.times else ""
            return f"{lower} saves too little beside rung {self.higher}{billed}"
        if self.tau is None:
            return f"{lower} against rung {self.higher}: {self.n} mixes scored at both"
        foretells = {
            Verdict.TRUSTED: "foretells",
            Verdict.OPEN: "may foretell",
            Verdict.DROPPED: "does not foretell",
        }
        figures = f"τ {self.tau:.2f}, 90 % interval {self.low:.2f} to {self.high:.2f}, {self.n} mixes"
        return f"{lower} {foretells[self.verdict]} rung {self.higher} ({figures})"


def rung_trust(state: StudyState, spec: StudySpec, arm: Arm | None = None) -> tuple[RungTrust, ...]:
    """Every rung of a study against the next, from the lowest; under ``halving`` it decides.

    Args:
        state: of the study.
        spec: of the study.
        arm: by whose mixes, where arms are compared; None for all.
    """
    part = spec.intermediate
    return ladder_trust(state, part.rungs, spec.seed, has_merged=part.merged is not None, arm=arm)


def ladder_trust(
    state: StudyState,
    rungs: Sequence[int],
    seed: int,
    *,
    has_merged: bool,
    arm: Arm | None = None,
) -> tuple[RungTrust, ...]:
    """The same by what of the spec it depends on; the control has one rung and says nothing."""
    mixes = [t for t in state.searched if t.role is Role.SEARCH and t.recipe.mix.count]
    n_scored = Counter(rung for t in mixes for rung in t.scores)
    first = next((t.first_rung for t in reversed(mixes) if arm in (None, t.recipe.arm)), MERGED)
    scores = {
        rung: {t.name: t.scores[rung] for t in mixes if rung in t.scores and arm in (None, t.recipe.arm)}
        for rung in range(MERGED if has_merged else 0, len(rungs))
    }
    billed = _billed_ms(state, rungs, seed)
    price_ms = {rung: billed[rung] / n_scored[rung] if n_scored[rung] else 0.0 for rung in scores}
    found: list[RungTrust] = []
    for rung in reversed(list(scores)[:-1]):
        price, dearer = price_ms[rung], price_ms[rung + 1]
        trust = replace(
            trust_of(rung, scores[rung], scores[rung + 1]),
            worth=worth_of(price, dearer),
            times=dearer / price if price and dearer else None,
        )
        looked_at = rung >= 0 and bool(scores[rung])
        dropped = any(one.verdict is Verdict.DROPPED for one in (*found, trust))
        found.append(replace(trust, passed_over=looked_at and rung < first and not dropped))
    return tuple(reversed(found))


def _billed_ms(state: StudyState, rungs: Sequence[int], seed: int) -> Counter[int]:
    """Device time of the search's stages, loading left out, by the rung that they serve first."""
    billed: Counter[int] = Counter()
    rung_of: dict[str | None, int] = {}
    for name, record in state.stages.items():  # parents first
        match record.config:
            case IntermediateStage(seed=its, tokens=tokens) if its == seed and tokens in rungs:
                rung_of[name] = rungs.index(tokens)
            case TargetStage(parent=parent) if parent in rung_of:
                rung_of[name] = rung_of[parent]
            case EvaluateStage(parent=parent, half=Half.SEARCH) if parent in rung_of:
                rung_of[name] = rung_of[parent]
            case MergeStage(half=Half.SEARCH):
                rung_of[name] = MERGED
            case _:
                continue
        billed[rung_of[name]] += stage_cost(record, rate=1.0).own.ms
    return billed


def worth_of(price_ms: float, next_ms: float) -> float:
    """Tau from which a rung of this price is worth going through before the next."""
    if not next_ms:
        return _MOST_WORTH
    return min(_MOST_WORTH, _LEAST_WORTH + _PER_SHARE * price_ms / next_ms)


def trust_of(rung: int, here: Mapping[str, float], above: Mapping[str, float]) -> RungTrust:
    """Whether ``rung`` foretells the next one.

    Args:
        rung: the lower of the two.
        here: scores at it, by trial.
        above: scores at the next one.
    """
    foresight = Foresight(rung)
    for name, score in here.items():
        foresight.see(score)
        if name in above:
            foresight.pair(score, above[name])
    return foresight.trust


class Foresight:
    """What a rung says of the next, scores taken in one by one; their order changes nothing.

    One that is no number says nothing.
    """

    def __init__(self, rung: int) -> None:
        self._rung = rung
        self._all = _Moments()
        self._promoted = _Moments()
        self._pairs: list[tuple[float, float]] = []
        self._tau: tuple[int, float | None] = (0, None)  # of how many pairs, which takes O(n log n)

    def see(self, score: float) -> None:
        """Take in a score at the rung."""
        if math.isfinite(score):
            self._all.add(score)

    def pair(self, score: float, above: float) -> None:
        """Take in the score at the next rung of a mix whose score at this one was seen."""
        if math.isfinite(score) and math.isfinite(above):
            self._promoted.add(score)
            self._pairs.append((score, above))

    @property
    def trust(self) -> RungTrust:
        """Whether the rung foretells the next one."""
        rung, n = self._rung, len(self._pairs)
        if self._tau[0] != n and n >= LEAST_PAIRS:
            self._tau = n, kendall_tau(self._pairs)
        _, tau = self._tau
        if tau is None:
            return RungTrust(rung, rung + 1, n)
        unanimous = 1 - 1 / math.comb(n, 2)  # half a discordance short of 1, where z has no end
        z = math.atanh(max(-unanimous, min(unanimous, tau)))
        reach = _Z * math.sqrt(_VARIANCE / (n - _FREEDOM))
        u = max(1.0, self._all.spread / self._promoted.spread)
        low, middle, high = (_among_all(math.tanh(end), u) for end in (z - reach, z, z + reach))
        return RungTrust(rung, rung + 1, n, middle, low, high)


class _Moments:
    """Standard deviation of scores, from sums that are exact and so the same in any order."""

    def __init__(self) -> None:
        self._n = self._sum = self._squares = 0  # of scores in millionths of a point

    def add(self, score: float) -> None:
        whole = round(1e6 * score)
        self._n, self._sum, self._squares = self._n + 1, self._sum + whole, self._squares + whole**2

    @property
    def spread(self) -> float:
        """In points, and never 0: a millionth at least."""
        return max(1.0, math.sqrt(self._n * self._squares - self._sum**2) / self._n) / 1e6


def kendall_tau(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Kendall's tau-b, of two pairs or more; None where all are alike at one end.

        tau_b = (concordant - discordant) / sqrt((n_0 - ties_x) (n_0 - ties_y)),  n_0 = n (n - 1) / 2

    Source: Knight 1966, doi:10.1080/01621459.1966.10480879; inversions are counted by bisection.
    """
    n_0 = math.comb(len(pairs), 2)
    ties_x, ties_y = (_ties(Counter(one)) for one in zip(*pairs, strict=True))
    if n_0 in (ties_x, ties_y):
        return None
    discordant = 0
    seen: list[float] = []
    for _, y in sorted(pairs):
        discordant += len(seen) - bisect_right(seen, y)
        insort(seen, y)
    excess = n_0 - ties_x - ties_y + _ties(Counter(pairs)) - 2 * discordant
    return excess / math.sqrt((n_0 - ties_x) * (n_0 - ties_y))


def _ties(counts: Counter[float] | Counter[tuple[float, float]]) -> int:
    return sum(math.comb(n, 2) for n in counts.values())


def _among_all(tau: float, u: float) -> float:
    """Kendall's tau among all, where those that it was found among are ``u`` times less spread out."""
    rho = math.sin(math.pi * tau / 2)
    among_all = rho * u / math.sqrt(1 + rho**2 * (u**2 - 1))
    return 2 / math.pi * math.asin(max(-1.0, min(1.0, among_all)))
