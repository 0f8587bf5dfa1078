"""The legs of a training stage: stretches of tokens, each under one learning-rate schedule.

pretrain, target   one leg: the rate rises and falls
intermediate       the trunk at constant rate; its whole state is kept under ``trunk/`` so that
a longer stage goes on from there; then a branch off it in which the rate
falls, whose encoder is the stage's model
"""

from __future__ import annotations

from trainers.loop import Leg
from trainers.schedule import branch, rise_and_fall, trunk
from trainers.stage import IntermediateStage, TrainingStage


def n_legs(stage: TrainingStage) -> int:
    """Legs of a stage."""
    return 2 if isinstance(stage, IntermediateStage) else 1


def leg_of(stage: TrainingStage, number: int, start_tokens: int) -> Leg:
    """A leg of a stage; ``start_tokens`` is where it really began."""
    warmup_tokens = stage.optimisation.warmup_share * stage.tokens
    if not isinstance(stage, IntermediateStage):
        return Leg(stage.tokens, rise_and_fall(warmup_tokens=warmup_tokens, total_tokens=stage.tokens))
    if number == 0:
        begins = stage.continues is None
        return Leg(stage.tokens, trunk(warmup_tokens=warmup_tokens if begins else 0.0))
    branch_tokens = stage.optimisation.decay_share * stage.tokens
    return Leg(
        start_tokens + branch_tokens, branch(start_tokens=start_tokens, branch_tokens=branch_tokens)
    )
