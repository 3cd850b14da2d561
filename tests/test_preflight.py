"""What would make every number wrong is refused before the first check."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auditkit.config import parse_config
from auditkit.errors import AuditkitError, ConfigError, DataError, ModelError
from auditkit.model import Capability, Predictions
from auditkit.preflight import Prepared, check_answers, prepare
from auditkit.sources.groups import read_groups
from auditkit.sources.labels import read_labels
from auditkit.sources.table import SourceTable


@pytest.fixture
def prepared(tmp_path: Path) -> Callable[..., Prepared]:
    """Prepare an audit of predictions in a csv text."""

    def run(text: str, model: dict[str, Any] | None = None, **data: Any) -> Prepared:
        (tmp_path / "d.csv").write_text(text)
        table = {
            "model": model or {"label_column": "p", "class_names": ["no", "yes"]},
            "data": {"path": str(tmp_path / "d.csv"), "label": "y", **data},
        }
        return prepare(parse_config(table))

    return run


def complaint(call: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    with pytest.raises(AuditkitError) as error:
        call(*arguments, **options)
    return str(error.value)


# --- labels -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "label_map", "codes", "note"),
    [
        (["no", "yes"], {}, [0, 1], "Labels are the model's class names."),
        (["NO", "Yes "], {}, [0, 1], "differ from class names in case or space: 'NO' = 'no'"),
        (["1", "0"], {}, [1, 0], "taken as class numbers: '0' = 'no', '1' = 'yes'"),
        (["1.0", "0.0"], {}, [1, 0], "taken as class numbers: '0.0' = 'no'"),
        (["bad", "good"], {"bad": "no", "good": "yes"}, [0, 1], "read as configured"),
        (["no", "good"], {"good": "yes"}, [0, 1], "read as configured: 'good' = 'yes'"),
        (["no", "yes"], {"no": "yes", "yes": "no"}, [1, 0], "read as configured"),
    ],
)
def test_labels_are_matched_and_the_way_is_said(values, label_map, codes, note) -> None:
    found = read_labels("d.csv: column 'y'", values, ("no", "yes"), label_map, [""])
    assert found.codes.tolist() == codes
    assert note in found.note


@pytest.mark.parametrize(
    ("values", "names", "message"),
    [
        (["no", "maybe"], ("no", "yes"), "the labels 'maybe' match no class of the model"),
        (["no", "1"], ("no", "yes"), "the labels '1' match no class"),
        (["1", "2"], ("no", "yes"), "the labels '1', '2' match no class"),
        (["-1", "1"], ("no", "yes"), "'-1'"),
        (["yEs"], ("yes", "YES"), "the labels 'yEs' match no class"),
        (["no", None, "", "no"], ("no", "yes"), "is missing in 2 of 4 rows: rows 2, 3"),
        (["caf\u00e9"], ("cafe\u0301", "x"), "match no class"),
        (["<script>"], ("no", "yes"), "'<script>'"),
    ],
)
def test_a_label_that_matches_no_class_is_listed(values, names, message) -> None:
    said = complaint(read_labels, "d.csv: column 'y'", values, names, {}, [""])
    assert message in said
    assert "d.csv: column 'y'" in said


def test_labels_that_are_class_names_win_over_class_numbers() -> None:
    found = read_labels("d", ["1", "0"], ("1", "0"), {}, [""])
    assert found.codes.tolist() == [0, 1]


def test_a_label_map_to_an_unknown_class_is_refused_with_the_nearest() -> None:
    said = complaint(read_labels, "d", ["a"], ("no", "yes"), {"a": "yess"}, [""])
    assert "'yess', which is no class of the model.\nDid you mean 'yes'?" in said


# --- groups -------------------------------------------------------------------------------------


def groups(values: list[str | None], missing: tuple[str, ...] = ("",)):
    return read_groups(SourceTable("d.csv", {"g": values}), "g", missing)


def test_only_configured_values_are_missing_groups() -> None:
    found = groups(["NA", "null", "", None, "NaN"])
    assert found.attribute.levels == ("NA", "NaN", "null")
    assert found.attribute.missing == 2
    assert "missing in 2 of 5 rows" in found.warnings[0]


@pytest.mark.parametrize(
    "levels",
    [("Male", "male"), ("caf\u00e9", "cafe\u0301"), ("a b", "a  b "), ("STRASSE", "straße")],
)
def test_lookalike_groups_are_warned_about_and_never_merged(levels) -> None:
    found = groups([*levels, "other"])
    assert len(found.attribute.levels) == 3
    assert all(repr(level) in found.warnings[0] for level in levels)
    assert "they are counted apart" in found.warnings[0]


def test_path_like_and_formula_like_group_names_are_kept_as_written() -> None:
    names = ["../../etc/passwd", "CON", "=cmd()", "{{7*7}}", "a\x00b", "x" * 300, "::error::"]
    assert set(groups(names).attribute.levels) == set(names)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["", None, ""], "column 'g' has no value in any of 3 rows"),
        ([str(i) for i in range(201)], "201 different values; it looks like an id or a number"),
    ],
)
def test_a_column_that_holds_no_groups_is_refused(values, message) -> None:
    assert message in complaint(groups, values)


def test_a_single_group_is_warned_about() -> None:
    assert "a single value, 'a': nothing to compare" in groups(["a", "a"]).warnings[0]


# --- the whole ----------------------------------------------------------------------------------

PREDICTED = "id,y,p,g,split,doc\n1,no,no,a,train,d1\n2,yes,yes,b,test,d1\n3,no,yes,,test,d2\n"


def test_factors_are_read_beside_the_groups(prepared) -> None:
    found = prepared("y,p,g,f\nno,no,a,junior\nyes,yes,b,\n", sensitive=["g"], factors=["f"])
    assert set(found.audited.groups) == {"g"}
    assert found.audited.factors["f"].codes.tolist() == [0, -1]
    assert found.warnings[0].endswith("1 of 2 rows; comparisons within it leave them out.")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"factors": ["y"]}, "data.factors names 'y', which is the label column"),
        ({"factors": ["h"]}, "'h'"),
        ({"sensitive": ["g"], "factors": ["g"]}, "'g' is in sensitive and in factors"),
        ({"factors": ["f", "f"]}, "factors names a column twice"),
    ],
)
def test_factors_that_cannot_be_meant_are_refused(prepared, data, message) -> None:
    assert message in complaint(prepared, "y,p,g,f\nno,no,a,x\nyes,yes,b,x\n", **data)


def test_the_audited_split_and_its_assumptions_are_prepared(prepared) -> None:
    found = prepared(PREDICTED, id="id", sensitive=["g"], split="split", cluster="doc")
    assert (len(found.data), len(found.audited)) == (3, 2)
    assert found.audited.inputs == (1, 2)
    assert found.audited.labels.tolist() == [1, 0]
    assert found.audited.positive == 1
    assert found.audited.clusters.tolist() == [0, 1]
    assert found.name == "d.csv"
    assert {"label map", "positive class", "split", "independence", "classes"} <= set(
        found.assumptions
    )
    assert "'test' is audited; the splits have test 2, train 1 rows." in found.assumptions["split"]
    assert found.warnings == (
        "'g' is missing in 1 of 3 rows; gaps and ratios of rates are bounded for whatever group "
        "of it they are of, other checks leave them out.",
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"label": "Y_"}, "no column 'Y_'"),
        ({"sensitive": ["gg"]}, "no column 'gg'"),
        ({"sensitive": ["y"]}, "data.sensitive names 'y', which is the label column"),
        ({"split": "split", "evaluate": "tset"}, "no split 'tset'.\nDid you mean 'test'?"),
        ({"positive": "yess"}, "data.positive = 'yess' is no class of the model.\nDid you mean"),
        ({"id": "doc"}, "the id 'd1' occurs more than once (rows 1, 2)"),
        ({"id": "g"}, "column 'g' has no id in row 3"),
    ],
)
def test_a_configuration_that_does_not_fit_the_data_is_refused(prepared, data, message) -> None:
    assert message in complaint(prepared, PREDICTED, **data)


def test_a_positive_class_may_be_named_as_in_the_data(prepared) -> None:
    text = "y,p\n1,no\n0,yes\n"
    found = prepared(text, positive="0", label_map={"0": "no", "1": "yes"}, allow_below_chance=True)
    assert found.audited.positive == 0


def test_more_than_two_classes_have_no_positive_one_by_default(prepared) -> None:
    model = {"label_column": "p", "class_names": ["no", "yes", "maybe"]}
    assert prepared("y,p\nno,no\n", model).audited.positive is None


def test_one_label_everywhere_is_warned_about(prepared) -> None:
    assert "Every row is labelled 'no'" in prepared("y,p\nno,no\nno,yes\n").warnings[0]


def test_unnamed_split_and_cluster_rows_are_counted(prepared) -> None:
    text = "y,p,s,c\nno,no,test,\nyes,yes,test,k\nno,no,,k\n"
    found = prepared(text, split="s", cluster="c")
    assert found.warnings == (
        "1 rows have no 'c' and count as independent.",
        "1 rows are in no split and are left out.",
    )
    assert len(set(found.audited.clusters.tolist())) == 2


# --- a model that can be asked --------------------------------------------------------------------


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Prepared]:
    """Prepare an audit of a function over a csv text with the columns text and y."""
    import sys

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(body: str, text: str, **data: Any) -> Prepared:
        sys.modules.pop("mine", None)
        (tmp_path / "mine.py").write_text(f"import random\ndef f(texts):\n    return {body}\n")
        (tmp_path / "d.csv").write_text(text)
        settings = {"path": str(tmp_path / "d.csv"), "text": "text", "label": "y", **data}
        model = {"callable": "mine:f", "class_names": ["no", "yes"]}
        return prepare(parse_config({"model": model, "data": settings}))

    yield run
    sys.modules.pop("mine", None)


ROWS = "text,y,s\n" + "".join(f"t{i},{'yes' if i % 2 else 'no'},test\n" for i in range(100))
RIGHT = "[[1.0 - int(t[1:]) % 2, float(int(t[1:]) % 2)] for t in texts]"


def test_what_a_function_offers_is_known_before_the_checks_are_planned(asked) -> None:
    scored = asked("[[0.5, 0.5]] * len(texts)", ROWS)
    assert Capability.PROBABILITIES in scored.model.capabilities
    labels = asked("[0] * len(texts)", ROWS)
    assert Capability.PROBABILITIES not in labels.model.capabilities


def test_a_missing_text_column_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text(ROWS)
    config = {"model": {"path": "m"}, "data": {"path": str(tmp_path / "d.csv")}}
    with pytest.raises(ConfigError, match=r"data.text is not set.*\nColumns of d.csv: text, y, s"):
        prepare(parse_config(config))


def test_columns_are_checked_before_the_model_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text(ROWS)
    data = {"path": str(tmp_path / "d.csv"), "text": "txt"}
    with pytest.raises(DataError, match="no column 'txt'"):
        prepare(parse_config({"model": {"path": "/no/such/model"}, "data": data}))


def test_copies_leaks_and_empty_texts_are_warned_about(asked) -> None:
    text = "text,y,s\n" + "same,no,test\n" * 10 + ",yes,test\nsame,yes,train\n"
    found = asked("[0] * len(texts)", text, split="s")
    assert found.warnings[0].startswith("1 audited texts also occur in the split 'train'")
    assert found.warnings[1].startswith("9 of 11 texts are copies of another")
    assert found.warnings[2] == "1 of 11 texts are empty."


def test_a_row_without_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text('{"text": "a"}\n{"text": null}\n')
    data = {"path": str(tmp_path / "d.jsonl"), "text": "text"}
    with pytest.raises(DataError, match="column 'text' has no text in row 2"):
        prepare(parse_config({"model": {"callable": "json:dumps"}, "data": data}))


MARKED = (
    "text,y,s,why\n"
    'so bad,no,train,"[[3, 6]]"\n'
    'a good film,yes,test,"[2, 3, 4, 5]"\n'
    "it is,no,test,[]\n"
    "fine,yes,test,\n"
)


def test_what_people_marked_goes_with_its_rows(asked) -> None:
    found = asked("[0] * len(texts)", MARKED, split="s", rationale="why")
    assert found.data.rationales == (((3, 6),), ((2, 6),), (), None)
    assert found.audited.rationales == (((2, 6),), (), None)
    assert found.audited.rows(np.array([2, 0])).rationales == (None, ((2, 6),))
    said = found.assumptions["rationales"]
    assert said == "People marked the reason for the label in 1 of 3 rows, and nothing in 1."
    without = asked("[0] * len(texts)", MARKED, split="s")
    assert without.audited.rationales is None
    assert without.audited.digest != found.audited.digest


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("wy", "no column 'wy'.\nDid you mean 'why'?"),
        ("y", "d.csv: column 'y': row 1 has 'no', which is no list"),
    ],
)
def test_a_column_that_marks_nothing_is_refused(asked, column, message) -> None:
    assert message in complaint(asked, "[0] * len(texts)", MARKED, rationale=column)


def test_characters_are_marked_in_a_text_only(prepared) -> None:
    assert "text names no column" in complaint(prepared, "y,p,r\nno,no,[]\n", rationale="r")


@pytest.mark.parametrize(("evaluate", "offered"), [("test", True), ("other", False)])
def test_rationales_are_offered_where_an_audited_row_has_one(asked, evaluate, offered) -> None:
    from auditkit.engine import capabilities_of

    text = MARKED + "plain,no,other,[]\nbare,yes,other,\n"
    found = asked("[0] * len(texts)", text, split="s", evaluate=evaluate, rationale="why")
    config = parse_config({"model": {"path": "m"}, "data": {"path": "d.csv"}})
    assert (Capability.RATIONALES in capabilities_of(config, found)) is offered


def answers(found: Prepared) -> dict[str, str]:
    return check_answers(found, found.model.predict(found.audited.inputs))


def test_a_right_and_a_guessing_model_are_both_audited(asked) -> None:
    assert "get the same class" in answers(asked(RIGHT, ROWS))["repeatability"]
    answers(asked("[int(t[1:]) // 2 % 2 for t in texts]", ROWS))
    answers(asked("[1] * len(texts)", ROWS))


def test_swapped_labels_are_refused_with_the_map_that_would_fit(asked) -> None:
    swapped = asked("[1 - int(t[1:]) % 2 for t in texts]", ROWS)
    said = complaint(answers, swapped)
    assert "right in 0 of 100 rows, fewer than guessing would be. Is the label map swapped?" in said
    assert "labelled 'no': answered 50 as 'yes'" in said
    assert "Reading the labels 'no' as 'yes', 'yes' as 'no' would make 100 rows right" in said


def test_a_model_worse_than_guessing_can_be_audited_on_request(asked) -> None:
    swapped = asked("[1 - int(t[1:]) % 2 for t in texts]", ROWS, allow_below_chance=True)
    assert "repeatability" in answers(swapped)


def test_a_rotated_label_map_of_many_classes_is_found(prepared) -> None:
    names = ["a", "b", "c", "d"]
    rows = "".join(f"{names[i % 4]},{names[(i + 1) % 4]}\n" for i in range(200))
    found = prepared("y,p\n" + rows, {"label_column": "p", "class_names": names})
    said = complaint(check_answers, found, found.model.predict(found.audited.inputs))
    assert "'a' as 'b', 'b' as 'c', 'c' as 'd', 'd' as 'a' would make 200 rows right" in said


def test_always_naming_the_rare_class_is_bad_but_no_swapped_map(prepared) -> None:
    text = "y,p\n" + "no,yes\n" * 95 + "yes,yes\n" * 5
    found = prepared(text)
    assert check_answers(found, found.model.predict(found.audited.inputs)) == {}


def test_a_fair_guesser_is_hardly_ever_taken_for_swapped(prepared) -> None:
    rng = np.random.default_rng(0)
    found = prepared("y,p\n" + "no,no\nyes,no\n" * 100)
    refused = 0
    for _ in range(500):
        labels = rng.integers(0, 2, 200)
        try:
            check_answers(found, Predictions(labels, None))
        except DataError:
            refused += 1
    assert refused <= 5


def test_a_model_that_changes_its_mind_is_refused(asked) -> None:
    found = asked("[random.randrange(2) for t in texts]", ROWS)
    random.seed(0)
    with pytest.raises(ModelError, match="mine:f is not deterministic: asked twice"):
        answers(found)


def test_answers_that_move_a_little_are_reported(asked) -> None:
    body = "[(lambda p: [p, 1 - p])(0.3 + random.random() / 1000) for t in texts]"
    said = answers(asked(body, ROWS, allow_below_chance=True))["repeatability"]
    assert "probabilities that differ by at most 0.0" in said


def test_answers_that_depend_on_the_batch_are_reported(asked) -> None:
    body = "[[0.5 - len(texts) / 1000, 0.5 + len(texts) / 1000]] * len(texts)"
    said = answers(asked(body, ROWS))["repeatability"]
    assert "move by up to 0.07 with what else is in the batch" in said


def test_truncated_texts_are_counted(tiny_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    (tmp_path / "d.csv").write_text("text,y\n" + "film " * 60 + ",positive\na film,negative\n")
    data = {"path": str(tmp_path / "d.csv"), "text": "text", "label": "y"}
    found = prepare(parse_config({"model": {"path": str(tiny_model)}, "data": data}))
    assert found.warnings[-1].startswith("1 of 2 texts are longer than 48 tokens")
    assert "48 tokens" in found.assumptions["max length"]
