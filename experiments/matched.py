"""Arms compared mix by mix: each mix that all of them have scored, at the highest rung common to all.

A mix is drawn as a seed is elsewhere, together in all arms, so the interval covers which mixes were
tried and which examples scored them. All are search scores of one seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from experiments.answer import functionals, groups_of
from experiments.bootstrap import N_REPLICATES, resample
from experiments.load import Study
from experiments.samples import read_samples
from experiments.stats import Drawn, contrast
from experiments.trials import Standing
from scheduler.mix import Mix
from scheduler.trial import Arm

_MOST_NUMBERS = 50_000_000  # of resampled cells held at once, 400 MB
_FEWEST_DRAWS = 200


def matched(
    study: Study, found: Mapping[Arm, Sequence[Standing]], shares: Mapping[Arm, float], on: str
) -> Drawn | str:
    """The contrast of arms over their common mixes, or why there is none.

    Args:
        study: whose arms they are.
        found: by arm, its trials on search examples.
        shares: of the arms compared.
        on: the mean of cells.
    """
    runs = _common({arm: found[arm] for arm in shares})
    n_mixes = len(runs) // len(shares)
    if n_mixes < 2:
        return f"{n_mixes} mixes were scored in all of these arms; an interval needs two"
    samples = read_samples(runs)
    weights = functionals(samples.cells, groups_of(study)) if samples.cells else {}
    if on not in weights:
        return f"no cell of {on!r} has records of every mix"
    labels = [(str(run.trial.recipe.arm), place % n_mixes) for place, run in enumerate(runs)]
    n_draws = _MOST_NUMBERS // (len(runs) * len(samples.cells))
    replicates = resample(
        samples.cells,
        labels,
        seed=study.spec.seed,
        n_replicates=min(N_REPLICATES, max(_FEWEST_DRAWS, n_draws)),
    )
    coefficients = {str(arm): share for arm, share in shares.items()}
    return contrast(replicates, coefficients, weights[on][None])


def _common(found: Mapping[Arm, Sequence[Standing]]) -> list[Standing]:
    """Arm by arm the same mixes in the same order, each at the highest rung that all arms have."""
    by_arm = [
        {(one.trial.recipe.mix, one.rung): one for one in of_arm if one.trial.recipe.mix.count}
        for of_arm in found.values()
    ]
    top: dict[Mix, int] = {}
    for mix, rung in set.intersection(*(set(of_arm) for of_arm in by_arm)):
        top[mix] = max(rung, top.get(mix, rung))
    mixes = sorted(top)
    return [of_arm[mix, top[mix]] for of_arm in by_arm for mix in mixes]
