"""Error rates by identity term on the templates of Dixon et al., scored and published by others."""

from __future__ import annotations

import csv
import gzip
import io
import re

import numpy as np
import pytest

from auditkit.data import AuditData
from auditkit.metrics.template_bias import TemplateParams
from auditkit.predictor import SharedPredictor
from auditkit.registry import load_registry
from auditkit.testing import FakeModel, findings_on


def test_the_rates_and_aucs_of_the_published_templates(public_data, tmp_path):
    """Counted apart from the check, on scores that others have published."""
    folder = public_data / "perspective_scored_madlibs"
    with gzip.open(folder / "scored.csv.gz", "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with (folder / "golden_unitary_auc.csv").open(encoding="utf-8") as file:
        golden = {row["subgroup"]: row for row in csv.DictReader(file)}
    terms = sorted(golden, key=len, reverse=True)
    pattern = re.compile(r"\b(" + "|".join(map(re.escape, terms)) + r")\b", re.IGNORECASE)
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["text", "label", "identity"])
    scores, kept = {}, []
    for row in rows:
        found = pattern.search(row["text"])
        if found:
            term = found[1].lower()
            writer.writerow([row["text"], row["label"], term])
            scores[row["text"]] = float(row["toxicity_v6"])
            kept.append((term, int(row["label"]), float(row["toxicity_v6"]) > 0.5))
    path = tmp_path / "scored.csv"
    path.write_text(out.getvalue(), encoding="utf-8", newline="")
    measured = {
        found.measurement.name: found
        for found in findings_on(
            load_registry().get("fairness.template-bias"),
            AuditData(("a", "b"), np.array([0, 1]), ("fine", "toxic"), positive=1),
            SharedPredictor(FakeModel(lambda text: [1 - scores[text], scores[text]])),
            TemplateParams(templates_file=str(path)),
        )
    }
    negatives = [(t, chosen) for t, label, chosen in kept if label == 0]
    overall = np.mean([chosen for _, chosen in negatives])
    expected = sum(
        abs(np.mean([c for t, c in negatives if t == term]) - overall) for term in golden
    )
    chart = measured["fpr_deviation"].measurement.evidence[1]
    shown = {row[0]: row[2] for row in chart.rows}
    assert shown["all terms"] == pytest.approx(overall)
    assert shown["FPED, the sum of distances to it"] == pytest.approx(expected)
