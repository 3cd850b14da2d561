"""A whole audit: what breaks is isolated, what is said is reproducible."""

from __future__ import annotations

import csv
import datetime
import json
import textwrap
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

import auditkit
from auditkit.catalogue import record_schema
from auditkit.config import Policy
from auditkit.errors import DataError, RegistryError, ResultError
from auditkit.finding import Outcome
from auditkit.gate import ExitCode
from auditkit.result import AuditResult

ROWS = 3000


def predictions_file(folder: Path, rows: int = ROWS, unfair: bool = False) -> Path:
    """A file of predictions, fair unless group b's positives are to be missed."""
    rng = np.random.default_rng(0)
    file = folder / "predictions.csv"
    with file.open("w", newline="", encoding="utf-8") as handle:
        out = csv.writer(handle)
        out.writerow(["label", "score", "prediction", "sex"])
        for row in range(rows):
            group, label = "ab"[row % 2], int(rng.random() < 0.5)
            hit = 0.5 if unfair and group == "b" else 0.9
            predicted = int(rng.random() < (hit if label else 0.1))
            out.writerow([label, 0.9 if predicted else 0.1, predicted, group])
    return file


def settings(folder: Path, unfair: bool = False, **more: Any) -> dict[str, Any]:
    return {
        "model": {"score_columns": ["score"]},
        "data": {
            "path": str(predictions_file(folder, unfair=unfair)),
            "label": "label",
            "sensitive": ["sex"],
        },
        **more,
    }


def plugin(folder: Path, body: str) -> str:
    own = folder / "own"
    own.mkdir(exist_ok=True)
    head = """
    from auditkit.check import Limit, check
    from auditkit.errors import NotApplicable
    from auditkit.finding import Bounds, Interval, Measurement, Severity

    @check("own.mine", title="t", severity=Severity.LOW, limits=(Limit("x", "max", 1.0),))
    def mine(context, params):
        "One line."
    """
    text = textwrap.dedent(head) + textwrap.indent(textwrap.dedent(body), "    ")
    (own / "mine.py").write_text(text, encoding="utf-8")
    return str(own)


def test_a_fair_model_passes_and_an_unfair_one_is_blocked(tmp_path):
    fair = auditkit.run(settings(tmp_path))
    assert fair.passed, [f.message for f in fair.findings if f.outcome is not Outcome.PASS]
    unfair = auditkit.run(settings(tmp_path, unfair=True))
    assert unfair.exit_code == ExitCode.FAIL
    assert "fairness.equalized-odds" in unfair.result.decision.reason


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise RuntimeError('boom')", "RuntimeError: boom"),
        ("raise SystemExit(0)", "SystemExit"),
        ("return []", "measured nothing"),
        ("yield Measurement('y', 0.0, 1, None)", "declares no limit"),
        ("yield Measurement('x', float('nan'), 1, None)", "finite"),
        ("yield from [Measurement('x', 0.0, 1, None)] * 2", "twice"),
        ("return 7", "crashed"),
        (
            "yield Measurement('x', 0.9, 9, Bounds(Interval(0, .01), Interval(0, .02), 'm'))",
            "outside",
        ),
    ],
)
def test_a_check_that_breaks_is_an_error_and_the_others_still_run(tmp_path, body, said):
    audit = auditkit.run(settings(tmp_path, plugins=[plugin(tmp_path, body)]))
    broken = [f for f in audit.findings if f.check == "own.mine"]
    assert [f.outcome for f in broken] == [Outcome.ERROR]
    assert said in broken[0].message
    assert audit.exit_code == ExitCode.INCOMPLETE
    assert sum(f.outcome is Outcome.PASS for f in audit.findings) > 5


def test_a_plugin_that_cannot_be_imported_blocks_the_gate(tmp_path):
    folder = plugin(tmp_path, "pass")
    Path(folder, "mine.py").write_text("import nowhere_to_be_found", encoding="utf-8")
    audit = auditkit.run(settings(tmp_path, plugins=[folder]))
    assert audit.exit_code == ExitCode.INCOMPLETE
    assert audit.findings[0].outcome is Outcome.ERROR
    assert "nowhere_to_be_found" in audit.findings[0].message


def test_a_check_with_nothing_to_measure_is_not_applicable_with_its_reason(tmp_path):
    body = "raise NotApplicable('no row is purple')"
    audit = auditkit.run(settings(tmp_path, plugins=[plugin(tmp_path, body)]))
    found = next(f for f in audit.findings if f.check == "own.mine")
    assert found.outcome is Outcome.NOT_APPLICABLE
    assert found.message == "no row is purple"
    assert audit.exit_code == ExitCode.PASS


def test_a_check_the_configuration_names_must_be_able_to_run(tmp_path):
    chosen = settings(tmp_path, checks={"quality.calibration": {}})
    chosen["model"] = {"label_column": "prediction"}
    audit = auditkit.run(chosen)
    assert audit.exit_code == ExitCode.INCOMPLETE
    assert "quality.calibration" in audit.result.decision.reason
    del chosen["checks"]
    assert auditkit.run(chosen).exit_code == ExitCode.PASS


def test_nothing_ran_is_not_a_pass(tmp_path):
    everything = {
        check_id: {"enabled": False}
        for check_id in __import__("auditkit.registry", fromlist=["x"]).load_registry().checks
    }
    audit = auditkit.run(settings(tmp_path, checks=everything))
    assert audit.exit_code == ExitCode.NOTHING_RAN
    assert len(audit.result.not_run) == len(everything)


def test_only_runs_what_is_named_and_records_the_rest(tmp_path):
    audit = auditkit.run(settings(tmp_path, only=["quality.metric"]))
    assert {f.check for f in audit.findings} == {"quality.metric"}
    assert all(entry.reason for entry in audit.result.not_run)
    with pytest.raises(RegistryError, match=r"no check is called"):
        auditkit.run(settings(tmp_path, only=["quality.matric"]))


def test_the_same_input_gives_the_same_result_but_for_times(tmp_path):
    def document() -> dict[str, Any]:
        content = json.loads(auditkit.run(settings(tmp_path)).result.to_json())
        content.pop("timing")
        return content

    assert document() == document()


def test_a_check_draws_its_own_random_numbers_whatever_else_runs(tmp_path):
    alone = auditkit.run(settings(tmp_path, only=["quality.metric"]))
    among = auditkit.run(settings(tmp_path, only=["quality.metric", "quality.calibration"]))

    def of(audit: auditkit.Audit) -> Any:
        found = next(f for f in audit.findings if f.check == "quality.metric")
        return found.measurement.value, found.measurement.bounds.claim

    assert of(alone) == of(among)


def test_each_distinct_input_reaches_the_model_once(tmp_path):
    statistics = auditkit.run(settings(tmp_path)).result.timing.asking
    assert statistics.distinct == ROWS
    assert statistics.asked > 5 * ROWS


def test_a_result_survives_its_file_and_fits_its_schema(tmp_path):
    result = auditkit.run(settings(tmp_path, unfair=True)).result
    text = result.to_json()
    assert AuditResult.from_json(text) == result
    assert "NaN" not in text
    jsonschema.validate(json.loads(text), record_schema(AuditResult))


def test_every_verdict_can_be_recomputed_from_the_record(tmp_path):
    result = auditkit.run(settings(tmp_path, unfair=True)).result
    assert AuditResult.from_json(result.to_json()).rejudged() == result.findings


def test_a_result_judged_under_another_policy_needs_no_model(tmp_path):
    result = auditkit.run(settings(tmp_path, unfair=True)).result
    mild = result.under(Policy(fail_on="critical"), datetime.date(2026, 1, 1))
    assert mild.decision.exit_code == ExitCode.PASS
    assert mild.findings == result.findings


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.update(schema_version=99), "schema version 99"),
        (lambda d: d.pop("findings"), "findings"),
        (lambda d: d["findings"][0].update(outcome="splendid"), "outcome"),
        (lambda d: d["suite"]["checks"][0]["limits"]["gap"].update(value=0.9), "suite"),
        (lambda d: d["suite"].update(confidence=0.5), "suite"),
        (lambda d: [f.update(outcome="pass") for f in d["findings"]], "was changed"),
        (lambda d: d["findings"].pop(0), "removed|does not follow"),
        (lambda d: d["decision"].update(exit_code=0, blocking=[]), "does not follow"),
        (lambda d: d["findings"][0].update(limit=0.9), "was changed"),
        (lambda d: d["findings"][0]["measurement"].update(value=0.0), "outside its own"),
        (lambda d: d["findings"][0]["measurement"]["bounds"]["claim"].update(upper=0.9), "changed"),
    ],
)
def test_a_result_that_was_changed_is_refused(tmp_path, change, said):
    document = json.loads(auditkit.run(settings(tmp_path, unfair=True)).result.to_json())
    change(document)
    with pytest.raises(ResultError, match=said):
        AuditResult.from_json(json.dumps(document))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '"x"', '{"schema_version": 1, "a": NaN}', "[" * 9999]
)
def test_what_is_no_result_is_refused(text):
    with pytest.raises(ResultError):
        AuditResult.from_json(text)


def test_an_attribute_with_one_group_is_undecided_not_passed(tmp_path):
    chosen = settings(tmp_path)
    text = Path(chosen["data"]["path"]).read_text(encoding="utf-8")
    Path(chosen["data"]["path"]).write_text(text.replace(",b\n", ",a\n"), encoding="utf-8")
    audit = auditkit.run(chosen)
    assert audit.exit_code == ExitCode.INCONCLUSIVE
    found = next(f for f in audit.findings if f.check == "fairness.equalized-odds")
    assert "all rows are in one group" in found.message


def test_attributes_that_cross_into_too_many_groups_are_an_error_not_a_hang(tmp_path):
    file = tmp_path / "wide.csv"
    rows = "\n".join(f"{i % 2},{i % 2},a{i % 23},b{i % 29}" for i in range(4000))
    file.write_text(f"label,prediction,x,y\n{rows}\n", encoding="utf-8")
    audit = auditkit.run(
        {
            "model": {"label_column": "prediction"},
            "data": {"path": str(file), "label": "label", "sensitive": ["x", "y"]},
        }
    )
    assert audit.exit_code == ExitCode.INCOMPLETE
    assert any("667 groups" in f.message for f in audit.findings)


def test_swapped_labels_are_refused_before_any_check(tmp_path):
    chosen = settings(tmp_path)
    chosen["data"]["label_map"] = {"0": "1", "1": "0"}
    with pytest.raises(DataError, match="swapped"):
        auditkit.run(chosen)


def test_saving_writes_every_format_and_the_notebook_shows_it(tmp_path):
    audit = auditkit.run(settings(tmp_path))
    folder = audit.save(tmp_path / "deep" / "run")
    assert {file.name for file in folder.iterdir()} == {
        "result.json", "report.html", "junit.xml", "summary.md",
    }  # fmt: skip
    assert "PASS" in audit._repr_html_().upper()
    assert "exit code 0" in repr(audit)
