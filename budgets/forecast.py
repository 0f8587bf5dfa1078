"""The device time a stage will take, learned from past bills, with an upper bound to hold.

One forecast serves one kind of device. A *key* names work that costs alike (say, training one model
at one batch size); its *units* say how much of it there is (tokens, examples); its *prior* is what
the planner guesses, in milliseconds, before anything was measured.

    r_i      = actual_i / prior_i                              what one bill says about the guess
    shared   = median over keys of (median r of the key)       1 while nothing was learned
    ratio    = exp((n log(median own r) + m log(shared)) / (n + m)),   m = 1/2
    expected = ratio * prior                                   few bills, or all of one size
    expected = fixed + rate * units                            n >= 4 and largest >= 2 smallest size

The line is a Theil-Sen fit, ``rate`` the median slope over pairs and ``fixed`` the median remainder,
neither below zero: one bill in four may be wild without moving it far.

    q        = the ceil(0.95 (n + 1))-th smallest of actual_i / expected_i, the largest if n < 19
    factor   = max(1.25, q) * 2 ** (1 / (n + 1))               2.5 with no bill of the key
    upper    = max(factor * expected, expected + 1.5 s)

The quantile is the split-conformal one: if the next bill is exchangeable with the past ones, it
stays under ``q * expected`` in 19 cases of 20; the second term is the price of having seen few.
Only the last 64 bills of a key count, so a machine that slows down is noticed.

Source: Sen 1968, doi:10.1080/01621459.1968.10480934 (the fit); Lei et al. 2018, arXiv:1604.04173
(the quantile). The floors 1.25 and 1.5 s cover a checkpoint's save and a cold file cache.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

from budgets.amount import DeviceTime

_LATEST = 64
_PRIOR_WEIGHT = 0.5
_FACTOR_FLOOR = 1.25
_FACTOR_UNSEEN = 2.5
_MARGIN = DeviceTime(1500)
_COVERAGE = 0.95
_LINE_NEEDS = 4
_LINE_SPREAD = 2


@dataclass(frozen=True, slots=True)
class Work:
    """A piece of work whose cost is wanted or known.

    Attributes:
        key: names work that costs alike.
        n_units: how much of it: tokens, examples; at least 0.
        prior_ms: the planner's guess in device-milliseconds, at least 1.
    """

    key: str
    n_units: int
    prior_ms: int

    def __post_init__(self) -> None:
        if self.n_units < 0 or self.prior_ms < 1:
            raise ValueError(
                f"work {self.key!r} needs n_units >= 0 and prior_ms >= 1, "
                f"got {self.n_units} units and {self.prior_ms} ms"
            )


@dataclass(frozen=True, slots=True)
class Estimate:
    """What work will take: the expected device time, and a bound to hold for it."""

    expected: DeviceTime
    upper: DeviceTime


@dataclass(frozen=True, slots=True)
class _Seen:
    n_units: int
    prior_ms: int
    actual_ms: int

    @property
    def ratio(self) -> float:
        return self.actual_ms / self.prior_ms


@dataclass(frozen=True, slots=True)
class _Fit:
    """How one key's bills are read.

    Attributes:
        ratio: actual over prior.
        line: ``(fixed, rate)`` in ms and ms per unit, or None while the ratio serves.
        factor: upper over expected.
    """

    ratio: float
    line: tuple[float, float] | None
    factor: float

    def expected_ms(self, n_units: int, prior_ms: int) -> float:
        """Expected device time, at least one millisecond."""
        if self.line is None:
            return max(1.0, self.ratio * prior_ms)
        fixed, rate = self.line
        return max(1.0, fixed + rate * n_units)


class Forecast:
    """Device time of work to come, from the bills of work done on the same kind of device."""

    def __init__(self) -> None:
        self._seen: dict[str, list[_Seen]] = {}
        self._medians: dict[str, float] = {}
        self._lines: dict[str, tuple[float, float] | None] = {}
        self._fits: dict[str, _Fit] = {}

    def learn(self, work: Work, actual: DeviceTime) -> None:
        """Take note of what finished work took; not for work that was cut short or failed."""
        seen = self._seen.setdefault(work.key, [])
        seen.append(_Seen(work.n_units, work.prior_ms, max(1, actual.ms)))
        del seen[:-_LATEST]
        self._medians[work.key] = median(one.ratio for one in seen)
        self._lines[work.key] = _line(seen)
        self._fits.clear()  # the shared ratio moved

    def estimate(self, work: Work) -> Estimate:
        """What the work will take, and the bound to hold for it; never zero."""
        if work.key not in self._fits:
            shared = median(self._medians.values()) if self._medians else 1.0
            seen, line = self._seen.get(work.key, ()), self._lines.get(work.key)
            self._fits[work.key] = _fitted(seen, line, shared)
        fit = self._fits[work.key]
        expected = DeviceTime(math.ceil(fit.expected_ms(work.n_units, work.prior_ms)))
        return Estimate(expected, max(expected.scaled(fit.factor), expected + _MARGIN))


def _fitted(seen: Sequence[_Seen], line: tuple[float, float] | None, shared: float) -> _Fit:
    if not seen:
        return _Fit(shared, None, _FACTOR_UNSEEN)
    n = len(seen)
    own = math.log(median(one.ratio for one in seen))
    ratio = math.exp((n * own + _PRIOR_WEIGHT * math.log(shared)) / (n + _PRIOR_WEIGHT))
    fit = _Fit(ratio, line, _FACTOR_FLOOR)
    errors = sorted(one.actual_ms / fit.expected_ms(one.n_units, one.prior_ms) for one in seen)
    worst = errors[min(n, math.ceil(_COVERAGE * (n + 1))) - 1]
    few = (_FACTOR_UNSEEN / _FACTOR_FLOOR) ** (1 / (n + 1))
    return _Fit(fit.ratio, fit.line, max(_FACTOR_FLOOR, worst) * few)


def _line(seen: Sequence[_Seen]) -> tuple[float, float] | None:
    """Fixed ms and ms per unit, or None where the sizes are too few or too alike to tell them apart."""
    sizes = [one.n_units for one in seen]
    if len(seen) < _LINE_NEEDS or max(sizes) < _LINE_SPREAD * max(1, min(sizes)):
        return None
    slopes = [
        (b.actual_ms - a.actual_ms) / (b.n_units - a.n_units)
        for a, b in combinations(seen, 2)
        if a.n_units != b.n_units
    ]
    rate = max(0.0, median(slopes))
    fixed = max(0.0, median(one.actual_ms - rate * one.n_units for one in seen))
    return fixed, rate
