"""auditkit gives the numbers that others have published on the same data."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest

import auditkit
from auditkit.finding import Estimates, Table
from auditkit.metrics.identity_auc import identity_aucs


def rows_of(path: Path) -> list[dict[str, str]]:
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return list(csv.DictReader(io.StringIO(content.decode("utf-8"), newline="")))


def audit_of(path: Path, label: str, predicted: str, sensitive: str, **data: str) -> auditkit.Audit:
    return auditkit.run(
        {
            "model": {"label_column": predicted},
            "data": {"path": str(path), "label": label, "sensitive": [sensitive], **data},
        }
    )


def group_rates(audit: auditkit.Audit, check: str, title: str) -> dict[str, float]:
    finding = next(f for f in audit.findings if f.check == check)
    chart = next(
        e
        for e in finding.measurement.evidence
        if isinstance(e, Estimates) and e.title.startswith(title)
    )
    for row in chart.rows:
        if row.value is not None:
            assert row.interval.lower <= row.value <= row.interval.upper
    return {row.label: row.value for row in chart.rows}


def test_compas_has_the_error_rates_propublica_found(public_data):
    path = public_data / "compas" / "compas_two_years.csv"
    audit = audit_of(path, "two_year_recid", "score_high", "race", positive="1")
    false_positive = group_rates(audit, "fairness.equalized-odds", "False positive rate")
    true_positive = group_rates(audit, "fairness.equalized-odds", "True positive rate")
    assert round(100 * false_positive["African-American"], 2) == 44.85
    assert round(100 * false_positive["Caucasian"], 2) == 23.45
    assert round(100 * (1 - true_positive["African-American"]), 2) == 27.99
    assert round(100 * (1 - true_positive["Caucasian"]), 2) == 47.72
    assert audit.exit_code == 1


def test_all_306_identity_aucs_of_the_scored_templates(public_data):
    folder = public_data / "perspective_scored_madlibs"
    rows = rows_of(folder / "scored.csv.gz")
    truth = np.array([row["label"] == "1" for row in rows])
    compared = 0
    for published in rows_of(folder / "golden_unitary_auc.csv"):
        word = re.compile(rf"\b{re.escape(published['subgroup'])}\b", re.IGNORECASE)
        member = np.array([bool(word.search(row["text"])) for row in rows])
        for version in ("v1", "v6"):
            scores = np.array([float(row[f"toxicity_{version}"]) for row in rows])
            for kind, found in identity_aucs(scores, truth, member, ~member).named().items():
                expected = float(published[f"{version}_{kind.lower()}_auc"])
                assert found.value == pytest.approx(expected, abs=1e-6)
                compared += 1
    assert compared == 306


@pytest.mark.parametrize("name", ["law", "ricci", "student-por"])
def test_le_quy_et_al_group_rates(public_data, tmp_path, name):
    folder = public_data / "lequy_fairness_golden"
    file = tmp_path / "predictions.csv"
    with file.open("w", newline="") as handle:
        out = csv.writer(handle)
        out.writerow(["true", "predicted", "protected"])
        for row in rows_of(folder / "lr_predictions_here_known.csv.gz"):
            if row["dataset"] == name:
                out.writerow([row["y_true"], row["y_pred"], row["protected"]])
    published = next(
        row for row in rows_of(folder / "published_lr_results_known.csv") if row["dataset"] == name
    )
    audit = audit_of(file, "true", "predicted", "protected", positive="1.0")
    odds = "fairness.equalized-odds"
    true_positive = group_rates(audit, odds, "True positive rate")
    false_positive = group_rates(audit, odds, "False positive rate")
    selected = group_rates(audit, "fairness.demographic-parity", "Selection rate")
    for group, column in (("1", "protected"), ("0", "nonprotected")):
        assert true_positive[group] == pytest.approx(
            float(published[f"pub_tpr_{column}"]), abs=1e-9
        )
        assert 1 - false_positive[group] == pytest.approx(
            float(published[f"pub_tnr_{column}"]), abs=1e-9
        )
        assert selected[group] == pytest.approx(float(published[f"pub_sel_{column}"]), abs=1e-9)
    parity = selected["0"] - selected["1"]
    assert parity == pytest.approx(float(published["pub_stat_parity_diff"]), abs=1e-9)


@pytest.mark.parametrize("kind", ["selection", "scoring"])
@pytest.mark.parametrize("table", ["sex", "race_ethnicity", "intersectional"])
def test_every_worked_table_of_local_law_144(public_data, tmp_path, kind, table):
    published = json.loads((public_data / "golden_ll144.json").read_text())[kind][table]
    file = tmp_path / "predictions.csv"
    with file.open("w", newline="") as handle:
        out = csv.writer(handle)
        out.writerow(["selected", "category"])
        for name, (n, k, _, _) in published.items():
            out.writerows([[int(i < k), name] for i in range(n)])
    audit = auditkit.run(
        {
            "model": {"label_column": "selected"},
            "data": {"path": str(file), "sensitive": ["category"], "positive": "1"},
        }
    )
    finding = next(f for f in audit.findings if f.check == "fairness.impact-ratio")
    found = next(e for e in finding.measurement.evidence if isinstance(e, Table))
    ratios = {row[0]: row[4] for row in found.rows}
    for name, (_, _, _, ratio) in published.items():
        # The rule itself prints 18/28 as 64.2 %, and rounds ratios to two or three digits.
        assert ratios[name] == pytest.approx(ratio, abs=0.0051)
