import re

import pytest

from trainers.errors import TaskError, UnknownTaskError
from trainers.tasks.catalog import BENCHMARKS, TASKS, benchmark
from trainers.tasks.entries.hub import UNPINNED
from trainers.tasks.examples import CANONICAL
from trainers.tasks.languages import LANGUAGES
from trainers.tasks.spec import FamilyName, Metric
from trainers.tasks.toy.languages import LANGUAGES as TOY_LANGUAGES

_METRICS = {
    FamilyName.PAIR: Metric.ACCURACY,
    FamilyName.CHOICE: Metric.ACCURACY,
    FamilyName.SPANS: Metric.QA_F1_EM,
    FamilyName.TOKENS: Metric.SPAN_F1,
    FamilyName.RETRIEVAL: Metric.ACCURACY_AT_1,
    FamilyName.MASKED: Metric.PSEUDO_PERPLEXITY,
}
_OPTIONAL = {"id", "second", "context", "question"}
_LABELLED = {FamilyName.PAIR, FamilyName.CHOICE, FamilyName.TOKENS}


def _splits(spec):
    return (*spec.train, *spec.search, *spec.report)


every_task = pytest.mark.parametrize("spec", TASKS.values(), ids=TASKS)


@every_task
def test_a_task_is_found_by_the_name_it_carries(spec):
    assert TASKS.task(spec.name) is spec
    assert spec.name == spec.name.lower()


@every_task
def test_a_task_names_a_column_for_all_that_its_family_needs(spec):
    needed = set(CANONICAL[spec.family])
    assert set(spec.columns) <= needed
    assert needed - set(spec.columns) <= _OPTIONAL


@every_task
def test_a_task_has_labels_where_its_family_has_any(spec):
    assert bool(spec.labels) == (spec.family in _LABELLED)
    assert len(set(spec.labels)) == len(spec.labels)


@every_task
def test_a_task_has_the_metric_of_its_family(spec):
    assert spec.metric is _METRICS[spec.family]


@every_task
def test_no_split_both_trains_and_scores(spec):
    trained = [(split.data.repo, split.data.config, split.name) for split in spec.train]
    scored = [(split.data.repo, split.data.config, split.name) for split in (*spec.search, *spec.report)]
    assert not set(trained) & set(scored)


@every_task
def test_a_task_speaks_only_known_languages(spec):
    known = TOY_LANGUAGES if spec.world == "toy" else LANGUAGES
    assert {code for split in _splits(spec) for code in split.languages} <= set(known)


@every_task
def test_revisions_are_commits_and_only_the_repositories_listed_lack_one(spec):
    for split in _splits(spec):
        if split.data.revision == UNPINNED:
            assert split.data.repo == "google/xtreme" or split.data.repo.startswith("local/")
        else:
            assert re.fullmatch(r"[0-9a-f]{40}", split.data.revision)


@every_task
def test_a_task_tells_licence_and_paper(spec):
    assert spec.licence
    assert spec.paper


def test_benchmarks_list_targets_that_the_catalogue_has():
    assert set(BENCHMARKS) == {"xtreme", "xtreme-r", "toy"}
    for name in BENCHMARKS:
        for target in benchmark(name).cells:
            assert TASKS[target].group != "intermediate"
            assert TASKS[target].score_languages


def test_xtreme_tasks_have_as_many_languages_as_published():
    counts = {name: len(TASKS[name].score_languages) for name in benchmark("xtreme").cells}
    assert counts == {"xnli": 15, "udpos": 33, "panx": 40, "xquad": 11, "tydiqa": 9, "tatoeba": 36}


def test_configurations_are_named_as_on_the_hub():
    assert TASKS["udpos"].search[0].data.config_for("sw") == "udpos.sw"
    assert TASKS["udpos"].search[0].data.config_for("yo") == "udpos.Yoruba"
    assert TASKS["tatoeba"].search[0].data.config_for("sw") == "tatoeba.swh"
    assert TASKS["panx"].search[0].data.config_for("jv") == "PAN-X.jv"


def test_an_unknown_task_is_answered_with_the_nearest():
    with pytest.raises(UnknownTaskError, match=r"no task 'xnl' .*Did you mean xnli") as caught:
        TASKS.task("xnl")
    assert caught.value.name == "xnl"


def test_an_unknown_benchmark_is_answered_with_the_nearest():
    with pytest.raises(TaskError, match=r"no benchmark 'xtrem'.*xtreme"):
        benchmark("xtrem")
