"""What is known beforehand: read at the door, used where it fits, and named where it does not."""

from pathlib import Path

import pytest
from fakes import Bench, begun, mapping_of, small_tree, spec_of

from budgets.account import Account
from budgets.amount import DeviceTime
from budgets.errors import SpecError
from budgets.journal import SqlJournal
from scheduler.drivers.table import drive_table
from scheduler.facts import STUDY_FACTS, TrialMoved, TrialProposed
from scheduler.gain import Gain
from scheduler.mix import Mix
from scheduler.prior import PriorFile, notes_of, prior_of
from scheduler.spec import read
from scheduler.study import open_study, sampler_of
from scheduler.trial import MERGED, Recipe, Role, TrialState
from trainers.tasks.catalog import TASKS

PUBLISHED = Path(__file__).parents[2] / "experiments" / "priors" / "phang-2020.yaml"


def written(tmp_path, text):
    path = tmp_path / "prior.yaml"
    path.write_text(text)
    return {"search.sampler": "structured", "search.prior": str(path)}


def prior(tmp_path, gains, **changes):
    changes = {**written(tmp_path, f"source: somebody\ngains:\n{gains}"), **changes}
    return prior_of(spec_of(changes))


def test_without_a_prior_nothing_is_known():
    assert prior_of(spec_of()) is None
    assert notes_of(spec_of()) == ()


def test_the_published_figures_are_of_tasks_in_the_catalogue_and_say_their_source():
    from budgets.spec import parse, read_yaml

    file = parse(PriorFile, read_yaml(PUBLISHED)[0], "priors")
    assert "arXiv:2005.13013" in file.source
    assert {task for gain in file.gains for task in gain.tasks} <= set(TASKS)
    single = {gain.tasks[0]: gain.points for gain in file.gains if len(gain.tasks) == 1}
    assert single == {"squad_v1": 8.2, "squad_v2": 8.2, "mnli": 7.5, "hellaswag": 7.0}
    assert [gain.points for gain in file.gains if len(gain.tasks) == 9] == [8.7]


def test_a_figure_for_all_is_one_of_the_score(tmp_path):
    found = prior(tmp_path, "- {tasks: [toy_roles, toy_reading], points: 3, sd: 2}")
    assert found.gains == (Gain(Mix(("toy_reading", "toy_roles")), 3.0, 2.0),)


def test_figures_for_every_group_are_averaged_by_their_target_tasks(tmp_path):
    lines = (
        "- {tasks: [toy_roles], group: structured, points: 4, sd: 2}\n"
        "- {tasks: [toy_roles], group: retrieval, points: 1, sd: 4}\n"
        "- {tasks: [toy_roles], points: 9, sd: 1}"
    )
    changes = {"target.tasks": ["toy_pos", "toy_names", "toy_tatoeba"]}
    gains = {gain.of: gain for gain in prior(tmp_path, lines, **changes).gains}
    assert gains["score"].points == pytest.approx(2 / 3 * 4 + 1 / 3 * 1)
    assert gains["score"].sd == pytest.approx(((2 / 3 * 2) ** 2 + (1 / 3 * 4) ** 2) ** 0.5)
    assert (gains["structured"].points, gains["retrieval"].points) == (4.0, 1.0)


def test_a_group_that_no_target_is_of_says_nothing_and_is_named(tmp_path):
    found = prior(tmp_path, "- {tasks: [toy_roles], group: qa, points: 4, sd: 2}")
    assert found.gains == ()
    assert any(
        "1 gains are left out: they are of target tasks of the group qa" in n for n in found.notes
    )
    assert any("nothing is known of the score as a whole" in note for note in found.notes)


def test_mixes_of_another_size_speak_for_their_tasks_and_are_named(tmp_path):
    lines = "- {tasks: [toy_roles, toy_reading], points: 3, sd: 2}"
    found = prior(tmp_path, lines, **{"intermediate.count": [0, 1]})
    assert len(found.gains) == 1
    assert any("1 gains are of mixes of fewer or more than 0 to 1 tasks" in note for note in found.notes)


def test_figures_of_another_task_set_are_left_out_and_named(tmp_path):
    lines = (
        "- {tasks: [toy_roles], points: 4, sd: 2}\n- {tasks: [toy_roles, squad_v2], points: 5, sd: 2}"
    )
    found = prior(tmp_path, lines)
    assert [gain.points for gain in found.gains] == [4.0]
    assert found.notes[0].endswith("(somebody): 1 of 2 gains are of mixes of this study")
    assert "1 gains are left out: they are of squad_v2" in found.notes[1]
    assert found.notes[2].startswith(
        "nothing is known of toy_entailment, toy_reading, toy_text: expected"
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("source: x\ngains:\n- {tasks: [toy_roles], points: 4}", "gains.0.sd: is missing"),
        ("source: x\ngains:\n- {tasks: [toy_roles], points: .nan, sd: 1}", "gains.0.points: "),
        ("source: x\ngains:\n- {tasks: [toy_roles], points: 4, sd: 0}", "gains.0.sd: "),
        ("gains: []", "source: is missing"),
        ("just words", "expected 'key: value' lines"),
    ],
)
def test_a_file_that_is_no_prior_is_refused_at_the_door(tmp_path, text, problem):
    with pytest.raises(SpecError) as refused:
        read(mapping_of(written(tmp_path, text)), "test")
    assert any(line.startswith("search.prior: ") and problem in line for line in refused.value.problems)


@pytest.mark.parametrize("place", ["nowhere.yaml", "."])
def test_a_prior_that_is_not_there_is_refused_at_the_door(tmp_path, place):
    changes = {"search.sampler": "structured", "search.prior": str(tmp_path / place)}
    with pytest.raises(SpecError, match=r"search\.prior: "):
        read(mapping_of(changes), "test")


@pytest.mark.parametrize(("key", "value"), [("prior", str(PUBLISHED)), ("acquisition", "per-hour")])
def test_only_the_sampler_that_reads_it_may_be_given_it(key, value):
    with pytest.raises(SpecError, match=rf"search\.{key}: only the sampler 'structured' has one"):
        read(mapping_of({"search.sampler": "tpe", f"search.{key}": value}), "test")


def test_a_past_study_says_what_its_mixes_gained(tmp_path):
    facts = [*begun(small_tree(), DeviceTime.from_hours(1)).facts]
    trials = {
        "t0000": (Mix(), 40.0),
        "t0001": (Mix(("toy_roles",)), 43.0),
        "t0002": (Mix(("mlm",)), 9.0),
    }
    for name, (mix, score) in trials.items():
        role = Role.SEARCH if mix.count else Role.CONTROL
        facts += [
            TrialProposed(name, Recipe(mix, 13, "toy-tiny"), role, None, "test"),
            TrialMoved(name, TrialState.RUNNING, 0, None, "test"),
            TrialMoved(name, TrialState.DONE, 0, score, "test"),
        ]
    looked_at = Recipe(Mix(("toy_reading",)), 13, "toy-tiny")
    facts += [
        TrialProposed("t0003", looked_at, Role.SEARCH, None, "test"),
        TrialMoved("t0003", TrialState.RUNNING, MERGED, None, "test"),
        TrialMoved("t0003", TrialState.PAUSED, MERGED, 99.0, "a look is no gain"),
    ]
    with SqlJournal(
        f"sqlite:///{tmp_path / 'journal.db'}", STUDY_FACTS, name=tmp_path.name, writer=True
    ) as journal:
        Account(journal).book(*facts)
    same = {"search.sampler": "structured", "search.prior": str(tmp_path)}
    found = prior_of(spec_of(same))
    assert found.gains == (Gain(Mix(("toy_roles",)), 3.0, 2.0),)
    assert "they are of mlm" in found.notes[1]
    other = {**same, "target.tasks": ["toy_names", "toy_tatoeba"], "intermediate.rungs": ["20K", "80K"]}
    found = prior_of(spec_of(other))
    assert found.gains == (Gain(Mix(("toy_roles",)), 3.0, 4.0),)
    assert "scored other target tasks (more: toy_pos; fewer: toy_names)" in found.notes[1]
    assert "this one up to 80,000: its gains count with a standard deviation of 4" in found.notes[2]


def test_with_a_prior_the_first_proposal_follows_it(tmp_path):
    lines = "\n".join(
        f"- {{tasks: [{task}], points: {points}, sd: 1}}"
        for task, points in {"toy_roles": 8, "toy_reading": -8, "toy_text": -8}.items()
    )
    spec = spec_of(written(tmp_path, f"source: x\ngains:\n{lines}"))
    sampler = sampler_of(spec, prior_of(spec))
    mixes = []
    for n in range(3):
        mix = sampler.propose(n, mixes)
        mixes.append(mix)
    assert all("toy_roles" in mix.tasks for mix in mixes)
    assert all(not {"toy_reading", "toy_text"} & set(mix.tasks) for mix in mixes)


# -- kept in the journal -------------------------------------------------------------------------


FIRST = "source: x\ngains:\n- {tasks: [toy_roles], points: 8, sd: 1}"
CHANGED = "source: x\ngains:\n- {tasks: [toy_reading], points: 8, sd: 1}"


def study_spec(tmp_path, text):
    changes = {"store": str(tmp_path / "runs"), "budget.gpu_hours": 0.5, "final.max_seeds": 1}
    return spec_of({**changes, **written(tmp_path, text)})


def proposals_of(study):
    return [trial.recipe.mix for trial in study.engine.state.trials.values()]


@pytest.mark.parametrize("becomes", ["unchanged", "changed", "gone", "broken"])
def test_a_study_goes_on_with_the_prior_it_began_with_whatever_becomes_of_the_file(tmp_path, becomes):
    def driven(folder, disturb):
        folder.mkdir()
        spec = study_spec(folder, FIRST)
        with open_study(spec, "") as study:
            drive_table(study.engine, Bench(study.tree).run, 1, at_most=3)
        disturb(folder / "prior.yaml")
        again = read(mapping_of(changes_of(folder)), "test")
        with open_study(again, "") as study:
            drive_table(study.engine, Bench(study.tree).run, 1, at_most=60)
            return proposals_of(study), study.engine.state.prior, notes_of(again)

    def changes_of(folder):
        return {
            "store": str(folder / "runs"),
            "budget.gpu_hours": 0.5,
            "final.max_seeds": 1,
            "search.sampler": "structured",
            "search.prior": str(folder / "prior.yaml"),
        }

    disturbances = {
        "unchanged": lambda file: None,
        "changed": lambda file: file.write_text(CHANGED),
        "gone": lambda file: file.unlink(),
        "broken": lambda file: file.write_text("just words"),
    }
    calm, _, _ = driven(tmp_path / "calm", disturbances["unchanged"])
    mixes, kept, notes = driven(tmp_path / "disturbed", disturbances[becomes])
    assert len(mixes) > 5
    assert mixes == calm
    assert kept.gains == (Gain(Mix(("toy_roles",)), 8.0, 1.0),)
    assert kept.place == str(tmp_path / "disturbed" / "prior.yaml")
    ends = {"changed": "says something else now", "unchanged": None}.get(becomes, "cannot be read any")
    assert sum("the study goes on with what it read" in note for note in notes) == (ends is not None)
    assert ends is None or any(ends in note for note in notes)


def test_another_prior_would_have_given_other_mixes(tmp_path):
    found = []
    for name, text in (("first", FIRST), ("second", CHANGED)):
        (tmp_path / name).mkdir()
        with open_study(study_spec(tmp_path / name, text), "") as study:
            drive_table(study.engine, Bench(study.tree).run, 1, at_most=60)
            found.append(proposals_of(study))
    assert found[0] != found[1]


def test_a_study_without_a_prior_keeps_none(tmp_path):
    with open_study(spec_of({"store": str(tmp_path)}), "") as study:
        assert study.engine.state.prior is None
        assert len(study.account.facts()) == 2
