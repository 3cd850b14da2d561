"""robustness.attack-sanity trusts a search that works, and says of another why it does not."""

from __future__ import annotations

from importlib.util import find_spec
from itertools import count
from typing import Any

import numpy as np
import pytest

from auditkit.attacks import AttackSettings, Recipe, Status, at_random, attack, find_recipe, recipes
from auditkit.attacks.chance import Allowance
from auditkit.data import AuditData
from auditkit.finding import Finding, Outcome
from auditkit.predictor import SharedPredictor
from auditkit.registry import load_registry
from auditkit.testing import FakeModel, findings_on

pytestmark = pytest.mark.skipif(
    any(find_spec(package) is None for package in ("textattack", "greenlet")),
    reason="needs the attacks extra",
)

CHECK = load_registry().get("robustness.attack-sanity")
TELLING = (("splendid", "wonderful"), ("dreadful", "appalling"))
FILLERS = ("film", "story", "actor", "scene", "music", "ending", "plot")


def fragile(text: str) -> list[float]:
    """Loses two thirds of its sureness with each telling word that is misspelt."""
    seen = [sum(word in text for word in words) for words in reversed(TELLING)]
    wrong = {0: 0.7, 1: 0.35, 2: 0.05}[max(seen)]
    return [wrong, 1 - wrong] if text.endswith("!1") else [1 - wrong, wrong]


def solid(text: str) -> list[float]:
    return [0.1, 0.9] if text.endswith("!1") else [0.9, 0.1]


def reviews(rows: int, **more: Any) -> AuditData:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, rows)
    texts = []
    for row, label in enumerate(labels.tolist()):
        words = [*rng.choice(FILLERS, 6, replace=False), *TELLING[1 - label], f"n{row}"]
        texts.append(" ".join([*rng.permutation(words), f"!{label}"]))
    return AuditData(tuple(texts), labels, ("bad", "good"), 1, **more)


def found(answer: Any, data: AuditData, **params: Any) -> dict[tuple[str, str], Finding]:
    model = answer if hasattr(answer, "predict") else SharedPredictor(FakeModel(answer))
    findings = findings_on(CHECK, data, model, CHECK.params(**params))
    return {(f.measurement.name, f.measurement.slice): f for f in findings if f.measurement}


def outcomes(findings: dict[tuple[str, str], Finding], name: str) -> set[Outcome]:
    return {f.outcome for (measured, _), f in findings.items() if measured == name}


def broken_recipe(monkeypatch: pytest.MonkeyPatch, perform_search: Any) -> None:
    """Makes "deepwordbug" a recipe with another search."""

    def build(textattack: Any, wrapper: Any) -> Any:
        method = textattack.search_methods.SearchMethod
        search = type(
            "Search", (method,), {"perform_search": perform_search, "is_black_box": True}
        )()
        attack = textattack.attack_recipes.DeepWordBugGao2018.build(wrapper)
        parts = [*attack.constraints, *attack.pre_transformation_constraints]
        return textattack.Attack(attack.goal_function, parts, attack.transformation, search)

    real = recipes.RECIPES["deepwordbug"]
    monkeypatch.setitem(
        recipes.RECIPES,
        "deepwordbug",
        Recipe(real.name, real.summary, build, real.resources),
    )


@pytest.fixture(scope="module")
def trusted() -> dict[tuple[str, str], Finding]:
    """Findings of a search that works, on rows that do not belong together."""
    return found(fragile, reviews(100))


def test_a_search_that_works_is_trusted(trusted):
    findings = trusted
    assert {f.outcome for f in findings.values()} == {Outcome.PASS}
    lead = findings["lead_over_chance", ""].measurement
    search, chance = (row for row in lead.evidence[0].rows if row.label in ("all", "chance"))
    assert search.count == search.n == 100
    assert 0 < chance.count < 100
    assert lead.value == pytest.approx((search.count - chance.count) / 100)
    smaller = [row.count for row in lead.evidence[0].rows[:3]]
    assert smaller == sorted(smaller)
    assert smaller[0] < 100


def test_a_search_that_is_worse_than_chance_is_not_trusted(monkeypatch):
    def futile(self, initial_result):
        for _ in range(60):
            self.get_goal_results([initial_result.attacked_text])
        return initial_result

    broken_recipe(monkeypatch, futile)
    findings = found(fragile, reviews(100))
    assert outcomes(findings, "lead_over_chance") == {Outcome.FAIL}
    assert outcomes(findings, "lost_by_budget") == {Outcome.PASS}
    assert outcomes(findings, "changed_without_query") == {Outcome.PASS}
    assert "by chance only" in findings["lead_over_chance", ""].measurement.note


def test_a_search_that_forgets_its_successes_is_not_trusted(monkeypatch):
    def forgetful(self, initial_result):
        texts = []
        for place in self.get_indices_to_order(initial_result.attacked_text)[1]:
            text = initial_result.attacked_text.delete_word_at_index(place)
            texts += [text, text, text, text]
        whole = initial_result.attacked_text
        done = whole.replace_words_at_indices(
            [*range(whole.num_words - 1)], ["x"] * (whole.num_words - 1)
        )
        results, over = self.get_goal_results([done, *texts])
        return results[0] if over else initial_result

    broken_recipe(monkeypatch, forgetful)
    findings = found(fragile, reviews(100))
    assert findings["lost_by_budget", "all after half"].outcome is Outcome.FAIL
    assert findings["lost_by_budget", "half after a quarter"].outcome is Outcome.PASS


def test_a_model_that_answers_otherwise_each_time_is_noticed():
    turns = count()

    class Fickle(SharedPredictor):
        def predict(self, inputs):
            flip = next(turns) > 0
            texts = list(inputs)
            answers = super().predict([f"{text[:-1]}{1 - int(text[-1])}" for text in texts])
            return answers if flip else super().predict(texts)

    data = reviews(100)
    findings = found(Fickle(FakeModel(solid)), data)
    assert outcomes(findings, "changed_without_query") == {Outcome.FAIL}


def test_where_nothing_breaks_the_search_cannot_be_told_from_chance():
    findings = found(solid, reviews(80), examples=80)
    assert outcomes(findings, "lead_over_chance") == {Outcome.INCONCLUSIVE}
    assert outcomes(findings, "lost_by_budget") == {Outcome.PASS}


def test_few_examples_decide_nothing():
    findings = found(fragile, reviews(20))
    assert {f.outcome for f in findings.values()} == {Outcome.INCONCLUSIVE}


def test_a_model_that_is_always_wrong_is_not_attacked():
    data = reviews(60)
    wrong = AuditData(data.inputs, 1 - data.labels, data.class_names, 1)
    findings = found(solid, wrong)
    assert outcomes(findings, "changed_without_query") == {Outcome.PASS}
    assert outcomes(findings, "lead_over_chance") == {Outcome.INCONCLUSIVE}


def test_rows_that_belong_together_are_not_taken_for_independent(trusted):
    def width(findings: dict[tuple[str, str], Finding]) -> float:
        interval = findings["lead_over_chance", ""].measurement.bounds.claim
        return interval.upper - interval.lower

    data = reviews(100)
    grouped = AuditData(
        data.inputs, data.labels, data.class_names, 1, clusters=np.arange(100) // 10
    )
    assert width(found(fragile, grouped)) != width(trusted)


@pytest.mark.parametrize("words", [1, 2, None])
def test_chance_spends_what_it_may_and_changes_no_more_words(words):
    data = reviews(1)
    asked: list[str] = []

    def ask(texts: list[str]) -> Any:
        asked.extend(texts)
        return SharedPredictor(FakeModel(solid)).predict(texts)

    original = data.inputs[0]
    recipe = at_random(find_recipe("deepwordbug"), {original: Allowance(30, words)})
    (outcome,) = attack([original], data.labels, ask, recipe, AttackSettings(seed=1))
    assert outcome.status is Status.FAILED
    assert outcome.queries == 30
    changed = [
        sum(a != b for a, b in zip(text.split(), original.split(), strict=True)) for text in asked
    ]
    assert max(changed) == words if words else max(changed) > 5
