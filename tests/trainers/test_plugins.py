"""Tasks of another package, through its entry point."""

import pytest

from trainers.errors import TaskError
from trainers.tasks.catalog import PLUGINS, TASKS, installed

TASK = """
from trainers.tasks.spec import FamilyName, HubData, Metric, Split, TaskSpec

def task(name):
    data = HubData("me/mine", "a" * 40)
    return TaskSpec(
        name=name,
        family=FamilyName.PAIR,
        columns={"first": "text", "label": "label"},
        labels=("bad", "good"),
        train=(Split(data, "train", ("en",)),),
        search=(Split(data, "test", ("qxq",)),),
        report=(Split(data, "test", ("qxq",)),),
        metric=Metric.ACCURACY,
        group="pair",
        licence="MIT",
        paper="none",
    )

ONE = task("reviews")
SEVERAL = [task("reviews"), task("more_reviews")]
TAKEN = task("xnli")
NOTHING = 7
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Installs a package whose entry point is ``value``, as pip leaves it on the path."""
    (tmp_path / "interlude_reviews.py").write_text(TASK)
    metadata = tmp_path / "interlude_reviews-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: interlude-reviews\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(value):
        (metadata / "entry_points.txt").write_text(f"[{PLUGINS}]\nreviews = {value}\n")
        installed.cache_clear()
        return installed()

    yield install
    installed.cache_clear()


def test_without_plugins_the_installed_tasks_are_the_built_in_ones():
    installed.cache_clear()
    assert dict(installed()) == dict(TASKS)


@pytest.mark.parametrize(
    ("value", "names"), [("ONE", {"reviews"}), ("SEVERAL", {"reviews", "more_reviews"})]
)
def test_a_plugin_gives_one_task_or_several(plugin, value, names):
    assert set(plugin(f"interlude_reviews:{value}")) - set(TASKS) == names


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("interlude_reviews:ABSENT", "'reviews' .*cannot be imported: AttributeError.*uninstall"),
        ("interlude_review:ONE", "'reviews' .*cannot be imported: ModuleNotFoundError"),
        ("interlude_reviews:NOTHING", "gives int instead of a TaskSpec"),
        ("interlude_reviews:TAKEN", "two tasks are called 'xnli'"),
    ],
)
def test_a_plugin_that_gives_no_new_task_is_refused_by_name(plugin, value, says):
    with pytest.raises(TaskError, match=says):
        plugin(value)


def test_a_task_of_a_plugin_can_be_a_target_in_a_language_that_no_table_has(plugin):
    from pathlib import Path

    from budgets.spec import read_yaml
    from scheduler.run import worker_settings
    from scheduler.spec import read

    plugin("interlude_reviews:ONE")
    folder = Path(__file__).parents[2] / "experiments/studies"
    mapping, _ = read_yaml(folder / "task-count-vs-budget.yaml")
    mapping["target"].update(tasks=["reviews"], languages=["qxq"])
    spec = read(mapping, "s.yaml")
    assert spec.cells == (("reviews", ("qxq",)),)
    assert [task.name for task in worker_settings(spec).tasks] == ["reviews"]
