"""What people marked in a text is read as they marked it, or refused with row and reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from auditkit.config import DataConfig, JoinConfig
from auditkit.errors import DataError
from auditkit.sources import read_table
from auditkit.sources.rationales import read_rationales
from auditkit.sources.table import SourceTable

TEXT = "you stupid old fool 😀"


def rationales(*values: str | None, text: str = TEXT):
    table = SourceTable("d.csv", {"why": list(values)})
    return read_rationales(table, "why", [text] * len(values), ("", "?"))


@pytest.mark.parametrize(
    ("value", "spans"),
    [
        ("[[4, 10]]", ((4, 10),)),
        ("[[15,19],[4,10]]", ((4, 10), (15, 19))),
        (" [4, 5, 6, 7, 8, 9] ", ((4, 10),)),
        ("[9, 8, 4, 6, 7, 5, 20]", ((4, 10), (20, 21))),
        ("[[4, 10], [6, 14]]", ((4, 14),)),
        ("[[4, 10], [10, 14]]", ((4, 14),)),
        ("[[0, 20], [4, 10], [4, 10]]", ((0, 20),)),
        ("[]", ()),
        ('[["4", "10"]]', ((4, 10),)),
    ],
)
def test_spans_and_single_characters_are_read_in_order_and_merged(value, spans):
    assert rationales(value) == (spans,)


def test_a_row_that_nobody_was_asked_about_is_not_one_where_nothing_was_marked():
    assert rationales(None, "", "?", "[]") == (None, None, None, ())


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("stupid", "'stupid', which is no list"),
        ("{}", "'{}', which is no list"),
        ("7", "'7', which is no list"),
        ("[[4, 10]", "which is no list"),
        ("[" * 100_000, "which is no list"),
        ("[NaN]", "which is no list"),
        ("[[4, 22]]", "the span [4, 22], but its text has 21 characters"),
        ("[[-1, 4]]", "the span [-1, 4], but"),
        ("[21]", "the span [21, 22], but"),
        ("[[10, 4]]", "the span [10, 4], which ends where it begins or before"),
        ("[[4, 4]]", "the span [4, 4], which ends"),
        ("[[4, 1" + "0" * 5000 + "]]", "the number 100000000000…, beyond the end"),
        ("[[4.0, 10]]", "'4.0' where a whole number is expected"),
        ("[[true, 10]]", "true where a whole number is expected"),
        ('["stupid"]', "'stupid' where a whole number"),
        ('[["４", 10]]', "where a whole number"),
        ("[[[4, 10]]]", "a span of 1 numbers instead of 2"),
        ("[[[4], 10]]", '["4"] where a whole number'),
        ("[[4, 10], 12]", "spans and single characters in one list"),
        ("[[4, 10, 12]]", "a span of 3 numbers instead of 2"),
        ("[[]]", "a span of 0 numbers instead of 2"),
        ("[0, 1, 0, 0]", "the character 0 more than once"),
        ('{"a": [1]}', "which is no list"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_row(value, problem):
    with pytest.raises(DataError) as error:
        rationales("[]", value)
    where, said = "d.csv: column 'why': row 2 has ", str(error.value)
    assert said.startswith(where)
    assert problem in said.removeprefix(where)
    assert len(error.value.message) < 300


def test_an_empty_text_has_nothing_to_mark():
    assert rationales("[]", text="") == ((),)
    with pytest.raises(DataError, match="its text has 0 characters"):
        rationales("[0]", text="")


def test_a_long_list_takes_no_time_that_grows_with_its_square():
    text = "x" * 200_000
    assert rationales(json.dumps([*range(200_000)]), text=text) == (((0, 200_000),),)
    with pytest.raises(DataError, match="199999 more than once"):
        rationales(json.dumps([*range(200_000), 199_999]), text=text)


VALUES = ([[4, 10]], [15, 16, 17, 18], [], None)
SPANS = (((4, 10),), ((15, 19),), (), None)


def written(path: Path) -> Path:
    texts = [TEXT] * len(VALUES)
    if path.suffix == ".csv":
        lines = ["" if value is None else f'"{json.dumps(value)}"' for value in VALUES]
        path.write_text("id,text,why\n" + "".join(f"{i},{TEXT},{v}\n" for i, v in enumerate(lines)))
    elif path.suffix == ".jsonl":
        rows = [
            {"id": str(i), "text": TEXT} | ({} if value is None else {"why": value})
            for i, value in enumerate(VALUES)
        ]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pa = pytest.importorskip("pyarrow")
        import pyarrow.parquet as pq

        why = [[[4, 10]], [], [], None]
        pq.write_table(pa.table({"text": texts, "why": why}), path)
    return path


@pytest.mark.parametrize("name", ["d.csv", "d.jsonl"])
def test_lists_are_read_from_a_file(tmp_path, name):
    config = DataConfig(path=str(written(tmp_path / name)), text="text", rationale="why")
    table = read_table(config, online=False)
    assert read_rationales(table, "why", [TEXT] * 4, ("",)) == SPANS


def test_lists_are_read_from_parquet(tmp_path):
    path = written(tmp_path / "d.parquet")
    table = read_table(DataConfig(path=str(path), text="text", rationale="why"), online=False)
    assert read_rationales(table, "why", [TEXT] * 4, ("",)) == (((4, 10),), (), (), None)
    other = read_table(DataConfig(path=str(path), text="text"), online=False)
    with pytest.raises(DataError, match="cannot be used"):
        other.column("why")


def test_lists_may_be_in_the_file_that_is_joined(tmp_path):
    (tmp_path / "texts.csv").write_text("id,t\n" + "".join(f"{i},{TEXT}\n" for i in (3, 1, 0, 9)))
    marked = written(tmp_path / "d.jsonl")
    config = DataConfig(
        path=str(tmp_path / "texts.csv"),
        join=JoinConfig(path=str(marked), on="id"),
        text="t",
        rationale="why",
    )
    table = read_table(config, online=False)
    assert read_rationales(table, "why", [TEXT] * 4, ("",)) == (None, SPANS[1], SPANS[0], None)


@pytest.mark.parametrize("value", ['{"a": [4]}', "4", "true", "[[4, {}]]", "[null]"])
def test_what_is_no_list_of_numbers_in_json_is_refused(tmp_path, value):
    (tmp_path / "d.jsonl").write_text(f'{{"text": "{TEXT}", "why": {value}}}\n')
    config = DataConfig(path=str(tmp_path / "d.jsonl"), text="text", rationale="why")
    table = read_table(config, online=False)
    with pytest.raises(DataError, match="row 1 has"):
        read_rationales(table, "why", [TEXT], ("",))
