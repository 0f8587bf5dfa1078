"""What is known beforehand: read at the door, used where it fits, and named where it does not."""

from pathlib import Path

import pytest
from fakes import begun, mapping_of, small_tree, spec_of

from budgets.account import Account
from budgets.amount import DeviceTime
from budgets.errors import SpecError
from budgets.journal import SqlJournal
from scheduler.facts import STUDY_FACTS, TrialMoved, TrialProposed
from scheduler.mix import Mix
from scheduler.prior import PriorFile, prior_of
from scheduler.spec import read
from scheduler.study import sampler_of
from scheduler.surrogate import Gain
from scheduler.trial import Recipe, Role, TrialState
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
    assert prior_of(spec_of()) == ((), ())


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


def test_a_group_that_no_target_is_of_says_nothing_of_the_score(tmp_path):
    assert prior(tmp_path, "- {tasks: [toy_roles], group: qa, points: 4, sd: 2}").gains == ()


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


@pytest.mark.parametrize(("key", "value"), [("prior", str(PUBLISHED)), ("acquisition", "plain")])
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
    with SqlJournal(
        f"sqlite:///{tmp_path / 'journal.db'}", STUDY_FACTS, name=tmp_path.name, writer=True
    ) as journal:
        Account(journal).book(*facts)
    found = prior_of(spec_of({"search.sampler": "structured", "search.prior": str(tmp_path)}))
    assert found.gains == (Gain(Mix(("toy_roles",)), 3.0, 2.0),)
    assert "they are of mlm" in found.notes[1]


def test_with_a_prior_the_first_proposal_follows_it(tmp_path):
    lines = "\n".join(
        f"- {{tasks: [{task}], points: {points}, sd: 1}}"
        for task, points in {"toy_roles": 8, "toy_reading": -8, "toy_text": -8}.items()
    )
    spec = spec_of(written(tmp_path, f"source: x\ngains:\n{lines}"))
    sampler = sampler_of(spec)
    mixes = []
    for n in range(3):
        mix = sampler.propose(n, mixes)
        mixes.append(mix)
    assert all("toy_roles" in mix.tasks for mix in mixes)
    assert all(not {"toy_reading", "toy_text"} & set(mix.tasks) for mix in mixes)
