"""What can be tried: a mix is a subset of intermediate tasks and the numbers its rates depend on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Mix:
    """A subset of intermediate tasks and how they are drawn (``trainers/mixing.py``).

        q_k = min(n_k, cap) ** (1 / T) / sum_j min(n_j, cap) ** (1 / T)

    and masked text at a share of its own where ``text`` says so. What decides nothing is 0, or 1 for
    the temperature, so that equal mixes are equal: ``Mix.of`` sees to it for one task or none,
    ``MixSpace.mix`` for all that a study's rule and its masked text imply.

    Attributes:
        tasks: names in alphabetical order; empty is the control.
        cap: examples of a task that count, 0 for no cap.
        temperature: T, at least 1.
        text: share of steps on masked text, below 1; 0 where the rule decides.
    """

    tasks: tuple[str, ...] = ()
    cap: int = 0
    temperature: float = 1.0
    text: float = 0.0

    @classmethod
    def of(
        cls, tasks: tuple[str, ...], cap: int = 0, temperature: float = 1.0, text: float = 0.0
    ) -> Mix:
        """The mix in its one canonical form."""
        if len(tasks) <= 1:
            return cls(tuple(tasks))
        return cls(tuple(sorted(tasks)), cap, round(temperature, 2), text)

    @property
    def count(self) -> int:
        """k, the number of intermediate tasks."""
        return len(self.tasks)

    def __str__(self) -> str:
        return "+".join(self.tasks) if self.tasks else "none (k = 0)"
