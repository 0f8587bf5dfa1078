import re
from itertools import chain

import pytest

from trainers.errors import TaskError, UnknownTaskError
from trainers.tasks.catalog import BENCHMARKS, TASKS, benchmark
from trainers.tasks.entries.published import UNPINNED
from trainers.tasks.examples import CANONICAL
from trainers.tasks.languages import LANGUAGES
from trainers.tasks.layouts import LAYOUTS
from trainers.tasks.spec import FamilyName, HubData, Metric
from trainers.tasks.toy.languages import LANGUAGES as TOY_LANGUAGES

_METRICS = {
    FamilyName.PAIR: {Metric.ACCURACY},
    FamilyName.CHOICE: {Metric.ACCURACY},
    FamilyName.SPANS: {Metric.QA_F1_EM, Metric.MLQA_F1_EM},
    FamilyName.TOKENS: {Metric.SPAN_F1},
    FamilyName.RETRIEVAL: {Metric.ACCURACY_AT_1},
    FamilyName.RANKING: {Metric.MAP_AT_20},
    FamilyName.MINING: {Metric.MINING_F1},
    FamilyName.MASKED: {Metric.PSEUDO_PERPLEXITY},
}
_OPTIONAL = {"id", "second", "context", "question"}
_LABELLED = {FamilyName.PAIR, FamilyName.CHOICE, FamilyName.TOKENS}
_GROUPS = {"pair", "structured", "qa", "retrieval"}
_NINE = {"anli_plus", "mnli", "qqp", "squad_v2", "squad_v1", "hellaswag", "ccg", "cosmosqa"}
_NINE |= {"commonsenseqa"}
_UNPINNED = {
    "masakhane/masakhapos",
    "nala-cub/americas_nli",
    "universal-dependencies/universal_dependencies",
}


def _splits(spec):
    return (*spec.train, *spec.search, *spec.report, *spec.pool)


def _places(splits):
    return {(split.data.repo, split.data.config, split.name) for split in splits}


every_task = pytest.mark.parametrize("spec", TASKS.values(), ids=TASKS)


@every_task
def test_a_task_is_found_by_the_name_it_carries(spec):
    assert TASKS.task(spec.name) is spec
    assert spec.name == spec.name.lower()


@every_task
def test_a_task_names_a_column_for_all_that_its_layouts_need(spec):
    for split in _splits(spec):
        layout = LAYOUTS[split.layout]
        assert spec.family in layout.families
        needed = set(layout.columns) if layout.columns else set(CANONICAL[spec.family])
        assert set(spec.columns) <= needed
        assert needed - set(spec.columns) - set(layout.columns) <= _OPTIONAL


@every_task
def test_a_task_has_labels_where_its_family_has_any(spec):
    assert bool(spec.labels) == (spec.family in _LABELLED)
    assert len(set(spec.labels)) == len(spec.labels)


@every_task
def test_a_task_has_a_metric_of_its_family(spec):
    assert spec.metric in _METRICS[spec.family]


@every_task
def test_no_split_both_trains_and_scores(spec):
    assert not _places(spec.train) & _places((*spec.search, *spec.report))


@every_task
def test_search_and_report_are_the_same_splits_or_have_none_in_common(spec):
    assert spec.search == spec.report or not _places(spec.search) & _places(spec.report)


@every_task
def test_a_task_speaks_only_known_languages(spec):
    known = TOY_LANGUAGES if spec.world == "toy" else LANGUAGES
    assert {code for split in _splits(spec) for code in split.languages} <= set(known)
    for split in _splits(spec):
        assert len(set(split.languages)) == len(split.languages)


@every_task
def test_published_rows_are_of_languages_that_the_split_has(spec):
    for split in _splits(spec):
        assert set(split.rows_in) <= set(split.languages)


@every_task
def test_every_language_of_a_task_has_a_configuration_of_its_own_or_a_filter(spec):
    for split in _splits(spec):
        configurations = {split.data.config_for(code) for code in split.languages}
        assert len(configurations) == len(split.languages) or split.language_field


@every_task
def test_a_target_is_trained_in_english_or_not_at_all(spec):
    if spec.group != "intermediate" and spec.world == "hub":
        assert spec.train_languages in {(), ("en",)}


@every_task
def test_what_comes_before_a_target_can_be_trained_and_has_the_same_shape(spec):
    if spec.after:
        before = TASKS.task(spec.after)
        assert before.train
        assert before.family is spec.family
        assert not before.after


@every_task
def test_only_ranking_has_a_pool_and_always_has_one(spec):
    assert bool(spec.pool) == (spec.family is FamilyName.RANKING)


@every_task
def test_a_task_is_an_ingredient_or_in_one_of_the_groups_of_the_benchmarks(spec):
    assert spec.group in _GROUPS | {"intermediate"}
    assert bool(spec.search) or spec.family is FamilyName.MASKED


@every_task
def test_revisions_are_commits_and_only_the_repositories_listed_lack_one(spec):
    for split in _splits(spec):
        if split.data.revision == UNPINNED:
            assert split.data.repo in _UNPINNED or split.data.repo.startswith("local/")
        else:
            assert re.fullmatch(r"[0-9a-f]{40}", split.data.revision)


def test_a_repository_is_pinned_to_one_commit():
    commits = {}
    for split in chain.from_iterable(_splits(spec) for spec in TASKS.values()):
        assert isinstance(split.data, HubData)
        commits.setdefault(split.data.repo, set()).add(split.data.revision)
    assert all(len(revisions) == 1 for revisions in commits.values())


@every_task
def test_a_task_tells_licence_and_paper(spec):
    assert spec.licence
    assert spec.paper


def test_the_nine_published_ingredients_and_masked_text_can_be_mixed():
    for name in {*_NINE, "mlm"}:
        assert TASKS.task(name).train
        assert TASKS.task(name).group == "intermediate"


def test_the_plus_of_anli_is_snli_and_mnli():
    repos = [split.data.repo for split in TASKS["anli_plus"].train]
    assert repos == ["stanfordnlp/snli", "nyu-mll/glue", *["facebook/anli"] * 3]
    n_rows = sum(split.n_rows for split in TASKS["anli_plus"].train)
    assert n_rows == 550_152 + 392_702 + 162_865


def test_benchmarks_list_targets_that_the_catalogue_has():
    assert set(BENCHMARKS) == {"xtreme", "xtreme-r", "beyond", "toy"}
    for name in BENCHMARKS:
        for target, languages in benchmark(name).cells.items():
            assert TASKS[target].group != "intermediate"
            assert languages
            assert set(languages) <= set(TASKS[target].score_languages)


def test_xtreme_has_nine_tasks_in_forty_languages_as_published():
    cells = benchmark("xtreme").cells
    assert {task: len(languages) for task, languages in cells.items()} == {
        "xnli": 15,
        "pawsx": 7,
        "udpos": 33,
        "panx": 40,
        "xquad": 11,
        "mlqa": 7,
        "tydiqa": 9,
        "bucc": 4,
        "tatoeba": 36,
    }
    assert len(set(chain.from_iterable(cells.values()))) == 40


def test_xtreme_r_has_ten_tasks_in_fifty_languages_as_published():
    cells = benchmark("xtreme-r").cells
    assert {task: len(languages) for task, languages in cells.items()} == {
        "xnli": 15,
        "xcopa": 11,
        "udpos": 38,
        "panx": 48,
        "xquad": 12,
        "mlqa": 7,
        "tydiqa": 9,
        "tatoeba": 41,
        "mewslix": 11,
        "lareqa": 11,
    }
    assert set(chain.from_iterable(cells.values())) == set(LANGUAGES)


@pytest.mark.parametrize(("task", "n_rows"), [("xnli", 37_350), ("tydiqa", 5_077)])
def test_published_rows_of_all_languages_sum_to_the_published_total(task, n_rows):
    (split,) = TASKS[task].search
    assert sum(split.published_rows(code) for code in split.languages) == n_rows


def test_every_cell_of_xtreme_tells_its_size_but_those_of_bucc():
    for task, languages in benchmark("xtreme").cells.items():
        for code in languages:
            sizes = [
                split.published_rows(code) for split in TASKS[task].search if code in split.languages
            ]
            assert all(sizes) or task == "bucc"


def test_configurations_are_named_as_on_the_hub():
    def config(task, language):
        (split,) = [split for split in TASKS[task].search if language in split.languages]
        return split.place(language)

    assert config("udpos", "yo") == "google/xtreme/udpos.Yoruba/test"
    assert config("udpos", "wo") == "universal-dependencies/universal_dependencies/wo_wtf/test"
    assert config("tatoeba", "sw") == "google/xtreme/tatoeba.swh/validation"
    assert config("tatoeba", "uk") == "local/tatoeba/tatoeba.ukr/validation"
    assert config("panx", "jv") == "google/xtreme/PAN-X.jv/validation"
    assert config("panx", "qu") == "unimelb-nlp/wikiann/qu/validation"
    assert config("mlqa", "vi") == "google/xtreme/MLQA.vi.vi/validation"
    assert config("xquad", "ro") == "google/xquad/xquad.ro/validation"
    assert config("xcopa", "ht") == "cambridgeltl/xcopa/ht/validation"
    assert config("lareqa", "th") == "local/xquad-r/th/validation"


def test_an_unknown_task_is_answered_with_the_nearest():
    with pytest.raises(UnknownTaskError, match=r"no task 'xnl' .*Did you mean xnli") as caught:
        TASKS.task("xnl")
    assert caught.value.name == "xnl"


def test_an_unknown_benchmark_is_answered_with_the_nearest():
    with pytest.raises(TaskError, match=r"no benchmark 'xtrem'.*xtreme"):
        benchmark("xtrem")
