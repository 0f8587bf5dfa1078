"""What can be tried: a mix is a subset of intermediate tasks with a rule for how often each is drawn."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Mix:
    """A subset of intermediate tasks and how they are drawn.

        q_k = min(n_k, cap) ** (1 / T) / sum_j min(n_j, cap) ** (1 / T)

    With one task or none, cap and temperature decide nothing; ``Mix.of`` then stores cap 0 and
    temperature 1 so that equal mixes are equal.

    Attributes:
        tasks: names in alphabetical order; empty is the control.
        cap: examples of a task that count, 0 for no cap.
        temperature: T, at least 1.
    """

    tasks: tuple[str, ...] = ()
    cap: int = 0
    temperature: float = 1.0

    @classmethod
    def of(cls, tasks: tuple[str, ...], cap: int = 0, temperature: float = 1.0) -> Mix:
        """The mix in its one canonical form."""
        if len(tasks) <= 1:
            return cls(tuple(tasks))
        return cls(tuple(sorted(tasks)), cap, round(temperature, 2))

    @property
    def count(self) -> int:
        """k, the number of intermediate tasks."""
        return len(self.tasks)

    def __str__(self) -> str:
        return "+".join(self.tasks) if self.tasks else "none (k = 0)"
