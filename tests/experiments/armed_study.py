"""A made-up study of several arms: the same mixes in each, with a known effect of every arm."""

from __future__ import annotations

from pathlib import Path

from synthetic_study import SPEC, SPEC_TEXT, SyntheticStudy

from budgets.amount import DeviceTime
from budgets.ledger import Opened
from scheduler.facts import StudyBegun, StudyEnded
from scheduler.mix import Mix
from scheduler.registration import preregistered
from scheduler.spec import StudySpec
from scheduler.trial import Role, TrialState
from trainers.stage import Half

SUBSETS = (
    ("squad_v2",),
    ("squad_v1", "squad_v2", "hellaswag"),
    ("qqp",),
    ("mnli", "squad_v2"),
    ("cosmosqa", "hellaswag", "mnli", "squad_v1"),
)


BASE, LARGE = "FacebookAI/xlm-roberta-base", "FacebookAI/xlm-roberta-large"
SHRINKS = 1.5  # points that the larger model gains less
SAID = {
    "hypothesis": "The gain is smaller for the larger encoder.",
    "primary": {"of": "gain-per-doubling", "claim": "below"},
    "secondary": [
        {
            "of": "gain",
            "arms": [{"tuning": "lora"}, {"tuning": "full"}],
            "claim": "equivalent",
            "margin": 1.5,
        }
    ],
}


class ArmedStudy(SyntheticStudy):
    """Writes the journal of a factorial study.

    Args:
        store: folder for the run and its stages.
        changes: dotted keys of the spec.
        effect: points over the control that an arm's mixes gain on top; by a factor's level.
        ended: whether the study came to an end.
    """

    def __init__(self, store: Path, *, changes, effect=(), preregistration=None, ended=True):
        super().__init__(store, name="armed", ended=ended)
        plain = {**SPEC, "name": "armed", "store": str(store), "preregistration": preregistration}
        for dotted, value in changes.items():
            part, key = dotted.split(".")
            plain[part] = {**plain[part], key: value}
        plain["search"] = {"design": "factorial"}
        self.spec = StudySpec.model_validate(plain)
        self.effect = dict(effect)

    def write(self) -> Path:
        """The run folder, its journal complete."""
        said = preregistered(self.spec)
        begun = StudyBegun(
            "armed", self.spec.model_dump(mode="json"), SPEC_TEXT, {"git_commit": "0123abc"}
        )
        self.journal.append(
            begun, Opened(DeviceTime.from_hours(self.spec.budget.gpu_hours)), *([said] if said else [])
        )
        number, n_finals = 0, 0
        for arm in self.spec.arms:
            names = []
            for subset in ((), *SUBSETS):
                name = f"t{number:04d}"
                number += 1
                mix = Mix.of(subset, 50_000, 2.0) if subset else Mix()
                role = Role.SEARCH if subset else Role.CONTROL
                self._propose(name, mix, role, "random" if subset else "control", arm=arm)
                names.append(name)
            self._climb(names, 0)
            self._climb(names[:4], 1)
            for name in names:
                over = TrialState.PRUNED if self.mixes[name].count else TrialState.DONE
                self._end(name, over, "others were promoted")
            for seed in (13, 14, 15) if self.ended else ():
                repeated = []
                for name in (names[0], names[2]):
                    final = f"f{n_finals:04d}"
                    n_finals += 1
                    self._propose(final, self.mixes[name], Role.FINAL, "final", seed, name, arm)
                    repeated.append(final)
                self._climb(repeated, 1, Half.REPORT, seed)
                for name in repeated:
                    self._end(name, TrialState.DONE, "scored on report cells")
        if self.ended:
            self.journal.append(StudyEnded("nothing left to try"))
        self.journal.close()
        return self.folder

    def _gain(self, trial: str, rung: int) -> float:
        arm = self.arms[trial]
        extra = sum(self.effect.get(level, 0.0) for level in (arm.model, arm.tuning, arm.languages))
        return super()._gain(trial, rung) + (extra if self.mixes[trial].count else 0.0)
