"""Who of several studies runs a stage: the port that the engine asks before it reserves anything."""

from __future__ import annotations

from typing import Protocol


class StageClaims(Protocol):
    """One study's claims on stages that it may share with others, each good until a deadline."""

    def claim(self, stage: str, for_s: float) -> bool:
        """Take ``stage`` for so long, again where it is ours already; False while another has it."""

    def release(self, stage: str, *, done: bool) -> None:
        """Let go of a stage, whose result exists now if it is ``done``; another's claim stays."""


class Unshared:
    """A study that shares its stages with nobody: every claim is granted."""

    def claim(self, stage: str, for_s: float) -> bool:
        """Always."""
        return True

    def release(self, stage: str, *, done: bool) -> None:
        """Nothing was taken."""
