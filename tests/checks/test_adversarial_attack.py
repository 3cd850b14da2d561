"""The check of adversarial attacks: verdicts, evidence, resumption, and what it needs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auditkit.attacks import Status, example_id
from auditkit.check import Confidence, Context, KeptInMemory
from auditkit.config import parse_config
from auditkit.data import AuditData
from auditkit.errors import ConfigError
from auditkit.finding import Examples, Finding, Outcome, Table
from auditkit.measuring import run_check
from auditkit.model import Capability
from auditkit.plan import PlannedCheck, make_plan
from auditkit.predictor import SharedPredictor
from auditkit.registry import load_registry
from auditkit.result import SuiteLimit
from auditkit.testing import FakeModel

pytestmark = pytest.mark.skipif(
    any(find_spec(package) is None for package in ("textattack", "greenlet")),
    reason="needs the attacks extra",
)

REGISTRY = load_registry()
CHECK = REGISTRY.checks["robustness.adversarial-attack"]
PRAISE, BLAME = ("great", "lovely", "superb"), ("dreadful", "boring", "clumsy")
FILLERS = ("film", "story", "actor", "scene", "music", "ending", "plot")

Answer = Callable[[str], list[float]]


def fragile(text: str) -> list[float]:
    """Right as long as the telling word is spelt as it was, else wrong."""
    right = deaf(text)
    return right if {*text.split()} & {*PRAISE, *BLAME} else right[::-1]


def deaf(text: str) -> list[float]:
    """Reads the one-letter words at the end, which no attack here changes."""
    positive = 0.9 if "!1" in text else 0.1
    return [1 - positive, positive]


def sentences(rows: int, seed: int = 0) -> AuditData:
    """Short sentences with one telling word, the label, and x or y in turn."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, rows)
    texts = []
    for row, label in enumerate(labels):
        telling = rng.choice(PRAISE if label else BLAME)
        fill = rng.choice(FILLERS, 3)
        texts.append(f"{fill[0]} {telling} {fill[1]} {fill[2]} n{row} !{label} {'xy'[row % 2]}")
    return AuditData(tuple(texts), labels, ("bad", "good"))


def entry(params: Any, limits: dict[str, float | None] | None = None) -> PlannedCheck:
    values = {limit.name: limit.value for limit in CHECK.limits} | (limits or {})
    return PlannedCheck(
        check=CHECK,
        severity=CHECK.severity,
        limits={
            limit.name: SuiteLimit(limit.direction, values[limit.name]) for limit in CHECK.limits
        },
        params=params,
        required=False,
        obstacle="",
    )


def found(
    answer: Answer,
    data: AuditData,
    limits: dict[str, float | None] | None = None,
    kept: Any = None,
    **params: Any,
) -> dict[tuple[str, str], Finding]:
    context = Context(
        SharedPredictor(FakeModel(answer, class_names=data.class_names)),
        data,
        {},
        Confidence(),
        np.random.default_rng(0),
        lambda _: None,
        kept or KeptInMemory(),
    )
    findings = run_check(entry(CHECK.params(**params), limits), context)
    return {
        (f.measurement.name, f.measurement.slice) if f.measurement else (f.outcome, ""): f
        for f in findings
    }


def accuracy(findings: dict[tuple[str, str], Finding], name: str = "deepwordbug") -> Finding:
    return findings["accuracy_under_attack", name]


def test_a_model_that_one_letter_turns_fails():
    finding = accuracy(found(fragile, sentences(80), examples=60))
    assert finding.outcome is Outcome.FAIL
    assert finding.measurement.n == 60


def test_a_model_that_ignores_the_attacked_words_passes():
    findings = found(deaf, sentences(80), {"success_rate": 0.2}, examples=60)
    assert accuracy(findings).outcome is Outcome.PASS
    assert findings["success_rate", "deepwordbug"].outcome is Outcome.PASS


@pytest.mark.parametrize("answer", [fragile, deaf])
def test_twenty_examples_decide_nothing(answer):
    findings = found(answer, sentences(20), {"success_rate": 0.5})
    for name in ("accuracy_under_attack", "success_rate"):
        assert findings[name, "deepwordbug"].outcome is Outcome.INCONCLUSIVE


def test_the_success_rate_counts_those_that_were_right_before():
    data = sentences(100)

    def half(text: str) -> list[float]:
        return deaf(text) if text.endswith("x") else deaf(text)[::-1]

    findings = found(half, data, examples=100)
    assert accuracy(findings).measurement.value == 0.5
    assert findings["success_rate", "deepwordbug"].measurement.n == 50
    assert findings["success_rate", "deepwordbug"].measurement.value == 0.0
    ended = accuracy(findings).measurement.evidence[0]
    assert isinstance(ended, Table)
    assert dict(ended.rows) == {"failed": 50, "not attacked, wrong before": 50}


def test_a_model_that_is_always_wrong_leaves_nothing_to_attack():
    findings = found(lambda text: deaf(text)[::-1], sentences(60))
    assert accuracy(findings).outcome is Outcome.FAIL
    assert findings["success_rate", "deepwordbug"].measurement.value is None


def test_several_attacks_count_together_and_are_corrected_for():
    findings = found(fragile, sentences(60), recipes=("deepwordbug", "pruthi"), budget=200)
    both = accuracy(findings, "all attacks together").measurement
    each = [accuracy(findings, name).measurement for name in ("deepwordbug", "pruthi")]
    assert both.value <= min(one.value for one in each)
    assert both.bounds.comparisons == 3
    assert both.bounds.corrected.upper > both.bounds.claim.upper


def test_every_example_carries_its_value_for_a_comparison_with_another_run():
    data = sentences(60)
    measured = accuracy(found(fragile, data)).measurement
    assert set(measured.units) == {example_id(text) for text in data.inputs}
    assert np.mean(list(measured.units.values())) == pytest.approx(measured.value)


def test_the_same_examples_are_drawn_whatever_the_model_says():
    data = sentences(150)
    units = [accuracy(found(a, data, examples=60)).measurement.units for a in (fragile, deaf)]
    assert units[0].keys() == units[1].keys()


def test_examples_are_drawn_in_proportion_to_the_classes_and_once_each():
    rng = np.random.default_rng(1)
    texts = [f"film {i} story great" for i in range(400)]
    labels = (rng.random(400) < 0.1).astype(np.int64)
    data = AuditData((*texts, *texts), np.tile(labels, 2), ("bad", "good"))
    measured = accuracy(found(fragile, data, examples=100)).measurement
    assert measured.n == len(measured.units) == 100
    rare = {example_id(text) for text, label in zip(texts, labels, strict=True) if label}
    assert abs(len(rare & measured.units.keys()) - 100 * labels.mean()) <= 1


def test_copies_of_one_person_decide_no_more_than_the_person():
    data = sentences(60)
    grouped = replace(data, clusters=np.arange(60) // 12)
    alone = accuracy(found(deaf, data)).measurement.bounds.claim
    together = accuracy(found(deaf, grouped)).measurement.bounds.claim
    assert together.lower < alone.lower


def test_broken_examples_are_shown_with_labels_before_and_after():
    measured = accuracy(found(fragile, sentences(60), show=3)).measurement
    shown = next(e for e in measured.evidence if isinstance(e, Examples))
    assert len(shown.rows) == 3
    for row in shown.rows:
        assert row.before != row.after
        assert {row.before_label, row.after_label} == {"bad", "good"}


class Recorded(KeptInMemory):
    def __init__(self) -> None:
        super().__init__()
        self.put_names: list[str] = []

    def put(self, name: str, content: Any) -> None:
        self.put_names.append(name)
        super().put(name, json.loads(json.dumps(content, allow_nan=False)))


def test_no_text_is_kept_where_none_may_be_shown():
    data, kept = sentences(60), Recorded()
    measured = accuracy(found(fragile, data, kept=kept, show=0)).measurement
    assert not any(isinstance(e, Examples) for e in measured.evidence)
    written = json.dumps(kept._parts)
    assert not any(word in written for text in data.inputs for word in text.split()[1:5])


def test_a_run_that_was_cut_off_goes_on_with_the_next_example():
    data, kept = sentences(60), Recorded()
    whole = found(fragile, data)

    class CutOffError(Exception):
        pass

    def cut(name: str, content: Any) -> None:
        if len(kept.put_names) == 25:
            raise CutOffError
        Recorded.put(kept, name, content)

    broken = Recorded()
    broken._parts, broken.put = kept._parts, cut
    assert (Outcome.ERROR, "") in found(fragile, data, kept=broken)
    asked = len(kept._parts)
    assert asked == 25
    assert accuracy(found(fragile, data, kept=kept)) == accuracy(whole)
    assert len(kept.put_names) == 60
    again = len(kept.put_names)
    assert found(fragile, data, kept=kept) == whole
    assert len(kept.put_names) == again


def test_the_same_seed_gives_the_same_findings():
    data = sentences(60)
    assert found(fragile, data) == found(fragile, data)


def test_an_attack_that_is_not_finished_counts_against_either_side():
    data, kept = sentences(60), KeptInMemory()
    for text in data.inputs[:20]:
        kept.put(
            f"deepwordbug/{example_id(text)}",
            {"status": str(Status.TIMEOUT), "queries": 7, "reason": "slow"},
        )
    sure = accuracy(found(deaf, data)).measurement
    unsure = accuracy(found(deaf, data, kept=kept)).measurement
    assert unsure.value == sure.value == 1.0
    assert unsure.bounds.claim.lower < 0.6 < sure.bounds.claim.lower
    assert unsure.bounds.claim.upper == 1.0
    assert "On 20 the attack did not finish" in unsure.note
    assert len(unsure.units) == 40


def test_an_attack_that_crashes_on_most_examples_is_an_error():
    data, kept = sentences(60), KeptInMemory()
    for text in data.inputs[:40]:
        kept.put(
            f"deepwordbug/{example_id(text)}",
            {"status": str(Status.ERROR), "queries": 1, "reason": "RuntimeError: no"},
        )
    finding = found(deaf, data, kept=kept)[Outcome.ERROR, ""]
    assert "crashed on 40 of 60 examples" in finding.message


def test_inputs_that_are_no_texts_cannot_be_attacked():
    data = AuditData(tuple(range(60)), np.zeros(60, dtype=np.int64), ("bad", "good"))
    findings = found(lambda _: [0.9, 0.1], data)
    assert "not texts" in findings[Outcome.NOT_APPLICABLE, ""].message


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"recipes": ["deepwordbugs"]}, "deepwordbug"),
        ({"recipes": []}, "at least one"),
        ({"recipes": ["pruthi", "pruthi"]}, "none twice"),
        ({"recipes": ["input-reduction"]}, "does not try to change the answer"),
        ({"recipes": ["hotflip"]}, "TextAttack's own LSTM"),
        ({"recipes": ["bad-characters"]}, "goal_function_type"),
        ({"budget": 1}, "budget"),
        ({"timeout": 0}, "timeout"),
    ],
)
def test_what_cannot_run_is_refused_before_the_run_starts(params, said):
    with pytest.raises(ConfigError, match=said) as refused:
        planned(params)
    assert str(refused.value).startswith(f'[checks."{CHECK.id}"] params: ')
    assert "{" not in str(refused.value)


def planned(params: dict[str, Any], required: bool = True) -> Any:
    table = {"model": {"path": "m"}, "data": {"path": "d.csv"}}
    if required:
        table["checks"] = {CHECK.id: {"params": params}}
    plan = make_plan(parse_config(table), REGISTRY, frozenset(Capability))
    return next(one for one in plan.checks if one.check.id == CHECK.id)


def test_a_missing_resource_is_said_beforehand_and_blocks_when_named(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDITKIT_RESOURCES", str(tmp_path))
    one = planned({"recipes": ["pwws"]})
    assert one.required
    assert "WordNet is missing" in one.obstacle
    assert str(tmp_path / "nltk_data") in one.obstacle
    assert "sentence encoder is missing" in planned({"encoder": True}).obstacle
    assert planned({}).obstacle == ""


def write_audit(folder: Path, tiny_model: Path, params: str) -> Path:
    words = ("good", "bad", "film", "story", "warm", "cold", "great", "awful")
    rng = np.random.default_rng(0)
    lines = ["text,label"]
    for i in range(120):
        lines.append(f"{' '.join(rng.choice(words, 5))},{('negative', 'positive')[i % 2]}")
    (folder / "data.csv").write_text("\n".join(lines) + "\n")
    config = folder / "auditkit.toml"
    config.write_text(
        f'only = ["{CHECK.id}"]\n[model]\npath = "{tiny_model.as_posix()}"\n'
        '[data]\npath = "data.csv"\ntext = "text"\nlabel = "label"\nallow_below_chance = true\n'
        f'[checks."{CHECK.id}"]\nparams = {{{params}}}\n'
    )
    return config


def test_an_audit_with_a_missing_resource_does_not_pass(tmp_path, monkeypatch, tiny_model, capsys):
    from auditkit.cli import main

    monkeypatch.setenv("AUDITKIT_RESOURCES", str(tmp_path / "none"))
    config = write_audit(tmp_path, tiny_model, 'recipes = ["pwws"]')
    assert main(["run", str(config), "--out", str(tmp_path / "out")]) == 4
    record = json.loads((tmp_path / "out" / "result.json").read_text())
    assert "WordNet is missing" in record["findings"][0]["message"]


def test_an_audit_with_attacks_reports_them_and_need_not_repeat_them(
    tmp_path, tiny_model, monkeypatch, capsys
):
    from auditkit.cli import main

    config = write_audit(tmp_path, tiny_model, "examples = 60, budget = 40")
    command = ["run", str(config), "--out", str(tmp_path / "out")]
    first = main(command)
    report = (tmp_path / "out" / "report.html").read_text()
    assert "Broken examples with the fewest changed words" in report
    assert "<ins>" in report
    capsys.readouterr()
    assert main(command) == first
    journal = (tmp_path / "out" / "events.jsonl").read_text().splitlines()
    assert sum('"part"' in line for line in journal) > 10


def test_another_resource_makes_another_measurement(tmp_path, monkeypatch):
    from auditkit.resources import WORDNET

    monkeypatch.setenv("AUDITKIT_RESOURCES", str(tmp_path))
    resources: Sequence[Any] = list(CHECK.resources(CHECK.params(recipes=("pwws",))))
    assert WORDNET in resources
    before = [resource.content_digest() for resource in resources]
    place = tmp_path / "nltk_data" / "corpora"
    place.mkdir(parents=True)
    (place / "wordnet.zip").write_bytes(b"other")
    assert [resource.content_digest() for resource in resources] != before
