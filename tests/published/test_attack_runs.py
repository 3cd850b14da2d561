"""The published attack runs of Yoo et al. 2020, recomputed from their 9,045 examples."""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from importlib.util import find_spec

import numpy as np
import pytest

from auditkit.attacks.library import load_textattack
from auditkit.check import Confidence, Context
from auditkit.metrics.robustness import Attacked, Sampled, attack_measurements

pytestmark = pytest.mark.skipif(find_spec("textattack") is None, reason="needs the attacks extra")

RUNS = 15
PUBLISHED = ("acc_under_attack", "attack_success_rate", "avg_perturbed_word_pct", "avg_queries")


def recomputed(rows):
    """The measurements of one run, from the texts and endings of its examples."""
    text_of = load_textattack().shared.AttackedText
    ended = np.array([row["result_type"] for row in rows])
    broken, right = ended == "Successful", ended != "Skipped"
    changed = []
    for row in (row for row, hit in zip(rows, broken, strict=True) if hit):
        before, after = text_of(row["original_text_plain"]), text_of(row["perturbed_text_plain"])
        changed.append(len(before.all_words_diff(after)) / before.num_words)
    queries = [float(r["num_queries"]) for r, hit in zip(rows, right, strict=True) if hit]
    attack = Attacked(
        "run", broken, np.zeros(len(rows), bool), {}, tuple(queries),
        {"changed_words": tuple(changed)},
    )  # fmt: skip
    sample = Sampled(tuple(map(str, range(len(rows)))), right, None, 50)
    context = Context(None, None, {}, Confidence(), np.random.default_rng(0), lambda _: None)
    return {one.name: one for one in attack_measurements(context, sample, [attack])}


def test_rates_and_costs_of_every_run_are_the_published_ones(public_data):
    folder = public_data / "textattack_search_bench"
    runs = defaultdict(list)
    with gzip.open(folder / "bert_mr_examples_known.csv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            runs[row["search_space"], row["search"]].append(row)
    with (folder / "attack_results_known.csv").open(encoding="utf-8", newline="") as file:
        published = list(csv.DictReader(file))
    assert len(runs) == RUNS
    for (space, search), rows in runs.items():
        found = recomputed(rows)
        (known,) = (
            run
            for run in published
            if (run["search_space"], run["search"], run["constraints"]) == (space, search, "strict")
        )
        assert {
            "acc_under_attack": round(100 * found["accuracy_under_attack"].value, 2),
            "attack_success_rate": round(100 * found["success_rate"].value, 1),
            "avg_perturbed_word_pct": round(100 * found["changed_words"].value, 2),
            "avg_queries": round(found["queries"].value, 2),
        } == {name: float(known[name]) for name in PUBLISHED}, (space, search)
