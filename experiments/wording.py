"""Numbers and names as the report writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from budgets.amount import DeviceTime
from experiments.stats import Interval
from scheduler.mix import Mix
from scheduler.trial import MERGED
from trainers.errors import UnknownLanguageError
from trainers.tasks.languages import language

MINUS = "−"  # a true minus sign: the hyphen is shorter than the plus


def hours(amount: DeviceTime) -> str:
    """Device-hours with about three digits: 118, 4.75, 0.0869."""
    value = amount.hours
    if value == 0:
        return "0"
    if value < 1e-4:
        return f"{value:.6f}"  # three digits would be written with an exponent
    if value >= 100:
        return f"{value:.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 1 else f"{value:.3g}"


def tokens(n_tokens: int) -> str:
    """Tokens in thousands or millions: 250K, 1M, 16M."""
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if n_tokens >= size:
            return f"{n_tokens / size:.4g}{letter}"
    return str(n_tokens)


def rung_name(rung: int, rungs: Sequence[int]) -> str:
    """A rung by its tokens, or ``merged``."""
    return "merged" if rung == MERGED else tokens(rungs[rung])


def at_rung(rung: int, rungs: Sequence[int]) -> str:
    """Where a score is from."""
    return "of the merged encoder" if rung == MERGED else f"at {tokens(rungs[rung])} tokens"


def points(value: float) -> str:
    """Points with one digit."""
    return f"{value:.1f}".replace("-", MINUS)


def plain(value: float) -> str:
    """A number with two digits."""
    return f"{value:.2f}".replace("-", MINUS)


def signed(value: float, digits: int = 1) -> str:
    """A difference with its sign; ±0.0 where so many digits cannot tell."""
    text = f"{value:+.{digits}f}".replace("-", MINUS)
    return f"±{text[1:]}" if float(text[1:]) == 0 else text


def span(interval: Interval) -> str:
    """The ends of the interval of a difference."""
    return f"{signed(interval.low)} to {signed(interval.high)}"


def span_of(interval: Interval, unit: str = "points") -> str:
    """A difference with its interval."""
    return f"{signed(interval.value)} {unit}, 95 % interval {span(interval)}"


def p_value(value: float) -> str:
    """A p-value, not more exact than the bootstrap is."""
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def mix_name(mix: Mix) -> str:
    """The tasks of a mix."""
    return " + ".join(mix.tasks) if mix.tasks else "no intermediate task"


def unbroken(text: str) -> str:
    """``k = 3`` and ``95 %`` kept on one line."""
    return text.replace("k = ", "k\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}").replace(
        " %", "\N{NO-BREAK SPACE}%"
    )


def tasks_of(count: int) -> str:
    """So many tasks."""
    return f"{count} task" if count == 1 else f"{count} tasks"


def seeds_of(count: int) -> str:
    """So many seeds."""
    return f"{count} seed" if count == 1 else f"{count} seeds"


def shares_of(shares: Mapping[str, float]) -> str:
    """``single_stream: 1, server: 0.25`` as *single stream 100 %, server 25 %*."""
    return ", ".join(
        f"{name.replace('_', ' ')} {share:.0%}".replace("%", " %") for name, share in shares.items()
    )


def counts_of(counts: Sequence[int]) -> str:
    """``2 to 5`` where none between is missing, else ``1, 3 and 4``."""
    if len(counts) > 2 and counts[-1] - counts[0] == len(counts) - 1:
        return f"{counts[0]} to {counts[-1]}"
    return listed([str(count) for count in counts])


def listed(names: list[str] | tuple[str, ...]) -> str:
    """a, b and c."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def language_name(code: str, world: str) -> str:
    """A language's name with its code; the code alone where no table has it."""
    if world == "toy":
        from trainers.tasks.toy.languages import LANGUAGES as TOY_LANGUAGES

        known = TOY_LANGUAGES.get(code)
        return f"{known.name} ({code})" if known else code
    try:
        return f"{language(code).name} ({code})"
    except UnknownLanguageError:
        return code
