"""A suite says what it means or is refused, with the line and what to do."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditkit.behaviour import Case, Reading, Tolerances, cases, failed, read_suite
from auditkit.errors import AuditkitError, ConfigError, DataError
from auditkit.model import Predictions

CLASSES = ("negative", "positive")
MFT = {"test": "negation", "type": "MFT", "capability": "Syntax", "texts": ["not good"],
       "label": "negative"}  # fmt: skip
INV = {"test": "typos", "type": "INV", "capability": "Robustness", "texts": ["good", "goood"]}
DIR = {"test": "very", "type": "DIR", "capability": "Syntax", "texts": ["good", "very good"],
       "direction": "up"}  # fmt: skip


def write(folder: Path, *rows: Any, name: str = "suite.jsonl") -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / name).write_text("\n".join(lines), encoding="utf-8")
    return folder / name


def read(path: Path, **reading: Any) -> tuple[Case, ...]:
    return read_suite(path, Reading(CLASSES, **reading))


def without(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


def test_cases_are_read_with_their_lines(tmp_path):
    path = write(tmp_path, MFT, "", INV | {"case": 1, "note": "x"}, DIR | {"label": "positive"})
    assert read(path) == (
        Case(1, "negation", "MFT", "Syntax", ("not good",), 0),
        Case(3, "typos", "INV", "Robustness", ("good", "goood")),
        Case(4, "very", "DIR", "Syntax", ("good", "very good"), 1, "up"),
    )


def test_a_gzipped_suite_with_a_byte_order_mark_is_the_same(tmp_path):
    path = tmp_path / "suite.jsonl.gz"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf" + json.dumps(MFT).encode() + b"\r\n\r\n"))
    assert read(path) == read(write(tmp_path, MFT))


def test_separators_inside_a_text_do_not_end_the_line(tmp_path):
    row = json.dumps(MFT | {"texts": ["a\u2028b\x85c"]}, ensure_ascii=False)
    assert read(write(tmp_path, row))[0].texts == ("a\u2028b\x85c",)


@pytest.mark.parametrize("label", [2, 2.0, "2"])
def test_labels_of_another_suite_are_mapped(tmp_path, label):
    path = write(tmp_path, MFT | {"label": label})
    assert read(path, labels={"2": "positive"})[0].label == 1
    with pytest.raises(DataError, match="no class of the model"):
        read(path)


def test_directions_and_tests_left_out_come_from_the_reading(tmp_path):
    path = write(tmp_path, without(DIR, "direction"), MFT | {"label": "neutral"})
    reading = {"directions": {"very": "down positive"}, "leave_out": ("negation",)}
    assert read(path, **reading) == (
        Case(1, "very", "DIR", "Syntax", ("good", "very good"), 1, "down"),
    )


REFUSED = [
    (without(MFT, "label"), "no label", "Say the class"),
    (without(MFT, "texts"), "no texts", "A case needs"),
    (without(MFT, "test", "type"), "no test and no type", "A case needs"),
    (MFT | {"type": "MTF"}, "'MTF' is none of MFT, INV, DIR", "'MFT'"),
    (MFT | {"type": ["MFT"]}, "is none of", ""),
    (MFT | {"lable": 1}, "no field 'lable'", "'label'"),
    (MFT | {"texts": "not good"}, "texts is no list", "Write"),
    (MFT | {"texts": []}, "0 texts", ""),
    (MFT | {"texts": ["a", 1]}, r"texts\[1\] is 1", "quotes"),
    (MFT | {"texts": ["a", " \u3000"]}, r"texts\[1\] is blank", "Write a text"),
    (MFT | {"texts": ["a\ud800"]}, "surrogate", "in full"),
    (MFT | {"texts": ["a" * 100_001]}, "more than 100,000 characters", "Shorten"),
    (MFT | {"texts": ["a"] * 1001}, "1,001 texts", "Split"),
    (MFT | {"test": " "}, "test is blank", "name"),
    (MFT | {"capability": 3}, "capability is blank or no text", "name"),
    (MFT | {"capability": "c" * 201}, "more than 200", "Shorten"),
    (MFT | {"label": True}, "no class name or number", "name"),
    (MFT | {"label": 1.5}, "no class name or number", "name"),
    (MFT | {"label": "neutral"}, r"no class of the model \(negative, positive\)", "params.labels"),
    (MFT | {"direction": "up"}, "has a direction", "Only DIR"),
    (MFT | {"case": [1]}, "case is no number", "Number"),
    (INV | {"texts": ["good"]}, "1 texts", "at least one variant"),
    (INV | {"label": "positive"}, "INV case has a label", "MFT"),
    (without(DIR, "direction"), "no direction", 'params.directions."very"'),
    (DIR | {"direction": "upp"}, "'upp' is none of up, down", "'up'"),
    ("[1]", "not a JSON object", "in braces"),
    ("{'test': 1}", "not valid JSON", "one JSON object"),
    ('{"test": "a", "test": "b"}', "'test' occurs twice", ""),
    ('{"case": ' + "9" * 5000 + "}", "not valid JSON", ""),
    ("[" * 100_000, "not valid JSON|not a JSON object", ""),
]  # fmt: skip


@pytest.mark.parametrize(("row", "said", "remedy"), REFUSED)
def test_a_line_that_is_no_case_is_refused_by_its_number(tmp_path, row, said, remedy):
    path = write(tmp_path, INV | {"test": "first"}, "", row)
    with pytest.raises(DataError, match=said) as refused:
        read(path)
    assert refused.value.message.startswith("suite.jsonl:3: ")
    assert remedy in refused.value.hint


def test_the_same_case_twice_is_refused_with_both_lines(tmp_path):
    path = write(tmp_path, MFT | {"case": 7}, INV | {"case": 7}, MFT | {"case": "7"})
    with pytest.raises(DataError, match=r"suite.jsonl:3: the case '7' .* already in line 1"):
        read(path)


def test_a_test_of_two_types_or_capabilities_is_refused_with_both_lines(tmp_path):
    for other in (INV | {"test": "negation"}, MFT | {"capability": "Other"}):
        with pytest.raises(DataError, match=r"suite.jsonl:2: .* in line 1"):
            read(write(tmp_path, MFT, other))


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_an_empty_suite_is_refused(tmp_path, content):
    (tmp_path / "suite.jsonl").write_bytes(content)
    with pytest.raises(DataError, match="no cases"):
        read(tmp_path / "suite.jsonl")


def test_a_suite_of_which_everything_is_left_out_is_refused(tmp_path):
    with pytest.raises(DataError, match="no cases"):
        read(write(tmp_path, MFT), leave_out=("negation",))


def test_files_that_cannot_be_read_are_refused(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path / "absent.jsonl")
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path)
    broken = tmp_path / "broken.jsonl"
    broken.write_bytes(b"{}\n\xff\n")
    with pytest.raises(DataError, match=r"broken.jsonl:2: not UTF-8"):
        read(broken)
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress(json.dumps(MFT).encode())[:-9])
    with pytest.raises(DataError, match="damaged"):
        read(cut)
    monkeypatch.setattr(cases, "MAX_BYTES", 1000)
    bomb = tmp_path / "bomb.jsonl.gz"
    bomb.write_bytes(gzip.compress(b" " * 10_000_000))
    with pytest.raises(DataError, match="more than 1,000 bytes"):
        read(bomb)
    monkeypatch.setattr(cases, "MAX_CASES", 2)
    with pytest.raises(DataError, match=r":3: more than 2 cases"):
        read(write(tmp_path, MFT, MFT, MFT))


@pytest.mark.parametrize(
    ("reading", "said"),
    [
        ({"labels": {"2": "positiv"}}, "'positiv' is no class"),
        ({"directions": {"very": "upwards"}}, "does not begin with up or down"),
        ({"directions": {"very": "up great"}}, "'great' is no class"),
        ({"directions": {"vary": "up"}}, "no test is called 'vary'"),
        ({"leave_out": ("negtion",)}, "no test is called 'negtion'"),
    ],
)
def test_a_reading_that_names_what_is_not_there_is_refused(tmp_path, reading, said):
    with pytest.raises(ConfigError, match=said):
        read(write(tmp_path, MFT, DIR), **reading)


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(cases.FIELDS), inner, max_size=8)
    ),
    max_leaves=8,
)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(max_size=60) | VALUES.map(lambda row: json.dumps(row).encode()))
def test_no_content_crashes_the_reader(tmp_path, content):
    (tmp_path / "suite.jsonl").write_bytes(content)
    with pytest.raises(AuditkitError, match=r"suite\.jsonl"):
        read(tmp_path / "suite.jsonl")


def case(kind: str, texts: int = 2, **more: Any) -> Case:
    return Case(1, "t", kind, "c", ("x",) * texts, **more)  # type: ignore[arg-type]


def answers(*positive: float) -> Predictions:
    return Predictions.from_probabilities(np.array([[1 - p, p] for p in positive]))


@pytest.mark.parametrize(
    ("one", "positive", "fails"),
    [
        (case("MFT", 1, label=1), [0.9], False),
        (case("MFT", 2, label=1), [0.9, 0.4], True),
        (case("INV", 3), [0.9, 0.6, 0.7], False),
        (case("INV", 3), [0.9, 0.6, 0.4], True),
        (case("DIR", 2, direction="up"), [0.8, 0.75], False),
        (case("DIR", 2, direction="up"), [0.8, 0.65], True),
        (case("DIR", 2, direction="up"), [0.2, 0.35], True),  # of the first text's class
        (case("DIR", 2, direction="up", label=1), [0.2, 0.35], False),
        (case("DIR", 3, direction="down", label=1), [0.5, 0.55, 0.3], False),
        (case("DIR", 3, direction="down", label=1), [0.5, 0.3, 0.65], True),
        (case("DIR", 2, direction="down", label=1), [0.95, 1.0], None),
        (case("DIR", 2, direction="up", label=1), [0.05, 0.0], None),
    ],
)
def test_a_case_fails_as_checklist_counts(one, positive, fails):
    assert failed([one], answers(*positive), Tolerances(0.1)) == [fails]


def test_an_invariance_tolerance_forgives_a_narrow_change_of_class():
    one, near, far = case("INV"), answers(0.52, 0.48), answers(0.9, 0.1)
    assert failed([one], near, Tolerances()) == [True]
    assert failed([one], near, Tolerances(invariance=0.1)) == [False]
    assert failed([one], far, Tolerances(invariance=0.1)) == [True]


def test_answers_are_taken_case_by_case():
    both = [case("MFT", 1, label=1), case("INV", 2)]
    assert failed(both, answers(0.9, 0.9, 0.1), Tolerances()) == [False, True]
    with pytest.raises(ValueError, match="one for each text"):
        failed(both, answers(0.9), Tolerances())


def test_without_probabilities_a_direction_cannot_fail():
    labels = Predictions(np.array([1, 0]), None)
    assert failed([case("DIR", direction="up")], labels, Tolerances()) == [None]
    assert failed([case("INV")], labels, Tolerances(invariance=0.5)) == [True]
