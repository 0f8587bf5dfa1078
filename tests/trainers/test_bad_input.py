"""What every family does with hard texts, and what is refused, skipped and counted in bad data."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from datasets import Dataset
from tiny_model import ENTRY, PAD_ID, WIDTH, tiny_encoder, tiny_tokenizer
from worker_bench import Bench, tiny_mirror

import trainers.evaluation
from trainers.candidates import Candidates
from trainers.errors import EmptySplitError, MalformedDataError
from trainers.evaluate import evaluate, score_cell
from trainers.families import family
from trainers.features import features
from trainers.metrics import STATISTICS
from trainers.order import Outcome
from trainers.tasks.canonical import examples, training_examples
from trainers.tasks.examples import DOCUMENT, QUERY
from trainers.tasks.files import FileSource
from trainers.tasks.spec import FamilyName, FileData, Metric, Split, TaskSpec

HARD = {
    "200 000 characters": "the cat sleeps " * 13_400,
    "one word of 200 000": "x" * 200_000,
    "right to left": "مدينة كبيرة",
    "combining": "श्री e\u0301\u0323\u0302 ကြီး",
    "replacement": "the \ufffd cat \ufffd\ufffd",
    "unknown script": "ᚠᛇᚻ 𐎠𐎡𐎢 🏳️‍🌈",
    "line ends inside": "a\u2028b\x85c\x0bd\ne\tf",
    "empty": "",
    "white space": " \u00a0\u3000",
}
LABELS = ("cat", "dog")

ROWS = {
    FamilyName.PAIR: lambda text: {"first": text, "second": text, "label": "dog"},
    FamilyName.CHOICE: lambda text: {"context": text, "choices": [text, "a dog"], "label": 1},
    FamilyName.SPANS: lambda text: {
        "context": text,
        "question": text,
        "answers": [text[-3:]] if text else [],
        "starts": [max(0, len(text) - 3)] if text else [],
    },
    FamilyName.TOKENS: lambda text: {"tokens": text.split(), "tags": ["dog"] * len(text.split())},
    FamilyName.RETRIEVAL: lambda text: {"query": text, "document": text},
    FamilyName.MASKED: lambda text: {"text": text},
}
METRICS = {
    FamilyName.PAIR: Metric.ACCURACY,
    FamilyName.CHOICE: Metric.ACCURACY,
    FamilyName.SPANS: Metric.QA_F1_EM,
    FamilyName.TOKENS: Metric.SPAN_F1,
    FamilyName.RETRIEVAL: Metric.ACCURACY_AT_1,
    FamilyName.RANKING: Metric.MAP_AT_20,
    FamilyName.MINING: Metric.MINING_F1,
    FamilyName.MASKED: Metric.PSEUDO_PERPLEXITY,
}
LABELLED = (FamilyName.PAIR, FamilyName.CHOICE, FamilyName.TOKENS)
every_family = pytest.mark.parametrize("shape", ROWS, ids=lambda shape: shape.value)


def task_of(shape, columns=None):
    return TaskSpec(
        name="mine",
        family=shape,
        columns=columns or {name: name for name in ROWS[shape]("a")},
        labels=LABELS if shape in LABELLED else (),
        metric=METRICS[shape],
        max_length=64,
        group="pair",
        licence="none",
        paper="none",
    )


def split_of(folder, rows, name="a"):
    file = folder / f"{name}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Split(FileData("mine", {"sw": (str(file),)}), "train", ("sw",))


def score(rows, task, folder):
    torch.manual_seed(0)
    encoder, head = tiny_encoder(), family(task.family).make_head(WIDTH, task)
    made = features(rows, task, tiny_tokenizer(), training=False, cache_dir=folder / "cache")
    return score_cell(
        rows,
        made,
        task,
        encoder,
        head,
        pad_id=PAD_ID,
        entry=ENTRY,
        language="sw",
        batch_tokens=512,
        device=torch.device("cpu"),
        until=lambda: False,
        candidates=Candidates(),
    )


@every_family
def test_hard_texts_and_a_row_that_is_there_twice_are_kept_and_scored(shape, tmp_path):
    task = task_of(shape)
    rows = [ROWS[shape](text) for text in (*HARD.values(), HARD["combining"])]
    read = examples(task, split_of(tmp_path, rows), "sw", FileSource())
    assert read.num_rows == len(HARD) + 1
    record = score(read, task, tmp_path)
    for name in STATISTICS[task.metric]:
        assert record[name].shape == (len(HARD) + 1,)
        assert np.isfinite(record[name]).all()


@pytest.mark.parametrize("shape", [FamilyName.RANKING, FamilyName.MINING], ids=str)
def test_hard_texts_are_ranked_and_mined(shape, tmp_path):
    task = replace(task_of(FamilyName.MASKED), family=shape, metric=METRICS[shape])
    texts = list(HARD.values())
    both = [*texts, *texts]
    sides = [QUERY] * len(texts) + [DOCUMENT] * len(texts)
    rows = Dataset.from_dict(
        {
            "id": [str(number) for number in range(len(both))],
            "text": both,
            "context": [""] * len(both),
            "side": sides,
            "keys": [[str(number % len(texts))] for number in range(len(both))],
            "part": [number % 2 for number in range(len(both))],
            "scored": [side == QUERY for side in sides],
        }
    )
    record = score(rows, task, tmp_path)
    for name in STATISTICS[task.metric]:
        assert record[name].shape == (len(texts),)
        assert np.isfinite(record[name]).all()


@every_family
def test_hard_texts_are_trained_on_and_only_those_without_text_are_left_out(shape, tmp_path):
    task = task_of(shape)
    split = split_of(tmp_path, [ROWS[shape](text) for text in HARD.values()])
    taught = training_examples(task, split, "sw", FileSource())
    n_blank = 0 if shape is FamilyName.RETRIEVAL else 2
    assert taught.n_skipped == n_blank
    assert taught.examples.num_rows == len(HARD) - n_blank
    if shape is not FamilyName.RETRIEVAL:
        made = features(taught.examples, task, tiny_tokenizer(), training=True, cache_dir=tmp_path)
        encoder, head = tiny_encoder(), family(shape).make_head(WIDTH, task)
        batch = family(shape).collate([made[row] for row in range(min(4, made.num_rows))], PAD_ID)
        assert torch.isfinite(family(shape).loss(encoder, head, batch))


@every_family
def test_ids_that_occur_again_are_told_apart(shape, tmp_path):
    task = task_of(shape, {"id": "key", **{name: name for name in ROWS[shape]("a")}})
    rows = [{"key": "one", **ROWS[shape]("a cat")} for _ in range(3)]
    read = examples(task, split_of(tmp_path, rows), "sw", FileSource())
    assert read["id"][:] == ["one", "one#2", "one#3"]


def test_a_row_without_an_id_is_refused_where_others_have_one(tmp_path):
    task = task_of(FamilyName.MASKED, {"id": "id?", "text": "text"})
    rows = [{"id": "one", "text": "a"}, {"text": "b"}, {"text": "c"}]
    with pytest.raises(MalformedDataError, match=r"2 of 3 rows, first row 1 .*'id': is empty"):
        examples(task, split_of(tmp_path, rows), "sw", FileSource())


@every_family
def test_null_in_any_column_is_counted_and_refused(shape, tmp_path):
    for name in ROWS[shape]("a"):
        rows = [ROWS[shape]("a cat") for _ in range(5)]
        for row in (1, 3):
            rows[row] = {**rows[row], name: None}
        with pytest.raises(
            MalformedDataError, match=rf"2 of 5 rows, first row 1 of .*'{name}': is empty"
        ):
            examples(task_of(shape), split_of(tmp_path, rows), "sw", FileSource())


@every_family
def test_a_file_with_other_columns_is_refused_with_those_it_has(shape, tmp_path):
    split = split_of(tmp_path, [{"texte": "a", "etiquette": 1}])
    with pytest.raises(MalformedDataError) as caught:
        examples(task_of(shape), split, "sw", FileSource())
    for name in ROWS[shape]("a"):
        if name not in ("second", "context") or shape is FamilyName.SPANS:
            assert f"column '{name}': no such column; found texte, etiquette" in str(caught.value)


@pytest.mark.parametrize("mark", [-1, "-1", "-"])
@pytest.mark.parametrize("shape", [FamilyName.PAIR, FamilyName.CHOICE], ids=str)
def test_rows_without_a_label_are_left_out_of_training_and_refused_in_scoring(shape, mark, tmp_path):
    good = "dog" if isinstance(mark, str) else 1
    rows = [{**ROWS[shape](f"cat {n}"), "label": mark if n % 3 == 0 else good} for n in range(7)]
    split = split_of(tmp_path, rows)
    taught = training_examples(task_of(shape), split, "sw", FileSource())
    assert taught.n_skipped == 3
    assert taught.examples["id"][:] == ["train-1", "train-2", "train-4", "train-5"]
    assert set(taught.examples["label"][:]) == {1}
    with pytest.raises(MalformedDataError, match=rf"3 of 7 rows, first row 0 .*label {mark!r}"):
        examples(task_of(shape), split, "sw", FileSource())


def test_a_mark_that_is_a_label_is_a_label(tmp_path):
    task = replace(task_of(FamilyName.PAIR), labels=("-", "+"))
    rows = [{**ROWS[FamilyName.PAIR]("cat"), "label": label} for label in "-+-"]
    taught = training_examples(task, split_of(tmp_path, rows), "sw", FileSource())
    assert (taught.n_skipped, taught.examples["label"][:]) == (0, [0, 1, 0])


def test_errors_count_the_rows_of_the_file_also_after_some_were_left_out(tmp_path):
    labels = ["-", "dog", "-", "wolf", "cat", "wolf"]
    rows = [{**ROWS[FamilyName.PAIR]("cat"), "label": label} for label in labels]
    with pytest.raises(
        MalformedDataError, match=r"2 of 6 rows, first row 3 of .*label 'wolf'"
    ) as caught:
        training_examples(task_of(FamilyName.PAIR), split_of(tmp_path, rows), "sw", FileSource())
    assert (caught.value.row, caught.value.column) == (3, "label")


def test_a_file_of_which_nothing_can_be_taught_is_refused(tmp_path):
    split = split_of(tmp_path, [ROWS[FamilyName.MASKED](" ")] * 3)
    with pytest.raises(EmptySplitError, match="none of 3 rows can be trained on"):
        training_examples(task_of(FamilyName.MASKED), split, "sw", FileSource())


def test_every_fault_of_a_file_is_named_and_counted(tmp_path):
    rows = [{"first": "a", "second": None, "label": "wolf"}] * 2
    rows += [{"first": "a", "second": "b", "label": label} for label in ("fox", "wolf", "dog")]
    with pytest.raises(MalformedDataError) as caught:
        examples(task_of(FamilyName.PAIR), split_of(tmp_path, rows), "sw", FileSource())
    lines = str(caught.value).splitlines()
    assert lines[0].endswith(
        "has 2 kinds of fault. Mend or fetch the file again, or leave the task out."
    )
    assert lines[1].startswith("  2 of 5 rows, first row 0 of ")
    assert "column 'second': is empty (null)" in lines[1]
    assert "4 of 5 rows" in lines[2]
    assert "labels 'wolf', 'fox'. Task mine expects one of 2 labels, 0 to 1 or cat, dog" in lines[2]


def test_spans_that_are_not_where_they_should_be_are_counted_by_kind(tmp_path):
    good = {"context": "Ada wrote", "question": "Who?", "answers": ["Ada"], "starts": [0]}
    changes = [{}, {"starts": [7]}, {"starts": [-1]}, {"starts": [1]}, {"starts": []}]
    split = split_of(tmp_path, [{**good, **change} for change in changes])
    with pytest.raises(MalformedDataError) as caught:
        examples(task_of(FamilyName.SPANS), split, "sw", FileSource())
    text = str(caught.value)
    assert "2 of 5 rows, first row 1" in text
    assert "an answer from character 7 to 10 of 9" in text
    assert "at character 1 stands 'da ', not 'Ada'" in text
    assert "0 starts for 1 answers" in text


def test_tags_that_do_not_match_their_tokens_are_counted(tmp_path):
    rows = [{"tokens": ["a", "b"], "tags": ["cat"] * n} for n in (2, 1, 3, 2)]
    with pytest.raises(MalformedDataError, match=r"2 of 4 rows, first row 1 .*1 tags for 2 tokens"):
        examples(task_of(FamilyName.TOKENS), split_of(tmp_path, rows), "sw", FileSource())


@pytest.mark.parametrize(
    ("labels", "given", "read"),
    [
        (("no", "yes"), ["yes", "no"], [1, 0]),
        (("no", "yes"), ["1", "0"], [1, 0]),
        (("1", "0"), ["1", "0"], [0, 1]),
        (("1", "2", "3"), ["1", "3"], [0, 2]),
    ],
)
def test_digits_in_text_are_positions_unless_labels_are_numbers_themselves(
    tmp_path, labels, given, read
):
    task = replace(task_of(FamilyName.PAIR), labels=labels)
    rows = [{**ROWS[FamilyName.PAIR]("cat"), "label": label} for label in given]
    assert examples(task, split_of(tmp_path, rows), "sw", FileSource())["label"][:] == read
    if labels == ("1", "2", "3"):
        rows[0]["label"] = "0"
        with pytest.raises(MalformedDataError, match="label '0'"):
            examples(task, split_of(tmp_path, rows), "sw", FileSource())


def test_columns_that_may_be_missing_are_empty_or_numbered(tmp_path):
    columns = {"id": "id?", "first": "first", "second": "second?", "label": "label"}
    rows = [{"first": "a", "label": 0}, {"first": "b", "label": 1}]
    read = examples(task_of(FamilyName.PAIR, columns), split_of(tmp_path, rows), "sw", FileSource())
    assert read["id"][:] == ["train-0", "train-1"]
    assert read["second"][:] == ["", ""]
    with_both = [{**row, "id": f"x{n}", "second": "s"} for n, row in enumerate(rows)]
    split = split_of(tmp_path, with_both, "b")
    read = examples(task_of(FamilyName.PAIR, columns), split, "sw", FileSource())
    assert (read["id"][:], read["second"][:]) == (["x0", "x1"], ["s", "s"])


def test_a_training_stage_records_how_many_rows_it_left_out(tmp_path):
    place = tiny_mirror(tmp_path / "mirror")
    file = tmp_path / "mirror/hub/nyu-mll/glue/mnli/train.parquet"
    columns = pq.read_table(file).to_pydict()
    columns["label"][:5] = [-1] * 5
    columns["premise"][10] = "  "
    pq.write_table(pa.table(columns), file)
    bench = Bench(place, tmp_path)
    measurement = bench.run(bench.intermediate(1_000))
    assert measurement.outcome is Outcome.DONE, measurement.error
    assert measurement.facts["n_rows_skipped"] == 6


def lengthened(file, column, rows):
    """A Parquet file with a text in some rows that no sequence of 64 tokens holds."""
    columns = pq.read_table(file).to_pydict()
    for row in rows:
        columns[column][row] = "the cat sleeps " * 40
    pq.write_table(pa.table(columns), file)


def test_stages_record_how_many_examples_lost_tokens_even_when_they_are_taken_up_again(
    tmp_path, monkeypatch
):
    place = tiny_mirror(tmp_path / "mirror")
    hub = tmp_path / "mirror/hub"
    lengthened(hub / "nyu-mll/glue/mnli/train.parquet", "premise", [3, 4, 50])
    bench = Bench(place, tmp_path)
    target, evaluation = bench.target(tokens=300), bench.evaluation(bench.target(tokens=300))
    assert bench.run(target).facts["n_examples_truncated"] == 3
    assert bench.run(evaluation).facts.get("n_examples_truncated") is None

    lengthened(hub / "google/xtreme/XNLI/validation.parquet", "sentence1", range(60))
    other = Bench(place, tmp_path / "other")
    other.run(target)
    n_scored = sum(cell.n_examples for cell in other.run(evaluation).scores)
    again, asked = replace(evaluation, max_examples=9), []

    def stopped(stage, *given, until, **named):
        asked.append(stage.languages)
        return evaluate(stage, *given, until=lambda: len(asked) == 2, **named)

    monkeypatch.setattr(trainers.evaluation, "evaluate", stopped)
    assert other.run(again).facts["n_examples_truncated"] == 9
    assert other.run(again).facts["n_examples_truncated"] == 18 < n_scored
    assert asked == [("sw",), ("ur",), ("ur",)]
