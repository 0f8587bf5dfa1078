"""Files of every format, and what is said of those that are not what they should be."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainers.errors import MalformedDataError
from trainers.tasks.formats import format_of, read_table

LONG = "क्षि " * 50_000  # 200 000 characters and more
HARD = [LONG, 'a "quoted" word, and commas', "مدينة كبيرة", "e\u0301\u0323", "\ufffd", "a\u2028b\x85c"]


def save(folder, name, text, encoding="utf-8"):
    file = folder / name
    data = text.encode(encoding)
    file.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return file


def rows(file, header=()):
    return read_table(file, format_of(file), header).to_pylist()


def refused(file, says, header=()):
    with pytest.raises(MalformedDataError, match=says) as caught:
        rows(file, header)
    assert str(caught.value).startswith(str(file))
    assert caught.value.file == str(file)


@pytest.mark.parametrize(
    ("name", "format_name"),
    [
        ("a.tsv", "tsv"),
        ("a.b.csv.gz", "csv"),
        ("a.conllu", "conllu"),
        ("a.jsonl.gz", "jsonl"),
        ("a.parquet", "parquet"),
        ("a.txt", None),
        ("gz", None),
    ],
)
def test_a_files_ending_says_its_format(name, format_name):
    assert format_of(name) == format_name


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_texts_of_any_length_and_script_arrive_as_they_were_written(tmp_path, kind, ending):
    table = [{"text": text, "label": str(number)} for number, text in enumerate(HARD)]
    file = tmp_path / f"a.{kind}{ending}"
    if kind == "parquet":
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(table), sink)
        data = sink.getvalue().to_pybytes()
    elif kind == "jsonl":
        data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in table).encode()
    elif kind == "tsv":
        data = "".join(f"{row['text']}\t{row['label']}\n" for row in table).encode()
        data = b"text\tlabel\n" + data
    else:
        quoted = ('"' + row["text"].replace('"', '""') + '"' for row in table)
        lines = (f"{text},{row['label']}\r\n" for text, row in zip(quoted, table, strict=True))
        data = ("text,label\r\n" + "".join(lines)).encode()
    file.write_bytes(gzip.compress(data) if ending else data)
    assert rows(file) == table


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(*[st.text(st.characters(exclude_characters="\t\n\r", exclude_categories=["Cs"]))] * 2),
        max_size=8,
    )
)
def test_whatever_a_tsv_file_holds_between_tabs_is_its_value(tmp_path_factory, table):
    text = "".join(f"{first}\t{second}\n" for first, second in table)
    file = save(tmp_path_factory.mktemp("tsv"), "a.tsv", text)
    expected = [{"first": first, "second": second} for first, second in table]
    if table and table[0][0].startswith("\ufeff"):
        expected[0]["first"] = table[0][0].removeprefix("\ufeff")
    assert rows(file, ("first", "second")) == expected


def test_a_quote_in_a_tsv_file_is_a_character_like_any_other(tmp_path):
    file = save(tmp_path, "a.tsv", 'first\tlabel\n"So\tyes\nhe said"\tno\n')
    assert rows(file) == [{"first": '"So', "label": "yes"}, {"first": 'he said"', "label": "no"}]


def test_a_header_in_the_spec_makes_the_first_line_a_row(tmp_path):
    file = save(tmp_path, "a.tsv", "a\t1\nb\t0\n")
    assert rows(file, ("first", "label"))[0] == {"first": "a", "label": "1"}
    assert rows(file)[0] == {"a": "b", "1": "0"}


def test_numbers_in_text_files_stay_the_text_they_are(tmp_path):
    assert rows(save(tmp_path, "a.csv", "id,text\n007,1.50\n")) == [{"id": "007", "text": "1.50"}]


def test_a_value_of_csv_may_hold_lines_and_a_blank_line_is_no_row(tmp_path):
    file = save(tmp_path, "a.csv", 'text,label\n"one\ntwo",1\n\nthree,0\n')
    assert [row["text"] for row in rows(file)] == ["one\ntwo", "three"]


def test_a_blank_line_in_a_file_of_one_column_is_an_empty_text(tmp_path):
    for kind in ("csv", "tsv"):
        assert [row["text"] for row in rows(save(tmp_path, f"a.{kind}", "text\na\n\nb\n"))] == [
            "a",
            "",
            "b",
        ]


def test_a_byte_order_mark_is_no_text(tmp_path):
    for kind, text in (("tsv", "text\tlabel\na\t1\n"), ("jsonl", '{"text": "a", "label": "1"}\n')):
        file = save(tmp_path, f"a.{kind}", text, "utf-8-sig")
        assert rows(file) == [{"text": "a", "label": "1"}]


@pytest.mark.parametrize("name", ["a.tsv", "a.csv", "a.jsonl", "a.conllu", "a.tsv.gz"])
def test_another_encoding_is_named_with_the_byte_that_shows_it(tmp_path, name):
    refused(
        save(tmp_path, name, "text\nnaïve\n", "latin-1"),
        r"is not UTF-8: byte 7 \(from 0, in line 2\), 0xef: .*iconv -f ENCODING -t UTF-8",
    )
    refused(
        save(tmp_path, name, "text\n", "utf-16"), r"is UTF-16, by the mark .*byte 0.*iconv -f UTF-16"
    )


def test_lines_with_another_number_of_values_are_counted_and_the_first_is_named(tmp_path):
    text = "a\tb\tc\n" + "1\t2\t3\n" * 5 + "1\t2\n" + "1\t2\t3\t4\n"
    refused(
        save(tmp_path, "a.tsv", text),
        r"2 bad lines beside 5 rows.*first, line 7, has 2 values\. Expected 3 values, for a, b, c",
    )
    refused(save(tmp_path, "b.csv", text.replace("\t", ",")), "2 bad lines beside 5 rows.*line 7")


def test_a_quote_that_never_ends_does_not_swallow_the_rest_of_a_csv_file(tmp_path):
    refused(save(tmp_path, "a.csv", 'a,b\n1,"2\n3,4\n5,6\n'), "is not csv: unexpected end of data.*tsv")


def test_a_column_that_is_there_twice_is_refused(tmp_path):
    refused(save(tmp_path, "a.tsv", "a\tb\ta\n1\t2\t3\n"), "column 'a' is there twice")


def test_lines_that_are_no_json_objects_are_counted(tmp_path):
    text = '{"a": 1}\n{"a": \n[1, 2]\n\n{"a": 2}\n'
    refused(save(tmp_path, "a.jsonl", text), "2 bad lines beside 2 rows.*line 2, has .*JSON object")


@pytest.mark.parametrize("second", ['"x"', "[1]", '"\\ud800"'])
def test_a_json_column_of_two_kinds_or_of_no_text_is_refused(tmp_path, second):
    text = f'{{"a": 1}}\n{{"a": {second}}}\n' if "ud8" not in second else f'{{"a": {second}}}\n'
    refused(save(tmp_path, "a.jsonl", text), "column 'a' holds values of different kinds")


def test_a_key_that_some_json_rows_lack_is_null_there(tmp_path):
    file = save(tmp_path, "a.jsonl", '{"a": 1}\n{"a": 2, "b": "x"}\n')
    assert rows(file) == [{"a": 1, "b": None}, {"a": 2, "b": "x"}]


@pytest.mark.parametrize("name", ["a.tsv.gz", "a.parquet.gz"])
def test_a_file_that_is_no_gzip_or_is_cut_off_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"plain text")
    refused(tmp_path / name, "cannot be unpacked: Not a gzipped file")
    (tmp_path / name).write_bytes(gzip.compress(b"a\tb\n" * 100)[:-9])
    refused(tmp_path / name, "cannot be unpacked")


def test_a_file_that_is_no_parquet_is_refused(tmp_path):
    refused(save(tmp_path, "a.parquet", "a,b\n1,2\n"), "cannot be read as parquet")


TREEBANK = """\
# sent_id = one
# text = Vámonos al mar
1-2\tVámonos\t_\t_\t_\t_\t_\t_\t_\t_
1\tVamos\tir\tVERB\tV\t_\t0\troot\t_\t_
2\tnos\tnosotros\tPRON\tP\t_\t1\tobj\t_\t_
3-4\tal\t_\t_\t_\t_\t_\t_\t_\t_
3\ta\ta\tADP\tS\t_\t5\tcase\t_\t_
4\tel\tel\tDET\tD\t_\t5\tdet\t_\t_
5\tmar\tmar\tNOUN\tN\t_\t1\tobl\t_\t_

# sent_id = two
1\tSue\tSue\tPROPN\tN\t_\t2\tnsubj\t_\t_
2\tlikes\tlike\tVERB\tV\t_\t0\troot\t_\t_
2.1\tlikes\tlike\tVERB\tV\t_\t_\t_\t0:exroot\t_
3\ttea\ttea\tNOUN\tN\t_\t2\tobj\t_\t_
"""


@pytest.mark.parametrize("end", ["", "\n", "\n\n\n", "\n# a comment of nothing\n"])
def test_a_sentence_of_a_treebank_is_a_row_of_its_syntactic_words(tmp_path, end):
    one, two = rows(save(tmp_path, "a.conllu", TREEBANK + end))
    assert (one["id"], one["text"]) == ("one", "Vámonos al mar")
    assert one["tokens"] == ["Vamos", "nos", "a", "el", "mar"]
    assert one["upos"] == ["VERB", "PRON", "ADP", "DET", "NOUN"]
    assert (two["id"], two["text"], two["deprels"]) == ("two", "", ["nsubj", "root", "obj"])
    assert two["tokens"] == ["Sue", "likes", "tea"]


def test_a_treebank_without_ids_has_no_column_of_them(tmp_path):
    (first, _) = rows(save(tmp_path, "a.conllu", TREEBANK.replace("# sent_id = two\n", "")))
    assert "id" not in first


def test_words_with_spaces_and_windows_line_ends_are_read_in_a_treebank(tmp_path):
    text = TREEBANK.replace("\tmar\tmar", "\tMar  del Plata\tmar").replace("\n", "\r\n")
    assert rows(save(tmp_path, "a.conllu", text))[0]["tokens"][-1] == "Mar  del Plata"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("5\tmar\tmar\tNOUN", "5\tmar\tNOUN", r"1 bad line beside 2 rows.*line 9, has 9 columns"),
        ("5\tmar", "6\tmar", "line 9, has word 6 after word 4"),
        ("\n\n# sent_id = two\n", "\n", "line 10, has word 1 after word 5"),
        ("2.1\tlikes", "x\tlikes", "line 14, has 'x' for a word's number"),
        ("\t", " ", "11 bad lines beside .*has 1 columns. Expected ten columns with tabs"),
    ],
)
def test_a_line_that_is_no_conllu_is_named(tmp_path, old, new, says):
    refused(save(tmp_path, "a.conllu", TREEBANK.replace(old, new)), says)
