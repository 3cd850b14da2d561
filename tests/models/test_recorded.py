"""Predictions on file become a model whose inputs are row numbers."""

from __future__ import annotations

import numpy as np
import pytest

from auditkit.config import DataConfig, ModelConfig
from auditkit.errors import AuditkitError, ModelError
from auditkit.model import Capability, Model
from auditkit.models.recorded import RecordedModel, load_recorded, natural_order
from auditkit.sources.table import SourceTable


def load(columns: dict[str, list], data: dict | None = None, **model: object) -> RecordedModel:
    settings = DataConfig(path="d.csv", **(data or {}))
    return load_recorded(ModelConfig(**model), settings, SourceTable("d.csv", columns))


def test_labels_alone_offer_no_probabilities() -> None:
    found = load({"y": ["1", "0", "1"], "p": ["0", "0", "1"]}, {"label": "y"}, label_column="p")
    assert isinstance(found, Model)
    assert found.class_names == ("0", "1")
    assert found.capabilities == set()
    assert found.predict([2, 0, 2]).labels.tolist() == [1, 0, 1]


def test_classes_are_the_true_and_predicted_labels_in_numeric_order() -> None:
    found = load({"y": ["10", "2", ""], "p": ["2", "2", "1"]}, {"label": "y"}, label_column="p")
    assert found.class_names == ("1", "2", "10")
    assert natural_order(["b", "a", "10"]) == ["10", "a", "b"]


def test_one_score_is_the_probability_of_the_positive_class_from_the_threshold_on() -> None:
    columns = {"y": ["no", "yes", "no"], "s": ["0.2", "0.6", "0.8"]}
    found = load(columns, {"label": "y"}, score_columns=["s"], threshold=0.6)
    answered = found.predict([0, 1, 2])
    assert found.class_names == ("no", "yes")
    assert found.capabilities == {Capability.PROBABILITIES}
    assert answered.labels.tolist() == [0, 1, 1]
    np.testing.assert_allclose(answered.probabilities[:, 1], [0.2, 0.6, 0.8])
    assert "'s' is the probability of 'yes', chosen from 0.6 on" in found.assumptions["scores"]


def test_a_first_class_that_is_positive_owns_the_single_score() -> None:
    columns = {"y": ["bad", "good"], "s": ["0.9", "0.1"]}
    found = load(columns, {"label": "y", "positive": "bad"}, score_columns=["s"])
    assert found.predict([0, 1]).labels.tolist() == [0, 1]


def test_score_columns_named_like_the_labels_give_their_order() -> None:
    columns = {"y": ["a", "b"], "b": ["0.9", "0.2"], "a": ["0.1", "0.8"]}
    found = load(columns, {"label": "y"}, score_columns=["b", "a"])
    assert found.class_names == ("b", "a")
    assert found.predict([0, 1]).labels.tolist() == [0, 1]


def test_given_labels_win_over_scores_and_the_difference_is_counted() -> None:
    columns = {"y": ["0", "1"], "p": ["1", "1"], "s": ["0.4", "0.7"]}
    found = load(columns, {"label": "y"}, label_column="p", score_columns=["s"])
    assert found.predict([0, 1]).labels.tolist() == [1, 1]
    assert (
        "in 1 of 2 rows it is not the class with the highest"
        in found.assumptions["predicted class"]
    )


def test_the_digest_follows_answers_and_class_names() -> None:
    columns = {"p": ["a", "b"]}
    first = load(columns, label_column="p", class_names=["a", "b"]).digest
    assert load(columns, label_column="p", class_names=["b", "a"]).digest != first
    assert load({"p": ["b", "b"]}, label_column="p", class_names=["a", "b"]).digest != first


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (["0.5", "high", "0.1"], "column 's', row 2: 'high' is not a number"),
        (["0.5", "0.1", "nan"], "column 's' is not a probability in row 3 (row 3: 'nan')"),
        (["0.5", None, "0.1"], "not a probability in row 2 (row 2: None)"),
        (["0.5", "", "0.1"], "column 's', row 2: '' is not a number"),
        (["inf", "0.1", "0.1"], "not a probability in row 1 (row 1: 'inf')"),
        (["1.5", "0.1", "-3"], "not a probability in rows 1, 3 (row 1: '1.5')"),
    ],
)
def test_a_score_that_is_no_probability_is_named_by_row(column, message) -> None:
    with pytest.raises(AuditkitError) as error:
        load({"y": ["0", "1", "1"], "s": column}, {"label": "y"}, score_columns=["s"])
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("columns", "data", "model", "message"),
    [
        (
            {"a": ["0.5", "0.5"], "b": ["0.5", "0.6"]},
            {},
            {"score_columns": ["a", "b"]},
            "do not sum to 1 in row 2 (row 2: [0.5, 0.6])",
        ),
        ({"scores": ["1"]}, {}, {"score_columns": ["score"]}, "Did you mean 'scores'?"),
        ({"p": ["a", "c"]}, {}, {"label_column": "p", "class_names": ["a", "b"]}, "row 2: 'c'"),
        ({"p": ["a", None]}, {}, {"label_column": "p", "class_names": ["a", "b"]}, "row 2: None"),
        ({"p": ["a", "a"]}, {}, {"label_column": "p"}, "(a) are 1 classes"),
        (
            {"y": ["a", "b", "c"], "s": ["1", "1", "1"]},
            {"label": "y"},
            {"score_columns": ["s"]},
            "(a, b, c) are 3 classes, the scores are for 2",
        ),
        (
            {"s": ["1"], "t": ["0"]},
            {},
            {"score_columns": ["s", "t"], "class_names": ["a", "b", "c"]},
            "3 names, but the scores are for 2",
        ),
    ],
)
def test_columns_that_cannot_be_predictions_are_refused(columns, data, model, message) -> None:
    with pytest.raises(AuditkitError) as error:
        load(columns, data, **model)
    assert message in str(error.value)


@pytest.mark.parametrize("batch", [[2], [-1], ["a text"], [0.5]])
def test_only_its_own_rows_have_an_answer(batch) -> None:
    found = load({"p": ["a", "b"]}, label_column="p")
    with pytest.raises(ModelError, match="only its own rows"):
        found.predict(batch)
