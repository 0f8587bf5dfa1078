"""A gain over the control that is known before a study begins."""

from __future__ import annotations

from dataclasses import dataclass

from scheduler.mix import Mix

SCORE = "score"  # beside the names of target groups


@dataclass(frozen=True, slots=True)
class Gain:
    """What somebody else measured: ``mix`` was worth ``points`` more than the control.

    Attributes:
        sd: how far it may lie from the gain in this study, a standard deviation in points.
        of: the score, or a group of target tasks.
    """

    mix: Mix
    points: float
    sd: float
    of: str = SCORE
