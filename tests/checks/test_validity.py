"""robustness.validity tells successes that keep the meaning from those that change it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auditkit.attacks import Recipe, antonyms, recipes
from auditkit.config import load_config
from auditkit.data import AuditData
from auditkit.errors import UnsafeModelError
from auditkit.finding import Examples, Finding, Outcome, Table
from auditkit.plan import make_plan
from auditkit.predictor import SharedPredictor
from auditkit.registry import load_registry
from auditkit.resources import WORDNET
from auditkit.testing import FakeModel, findings_on

pytestmark = pytest.mark.skipif(
    any(find_spec(package) is None for package in ("textattack", "greenlet")),
    reason="needs the attacks extra",
)

REGISTRY = load_registry()
CHECK = REGISTRY.get("robustness.validity")


def fragile(text: str) -> list[float]:
    """Turned by a misspelt film, and by a negation."""
    words = text.split()
    right = [0.1, 0.9] if words[-1] == "!1" else [0.9, 0.1]
    return right if "film" in words and "not" not in words else right[::-1]


def solid(text: str) -> list[float]:
    return [0.1, 0.9] if text.endswith("!1") else [0.9, 0.1]


def reviews(rows: int) -> AuditData:
    labels = np.arange(rows) % 2
    texts = [
        f"the film was long and the music in scene n{row} was very loud !{labels[row]}"
        for row in range(rows)
    ]
    return AuditData(tuple(texts), labels, ("bad", "good"), 1)


def found(answer: Any, data: AuditData, **params: Any) -> dict[str, Finding]:
    model = SharedPredictor(FakeModel(answer))
    findings = findings_on(CHECK, data, model, CHECK.params(**params))
    assert findings[0].measurement is not None, findings[0].message
    return {f.measurement.name: f for f in findings if f.measurement}


def evidence(findings: dict[str, Finding], kind: type) -> list[Any]:
    parts = findings["adjusted_success_rate"].measurement.evidence
    return [part for part in parts if isinstance(part, kind)]


@pytest.fixture
def negating(monkeypatch) -> None:
    """The recipe "deepwordbug" inserts the word "not" and does nothing else."""

    def build(textattack: Any, wrapper: Any) -> Any:
        class Not(textattack.transformations.Transformation):
            def _get_transformations(self, text: Any, indices_to_modify: Any) -> list[Any]:
                return [text.insert_text_before_word_index(i, "not") for i in indices_to_modify]

        goal = textattack.goal_functions.UntargetedClassification(wrapper)
        return textattack.Attack(goal, [], Not(), textattack.search_methods.GreedySearch())

    monkeypatch.setitem(recipes.RECIPES, "deepwordbug", Recipe("deepwordbug", "", build))


@pytest.mark.usefixtures("negating")
def test_an_attack_that_negates_is_found_invalid():
    findings = found(fragile, reviews(60), examples=60)
    raw, adjusted = (findings[f"{name}_success_rate"] for name in ("raw", "adjusted"))
    assert raw.measurement.value == 1.0
    assert adjusted.measurement.value == 0.0
    assert adjusted.outcome is Outcome.PASS
    shown = evidence(findings, Examples)[0].rows
    assert len(shown) == 10
    assert {row.note for row in shown} == {"negation +not"}
    assert ("negation", 60) in evidence(findings, Table)[1].rows


@pytest.mark.usefixtures("negating")
def test_without_the_rule_the_same_successes_count():
    findings = found(fragile, reviews(60), examples=60, negations=False)
    assert findings["adjusted_success_rate"].measurement.value == 1.0


def test_typing_errors_keep_the_meaning():
    findings = found(fragile, reviews(60), examples=60)
    raw, adjusted = (findings[f"{name}_success_rate"] for name in ("raw", "adjusted"))
    assert raw.measurement.value == adjusted.measurement.value == 1.0
    assert raw.measurement.bounds == adjusted.measurement.bounds
    assert adjusted.outcome is Outcome.FAIL
    assert {row.note for row in evidence(findings, Examples)[0].rows} == {"meaning judged kept"}


def test_a_robust_model_passes_and_few_examples_decide_nothing():
    assert found(solid, reviews(60))["adjusted_success_rate"].outcome is Outcome.PASS
    assert found(solid, reviews(20))["adjusted_success_rate"].outcome is Outcome.INCONCLUSIVE


@pytest.mark.skipif(not WORDNET.obstacle(), reason="WordNet is in the resource folder")
def test_what_was_not_looked_at_is_said():
    note = found(fragile, reviews(5))["adjusted_success_rate"].measurement.note
    assert "contraries, as WordNet is missing" in note
    assert "no params.encoder_folder" in note
    assert "no params.language_model_folder" in note


@pytest.fixture(scope="module")
def language_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    import transformers

    folder = tmp_path_factory.mktemp("models") / "gpt2"
    transformers.AutoTokenizer.from_pretrained(tiny_model).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=35,
        n_positions=64,
        n_embd=16,
        n_layer=1,
        n_head=2,
        bos_token_id=2,
        eos_token_id=3,
    )
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


def test_embeddings_and_perplexity_are_compared_when_folders_are_named(tiny_model, language_model):
    folders = {"encoder_folder": str(tiny_model), "language_model_folder": str(language_model)}
    findings = found(fragile, reviews(5), least_meaning=-1.0, **folders)
    rows = {row[0]: row for row in evidence(findings, Table)[0].rows}
    assert rows["similarity of embeddings"][1] == rows["ratio of perplexities"][1] == 5
    assert rows["ratio of perplexities"][3] > 0
    assert rows["ratio of perplexities"][2] != 1.0
    assert findings["adjusted_success_rate"].measurement.value == 1.0
    strict = found(fragile, reviews(5), least_meaning=1.0, **folders)
    assert strict["adjusted_success_rate"].measurement.value == 0.0


def test_perplexity_is_that_of_the_model_by_hand(language_model):
    import torch
    import transformers

    from auditkit.attacks import perplexity_of

    model = transformers.GPT2LMHeadModel.from_pretrained(language_model).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(language_model)
    tokens = torch.tensor([tokenizer("the film was good", add_special_tokens=False)["input_ids"]])
    with torch.inference_mode():
        loss = model(input_ids=tokens, labels=tokens).loss
    perplexity = perplexity_of(language_model)
    assert perplexity("the film was good") == pytest.approx(float(loss.exp()), rel=1e-5)
    assert perplexity("film") is None


def test_a_language_model_that_brings_code_is_refused(language_model, tmp_path):
    from auditkit.attacks import perplexity_of

    for file in language_model.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(config.replace("{", '{"auto_map": {"A": "b.C"},', 1))
    with pytest.raises(UnsafeModelError, match="auto_map"):
        perplexity_of(tmp_path)


def test_folders_are_found_beside_the_configuration_and_covered_by_the_suite(tmp_path):
    (tmp_path / "encoder").mkdir()
    weights = tmp_path / "encoder" / "model.safetensors"
    weights.write_text("one")
    file = tmp_path / "auditkit.toml"
    file.write_text(
        '[model]\npath = "m"\n[data]\npath = "d.csv"\n[checks."robustness.validity"]\n'
        'params.encoder_folder = "encoder"\nparams.language_model_folder = "absent"\n'
    )

    def planned() -> Any:
        return make_plan(load_config(file), REGISTRY, CHECK.needs)

    first = planned()
    (entry,) = (entry for entry in first.checks if entry.check.id == CHECK.id)
    assert entry.params.encoder_folder == str(tmp_path / "encoder")
    assert entry.obstacle == f"language model is missing: put it at {tmp_path / 'absent'}"
    weights.write_text("two")
    assert planned().suite != first.suite


def test_wordnet_is_no_obstacle_when_missing_and_part_of_the_result_when_there(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("AUDITKIT_RESOURCES", str(tmp_path))
    file = tmp_path / "auditkit.toml"
    file.write_text('only = ["robustness.validity"]\n[model]\npath = "m"\n[data]\npath = "d.csv"\n')
    (entry,) = make_plan(load_config(file), REGISTRY, CHECK.needs).checks
    assert entry.obstacle == ""
    (found,) = (r for r in CHECK.resources(CHECK.params()) if r.name == WORDNET.name)
    before = found.content_digest()
    place = tmp_path / WORDNET.paths[0]
    place.parent.mkdir(parents=True)
    place.write_bytes(b"words")
    assert found.content_digest() != before


@pytest.mark.skipif(bool(WORDNET.obstacle()), reason="needs WordNet in the resource folder")
def test_wordnet_knows_contraries():
    assert "bad" in antonyms("good")
