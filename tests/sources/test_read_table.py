"""Data files are read as written, or refused with the place and the reason."""

from __future__ import annotations

import gzip
import json
import pickle  # noqa: TID251 - written here as a hostile file, never opened
from pathlib import Path

import pytest

from auditkit.config import DataConfig, JoinConfig, parse_config
from auditkit.errors import AuditkitError, ConfigError, DataError
from auditkit.sources import files, json_lines, read_table
from auditkit.sources.table import SourceTable, shown_rows


@pytest.fixture
def read(tmp_path: Path):
    """Write content to a file and read it as a table."""

    def write_and_read(name: str, content: str | bytes) -> SourceTable:
        raw = content.encode() if isinstance(content, str) else content
        (tmp_path / name).write_bytes(gzip.compress(raw, mtime=0) if name.endswith(".gz") else raw)
        return read_table(DataConfig(path=str(tmp_path / name)), online=False)

    return write_and_read


def read_offline(config: DataConfig) -> SourceTable:
    return read_table(config, online=False)


def complaint(call, *arguments, **options) -> str:
    with pytest.raises(AuditkitError) as error:
        call(*arguments, **options)
    return str(error.value)


# --- csv and tsv --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["d.csv", "d.CSV", "d.csv.gz"])
def test_csv_values_stay_as_written(read, name) -> None:
    table = read(name, 'id,text,who\n007,"a, ""b""\nc",NA\n1.0, x ,null\n')
    assert table.columns == {
        "id": ["007", "1.0"],
        "text": ['a, "b"\nc', " x "],
        "who": ["NA", "null"],
    }
    assert (table.n, table.name) == (2, name)


def test_tsv_is_split_at_tabs(read) -> None:
    assert read("d.tsv", "a\tb\n1,2\t3\n").columns == {"a": ["1,2"], "b": ["3"]}


def test_a_byte_order_mark_and_windows_line_ends_leave_no_trace(read) -> None:
    table = read("d.csv", b"\xef\xbb\xbftext,y\r\nfilm,1\r\n\r\n")
    assert table.columns == {"text": ["film"], "y": ["1"]}


def test_unicode_forms_of_one_word_stay_two_values(read) -> None:
    table = read("d.csv", "g\ncaf\u00e9\ncafe\u0301\n../../x\nCON\n")
    assert len(set(table.columns["g"])) == 4


def test_a_long_text_is_read_and_an_endless_one_refused(read) -> None:
    assert len(read("d.csv", "t,y\n" + "a" * 9_000_000 + ",1\n").columns["t"][0]) == 9_000_000
    said = complaint(read, "d.csv", "t,y\n" + "a" * 10_000_001 + ",1\n")
    assert "line 2: field larger than field limit (10000000)" in said


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        ("\n", "names no columns"),
        ("a,b\n", "has a header but no rows"),
        ("a,b,a\n1,2,3\n", "names column 'a' more than once"),
        ("a,b\n1,2\n3\n", "line 3 has 1 fields, the header has 2"),
        ('a,b\n"x\ny",2\n1,2,3\n', "line 4 has 3 fields, the header has 2"),
        ('a,b\n1,"open\n2,3\n', "unexpected end of data"),
        ('a,b\n"x"y,2\n', "line 2: ',' expected after '\"'"),
        ("a,b\n1,x\0y\n", "line 2 has a NUL character"),
        (b"a,b\n1,caf\xe9\n", "not UTF-8 text (byte 9)"),
        (b"a\n" + (b"x" * 99 + b"\n") * 30_000 + b"\xff\n", "not UTF-8 text (byte 3000002)"),
        ("a,b\n1,2\n".encode("utf-16"), "its content is UTF-16 text"),
        (b"PK\x03\x04 workbook", "its content is a zip archive or an Excel workbook"),
        (pickle.dumps([1]), "a Python pickle, which auditkit never opens"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0), "its content is gzip-compressed"),
        (b"PAR1....", "its content is a parquet file"),
    ],
)
def test_a_broken_csv_file_is_refused_with_the_place(read, content, message) -> None:
    assert message in complaint(read, "d.csv", content)


def test_the_field_limit_of_the_process_is_left_as_it_was(read) -> None:
    import csv

    before = csv.field_size_limit()
    read("d.csv", "a\n1\n")
    assert csv.field_size_limit() == before


# --- jsonl --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["d.jsonl", "d.ndjson", "d.jsonl.gz"])
def test_json_values_become_text_and_absent_ones_missing(read, name) -> None:
    rows = '{"t": "a", "y": 1, "p": 0.10}\n\n{"p": 1e-3, "t": null, "b": true}\n'
    table = read(name, rows)
    assert table.columns == {
        "t": ["a", None],
        "y": ["1", None],
        "p": ["0.10", "1e-3"],
        "b": [None, "true"],
    }


def test_a_lone_surrogate_becomes_a_replacement_character_and_is_noted(read) -> None:
    table = read("d.jsonl", '{"t": "x\\ud800y \\ud83d\\ude00"}\n')
    assert table.columns["t"] == ["x\ufffdy \U0001f600"]
    assert table.notes[0].startswith("1 values hold U+FFFD")


def test_a_nested_value_matters_only_when_its_column_is_used(read) -> None:
    table = read("d.jsonl", '{"t": "a", "x": "1"}\n{"t": "b", "x": ["2"]}\n')
    assert table.column("t") == ["a", "b"]
    assert "column 'x' cannot be used: line 2 has a list" in complaint(table.column, "x")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no rows"),
        ("{}\n", "have no keys"),
        ('{"a": 1}\n[1]\n', "line 2 is not a JSON object"),
        ('[{"a": 1}]\n', "line 1 is not a JSON object"),
        ('{"a": 1}\n{"a": \n', "line 2, column 6: not valid JSON: Expecting value"),
        ('{"a": 1, "a": 2}\n', "the key 'a' occurs twice"),
        ('{"a": {"b": 1, "b": 2}}\n', "the key 'b' occurs twice"),
        ('{"a": NaN}\n', "NaN is not JSON"),
        ('{"a": -Infinity}\n', "-Infinity is not JSON"),
        ('{"a": ' + "[" * 100_000 + "\n", "not valid JSON"),
        ('{"a": "\0"}\n', "NUL character"),
    ],
)
def test_a_broken_jsonl_file_is_refused_with_the_line(read, content, message) -> None:
    assert message in complaint(read, "d.jsonl", content)


def test_an_endless_line_is_refused(read, monkeypatch) -> None:
    monkeypatch.setattr(json_lines, "MAX_LINE", 1000)
    assert "line 1 has more than 1,000" in complaint(read, "d.jsonl", '{"a": "' + "x" * 1000 + '"}')


# --- parquet ------------------------------------------------------------------------------------


@pytest.fixture
def parquet(tmp_path: Path):
    """Write columns to a parquet file and read it as a table."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    def write_and_read(columns: dict, name: str = "d.parquet") -> SourceTable:
        path = tmp_path / name
        table = columns if isinstance(columns, pa.Table) else pa.table(columns)
        pq.write_table(table, path)
        if name.endswith(".gz"):
            path.write_bytes(gzip.compress(path.read_bytes()))
        return read_table(DataConfig(path=str(path)), online=False)

    return write_and_read


@pytest.mark.parametrize("name", ["d.parquet", "d.parquet.gz"])
def test_parquet_values_become_their_shortest_text(parquet, name) -> None:
    import pyarrow as pa

    table = parquet(
        {
            "text": ["a", None],
            "level": pa.array(["x", "y"]).dictionary_encode(),
            "int": [1, None],
            "double": [0.1, float("nan")],
            "single": pa.array([0.1, 1.0], pa.float32()),
            "bool": [True, False],
            "none": pa.nulls(2),
        },
        name,
    )
    assert table.columns == {
        "text": ["a", None],
        "level": ["x", "y"],
        "int": ["1", None],
        "double": ["0.1", None],
        "single": ["0.1", "1.0"],
        "bool": ["true", "false"],
        "none": [None, None],
    }


def test_a_nested_or_binary_parquet_column_cannot_be_used(parquet) -> None:
    table = parquet({"t": ["a"], "l": [[1]], "b": [b"\x00"]})
    assert table.column("t") == ["a"]
    for name in ("l", "b"):
        assert f"column {name!r} cannot be used: its type is" in complaint(table.column, name)


def test_parquet_with_two_columns_of_one_name_is_refused(parquet) -> None:
    import pyarrow as pa

    two = pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"])
    assert "more than one column 'a'" in complaint(parquet, two)


def test_empty_damaged_and_disguised_parquet_files_are_refused(read, parquet) -> None:
    assert "no rows" in complaint(parquet, {"a": []})
    assert "damaged" in complaint(read, "d.parquet", b"PAR1" + b"\x00" * 50 + b"PAR1")
    assert "not a parquet file but a Python pickle" in complaint(
        read, "d.parquet", pickle.dumps([1])
    )


def test_a_parquet_file_that_claims_too_many_rows_is_refused(parquet, monkeypatch) -> None:
    from auditkit.sources import parquet as reader

    monkeypatch.setattr(reader, "MAX_ROWS", 2)
    assert "claims 3 rows" in complaint(parquet, {"a": [1, 1, 1]})


# --- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["http://169.254.169.254/d.csv", "s3://b/d.csv", "hf://d/x.csv"])
def test_a_network_address_is_never_opened(path) -> None:
    with pytest.raises(ConfigError, match="nothing is fetched"):
        parse_config({"model": {"path": "m"}, "data": {"path": path}, "online": True})
    joined = {"path": "d.csv", "join": {"path": path, "on": "id"}}
    with pytest.raises(ConfigError, match="nothing is fetched"):
        parse_config({"model": {"path": "m"}, "data": joined})


def test_a_path_that_is_no_readable_file_is_refused(tmp_path: Path) -> None:
    for path, message in [
        (tmp_path / "absent.csv", "no such file"),
        (tmp_path, "not a file"),
        (Path("/dev/zero"), "not a file"),
    ]:
        assert message in complaint(read_offline, DataConfig(path=str(path)))


@pytest.mark.parametrize("name", ["d.xlsx", "d", "d.gz", "d.pkl"])
def test_an_extension_that_names_no_format_is_refused(read, name) -> None:
    assert "names no format auditkit reads" in complaint(read, name, "a\n1\n")


def test_a_decompression_bomb_is_refused_before_it_fills_the_memory(read, monkeypatch) -> None:
    monkeypatch.setattr(files, "BOMB_BYTES", 2**20)
    said = complaint(read, "d.csv.gz", "a\n" + "0" * 2**24)
    assert "refused as a decompression bomb" in said
    monkeypatch.setattr(files, "MAX_BYTES", 1000)
    assert "decompression bomb" in complaint(read, "d.jsonl.gz", '{"a": 1}\n' * 200)


@pytest.mark.parametrize("spoil", [lambda raw: raw[:-12], lambda raw: b"xx" + raw])
def test_damaged_gzip_data_is_refused(tmp_path: Path, spoil) -> None:
    path = tmp_path / "d.csv.gz"
    path.write_bytes(spoil(gzip.compress(b"a,b\n" + b"1,2\n" * 1000, mtime=0)))
    assert "gzip data is damaged" in complaint(read_offline, DataConfig(path=str(path)))


def test_an_unknown_column_is_answered_with_the_nearest(read) -> None:
    assert "no column 'lable'.\nDid you mean 'label'?" in complaint(
        read("d.csv", "text,label\na,1\n").column, "lable"
    )


def test_rows_are_counted_as_a_reader_counts_them() -> None:
    assert shown_rows([2]) == "row 3"
    assert shown_rows(list(range(12))) == "rows 1, 2, 3, 4, 5 and 7 more"


# --- join ---------------------------------------------------------------------------------------


@pytest.fixture
def joined(tmp_path: Path):
    """Join two csv texts on `id`."""

    def write_and_read(first: str, second: str) -> SourceTable:
        (tmp_path / "first.csv").write_text(first)
        (tmp_path / "second.csv").write_text(second)
        join = JoinConfig(path=str(tmp_path / "second.csv"), on="id")
        return read_table(DataConfig(path=str(tmp_path / "first.csv"), join=join), online=False)

    return write_and_read


def test_a_join_keeps_rows_and_order_and_counts_what_it_lacks(joined) -> None:
    table = joined("id,t\nb,1\na,2\nb,3\nz,4\n", "g,id\nG-a,a\nG-b,b\nG-c,c\n")
    assert table.columns["t"] == ["1", "2", "3", "4"]
    assert table.columns["g"] == ["G-b", "G-a", "G-b", None]
    assert table.notes == ("1 of 4 rows have an id that second.csv lacks.",)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ("id,t\na,1\n", "id,g\na,1\na,2\n", "second.csv: id 'a' occurs more than once (rows 1, 2)"),
        ("id,t\na,1\n", "id,t\na,2\n", "both have a column 't'"),
        ("id,t\n1,1\n", "id,g\n1.0,2\n", "no value of 'id' in first.csv occurs in second.csv"),
        ("id,t\na,1\n", "Id,g\na,2\n", "second.csv: no column 'id'.\nDid you mean 'Id'?"),
    ],
)
def test_a_join_that_could_mix_up_rows_is_refused(joined, first, second, message) -> None:
    assert message in complaint(joined, first, second)


# --- hub ----------------------------------------------------------------------------------------

PINNED = DataConfig(dataset="org/data", revision="0123456789" * 4, dataset_config="en")


def test_a_hub_data_set_needs_the_network_and_a_commit() -> None:
    assert "needs the network, which is off" in complaint(read_offline, PINNED)
    moving = PINNED.model_copy(update={"revision": "main"})
    assert "'main' is not a commit hash" in complaint(read_table, moving, online=True)


def test_a_pinned_hub_data_set_is_one_table_with_a_split_column(monkeypatch) -> None:
    datasets = pytest.importorskip("datasets")
    asked = []

    def load_dataset(*arguments: object, **options: object) -> object:
        asked.append((arguments, options))
        parts = {
            "train": datasets.Dataset.from_dict({"text": ["a", "b", "c"], "y": [0, 1, 0]}),
            "test": datasets.Dataset.from_dict({"text": ["d"], "y": [1]}),
        }
        parts["train"] = parts["train"].select([2, 0])
        return datasets.DatasetDict(parts)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    table = read_table(PINNED, online=True)
    assert asked == [(("org/data", "en"), {"revision": "0123456789" * 4})]
    assert table.columns == {
        "text": ["c", "a", "d"],
        "y": ["0", "0", "1"],
        "split": ["train", "train", "test"],
    }
    assert table.name == "org/data@0123456"


def test_a_failing_download_is_a_data_error(monkeypatch) -> None:
    datasets = pytest.importorskip("datasets")

    def load_dataset(*arguments: object, **options: object) -> object:
        raise ConnectionError("no route")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(DataError, match="org/data: the data set cannot be loaded: no route"):
        read_table(PINNED, online=True)


def test_hostile_text_is_kept_inert_and_unchanged(read) -> None:
    row = {"text": '<img src=x onerror="alert(1)">', "y": "=1+1"}
    assert read("d.jsonl", json.dumps(row) + "\n").columns == {k: [v] for k, v in row.items()}
