"""The term set that comes along is consistent, and a broken one is refused with its line."""

from __future__ import annotations

import json
from itertools import product

import pytest

from auditkit.errors import DataError
from auditkit.identity import Swapped, Swapper, read_terms
from auditkit.identity.grammar import article
from auditkit.identity.terms import COLUMNS, split

HEADER = "attribute,group,text,form,slot,when\n"
TWO = "team,red,red fan,noun,fan,\nteam,blue,blue fan,noun,fan,\n"


def test_every_term_has_a_counterpart_in_another_group():
    terms = read_terms()
    for term in terms.terms:
        if term.group and term.when != "target":
            others = [g for g in terms.groups(term.attribute) if g != term.group]
            assert any(terms.counterpart(term, group) for group in others), term


def test_the_built_in_set_names_version_and_digest():
    name = read_terms().name
    assert name.startswith("auditkit terms 1 (")
    assert len(name.partition("(")[2].rstrip(")")) == 12


def test_it_covers_the_usual_attributes():
    assert set(read_terms().attributes) == {
        "gender", "names", "religion", "ethnicity", "nationality", "orientation",
        "gender identity", "disability", "age",
    }  # fmt: skip


def test_gender_names_are_paired_one_to_one():
    terms = read_terms()
    names = [t for t in terms.terms if t.attribute == "gender" and t.form == "name"]
    for name in names:
        other = "female" if name.group == "male" else "male"
        back = next(t for t in names if t.text == terms.counterpart(name, other))
        assert terms.counterpart(back, name.group) == name.text


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_a_set_of_ones_own(tmp_path, format):
    path = tmp_path / f"own.{format}"
    if format == "csv":
        path.write_text(HEADER + TWO)
    else:
        fields = [dict(zip(COLUMNS, line.split(","), strict=False)) for line in TWO.splitlines()]
        path.write_text("\n".join(map(json.dumps, fields)))
    terms = read_terms(str(path))
    outcome = Swapper(terms).swap("A red fan sang.")["team"]
    assert outcome == Swapped("red", {"blue": "A blue fan sang."})
    assert terms.name.startswith(f"own.{format} (")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "the file has no rows"),
        ("attribute,grup,text,form\nteam,red,fan,noun\n", "own.csv:2: unknown column 'grup'"),
        (HEADER + "team,red,fan,noum,fan,\n", "own.csv:2: form 'noum' is unknown"),
        (HEADER + "team,red,fan,noun,fan,often\n", "own.csv:2: when 'often' is unknown"),
        (HEADER + "team,red,fan,noun,,\n", "own.csv:2: a noun needs a group and a slot"),
        (HEADER + "team,red,,noun,fan,\n", "own.csv:2: no text"),
        (HEADER + "team,red,--,noun,fan,\n", "own.csv:2: text has 0 words"),
        (HEADER + "team,red,a b c d e f g,noun,fan,\n", "own.csv:2: text has 7 words"),
        (HEADER + "team,red,fan,noun,fan,\n", "fewer than two groups"),
        (HEADER + TWO + "team,blue,red fan,noun,fan,\n", "names both 'red' and 'blue'"),
        (HEADER + "team,red\n", "own.csv:2: 2 fields, the header has 6"),
        (HEADER + TWO + '"team', "own.csv:4"),
    ],
)
def test_a_broken_set_is_refused_with_its_line(tmp_path, content, said):
    path = tmp_path / "own.csv"
    path.write_text(content)
    with pytest.raises(DataError) as raised:
        read_terms(str(path))
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("own.jsonl", b"{\n", "own.jsonl:1: not valid JSON"),
        ("own.jsonl", b"[1]\n", "own.jsonl:1: not a JSON object"),
        ("own.jsonl", b'{"attribute": ["a"]}\n', "own.jsonl:1: attribute is no text"),
        ("own.txt", b"attribute\n", "not a csv or jsonl file"),
        ("own.csv", b"attribute\nt\xffx\n", "own.csv:2: not UTF-8"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path, name, content, said):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError) as raised:
        read_terms(str(path))
    assert said in str(raised.value)


def test_a_file_that_is_not_there_is_an_error():
    with pytest.raises(DataError, match="cannot be read"):
        read_terms("nowhere.csv")


@pytest.mark.parametrize(
    ("written", "new", "right"),
    [
        ("a", "Asian", "an"), ("an", "European", "a"), ("An", "white", "A"), ("A", "ARAB", "AN"),
        ("A", "heiress", "An"), ("a", "uncle", "an"), ("an", "Ukrainian", "a"), ("a", "man", "a"),
    ],
)  # fmt: skip
def test_articles(written, new, right):
    assert article(written, new) == right


def test_a_term_of_several_words_is_found_with_a_hyphen_too(tmp_path):
    assert split("African-American") == split("african american")
    path = tmp_path / "own.csv"
    path.write_text(HEADER + TWO)
    swapper = Swapper(read_terms(str(path)))
    for joint, word in product(" -", ("fan", "fans")):
        found = swapper.swap(f"a red{joint}{word} sang")
        assert bool(found) == (word == "fan")
