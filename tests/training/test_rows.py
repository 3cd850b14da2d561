"""Where the rows to train on come from, and that none of them is audited."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auditkit.config import AuditConfig, parse_config
from auditkit.data import Attribute, AuditData
from auditkit.engine import capabilities_of
from auditkit.errors import ConfigError, DataError
from auditkit.model import Capability
from auditkit.preflight import prepare
from auditkit.registry import load_registry
from auditkit.remedy import Need, RemedyError
from auditkit.training import RemedyRows, remedy_rows, require
from auditkit.training.rows import hold_out, names_validation_rows, trained_on, validated_on

from .conftest import NAMES, sentences

COLUMNS = ("text", "label", "split", "gender", "author")


def write(path: Path, rows: list[tuple[str, ...]], columns: tuple[str, ...] = COLUMNS) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)


def some_rows(split: str, rows: int, seed: int) -> list[tuple[str, ...]]:
    """Distinct texts; the split's name in each keeps splits apart."""
    texts, labels = sentences(rows, seed)
    return [
        (f"{text} {split} {i}", NAMES[label], split, "mf"[i % 2], f"a{i // 4}")
        for i, (text, label) in enumerate(zip(texts, labels, strict=True))
    ]


@pytest.fixture
def configured(tiny_model, tmp_path):
    """A function that makes the configuration of an audit of d.csv."""

    def configure(training: dict[str, Any] | None = None, **data: Any) -> AuditConfig:
        return parse_config(
            {
                "model": {"path": str(tiny_model), "device": "cpu"},
                "data": {"path": str(tmp_path / "d.csv"), "text": "text", "label": "label",
                         "split": "split"} | data,
                "training": training or {},
            }
        )  # fmt: skip

    return configure


@pytest.fixture
def found(configured):
    """A function that finds the rows of a configuration."""

    def find(training: dict[str, Any] | None = None, **data: Any) -> RemedyRows:
        config = configured(training, **data)
        return remedy_rows(config, prepare(config))

    return find


def test_splits_of_the_data_file_are_found_by_their_usual_names(found, tmp_path):
    rows = some_rows("train", 40, 1) + some_rows("validation", 20, 2) + some_rows("test", 30, 3)
    write(tmp_path / "d.csv", rows)
    rows = found(sensitive=["gender"])
    assert (len(rows.train), len(rows.validation), len(rows.audited)) == (40, 20, 30)
    assert rows.train.groups["gender"].levels == ("f", "m")
    assert "40 rows of d.csv to train on, 20 to choose by." in rows.said


def test_without_a_validation_split_rows_are_held_out_of_the_training_rows(found, tmp_path):
    write(tmp_path / "d.csv", some_rows("train", 60, 1) + some_rows("test", 30, 3))
    rows = found({"hold_out": 0.2})
    assert len(rows.train) + len(rows.validation) == 60
    assert 8 <= len(rows.validation) <= 16
    assert not set(rows.train.inputs) & set(rows.validation.inputs)
    assert any("held out" in sentence for sentence in rows.said)


def test_training_rows_may_come_from_a_file_of_their_own_without_sensitive_columns(found, tmp_path):
    write(tmp_path / "d.csv", some_rows("test", 30, 3))
    own = [(text, label) for text, label, *_ in some_rows("train", 40, 1)]
    write(tmp_path / "train.csv", own, ("text", "label"))
    rows = found({"path": str(tmp_path / "train.csv")}, sensitive=["gender"], id=None)
    assert len(rows.train) + len(rows.validation) == 40
    assert rows.train.groups == {}


def test_an_audited_row_among_the_training_rows_is_refused_with_its_number(found, tmp_path):
    audited = some_rows("test", 30, 3)
    shared = [(audited[4][0], "negative", "train", "m", "a")]
    write(tmp_path / "d.csv", some_rows("train", 40, 1) + shared + audited)
    with pytest.raises(DataError, match=r"1 of 41 rows are also audited \(row 41\)"):
        found()


def test_an_audited_row_among_the_validation_rows_is_refused(found, tmp_path):
    audited = some_rows("test", 30, 3)
    shared = [(audited[4][0], "negative", "validation", "m", "a")]
    write(tmp_path / "d.csv", some_rows("train", 40, 1) + shared + audited)
    with pytest.raises(DataError, match="split 'validation': 1 of 1 rows are also audited"):
        found()


def test_the_audited_split_itself_is_refused(found, tmp_path):
    write(tmp_path / "d.csv", some_rows("train", 40, 1) + some_rows("test", 30, 3))
    with pytest.raises(DataError, match="30 of 30 rows are also audited"):
        found({"split": "test"})


def test_validation_rows_that_are_trained_on_are_left_out_and_counted(found, tmp_path):
    train = some_rows("train", 40, 1)
    copies = [(row[0], row[1], "validation", *row[3:]) for row in train[:3]]
    rows = train + copies + some_rows("validation", 20, 2) + some_rows("test", 30, 3)
    write(tmp_path / "d.csv", rows)
    rows = found()
    assert len(rows.validation) == 20
    assert any(sentence.startswith("3 rows to choose by") for sentence in rows.said)


@pytest.mark.parametrize(
    ("training", "data", "said"),
    [
        ({"split": "trian"}, {}, "has no split 'trian'"),
        ({"validation": "dev"}, {}, "has no split 'dev'"),
        ({}, {"split": None}, "every row of the data file is audited"),
        ({}, {"label": None}, "needs the true labels"),
    ],
)
def test_rows_that_cannot_be_found_are_explained(found, tmp_path, training, data, said):
    write(tmp_path / "d.csv", some_rows("train", 40, 1) + some_rows("test", 30, 3))
    with pytest.raises(ConfigError, match=said):
        found(training, **data)


def test_an_address_is_no_training_file():
    table = {"model": {"callable": "a:b"}, "data": {"path": "x.csv", "text": "t"}}
    with pytest.raises(ConfigError, match="is an address"):
        parse_config(table | {"training": {"path": "https://example.org/x.csv"}})


def test_held_out_rows_keep_clusters_and_copies_together_and_every_class(tmp_path):
    rng = np.random.default_rng(0)
    labels = (rng.random(200) < 0.1).astype(np.int64)
    clusters = np.arange(200) // 5
    data = AuditData(tuple(f"t{i}" for i in range(200)), labels, NAMES, clusters=clusters)
    kept, out = hold_out(data, 0.1, 0)
    assert sorted([*kept, *out]) == list(range(200))
    assert not set(clusters[kept]) & set(clusters[out])
    copies = AuditData(("same",) * 50 + tuple(f"t{i}" for i in range(150)), labels, NAMES)
    kept, out = hold_out(copies, 0.1, 0)
    assert not {copies.inputs[i] for i in kept} & {copies.inputs[i] for i in out}
    assert set(labels[out]) == {0, 1}


def test_who_is_held_out_depends_on_content_and_seed_only():
    texts, labels = sentences(100, 1)
    texts = tuple(f"{text} {i}" for i, text in enumerate(texts))
    data = AuditData(texts, labels, NAMES)
    order = np.random.default_rng(1).permutation(100)
    shuffled = data.rows(order)
    first = {data.inputs[i] for i in hold_out(data, 0.1, 0)[1]}
    assert first == {shuffled.inputs[i] for i in hold_out(shuffled, 0.1, 0)[1]}
    assert first != {data.inputs[i] for i in hold_out(data, 0.1, 1)[1]}


def rows_of(labels: list[int], groups: list[str] | None = None) -> RemedyRows:
    named = {"gender": Attribute.from_values("gender", groups)} if groups else {}
    data = AuditData(
        tuple(f"text {i}" for i in range(len(labels))), np.array(labels, dtype=np.int64), NAMES,
        groups=named,
    )  # fmt: skip
    return RemedyRows(data, data, frozenset(), ())


@pytest.fixture
def needy():
    remedy = load_registry().remedies["robustness.embedding-pgd"]
    return dataclasses.replace(remedy, needs=frozenset({Need.TRAINING_ROWS, Need.GROUPS}))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (rows_of([]), "no row to train on"),
        (rows_of([1, 1, 1]), "labelled 'positive'"),
        (rows_of([0, 1]), "needs a sensitive attribute"),
        (rows_of([0, 1], ["a", "a"]), "of one group only"),
    ],
)
def test_what_a_remedy_cannot_work_on_is_refused(needy, rows, said):
    with pytest.raises(RemedyError, match=said):
        require(needy, rows)


def test_two_classes_and_two_groups_are_enough(needy):
    require(needy, rows_of([0, 1], ["a", "b"]))


def test_clusters_of_a_file_of_training_rows_are_none_of_the_audited_ones(tiny_model, tmp_path):
    write(tmp_path / "d.csv", some_rows("test", 30, 3) + some_rows("train", 30, 1))
    write(tmp_path / "t.csv", some_rows("train", 40, 1))
    write(tmp_path / "o.csv", some_rows("new", 20, 5))
    source = {"path": str(tmp_path / "d.csv"), "text": "text", "label": "label"}
    config = {
        "model": {"path": str(tiny_model), "device": "cpu"},
        "data": source | {"split": "split", "cluster": "author"},
    }
    sets = {"new": {"path": str(tmp_path / "o.csv")}}
    own = parse_config(config)
    prepared = prepare(own)
    # The same authors are in both splits of one file.
    assert set(trained_on(own, prepared).clusters) == set(prepared.audited.clusters)
    config["data"] |= {"ood": sets}
    other = parse_config(config | {"training": {"path": str(tmp_path / "t.csv")}})
    prepared = prepare(other)
    found = set(trained_on(other, prepared).clusters)
    assert len(found) == 10
    assert not found & set(prepared.data.clusters)
    assert not found & set(prepared.shifts["new"].data.clusters)


# --- rows to choose by, as checks see them --------------------------------------------------------


@pytest.fixture
def chosen_by(configured):
    """A function that finds the rows a check may choose by."""

    def find(training: dict[str, Any] | None = None, **data: Any) -> AuditData | None:
        config = configured(training, **data)
        prepared = prepare(config)
        offered = Capability.VALIDATION_ROWS in capabilities_of(config, prepared)
        assert offered == names_validation_rows(config, prepared)
        return validated_on(config, prepared) if offered else None

    return find


def test_the_validation_split_is_chosen_by_unless_it_is_audited(chosen_by, tmp_path):
    rows = some_rows("train", 40, 1) + some_rows("validation", 20, 2) + some_rows("test", 30, 3)
    write(tmp_path / "d.csv", rows + some_rows("dev", 10, 4))
    assert len(chosen_by()) == 20
    assert len(chosen_by({"validation": "dev"})) == 10
    assert chosen_by(evaluate="validation") is None
    write(tmp_path / "d.csv", some_rows("train", 40, 1) + some_rows("test", 30, 3))
    assert chosen_by() is None


def test_rows_to_choose_by_may_be_in_the_file_of_the_training_rows(chosen_by, tmp_path):
    write(tmp_path / "d.csv", some_rows("test", 30, 3))
    write(tmp_path / "t.csv", some_rows("train", 40, 1) + some_rows("validation", 20, 2))
    assert len(chosen_by({"path": str(tmp_path / "t.csv")})) == 20
    write(tmp_path / "t.csv", some_rows("train", 40, 1))
    assert chosen_by({"path": str(tmp_path / "t.csv")}) is None
    with pytest.raises(ConfigError, match=r"no split 'dev'.*training\.validation"):
        chosen_by({"path": str(tmp_path / "t.csv"), "validation": "dev"})


def test_nothing_is_chosen_by_rows_that_are_judged_or_trained_on(chosen_by, tmp_path):
    train, test = some_rows("train", 40, 1), some_rows("test", 32, 3)
    validation = some_rows("validation", 20, 2)
    copies = [(*row[:2], "validation", *row[3:]) for row in (train[0], test[0], test[9])]
    write(tmp_path / "d.csv", train + test + validation + copies)
    assert len(chosen_by()) == 20
    # The authors a0 to a4 of these rows are those of the first audited rows.
    assert chosen_by(cluster="author") is None
    apart = [(*row[:4], f"v{row[4]}") for row in validation]
    write(tmp_path / "d.csv", train + test + apart + copies)
    assert len(chosen_by(cluster="author")) == 20
    as_a_set = {"new": {"column": "split", "values": ["validation"]}}
    assert chosen_by(ood=as_a_set) is None
