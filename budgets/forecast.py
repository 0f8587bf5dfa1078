"""The device time a stage will take, learned from past bills, with an upper bound to hold.

One forecast serves one kind of device. A *key* names work that costs alike, from the general to the
particular (``target/pair/xnli/xlmr-base``); its *units* say how much of it there is (tokens, examples);
its *prior* is what the planner guesses, in milliseconds, before anything was measured. A bill has two
parts: ``load``, which depends on what was warm, and ``work``, all the rest.

    r_i      = work_i / prior_i                                what one bill says about the guess
    shared   = median over the nearest keys of (median r of the key)      1 while nothing was learned
    ratio    = exp((n log(median own r) + m log(shared)) / (n + m)),   m = 1/2, 0 once n >= 4
    done     = ratio * prior                                   few bills, or all of one size
    done     = fixed + rate * units                            n >= 4 and largest >= 2 smallest size
    expected = done + median load of the key, or of the nearest + once

The nearest keys share the longest beginning with the one that is asked for: of a task that was never
trained those of its family speak, of a new model those of the others, each against its own prior. The
line is a Theil-Sen fit to the last 64 bills, ``rate`` the median slope over pairs and ``fixed`` the
median remainder, neither below zero: one bill in four may be wild without moving it far.

    e_i      = work_i / done_i                                 the last 256 bills of a key
    q(S)     = the ceil(0.995 (|S| + 1))-th smallest of S, the largest if |S| < 199
    few      = 2.5 ** min(1, 2 - 2 N / 99)             N: errors of all keys; 1 once N >= 99
    factor   = max(few, 1.25, 2.5 ** (1 / (n + 1)) * max(q(errors of the key), q(errors of all keys)))
    upper    = max(factor * done + max(q(loads of the key), 1.25 * load) + 2.5 once, expected + 1.5 s)

``once`` is the planner's guess at what nobody has done yet of what is done once and then kept.

The quantile is the split-conformal one: if the next bill is exchangeable with the past ones, work and
load each stay under theirs in 995 cases of 1000 once there are 199, and their sum under the bound in
99 of 100. Below that the largest error serves, which holds in N cases of N + 1, and ``few`` is a floor:
a stage in twenty that takes three times as long shows itself in 50 bills with 92 % chance, in 99 with
99.4 %. ``2.5 ** (1 / (n + 1))`` is the price of having seen few bills of the key, 2.5 with none. All
keys lend their errors, because what disturbs one stage of a machine disturbs the others; a key whose
own are larger keeps its own, and one of fewer than four bills lends none: its fit follows them too
closely. What this covers, and how wide it is: docs/measurements.md, "forecast".

Source: Sen 1968, doi:10.1080/01621459.1968.10480934 (the fit); Lei et al. 2018, arXiv:1604.04173
(the quantile). The floors 1.25 and 1.5 s cover a checkpoint's save and a cold file cache.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from statistics import median

from budgets.amount import ZERO, DeviceTime

_FITTED = 64
_REMEMBERED = 256
_PRIOR_WEIGHT = 0.5
_FACTOR_FLOOR = 1.25
_FACTOR_UNSEEN = 2.5
_MARGIN = DeviceTime(1500)
_COVERAGE = 0.995
_MANY = 99
_FIT_NEEDS = 4
_LINE_SPREAD = 2


@dataclass(frozen=True, slots=True)
class Work:
    """A piece of work whose cost is wanted or known.

    Attributes:
        key: names work that costs alike, from the general to the particular, parted by ``/``.
        n_units: how much of it: tokens, examples; at least 0.
        prior_ms: the planner's guess in device-milliseconds, at least 1.
        once: what has to be there before it begins and then stays for all other work that names it: a
            name, and a guess at the milliseconds that it takes. It is billed as load.
    """

    key: str
    n_units: int
    prior_ms: int
    once: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        if self.n_units < 0 or self.prior_ms < 1:
            raise ValueError(
                f"work {self.key!r} needs n_units >= 0 and prior_ms >= 1, "
                f"got {self.n_units} units and {self.prior_ms} ms"
            )


@dataclass(frozen=True, slots=True)
class Estimate:
    """What work will take.

    Attributes:
        expected: device time.
        upper: a bound to hold for it.
        load: the part of ``expected`` that is loading.
        once: the part of ``load`` that no later work has to do again.
    """

    expected: DeviceTime
    upper: DeviceTime
    load: DeviceTime
    once: DeviceTime


@dataclass(frozen=True, slots=True)
class _Seen:
    n_units: int
    prior_ms: int
    work_ms: int
    load_ms: int


@dataclass(frozen=True, slots=True)
class _Fit:
    """How one key's bills are read.

    Attributes:
        ratio: work over prior.
        line: ``(fixed, rate)`` in ms and ms per unit, or None while the ratio serves.
        n_bills: of the key.
        load_ms: expected.
        most_load_ms: the quantile of loads.
        errors: work over what the fit says, sorted.
    """

    ratio: float
    line: tuple[float, float] | None = None
    n_bills: int = 0
    load_ms: float = 0.0
    most_load_ms: float = 0.0
    errors: tuple[float, ...] = ()

    def done_ms(self, n_units: int, prior_ms: int) -> float:
        """Expected device time without loading, at least one millisecond."""
        if self.line is None:
            return max(1.0, self.ratio * prior_ms)
        fixed, rate = self.line
        return max(1.0, fixed + rate * n_units)


class Forecast:
    """Device time of work to come, from the bills of work done on the same kind of device."""

    def __init__(self) -> None:
        self._seen: dict[str, list[_Seen]] = {}
        self._ratios: dict[str, float] = {}
        self._fits: dict[str, _Fit] = {}  # of keys with enough bills: they change with their own alone
        self._stale: set[str] = set()
        self._n_errors = 0
        self._worst = 0.0  # the quantile of all errors
        self._had: set[str] = set()  # names of what is done once
        self._estimates: dict[Work, Estimate] = {}  # since the last lesson

    def learn(self, work: Work, actual: DeviceTime, load: DeviceTime = ZERO) -> None:
        """Take note of what finished work took; not for work that was cut short or failed.

        Args:
            work: what it was.
            actual: all that it took.
            load: the part of it that was loading.
        """
        seen = self._seen.setdefault(work.key, [])
        work_ms = max(1, actual.ms - load.ms)
        once = self.once([work])
        # Where loading was far shorter, others had done it before.
        own_load = load.less(once) if 2 * load.ms >= once.ms else load
        seen.append(_Seen(work.n_units, work.prior_ms, work_ms, own_load.ms))
        del seen[:-_REMEMBERED]
        self._stale.add(work.key)
        self.have(work)

    def have(self, work: Work) -> None:
        """Take note that what ``work`` needs once is there."""
        self._had.update(name for name, _ in work.once)
        self._estimates.clear()

    def once(self, works: Iterable[Work]) -> DeviceTime:
        """What all of ``works`` still need once, each of it counted once."""
        missing = {name: ms for work in works for name, ms in work.once if name not in self._had}
        return DeviceTime(sum(missing.values()))

    def estimate(self, work: Work) -> Estimate:
        """What the work will take, and the bound to hold for it; never zero."""
        if work not in self._estimates:
            self._estimates[work] = self._estimated(work)
        return self._estimates[work]

    def _estimated(self, work: Work) -> Estimate:
        self._refresh()
        fit = self._fits.get(work.key) or self._first_fit(work.key)
        done_ms = fit.done_ms(work.n_units, work.prior_ms)
        once = self.once([work])
        expected = DeviceTime(math.ceil(done_ms + fit.load_ms)) + once
        most_load_ms = max(fit.most_load_ms, _FACTOR_FLOOR * fit.load_ms) + _FACTOR_UNSEEN * once.ms
        upper = DeviceTime(math.ceil(self._factor(fit) * done_ms + most_load_ms))
        bound = max(upper, expected.scaled(_FACTOR_FLOOR), expected + _MARGIN)
        return Estimate(expected, bound, DeviceTime(round(fit.load_ms)) + once, once)

    def _refresh(self) -> None:
        """Read again the bills of every key that has learned since."""
        if not self._stale:
            return
        for key in self._stale:
            seen = self._seen[key]
            self._ratios[key] = median(one.work_ms / one.prior_ms for one in seen[-_FITTED:])
            if len(seen) >= _FIT_NEEDS:
                self._fits[key] = _fitted(seen, self._ratios[key])
        self._stale.clear()
        self._n_errors = sum(len(fit.errors) for fit in self._fits.values())
        self._worst = _quantile_of_all([fit.errors for fit in self._fits.values()], self._n_errors)

    def _first_fit(self, key: str) -> _Fit:
        """The fit of a key that has no bills, or few: near keys speak, too."""
        near, seen = self._nearest(key), self._seen.get(key)
        shared = median(self._ratios[other] for other in near) if near else 1.0
        if not seen:
            loads = [median(one.load_ms for one in self._seen[other][-_FITTED:]) for other in near]
            return _Fit(shared, load_ms=median(loads) if loads else 0.0)
        n, m = len(seen), _PRIOR_WEIGHT if near else 0.0
        ratio = math.exp((n * math.log(self._ratios[key]) + m * math.log(shared)) / (n + m))
        return _fitted(seen, ratio)

    def _nearest(self, key: str) -> list[str]:
        """Of the keys with bills, those that begin as ``key`` does for longest, itself left out."""
        parts = key.split("/")
        near: dict[int, list[str]] = {}
        for other in self._seen:
            if other != key:
                near.setdefault(_common(parts, other.split("/")), []).append(other)
        return near[max(near)] if near else []

    def _factor(self, fit: _Fit) -> float:
        worst = max(_quantile(fit.errors), self._worst)
        few: float = _FACTOR_UNSEEN ** min(1.0, max(0.0, 2 - 2 * self._n_errors / _MANY))
        price: float = _FACTOR_UNSEEN ** (1 / (fit.n_bills + 1))
        return max(few, _FACTOR_FLOOR, worst * price)


def _common(parts: Sequence[str], others: Sequence[str]) -> int:
    """How many parts two keys share from the beginning."""
    alike = (a == b for a, b in zip(parts, others, strict=False))
    return next((n for n, same in enumerate(alike) if not same), min(len(parts), len(others)))


def _fitted(seen: Sequence[_Seen], ratio: float) -> _Fit:
    latest = seen[-_FITTED:]
    fit = _Fit(ratio, _line(latest))
    errors = sorted([one.work_ms / fit.done_ms(one.n_units, one.prior_ms) for one in seen])
    loads = sorted([one.load_ms for one in seen])
    load_ms = median([one.load_ms for one in latest])
    return _Fit(fit.ratio, fit.line, len(seen), load_ms, _quantile(loads), tuple(errors))


def _quantile(ordered: Sequence[float]) -> float:
    """The split-conformal quantile, the largest of few, 0 of none."""
    return ordered[_place(len(ordered))] if ordered else 0.0


def _place(n: int) -> int:
    """Where the quantile stands among ``n`` values in order."""
    return min(n, math.ceil(_COVERAGE * (n + 1))) - 1


def _quantile_of_all(ordered: Iterable[Sequence[float]], n: int) -> float:
    """The quantile of ``n`` values in several ordered sequences, from the largest of each alone."""
    if not n:
        return 0.0
    n_above = n - _place(n)
    return sorted(chain.from_iterable(values[-n_above:] for values in ordered))[-n_above]


def _line(seen: Sequence[_Seen]) -> tuple[float, float] | None:
    """Fixed ms and ms per unit, or None where the sizes are too few or too alike to tell them apart."""
    sizes = [one.n_units for one in seen]
    if len(seen) < _FIT_NEEDS or max(sizes) < _LINE_SPREAD * max(1, min(sizes)):
        return None
    slopes = [
        (b.work_ms - a.work_ms) / (b.n_units - a.n_units)
        for a, b in combinations(seen, 2)
        if a.n_units != b.n_units
    ]
    rate = max(0.0, median(slopes))
    fixed = max(0.0, median(one.work_ms - rate * one.n_units for one in seen))
    return fixed, rate
