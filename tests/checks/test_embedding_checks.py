"""Checks on embeddings: what is planted is found, and nothing leaks from one half to the other."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from auditkit.data import Attribute
from auditkit.finding import Finding, Outcome
from auditkit.metrics.embedding_space import (
    Halves,
    group_aucs,
    group_probabilities,
    joined_units,
    neighbour_agreement,
)
from auditkit.model import Predictions
from auditkit.predictor import SharedPredictor
from auditkit.registry import load_registry
from auditkit.testing import FakeModel, findings_of, findings_on, tiny_data

CHECKS = load_registry().checks
PROXY, CONSISTENCY = CHECKS["fairness.proxy"], CHECKS["fairness.individual-consistency"]


def space(n, told=0.0, blurred=(), *, seed=0, groups=("a", "b"), classes=2, width=6):
    """Embeddings whose last number is shifted by group, and a class by the first number.

    The classes of the groups in `blurred` are drawn at random.
    """
    rng = np.random.default_rng(seed)
    names = np.array([groups[i % len(groups)] for i in range(n)])
    vectors = rng.normal(size=(n, width))
    vectors[:, 0] *= 3
    vectors[:, -1] += told * (names == groups[0])
    edges = np.quantile(vectors[:, 0], np.arange(1, classes) / classes)
    predicted = np.searchsorted(edges, vectors[:, 0])
    for name in blurred:
        drawn = rng.integers(0, classes, n)
        predicted = np.where(names == name, drawn, predicted)
    data = tiny_data(predicted, {"group": names.tolist()}, classes)
    return data, Predictions(predicted, None), vectors.astype(np.float32)


def finding(check, name, given, params=None, limits=None) -> Finding:
    data, answers, vectors = given
    found = findings_of(check, data, answers, params, limits, embeddings=vectors)
    return next(f for f in found if f.measurement.name == name)


# --- proxy --------------------------------------------------------------------------------------


def test_a_group_that_the_embedding_gives_away_is_found_and_another_is_not():
    limits = {"auc": 0.7}
    assert finding(PROXY, "auc", space(3_000, 2.0), limits=limits).outcome is Outcome.FAIL
    assert finding(PROXY, "auc", space(3_000), limits=limits).outcome is Outcome.PASS
    for told in (0.0, 1.0):
        few = finding(PROXY, "auc", space(60, told), limits=limits)
        assert few.outcome is Outcome.INCONCLUSIVE


def test_it_is_reported_without_a_limit_by_default():
    assert finding(PROXY, "auc", space(500, 2.0)).outcome is Outcome.NOT_APPLICABLE


def test_the_worst_told_group_does_not_hide_the_best_told_one():
    found = finding(PROXY, "auc", space(6_000, 3.0, groups=("a", "b", "c", "d")))
    assert found.measurement.note.startswith("Told best: a")
    assert found.measurement.bounds.claim.lower > 0.9
    charted = {row.label: row.value for row in found.measurement.evidence[0].rows}
    assert found.measurement.value == charted["a"] == max(charted.values())


@pytest.mark.parametrize("groups", [("a", "b"), ("a", "b", "c")])
def test_the_auc_is_sklearns(groups):
    data, _, vectors = space(800, 1.0, groups=groups)
    halves = Halves.of(data, vectors, np.random.default_rng(0))
    attribute = data.groups["group"]
    found = group_probabilities(vectors, attribute, halves)
    fit, held, codes = halves.learnt, halves.held, attribute.codes
    scaled = (vectors - vectors[fit].mean(axis=0)) / vectors[fit].std(axis=0)
    probe = LogisticRegression(max_iter=2_000, tol=1e-3).fit(scaled[fit], codes[fit])
    for g, estimate in enumerate(group_aucs(found, attribute, held)):
        theirs = roc_auc_score(codes[held] == g, probe.predict_proba(scaled[held])[:, g])
        assert estimate.value == pytest.approx(theirs, abs=1e-9)


def test_no_input_and_no_cluster_is_on_both_sides():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(200, 3)).astype(np.float32)[rng.integers(0, 200, 600)]
    clusters = rng.integers(0, 250, 600)
    data = replace(tiny_data(np.zeros(600, dtype=int)), clusters=clusters)
    halves = Halves.of(data, vectors, rng)
    sides = np.zeros(600, dtype=int)
    sides[halves.held] = 1
    for labels in (clusters, np.unique(vectors, axis=0, return_inverse=True)[1].ravel()):
        assert all(len(set(sides[labels == one])) == 1 for one in np.unique(labels))
    assert sorted([*halves.learnt, *halves.held]) == list(range(600))


def test_rows_joined_by_a_chain_of_clusters_and_copies_are_one_unit():
    vectors = np.array([[1.0], [1.0], [2.0], [3.0], [2.0]], dtype=np.float32)
    assert len(set(joined_units(vectors, np.array([0, 1, 1, 2, 3])).tolist())) == 2
    assert joined_units(vectors, None).tolist() == [0, 0, 1, 2, 1]


def test_a_person_who_is_on_both_sides_would_be_told_and_is_not():
    # Every cluster has a group and a place of its own; groups say nothing about places.
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(100), 20)
    places = rng.normal(size=(100, 40))[people] * 5
    vectors = (places + rng.normal(size=(2_000, 40))).astype(np.float32)
    groups = rng.permutation(np.arange(100) % 2)[people].astype(str).tolist()
    data = tiny_data(np.zeros(2_000, dtype=int), {"group": groups})
    answers = Predictions(np.zeros(2_000, dtype=np.int64), None)
    naive = finding(PROXY, "auc", (data, answers, vectors))
    told = finding(PROXY, "auc", (replace(data, clusters=people), answers, vectors))
    assert naive.measurement.bounds.claim.lower > 0.7
    assert told.measurement.bounds.claim.lower < 0.5 + 0.1
    assert told.measurement.bounds.corrected.lower < 0.5


def test_the_bounds_of_a_probe_that_learnt_nothing_cover_one_half():
    wrong = 0
    for seed in range(40):
        bounds = finding(PROXY, "auc", space(240, seed=seed, width=3)).measurement.bounds
        wrong += bounds.corrected.lower > 0.5
    assert wrong <= 5


def test_units_have_the_auc_as_their_mean_and_delongs_error():
    data, _, vectors = space(600, 1.0)
    texts = tuple(f"text {i}" for i in range(600))
    model = FakeModel(
        lambda _: [0.5, 0.5],
        embedding=lambda text: vectors[int(text.split()[1])],
        embedding_width=6,
    )
    named = replace(data, inputs=texts)
    found = findings_on(PROXY, named, SharedPredictor(model))[0].measurement
    values = np.array(list(found.units.values()))
    assert len(values) == found.n
    assert values.mean() == pytest.approx(found.value, abs=1e-9)
    half = 1.645 * values.std(ddof=1) / np.sqrt(len(values))
    assert found.value - half == pytest.approx(found.bounds.claim.lower, abs=0.01)
    assert {f.outcome for f in findings_on(CONSISTENCY, named, SharedPredictor(model))} == {
        Outcome.PASS
    }


# --- consistency --------------------------------------------------------------------------------


def test_classes_drawn_at_random_are_inconsistent_and_smooth_ones_are_not():
    assert finding(CONSISTENCY, "consistency", space(3_000)).outcome is Outcome.PASS
    drawn = space(3_000, blurred=("a", "b"))
    assert finding(CONSISTENCY, "consistency", drawn).outcome is Outcome.FAIL
    for given in (space(40), space(40, blurred=("a", "b"))):
        assert finding(CONSISTENCY, "gap", given).outcome is Outcome.INCONCLUSIVE
    assert finding(CONSISTENCY, "consistency", space(40)).outcome is Outcome.INCONCLUSIVE


def test_a_group_that_is_decided_at_random_is_a_gap():
    # Groups lie apart, so that a row's neighbours are of its own group.
    assert finding(CONSISTENCY, "gap", space(4_000, 9.0)).outcome is Outcome.PASS
    found = finding(CONSISTENCY, "gap", space(4_000, 9.0, blurred=("b",)))
    assert found.outcome is Outcome.FAIL
    assert "a and b" in found.measurement.note


@pytest.mark.parametrize("classes", [2, 3])
def test_the_agreement_is_zemels_consistency(classes):
    data, answers, vectors = space(500, classes=classes, blurred=("a",))
    halves = Halves.of(data, vectors, np.random.default_rng(0))
    found = neighbour_agreement(vectors, answers.labels, halves, 5)
    search = NearestNeighbors(n_neighbors=5).fit(vectors[halves.learnt])
    near = search.kneighbors(vectors[halves.held])[1]
    shares = np.eye(classes)[answers.labels[halves.learnt]][near].mean(axis=1)
    own = np.eye(classes)[answers.labels[halves.held]]
    if classes == 2:
        by_hand = 1 - np.abs(own[:, 1] - shares[:, 1])
        np.testing.assert_allclose(found, by_hand, atol=1e-9)
    # One less the distance of the one-versus-rest answers for the class that the row is given.
    by_class = 1 - np.abs(own - shares)[own == 1]
    np.testing.assert_allclose(found, by_class, atol=1e-9)


def test_a_copy_of_a_row_is_not_its_neighbour():
    # Classes are drawn, but every row is there twice: with copies as neighbours all would agree.
    data, answers, vectors = space(1_000, blurred=("a", "b"))
    twice = np.tile(np.arange(1_000), 2)
    params = CONSISTENCY.params(neighbours=1)
    found = finding(
        CONSISTENCY, "consistency", (data.rows(twice), answers.take(twice), vectors[twice]), params
    )
    assert found.measurement.value == pytest.approx(0.5, abs=0.08)


def test_data_without_groups_has_a_consistency():
    data, answers, vectors = space(2_000)
    found = findings_of(CONSISTENCY, replace(data, groups={}), answers, embeddings=vectors)
    assert [(f.measurement.name, f.outcome) for f in found] == [("consistency", Outcome.PASS)]


def test_equal_groups_hardly_ever_have_a_gap():
    failed = sum(
        finding(
            CONSISTENCY, "gap", space(300, seed=seed, blurred=("a", "b")), limits={"gap": 0.0}
        ).outcome
        is Outcome.FAIL
        for seed in range(40)
    )
    assert failed <= 5


@pytest.mark.parametrize(
    ("check", "wrong"),
    [(PROXY, {"learnt_rows": 3}), (CONSISTENCY, {"neighbours": 0}),
     (CONSISTENCY, {"reference_rows": 2})],
)  # fmt: skip
def test_impossible_parameters_are_refused(check, wrong):
    with pytest.raises(ValueError, match="must be at least"):
        check.params(**wrong)


def test_a_level_that_the_probe_has_not_seen_is_told_by_chance():
    data, _, vectors = space(400, 1.0)
    attribute = Attribute("g", ("a", "b", "c"), data.groups["group"].codes)
    found = group_probabilities(vectors, attribute, Halves(np.arange(200), np.arange(200, 400)))
    assert (found[:, 2] == 0).all()
    assert group_aucs(found, attribute, np.arange(200, 400))[2].value is None


# --- in an audit --------------------------------------------------------------------------------


@pytest.fixture
def review_file(tmp_path):
    rng = random.Random(0)
    words = ["a", "the", "film", "is", "good", "bad", "dull", "warm", "not", "story", "plot"]
    place = tmp_path / "reviews.csv"
    lines = [
        f"{' '.join(rng.choices(words, k=rng.randint(2, 9)))},"
        f"{rng.choice(['negative', 'positive'])},{rng.choice(['x', 'y'])}"
        for _ in range(300)
    ]
    place.write_text("\n".join(["text,label,source", *lines]))
    return place


def test_an_audit_of_a_transformer_measures_embeddings(tiny_model, review_file):
    pytest.importorskip("transformers")
    from auditkit.config import AuditConfig
    from auditkit.engine import run_audit

    settings = {
        "model": {"path": str(tiny_model)},
        "data": {
            "path": str(review_file), "text": "text", "label": "label", "sensitive": ["source"],
            "allow_below_chance": True,
        },
        "only": ["fairness.proxy", "fairness.individual-consistency", "fairness.ranking-gap"],
    }  # fmt: skip
    result = run_audit(AuditConfig.model_validate(settings))
    measured = {(f.check, f.measurement.name) for f in result.findings}
    assert ("fairness.proxy", "auc") in measured
    assert ("fairness.individual-consistency", "gap") in measured
    assert result.timing.asking.embedded > 0
    assert "classifier" in result.subject.assumptions["embeddings"]
    again = run_audit(AuditConfig.model_validate(settings))
    assert again.timing.asking.batches == 0
    assert [f.message for f in again.findings] == [f.message for f in result.findings]
