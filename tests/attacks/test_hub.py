"""Attacks run together end where TextAttack's own end, one by one."""

from __future__ import annotations

import random
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auditkit import interleaving
from auditkit.attacks import (
    AttackOutcome,
    AttackSettings,
    Recipe,
    Status,
    attack,
    example_id,
    find_recipe,
    hub,
)
from auditkit.content import content_digest
from auditkit.errors import ConfigError, ModelError
from auditkit.model import Predictions

SEARCHES = Path(__file__).resolve().parents[2] / "benchmarks" / "searches.py"
SIZES = {"beam": {"words": 2}, "genetic": {"population": 6, "generations": 3}}


def recipe_named(name: str) -> Recipe:
    if name not in SIZES:
        return find_recipe(name)
    if not SEARCHES.exists():
        pytest.skip("not a checkout")
    return Recipe(name, "", runpy.run_path(str(SEARCHES))[name], options=SIZES[name])


def run(examples: Any, predictor: Any, recipe: Any = "deepwordbug", **settings: Any) -> list[Any]:
    texts, labels = examples
    found = attack(texts, labels, predictor.predict, recipe, AttackSettings(**settings))
    return sorted(found, key=lambda outcome: outcome.row)


def ended(outcomes: list[AttackOutcome]) -> list[tuple[Any, ...]]:
    return [(o.example, o.status, o.perturbed, o.queries, o.perturbed_score) for o in outcomes]


@pytest.mark.parametrize("name", ["deepwordbug", "pruthi", "input-reduction", "beam", "genetic"])
def test_every_example_ends_as_in_textattack(name, examples, predictor, theirs):
    recipe = recipe_named(name)
    few = examples[0][:6], examples[1][:6]
    outcomes = run(few, predictor, recipe, seed=3, in_flight=4)
    assert [o.original for o in outcomes] == few[0]
    for outcome in outcomes:
        found = (str(outcome.status), outcome.perturbed, outcome.queries)
        assert found == theirs(outcome, recipe)
    statuses = {o.status for o in outcomes}
    assert Status.SKIPPED in statuses
    assert statuses & {Status.SUCCEEDED, Status.MAXIMIZED}


@pytest.mark.parametrize("name", ["deepwordbug", "genetic"])
def test_outcomes_do_not_depend_on_how_many_run_at_once(name, examples, predictor, model):
    recipe = recipe_named(name)
    alone = ended(run(examples, predictor, recipe, in_flight=1))
    assert ended(run(examples, predictor, recipe, in_flight=24)) == alone


def test_outcomes_do_not_depend_on_position_and_neighbours(examples, predictor):
    whole = {o.example: o for o in run(examples, predictor)}
    part = [list(reversed(some[3:9])) for some in examples]
    assert len({o.seed for o in whole.values()}) == len(whole)
    for outcome in run(part, predictor):
        before = whole[outcome.example]
        assert (outcome.status, outcome.perturbed) == (before.status, before.perturbed)


def test_another_seed_draws_other_numbers(examples, predictor):
    first, second = (ended(run(examples, predictor, seed=seed)) for seed in (1, 2))
    assert first != second
    assert ended(run(examples, predictor, seed=1)) == first


def test_queries_of_many_examples_go_to_the_model_together(examples, predictor):
    requests = []

    def ask(texts: list[str]) -> Predictions:
        requests.append(len(texts))
        return predictor.predict(texts)

    outcomes = list(attack(*examples, ask, "deepwordbug", AttackSettings(in_flight=24)))
    assert requests[0] == 24
    assert sum(requests) == sum(o.queries for o in outcomes)
    assert len(requests) <= max(o.queries for o in outcomes)


def test_the_budget_bounds_every_example_as_in_textattack(examples, predictor, theirs):
    recipe = find_recipe("deepwordbug")
    outcomes = run(examples, predictor, recipe, budget=9)
    assert max(o.queries for o in outcomes) == 9
    stopped = [o for o in outcomes if o.status is Status.BUDGET]
    assert stopped
    for outcome in stopped[:5]:
        assert ("failed", outcome.perturbed, 9) == theirs(outcome, recipe, budget=9)


def test_a_budget_that_a_search_trips_over_is_no_crash(examples, predictor):
    outcomes = run(examples, predictor, recipe_named("genetic"), budget=2)
    assert {o.status for o in outcomes} <= {Status.BUDGET, Status.SKIPPED, Status.SUCCEEDED}
    assert Status.BUDGET in {o.status for o in outcomes}


def test_an_example_that_takes_too_long_is_a_timeout_and_stops_no_other(
    examples, predictor, monkeypatch
):
    now = [0.0]
    monkeypatch.setattr(interleaving.time, "perf_counter", lambda: now[0])
    slow = examples[0][0]

    def ask(texts: list[str]) -> Predictions:
        now[0] += 5.0 * len(texts) if any(slow.split()[0] in text for text in texts) else 0.0
        return predictor.predict(texts)

    settings = AttackSettings(timeout=12.0, in_flight=1)
    outcomes = sorted(attack(*examples, ask, "deepwordbug", settings), key=lambda o: o.row)
    assert outcomes[0].status is Status.TIMEOUT
    assert outcomes[0].perturbed is None
    assert "12 seconds" in outcomes[0].reason
    assert outcomes[0].seconds > 12.0
    assert Status.SUCCEEDED in {o.status for o in outcomes}


def test_the_time_of_an_example_is_its_share_of_the_models(examples, predictor, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(interleaving.time, "perf_counter", lambda: now[0])

    def ask(texts: list[str]) -> Predictions:
        now[0] += 1.0 * len(texts)
        return predictor.predict(texts)

    for outcome in attack(*examples, ask, "deepwordbug", AttackSettings(in_flight=24)):
        assert outcome.seconds == pytest.approx(outcome.queries)


def test_an_example_that_crashes_the_attack_stops_no_other(examples, predictor):
    texts = [*examples[0][:3], "film zebra story", *examples[0][3:6]]
    labels = [*examples[1][:3], 0, *examples[1][3:6]]
    labels[3] = int(predictor.predict([texts[3]]).labels[0])

    def build(textattack: Any, wrapper: Any) -> Any:
        class Fragile(textattack.transformations.WordSwapRandomCharacterDeletion):
            def _get_replacement_words(self, word: str) -> list[str]:
                if word == "zebra":
                    raise RuntimeError("no zebras")
                return super()._get_replacement_words(word)

        return textattack.Attack(
            textattack.goal_functions.UntargetedClassification(wrapper),
            [],
            Fragile(),
            textattack.search_methods.GreedyWordSwapWIR("delete"),
        )

    outcomes = run((texts, labels), predictor, Recipe("fragile", "", build))
    assert [o.row for o in outcomes if o.status is Status.ERROR] == [3]
    assert "RuntimeError: no zebras at test_hub.py" in outcomes[3].reason
    assert {o.status for o in outcomes} > {Status.ERROR}


def test_chinese_is_not_attacked_as_one_long_word(predictor, monkeypatch):
    from auditkit.attacks import splitting

    monkeypatch.setattr(splitting.importlib.util, "find_spec", lambda name: None)
    (outcome,) = run((["这部电影很好看"], [0]), predictor)
    assert outcome.status is Status.ERROR
    assert "jieba" in outcome.reason


def test_remembered_words_are_those_that_would_be_split(examples):
    from auditkit.attacks.library import load_textattack
    from auditkit.attacks.splitting import remembering

    split = load_textattack().shared.utils.strings.words_from_text
    ours = remembering(split)
    for text in [*examples[0], "", "it's well-known: 'CCC' *a* _b_ @c", "née \u200b 𝚏"]:
        first = ours(text)
        assert first == split(text)
        first.append("changed by the caller")
        assert ours(text) == split(text)
    assert ours("a b", ["a"]) == ["b"]


def test_the_callers_random_numbers_are_left_alone(examples, predictor):
    import torch

    def draws() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(1))

    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(1)
    expected = [draws() for _ in range(25)]
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(1)
    found = [draws()]
    found += [draws() for _ in attack(*examples, predictor.predict, "deepwordbug")]
    assert found == expected


def test_trouble_with_the_model_reaches_the_caller(examples, predictor):
    calls = []

    def ask(texts: list[str]) -> Predictions:
        calls.append(len(texts))
        if len(calls) == 3:
            raise ModelError("the model is gone.")
        return predictor.predict(texts)

    with pytest.raises(ModelError, match="is gone"):
        list(attack(*examples, ask, "deepwordbug"))
    assert len(calls) == 3


def test_a_model_without_probabilities_cannot_be_attacked(examples):
    def ask(texts: list[str]) -> Predictions:
        return Predictions(np.zeros(len(texts), dtype=np.int64), None)

    with pytest.raises(ModelError, match="without probabilities"):
        list(attack(*examples, ask, "deepwordbug"))


def test_an_attack_may_be_left_in_the_middle(examples, predictor):
    for _ in attack(*examples, predictor.predict, "deepwordbug"):
        break
    assert run(examples, predictor)


def test_recipes_with_a_count_of_their_own_take_no_budget(examples, predictor):
    options = {"goal_function_type": "targeted_classification", "perturbation_type": "deletions"}
    recipe = find_recipe("bad-characters", options)
    with pytest.raises(ConfigError, match="takes no budget"):
        run(examples, predictor, recipe, budget=5)


def test_impossible_settings_are_refused():
    for settings in ({"budget": 0}, {"timeout": 0.0}, {"in_flight": 0}):
        with pytest.raises(ValueError, match=next(iter(settings))):
            AttackSettings(**settings)


def test_no_example_is_no_outcome(predictor):
    assert run(([], []), predictor) == []


def test_an_outcome_survives_its_record(examples, predictor):
    import json

    for outcome in run(examples, predictor):
        record = json.loads(json.dumps(outcome.to_record(), allow_nan=False))
        assert AttackOutcome.from_record(record) == outcome
    with pytest.raises(ValueError, match="not the record of an attack"):
        AttackOutcome.from_record({"example": "1"})


@pytest.mark.parametrize("text", ["", "a film", "née \u200b𝚏", "\ud800 half"])
def test_an_example_is_named_by_the_predictors_digest(text):
    assert example_id(text) == content_digest(text).hex()[:16]


@pytest.mark.parametrize("classes", [2, 3, 77, 5000])
def test_textattack_gets_the_float32_softmax_it_would_compute_itself(classes):
    import torch

    rng = np.random.default_rng(classes)
    logits = (rng.standard_normal((40, classes)) * rng.choice([1, 8], (40, 1))).astype(np.float32)
    scores = hub._scores(Predictions.from_logits(logits))
    expected = torch.softmax(torch.from_numpy(logits), dim=1)
    if ((expected.sum(dim=1) - 1).abs() < 1e-6).all():
        assert torch.equal(torch.softmax(scores, dim=1), expected)
    else:  # TextAttack would refuse its own
        assert ((scores.sum(dim=1) - 1).abs() < 1e-6).all()
        assert torch.allclose(scores.float(), expected, atol=1e-6)
